"""Rules for both versions: who speaks first, deadlines, fragments, trust, one header only (sections 2 and 5)."""

from proxyspec.casebook import REAL, REFUSED, SOFT_REFUSED, Chapter, dribble, proxied
from proxyspec.layers.authoring import local, unknown, v1, v2
from proxyspec.model import Accept, HalfClose, Level, OutcomeKind, Pause, Send, Source, Timing

chapter = Chapter("general", section="2", control="v1/tcp4/ok", versions=[1])
accepts, accepts_real, rejects, either = chapter.accepts, chapter.accepts_real, chapter.rejects, chapter.either

_OTHER = "198.51.100.9"
_AS_SMTP = (Accept(OutcomeKind.TREATED_AS_SMTP),)
_V2 = frozenset({2})
_BOTH = frozenset({1, 2})

accepts("header-before-banner", (Pause(timeouts=1 / 15), Send(v1())), "The target is silent until the header is there")
rejects(
    "deadline/silent",
    b"",
    "A connection without a header ends at the deadline",
    level=Level.SHOULD,
    timing=Timing.AT_DEADLINE,
    waits=True,
)
rejects(
    "deadline/partial",
    v1()[:15],
    "Half a header does not hold the connection past the deadline",
    level=Level.SECURITY,
    waits=True,
)
rejects(
    "deadline/partial-v2",
    v2()[:16],
    "Half a binary header does not hold the connection past the deadline",
    level=Level.SECURITY,
    versions=_V2,
    control="v2/tcp4/ok",
    waits=True,
)
rejects(
    "deadline/slow-drip",
    dribble(v1(), timeouts=1.3 / 38),
    "Bytes that drip in do not extend the deadline",
    level=Level.SECURITY,
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
    waits=True,
)
either(
    "fragments/two",
    (Send(v1()[:20]), Pause(0.12), Send(v1()[20:])),
    "A header in two pieces is read whole, or refused",
    proxied(),
    REFUSED,
)
either(
    "fragments/bytewise",
    dribble(v1(), seconds=0.01),
    "A header byte by byte is read whole, or refused",
    proxied(),
    REFUSED,
)
either(
    "fragments/bytewise-v2",
    dribble(v2(), seconds=0.01),
    "A binary header byte by byte is read whole, or refused",
    proxied(),
    REFUSED,
    versions=_V2,
    control="v2/tcp4/ok",
)
either(
    "fragments/late",
    (Send(v1()[:20]), Pause(timeouts=0.8), Send(v1()[20:])),
    "A header completed shortly before the deadline is accepted, or refused",
    proxied(),
    REFUSED,
    waits=True,
)
accepts(
    "pipelined/v1", v1() + b"EHLO x\r\n", "Exactly the line is taken; a command behind it is answered", extra_replies=1
)
accepts(
    "pipelined/v2",
    v2() + b"EHLO x\r\n",
    "Exactly the header is taken; a command behind it is answered",
    extra_replies=1,
    versions=_V2,
)
accepts_real(
    "pipelined/unknown",
    unknown() + b"EHLO x\r\n",
    "A command behind UNKNOWN is answered",
    extra_replies=1,
    level=Level.SHOULD,
)
accepts_real(
    "pipelined/local", local() + b"EHLO x\r\n", "A command behind LOCAL is answered", extra_replies=1, versions=_V2
)
for _name, _bytes, _versions in (
    ("v1-v1", v1() + v1(_OTHER), frozenset({1})),
    ("v1-v2", v1() + v2(_OTHER), _BOTH),
    ("v2-v1", v2() + v1(_OTHER), _BOTH),
    ("v2-v2", v2() + v2(_OTHER), _V2),
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
        versions=_versions,
        control="v1/tcp4/ok" if 1 in _versions else "v2/tcp4/ok",
    )
either(
    "mid-session/v1",
    v1(),
    "A header in mid-session is an unknown command: it never changes the address",
    proxied(),
    REFUSED,
    level=Level.SECURITY,
    commands=(v1(_OTHER),),
    expected_errors=1,
)
rejects("no-header/ehlo", b"EHLO mail.example.com this is long enough\r\n", "SMTP without a header gets no service")
rejects("no-header/short", b"EHLO x\r\n", "A command of eight bytes without a header gets no service", waits=True)
rejects("no-header/http", b"GET / HTTP/1.0\r\n\r\n", "Another protocol gets no service")
rejects("no-header/leading-crlf", b"\r\n" + v1(), "Nothing stands before the header")
rejects(
    "abort/prompt",
    v1(dport="25x"),
    "A malformed line ends the connection at once",
    level=Level.SHOULD,
    timing=Timing.PROMPT,
)
rejects(
    "abort/nothing-executed",
    v1(dport="25x") + b"NOOP secret-7f3a\r\n",
    "No byte behind a refused header is a command",
    level=Level.SECURITY,
    forbid=(b"secret-7f3a", b"\r\n250 "),
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
chapter.add(
    "trust/unlisted-v1",
    v1(),
    "A header from an unlisted peer is never obeyed",
    (*REAL, *REFUSED, *_AS_SMTP),
    section="5",
    level=Level.SHOULD,
    source=Source.UNTRUSTED,
    control="v1/tcp4/ok",
    expected_errors=0,
)
chapter.add(
    "trust/unlisted-v2",
    v2(),
    "A binary header from an unlisted peer is never obeyed",
    (*REAL, *REFUSED, *_AS_SMTP),
    section="5",
    level=Level.SHOULD,
    source=Source.UNTRUSTED,
    control="v2/tcp4/ok",
    versions=_V2,
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
)
