"""Rules for both versions: who speaks first, deadlines, trust, one header only (sections 2 and 5)."""

from proxyspec.casebook import REAL, REFUSED, REFUSED_IN_WORDS, SOFT_REFUSED, UNSEEN, Chapter, dribble, proxied
from proxyspec.layers.authoring import local, unknown, v1, v2
from proxyspec.model import Accept, Await, Crowd, HalfClose, Level, OutcomeKind, Pause, Send, Source, Timing
from proxyspec_scenarios.headers import BOTH, EHLO, FORGED, SERVES_UNKNOWN, TAKES_MAIL, V1, V2

chapter = Chapter(
    "general",
    section="2",
    control="v1/tcp4/ok",
    versions=[1],
    requirements={
        "header-before-banner": ("gen.wait-for-header", "smtp.banner.after-header"),
        "deadline": ("gen.timeout", "inv.bounded"),
        "deadline/silent": ("gen.timeout", "gen.timeout.least"),
        "deadline/soft": ("smtp.timeout.421",),
        "crowd": ("inv.bounded", "gen.timeout"),
        "deadline/slow-drip": ("inv.bounded", "gen.timeout"),
        "pipelined": ("gen.exact-length", "smtp.early-talker.after-header"),
        "second-header": ("gen.one-header", "inv.header-not-payload"),
        "mid-session": ("gen.one-header", "smtp.header.not-a-command"),
        "no-header": ("gen.wait-for-header", "detect.order", "trust.no-header-from-trusted", "trust.config-only"),
        "detect": ("detect.order", "detect.partial-prefix"),
        "abort": ("gen.abort", "inv.no-downgrade", "inv.header-not-payload"),
        "half-close": ("gen.end-of-stream", "inv.no-downgrade"),
        "trust": ("trust.source-filter", "trust.config-only"),
        "trust/address-inside": ("trust.real-peer-for-filter",),
        "early-talk": ("smtp.early-talker.after-header", "gen.exact-length"),
    },
)
rejects, either = chapter.rejects, chapter.either

_SERVED = (*proxied(), *UNSEEN)
_SERVED_AS_PEER = (*REAL, *UNSEEN)
_AS_SMTP = (Accept(OutcomeKind.TREATED_AS_SMTP),)
_CLIENT_HELLO = bytes.fromhex("160301003b010000370303" + "5a" * 32 + "00000813011302c02bc02f01000006000a000400020017")
_MALFORMED, _PREMISE = v1(dport="25x"), "v1/port/trailing-letter"
_MALFORMED_V2, _PREMISE_V2 = v2(version=1), "v2/version/1"

chapter.add(
    "header-before-banner",
    (Pause(timeouts=1 / 15), Send(v1())),
    "The target is silent until the header is there",
    _SERVED,
)
chapter.add(
    "header-before-banner-v2",
    (Pause(timeouts=1 / 15), Send(v2())),
    "The target is silent until the binary header is there",
    _SERVED,
    versions=V2,
)
chapter.add(
    "header-before-banner/local",
    (Pause(timeouts=1 / 15), Send(local())),
    "A health check, too, is greeted behind its header alone",
    _SERVED_AS_PEER,
    versions=V2,
)
rejects(
    "deadline/silent",
    b"",
    "A connection without a header ends at the deadline",
    level=Level.SHOULD,
    timing=Timing.AT_DEADLINE,
    waits=True,
)
for _name, _sent, _versions, _control, _title in (
    ("partial", v1()[:15], {1}, "v1", "Half a header does not hold the connection past the deadline"),
    ("partial-one", v1()[:1], {1}, "v1", "One byte does not hold the connection past the deadline"),
    ("partial-prefix", v1()[:6], {1}, "v1", "A prefix alone does not hold the connection past the deadline"),
    ("partial-all-but-lf", v1()[:-1], {1}, "v1", "A line without its LF does not hold the connection"),
    ("partial-v2", v2()[:16], {2}, "v2", "Half a binary header does not hold the connection past the deadline"),
    ("partial-v2-all-but-one", v2()[:-1], {2}, "v2", "A header short of one byte does not hold the connection"),
):
    rejects(
        f"deadline/{_name}",
        _sent,
        _title,
        level=Level.SECURITY,
        versions=frozenset(_versions),
        control=f"{_control}/tcp4/ok",
        waits=True,
    )
