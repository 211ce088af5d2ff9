"""SMTP around the header: addresses, commands, STARTTLS, implicit TLS (RFC 5321, RFC 3207, RFC 8314; section 2)."""

from proxyspec.casebook import REAL, REFUSED, UNSEEN, Chapter, proxied
from proxyspec.layers.authoring import SSLClient, local, ssl, unknown, v1, v2
from proxyspec.model import Accept, Await, Capability, HalfClose, Level, OutcomeKind, Pause, Send, StartTls
from proxyspec_scenarios.headers import BOTH, EHLO, FORGED, SERVES_UNKNOWN, TAKES_MAIL, V2

chapter = Chapter(
    "smtp",
    section="2",
    control="v1/tcp4/ok",
    versions=[1],
    requirements={
        "address": ("smtp.addr.log", "smtp.addr.received"),
        "address/real": ("smtp.addr.local-cmd", "smtp.addr.no-leak"),
        "privilege": ("smtp.addr.privilege",),
        "command": ("smtp.header.not-a-command", "smtp.header.not-counted"),
        "greeting": ("smtp.banner.after-header", "smtp.code.no-220-on-fail"),
        "starttls": ("smtp.starttls.order",),
        "starttls/state-forgotten": ("smtp.starttls.order", "smtp.starttls.forget"),
        "starttls/greeting-forgotten": ("smtp.starttls.order", "smtp.starttls.forget"),
        "starttls/second-header": ("smtp.starttls.no-second-header",),
        "starttls/injection": ("smtp.starttls.injection",),
        "implicit-tls": ("smtp.tls.header-outside",),
        "implicit-tls/header-inside": ("smtp.tls.header-inside",),
        "ssl-tlv": ("smtp.tls.info",),
        "shutdown": ("smtp.peer-reset",),
    },
)
accepts, accepts_real, rejects, either = chapter.accepts, chapter.accepts_real, chapter.rejects, chapter.either

_SIX = "2001:db8::1"
_STARTTLS = frozenset({Capability.STARTTLS})
_IMPLICIT = frozenset({Capability.IMPLICIT_TLS})
_MAIL = (b"MAIL FROM:<probe@probe.test>\r\n", b"RSET\r\n")

for _name, _line, _sees in (
    ("tcp4", v1(), "192.0.2.1"),
    ("tcp6", v1(_SIX), _SIX),
    ("tcp6-canonical", v1("2001:0DB8:0:0:0:0:0:000A"), "2001:db8::a"),
):
    accepts(
        f"address/{_name}",
        _line,
        "The session names the proxied client, in its canonical form",
        sees=_sees,
        section="RFC 5321, 4.4",
        forbid=(b"2001:0DB8", b"2001:0db8"),
    )
accepts(
    "address/v2-tcp6",
    v2(_SIX, "2001:db8::2"),
    "A session behind a binary header names its IPv6 client",
    sees=_SIX,
    section="RFC 5321, 4.4",
    versions=V2,
)
for _name, _line, _sees, _tag in (
    ("tcp4", v1(), "192.0.2.1", b"[192.0.2.1]"),
    ("tcp6", v1("2001:0DB8:0:0:0:0:0:1"), _SIX, b"[IPv6:2001:db8::1]"),
):
    accepts(
        f"address/received-{_name}",
        _line,
        "Received has the client's address as a literal, IPv6 with its tag and in canonical form",
        sees=_sees,
        section="RFC 5321, 4.4",
        trace=(_tag,),
        needs=frozenset({Capability.RECEIVED}),
    )
accepts(
    "address/kept",
    v1(),
    "The client's address stays through RSET, NOOP and transactions",
    commands=(b"NOOP\r\n", *_MAIL, b"EHLO other.probe.test\r\n", b"RSET\r\n"),
    needs=TAKES_MAIL,
)
accepts(
    "address/helo-lies",
    v1(),
    "What a client calls itself is not its address",
    commands=(b"EHLO [198.51.100.9]\r\n",),
    forbid=(b"[198.51.100.9]\r\n250-second",),
)
accepts_real(
    "address/real-unknown",
    unknown(" 192.0.2.1 192.0.2.2 1111 25"),
    "Behind UNKNOWN the peer itself is named",
    needs=SERVES_UNKNOWN,
)
accepts_real("address/real-local", v2(command=0), "Behind LOCAL the peer itself is named", versions=V2)
for _name, _line, _sees in (
    ("loopback", v1("127.0.0.1", "127.0.0.1"), "127.0.0.1"),
    ("loopback-tcp6", v1("::1", "::1"), "::1"),
):
    either(
        f"privilege/{_name}",
        _line,
        "A proxied loopback address is an address like any other",
        proxied(_sees),
        (Accept(OutcomeKind.ACCEPTED_REAL, _sees),),
        REFUSED,
    )