rejects(
    "deadline/slow-drip",
    dribble(v1(), timeouts=1.3 / 38),
    "Bytes that drip in do not extend the deadline: the text allows one, and one that moves guards nothing",
    level=Level.SECURITY,
    waits=True,
)
rejects(
    "deadline/slow-drip-v2",
    dribble(v2(), timeouts=1.3 / 26),
    "Bytes of a binary header that drip in do not extend the deadline, which would guard nothing",
    level=Level.SECURITY,
    versions=V2,
    control="v2/tcp4/ok",
    waits=True,
)
chapter.add(
    "deadline/soft",
    b"",
    "A reply at the deadline is a temporary failure",
    SOFT_REFUSED,
    level=Level.SHOULD,
    section="RFC 5321, 3.8",
    control="v1/tcp4/ok",
    premise="general/deadline/silent",
    waits=True,
)
chapter.add(
    "deadline/soft-partial",
    v1()[:15],
    "A reply to half a header is a temporary failure",
    SOFT_REFUSED,
    level=Level.SHOULD,
    section="RFC 5321, 3.8",
    control="v1/tcp4/ok",
    premise="general/deadline/partial",
    waits=True,
    requirements=("smtp.timeout.421",),
)
# The header comes half-way, so that a session's own time, be it as short, ends long after the header's.
chapter.add(
    "deadline/not-in-session",
    (Pause(timeouts=0.5), Send(v1()), Await(), Pause(timeouts=0.55)),
    "The deadline is the header's: it does not fall in a session that is under way",
    _SERVED,
    level=Level.IMPLIED,
    waits=True,
    requirements=("gen.timeout",),
)
for _name, _held, _versions in (
    ("silent", b"", {1}),
    ("half-open", v1()[:20], {1}),
    ("half-open-v2", v2()[:16], {1, 2}),
):
    chapter.add(
        f"crowd/{_name}",
        v1(),
        "A hundred connections that wait for their header stand in nobody's way",
        _SERVED,
        level=Level.SECURITY,
        crowd=Crowd(100, _held),
        versions=frozenset(_versions),
    )
# A receiver that takes too much or too little answers what was never said, or leaves the command unanswered; one that
# turns early talkers away says so and ends the connection.
for _name, _frame, _accept, _control, _title in (
    ("v1", v1(), _SERVED, "v1/tcp4/ok", "Exactly the line is taken; a command behind it is answered"),
    ("v2", v2(), _SERVED, "v2/tcp4/ok", "Exactly the header is taken; a command behind it is answered"),
    ("unknown", unknown(), _SERVED_AS_PEER, "v1/unknown/short", "A command behind UNKNOWN is answered"),
    (
        "unknown-addresses",
        unknown(" 192.0.2.1 192.0.2.2 1111 25"),
        _SERVED_AS_PEER,
        "v1/unknown/with-proxied",
        "A command behind UNKNOWN and what it ignores is answered",
    ),
    ("local", local(), _SERVED_AS_PEER, "v2/local/empty", "A command behind LOCAL is answered"),
    (
        "local-with-address",
        v2(command=0),
        _SERVED_AS_PEER,
        "v2/local/with-address",
        "A command behind LOCAL and what it skips is answered",
    ),
):
    _is_unknown = _name.startswith("unknown")
    chapter.add(
        f"pipelined/{_name}",
        (Send(_frame + EHLO), Await(2)),
        f"{_title}, or its sender turned away in words",
        (*_accept, *REFUSED_IN_WORDS),
        extra_replies=1,
        level=Level.SHOULD if _is_unknown else Level.MUST,
        versions=V1 if _control.startswith("v1/") else V2,
        control=_control,
        needs=SERVES_UNKNOWN if _is_unknown else frozenset(),
    )
for _name, _frame, _versions in (("v1", v1(), {1}), ("v2", v2(), {2})):
    either(
        f"early-talk/{_name}",
        _frame + b"EHLO x\r\nNOOP\r\nRSET\r\n",
        "Commands before the greeting are answered, or refused as such; the header never counts as one",
        proxied(),
        REFUSED,
        versions=frozenset(_versions),
        control=f"{_name}/tcp4/ok",
        section="RFC 2920, 3.1",
        extra_replies=3,
    )