either(
    "privilege/loopback-relay",
    v1("127.0.0.1", "127.0.0.1"),
    "Whether a proxied loopback address may relay is recorded: it should be told the same as any other",
    proxied("127.0.0.1"),
    (Accept(OutcomeKind.ACCEPTED_REAL, "127.0.0.1"),),
    REFUSED,
    commands=(*_MAIL[:1], b"RCPT TO:<nobody@relay.invalid>\r\n", b"RSET\r\n"),
    expected_errors=1,
    needs=TAKES_MAIL,
)
for _verb in (b"NOOP\r\n", b"HELP\r\n", b"VRFY nobody\r\n"):
    accepts(
        f"command/{_verb[:4].decode().lower()}",
        v1(),
        "Commands behind the header are answered as they would be without it",
        commands=(_verb,),
        expected_errors=1,
    )
accepts(
    "command/long-line",
    v1(),
    "The header is no part of the first command's line: one of 512 bytes is taken",
    commands=(b"NOOP " + b"x" * 505 + b"\r\n",),
    section="RFC 5321, 4.5.3.1.4",
)
either(
    "command/proxy-lower-case",
    v1(),
    "PROXY in any letter case is no command of a session",
    proxied(),
    REFUSED,
    level=Level.SECURITY,
    commands=(b"proxy tcp4 198.51.100.9 192.0.2.2 7777 25\r\n",),
    expected_errors=1,
    least_errors=1,
)
either(
    "command/xclient",
    v1(),
    "XCLIENT does not change the address of a client that may not use it",
    proxied(),
    REFUSED,
    level=Level.SECURITY,
    commands=(b"XCLIENT ADDR=198.51.100.9\r\n",),
    expected_errors=1,
    requirements=("smtp.xclient.precedence",),
)
accepts(
    "command/repeated-errors-of-another",
    v1(),
    "A first command that is wrong is one error, not two: the header was none",
    commands=(b"NONSENSE\r\n",),
    expected_errors=1,
)
chapter.add(
    "greeting/patient-client",
    (Send(v1()), Await(), Pause(0.5)),
    "A client that takes its time behind the greeting is served",
    (*proxied(), *UNSEEN),
)
rejects(
    "greeting/not-for-malformed",
    v1("192.0.2.256"),
    "No 220 follows a malformed header",
    premise="v1/ip4/octet-256-last",
    level=Level.SECURITY,
    forbid=(b"220 ", b"220-"),
)
rejects(
    "greeting/not-for-malformed-v2",
    v2(command=2),
    "No 220 follows a malformed binary header",
    premise="v2/command/2",
    level=Level.SECURITY,
    forbid=(b"220 ", b"220-"),
    versions=V2,
    control="v2/tcp4/ok",
)
rejects(
    "greeting/not-for-eof",
    (Send(v1()[:-2]), HalfClose()),
    "No 220 follows half a header and a FIN",
    level=Level.SECURITY,
    forbid=(b"220 ", b"220-"),
)

for _name, _frame, _versions, _sees in (
    ("v1", v1(), {1}, "192.0.2.1"),
    ("v1-tcp6", v1(_SIX), {1}, _SIX),
    ("v2", v2(), {2}, "192.0.2.1"),
):
    accepts(
        f"starttls/{_name}",
        _frame,
        "The header comes in clear before the greeting, and its address stays behind STARTTLS",
        sees=_sees,
        commands=(b"STARTTLS\r\n", b"EHLO inside.probe.test\r\n", *_MAIL),
        needs=_STARTTLS | TAKES_MAIL,
        versions=frozenset(_versions),
    )
accepts_real(
    "starttls/unknown",
    unknown(),
    "Behind UNKNOWN and STARTTLS the peer itself is named",
    commands=(b"STARTTLS\r\n",),
    needs=_STARTTLS | SERVES_UNKNOWN,
)
accepts_real(
    "starttls/local",
    local(),
    "Behind LOCAL and STARTTLS the peer itself is named",
    commands=(b"STARTTLS\r\n",),
    needs=_STARTTLS,
    versions=V2,
)
either(
    "starttls/state-forgotten",
    v1(),
    "A transaction begun in clear is forgotten behind STARTTLS, the address is not",
    proxied(),
    REFUSED,
    level=Level.MUST,
    section="RFC 3207, 4.2",
    commands=(b"MAIL FROM:<probe@probe.test>\r\n", b"STARTTLS\r\n", b"RCPT TO:<probe@probe.test>\r\n"),
    expected_errors=2,
    least_errors=1,
    needs=_STARTTLS | TAKES_MAIL,
)
either(
    "starttls/greeting-forgotten",
    v1(),
    "The EHLO said in clear is no good behind STARTTLS, the address is",
    proxied(),
    REFUSED,
    level=Level.SHOULD,
    section="RFC 3207, 4.2",
    commands=(b"STARTTLS\r\n", b"MAIL FROM:<probe@probe.test>\r\n"),
    expected_errors=1,
    least_errors=1,
    needs=_STARTTLS | TAKES_MAIL,
)
for _name, _second, _versions, _errors in (
    ("v1", v1(FORGED), {1}, 1),
    ("v2", v2(FORGED), {1, 2}, 16),
):
    either(
        f"starttls/second-header-{_name}",
        v1(),
        "A header inside TLS never changes the address",
        proxied(),
        REFUSED,
        level=Level.SECURITY,
        commands=(b"STARTTLS\r\n", _second, b"NOOP\r\n"),
        expected_errors=_errors,
        least_errors=1,
        needs=_STARTTLS,
        versions=frozenset(_versions),
    )