for _name, _bytes, _versions in (
    ("v1-v1", v1() + v1(FORGED), {1}),
    ("v1-v2", v1() + v2(FORGED), {1, 2}),
    ("v2-v1", v2() + v1(FORGED), {1, 2}),
    ("v2-v2", v2() + v2(FORGED), {2}),
):
    either(
        f"second-header/{_name}",
        _bytes,
        "A second header is payload: it never changes the address",
        proxied(),
        REFUSED,
        level=Level.SECURITY,
        extra_replies=1,
        expected_errors=16,
        versions=frozenset(_versions),
        control="v1/tcp4/ok" if 1 in _versions else "v2/tcp4/ok",
    )
for _name, _bytes, _versions in (
    ("unknown-v1", unknown() + v1(FORGED), {1}),
    ("local-v2", local() + v2(FORGED), {2}),
    ("local-v1", local() + v1(FORGED), {1, 2}),
):
    either(
        f"second-header/{_name}",
        _bytes,
        "A header behind one without an address is payload: it gives none",
        REAL,
        REFUSED,
        level=Level.SECURITY,
        extra_replies=1,
        expected_errors=16,
        versions=frozenset(_versions),
        control="v1/unknown/short" if _versions == {1} else "v2/local/empty",
        needs=SERVES_UNKNOWN if _versions == {1} else frozenset(),
    )
either(
    "mid-session/v1",
    v1(),
    "A header in mid-session is an unknown command: it never changes the address",
    proxied(),
    REFUSED,
    level=Level.SECURITY,
    commands=(v1(FORGED),),
    expected_errors=1,
    least_errors=1,
)
either(
    "mid-session/v1-tcp6",
    v1(),
    "An IPv6 header in mid-session never changes the address",
    proxied(),
    REFUSED,
    level=Level.SECURITY,
    commands=(v1("2001:db8::9"),),
    expected_errors=1,
    least_errors=1,
)
either(
    "mid-session/unknown",
    v1(),
    "UNKNOWN in mid-session never takes the address back",
    proxied(),
    REFUSED,
    level=Level.SECURITY,
    commands=(unknown(),),
    expected_errors=1,
    least_errors=1,
)
either(
    "mid-session/v2",
    v1(),
    "A binary header in mid-session never changes the address",
    proxied(),
    REFUSED,
    level=Level.SECURITY,
    # What is left of the header glues to NOOP, so that the EHLO behind it is understood.
    commands=(v2(FORGED), b"NOOP\r\n"),
    expected_errors=16,
    least_errors=1,
    versions=BOTH,
)
either(
    "mid-session/in-transaction",
    v1(),
    "A header within a transaction is an unknown command: it never changes the address",
    proxied(),
    REFUSED,
    level=Level.SECURITY,
    commands=(b"MAIL FROM:<probe@probe.test>\r\n", v1(FORGED), b"RSET\r\n"),
    expected_errors=1,
    least_errors=1,
    needs=TAKES_MAIL,
)
either(
    "mid-session/after-unlisted-greeting",
    (Send(v1()), Await(), Pause(0.2), Send(v1(FORGED))),
    "A header right behind the greeting never changes the address",
    proxied(),
    REFUSED,
    level=Level.SECURITY,
    extra_replies=1,
    expected_errors=1,
    least_errors=1,
)

for _name, _bytes, _waits, _title in (
    ("ehlo", b"EHLO mail.example.com this is long enough\r\n", False, "SMTP without a header gets no service"),
    ("short", EHLO, True, "A command of eight bytes without a header gets no service"),
    ("quit", b"QUIT\r\n", True, "A command of six bytes without a header gets no service"),
    ("http", b"GET / HTTP/1.0\r\n\r\n", False, "Another protocol gets no service"),
    ("tls", _CLIENT_HELLO, False, "TLS without a header gets no service"),
    ("nul", bytes(64), False, "Zeros get no service"),
    ("leading-crlf", b"\r\n" + v1(), False, "Nothing stands before the header"),
    ("leading-lf", b"\n" + v1(), False, "Not even a line end stands before the header"),
    ("leading-nul", b"\0" + v1(), False, "A NUL does not stand before the header"),
    ("leading-command", b"NOOP\r\n" + v1(), False, "A command before the header gets no service, now or later"),
    ("xclient", b"XCLIENT ADDR=198.51.100.9\r\n" + v1(), False, "XCLIENT is no header"),
    ("byte-order-mark", b"\xef\xbb\xbf" + v1(), False, "A byte order mark does not stand before the header"),
):
    rejects(f"no-header/{_name}", _bytes, _title, waits=_waits)