for _name, _frame, _versions in (("v1", v1(), {1}), ("v2", v2(), {2})):
    either(
        f"starttls/injection-{_name}",
        (Send(_frame), Await(), Send(EHLO), Await(2), Send(b"STARTTLS\r\nXINJECTED\r\n"), Await(3), StartTls()),
        "A command in clear behind STARTTLS is never carried out inside TLS",
        proxied(),
        REFUSED,
        level=Level.SECURITY,
        section="RFC 3207, 4",
        extra_replies=2,
        needs=_STARTTLS,
        versions=frozenset(_versions),
        control=f"{_name}/tcp4/ok",
    )
rejects(
    "starttls/instead-of-header",
    b"STARTTLS\r\n",
    "STARTTLS without a header gets no service",
    waits=True,
    requirements=("gen.wait-for-header", "smtp.early-talker.before-header"),
)

for _name, _frame, _versions, _accept in (
    ("v1", v1(), {1}, proxied()),
    ("v1-tcp6", v1(_SIX), {1}, proxied(_SIX)),
    ("v2", v2(), {2}, proxied()),
    ("local", local(), {2}, REAL),
):
    chapter.add(
        f"implicit-tls/{_name}",
        (Send(_frame), StartTls()),
        "The header comes in clear, the handshake behind it",
        _accept,
        section="RFC 8314, 3.3",
        needs=_IMPLICIT,
        versions=frozenset(_versions),
    )
    chapter.add(
        f"implicit-tls/{_name}-one-segment",
        (StartTls(_frame),),
        "The header and the beginning of the handshake may come in one segment",
        _accept,
        section="RFC 8314, 3.3",
        needs=_IMPLICIT,
        versions=frozenset(_versions),
    )
either(
    "implicit-tls/header-inside",
    (StartTls(), Send(v1())),
    "A header inside TLS is obeyed where the target is made for that, else refused",
    proxied(),
    REFUSED,
    section="RFC 8314, 3.3",
    needs=_IMPLICIT,
    control="smtp/implicit-tls/v1",
    waits=True,
)
rejects(
    "implicit-tls/malformed",
    (Send(v1(dport="25x")), StartTls()),
    "A malformed header before the handshake is refused",
    section="RFC 8314, 3.3",
    needs=_IMPLICIT,
    control="smtp/implicit-tls/v1",
    premise="v1/port/trailing-letter",
)
rejects(
    "implicit-tls/two-headers",
    (Send(v1() + v1(FORGED)), StartTls()),
    "A second header before the handshake is no TLS",
    level=Level.SECURITY,
    section="RFC 8314, 3.3",
    needs=_IMPLICIT,
    control="smtp/implicit-tls/v1",
    waits=True,
)
either(
    "implicit-tls/second-header-inside",
    (Send(v1()), StartTls()),
    "A header inside TLS, behind the one in clear, never changes the address",
    proxied(),
    REFUSED,
    level=Level.SECURITY,
    section="RFC 8314, 3.3",
    commands=(v1(FORGED),),
    expected_errors=1,
    needs=_IMPLICIT,
    control="smtp/implicit-tls/v1",
)
for _name, _tlv in (
    ("client-0", ssl(client=0)),
    ("client-tls", ssl(client=SSLClient.SSL)),
    ("unverified-certificate", ssl(client=SSLClient.SSL | SSLClient.CERT_CONN, verify=18)),
):
    accepts(
        f"ssl-tlv/{_name}",
        v2(tlvs=[_tlv]),
        "What the proxy says of TLS does not keep a session from being served",
        section="2.2.6",
        commands=_MAIL,
        needs=TAKES_MAIL,
        versions=V2,
    )
for _name, _tlv, _needs in (
    ("client-0", ssl(client=0), _STARTTLS),
    ("client-certificate", ssl(client=SSLClient.CERT_CONN | SSLClient.CERT_SESS), _STARTTLS),
    ("client-tls", ssl(client=SSLClient.SSL), _STARTTLS | {Capability.OWN_TLS}),
):
    accepts(
        f"ssl-tlv/still-clear-{_name}",
        v2(tlvs=[_tlv]),
        "A session that is not encrypted is offered STARTTLS, whatever an SSL TLV says",
        section="2.2.6",
        level=Level.SECURITY,
        require=(b"STARTTLS",),
        needs=_needs,
        versions=V2,
    )
chapter.add(
    "shutdown/quit-ends",
    v1(),
    "QUIT ends the connection",
    (*proxied(), *UNSEEN),
    section="RFC 5321, 4.1.1.10",
    ends=True,
    requirements=("smtp.quit",),
)
accepts(
    "shutdown/quit-at-once",
    (Send(v1()), Await()),
    "A client that says QUIT behind the greeting was a session like any other",
    commands=_MAIL,
    needs=TAKES_MAIL,
    versions=BOTH,
)