rejects(
    "no-header/leading-crlf-v2",
    b"\r\n" + v2(),
    "The signature is not looked for within what comes",
    versions=V2,
    control="v2/tcp4/ok",
)
rejects(
    "no-header/leading-byte-v2",
    b"\r" + v2(),
    "Not even one byte stands before the signature",
    versions=V2,
    control="v2/tcp4/ok",
)
rejects(
    "no-header/late",
    (Send(EHLO), Pause(0.2), Send(v1())),
    "A header that comes behind a command is too late",
    waits=True,
    requirements=("smtp.early-talker.before-header", "inv.no-downgrade"),
)
for _name, _bytes, _versions, _control in (
    ("p-then-other", b"PROXX", {1}, "v1/tcp4/ok"),
    ("p-only", b"P", {1}, "v1/tcp4/ok"),
    ("pr-mail", b"PR\r\n", {1}, "v1/tcp4/ok"),
    ("crlfcrlf-then-other", b"\r\n\r\nX", {2}, "v2/tcp4/ok"),
    ("signature-without-last", v2()[:11] + b"X", {2}, "v2/tcp4/ok"),
):
    rejects(
        f"detect/{_name}",
        _bytes,
        "A beginning that is of no header, or of one that never comes, gets no service",
        versions=frozenset(_versions),
        control=_control,
        waits=True,
    )
rejects(
    "abort/prompt",
    _MALFORMED,
    "A malformed line ends the connection at once",
    premise=_PREMISE,
    level=Level.SHOULD,
    timing=Timing.PROMPT,
)
rejects(
    "abort/prompt-v2",
    _MALFORMED_V2,
    "A malformed binary header ends the connection at once",
    premise=_PREMISE_V2,
    level=Level.SHOULD,
    timing=Timing.PROMPT,
    versions=V2,
    control="v2/tcp4/ok",
)
chapter.add(
    "abort/soft",
    _MALFORMED,
    "A malformed header is refused for now, or for good: a permanent code makes a proxy's fault lose mail",
    REFUSED,
    level=Level.EITHER,
    section="RFC 5321, 4.2.1",
    control="v1/tcp4/ok",
    premise=_PREMISE,
    requirements=("smtp.malformed.reply", "inv.reply-mode"),
)
for _name, _frame, _premise, _control in (
    ("nothing-executed", _MALFORMED, _PREMISE, "v1/tcp4/ok"),
    ("nothing-executed-v2", _MALFORMED_V2, _PREMISE_V2, "v2/tcp4/ok"),
    ("nothing-executed-family", v2(family=0x13), "v2/family/13", "v2/tcp4/ok"),
    ("nothing-executed-long", unknown(" " + "A" * 2000), "v1/length/2016", "v1/unknown/107"),
):
    rejects(
        f"abort/{_name}",
        _frame + b"NOOP secret-7f3a\r\n",
        "No byte behind a refused header is a command",
        level=Level.SECURITY,
        forbid=(b"secret-7f3a", b"\r\n250 "),
        versions=V1 if _premise.startswith("v1/") else V2,
        control=_control,
        premise=_premise,
        needs=SERVES_UNKNOWN if _control.startswith("v1/unknown") else frozenset(),
    )
rejects(
    "abort/not-echoed",
    v1(protocol="TCP5", rest=" secret-7f3a"),
    "No byte of a refused header is repeated in a reply",
    premise="v1/protocol/tcp5",
    level=Level.SECURITY,
    forbid=(b"secret-7f3a",),
)
rejects(
    "abort/no-second-try",
    (Send(_MALFORMED), Pause(0.2), Send(v1(FORGED))),
    "A valid header behind a refused one is not obeyed",
    premise=_PREMISE,
    level=Level.SECURITY,
    expected_errors=1,
)
rejects(
    "abort/no-second-try-at-once",
    _MALFORMED + v1(FORGED),
    "A valid header in the same segment as a refused one is not obeyed",
    premise=_PREMISE,
    level=Level.SECURITY,
    expected_errors=1,
)

rejects(
    "half-close/empty",
    (HalfClose(),),
    "A FIN instead of a header gets no greeting",
    level=Level.IMPLIED,
    timing=Timing.PROMPT,
)
rejects(
    "half-close/partial",
    (Send(v1()[:20]), HalfClose()),
    "A FIN within the header gets no greeting",
    level=Level.IMPLIED,
    timing=Timing.PROMPT,
)
rejects(
    "half-close/partial-v2",
    (Send(v2()[:16]), HalfClose()),
    "A FIN within the binary header gets no greeting",
    level=Level.IMPLIED,
    timing=Timing.PROMPT,
    versions=V2,
    control="v2/tcp4/ok",
)
either(
    "half-close/complete",
    (Send(v1()), HalfClose()),
    "A FIN behind the header ends the connection, greeted or not",
    (Accept(OutcomeKind.ACCEPTED_UNSEEN),),
    REFUSED,
    level=Level.IMPLIED,
)

for _name, _frame, _versions, _title in (
    ("unlisted-v1", v1(), {1}, "A header from an unlisted peer is never obeyed"),
    ("unlisted-v2", v2(), {1, 2}, "A binary header from an unlisted peer is never obeyed"),
    ("unlisted-v1-tcp6", v1("2001:db8::1"), {1}, "An IPv6 header from an unlisted peer is never obeyed"),
    ("unlisted-pipelined", v1() + EHLO, {1}, "A header and a command from an unlisted peer: never obeyed as proxied"),
    (
        "address-inside",
        v1("127.0.0.1", "127.0.0.1"),
        {1},
        "The list of peers is compared with the peer, not the header",
    ),
    ("unlisted-local", local(), {1, 2}, "LOCAL from an unlisted peer gives it no more rights"),
):
    chapter.add(
        f"trust/{_name}",
        _frame,
        _title,
        (*REAL, *REFUSED, *_AS_SMTP),
        section="5",
        level=Level.SECURITY,
        source=Source.UNTRUSTED,
        control="v1/tcp4/ok",
        versions=frozenset(_versions),
    )
for _name, _frame, _versions in (("v1", v1(), {1}), ("v2", v2(), {1, 2})):
    chapter.add(
        f"trust/lookalike-{_name}",
        _frame,
        "A peer is compared as an address: one that begins with the same characters is not trusted",
        (*REAL, *REFUSED, *_AS_SMTP),
        section="5",
        level=Level.SECURITY,
        source=Source.LOOKALIKE,
        control="v1/tcp4/ok",
        versions=frozenset(_versions),
    )
chapter.add(
    "trust/unlisted-refused-softly",
    v1(),
    "An unlisted peer that sends a header is not refused for good",
    (*REAL, *SOFT_REFUSED, *_AS_SMTP),
    section="RFC 5321, 4.2.1",
    level=Level.SHOULD,
    source=Source.UNTRUSTED,
    control="v1/tcp4/ok",
    premise="general/trust/unlisted-v1",
    requirements=("smtp.refuse.untrusted",),
)
chapter.add(
    "trust/unlisted-without-header",
    b"",
    "An unlisted peer without a header is served as itself, or refused",
    (*REAL, *REFUSED),
    section="5",
    level=Level.EITHER,
    source=Source.UNTRUSTED,
    control="v1/tcp4/ok",
    waits=True,
)
chapter.add(
    "trust/unlisted-mid-session",
    b"",
    "A header as a command of an unlisted peer never changes its address",
    (*REAL, *REFUSED, *_AS_SMTP),
    section="5",
    level=Level.SECURITY,
    source=Source.UNTRUSTED,
    control="v1/tcp4/ok",
    commands=(v1(FORGED),),
    expected_errors=1,
    least_errors=1,
    waits=True,
)
either(
    "trust/chained",
    v1("127.0.0.2"),
    "An address inside the header that is not trusted is an address like any other",
    proxied("127.0.0.2"),
    REFUSED,
    section="4.1",
    requirements=("trust.chain", "trust.real-peer-for-filter"),
)
