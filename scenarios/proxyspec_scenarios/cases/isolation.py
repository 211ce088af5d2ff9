"""Many clients over one proxy: what one connection says never shows in another (section 2, no multiplexing)."""

from proxyspec.casebook import REFUSED, Chapter, proxied
from proxyspec.layers.authoring import local, unknown, v1, v2
from proxyspec.model import Crowd, Level
from proxyspec_scenarios.headers import (
    BOTH,
    EHLO,
    FORGED,
    NEXT_ADDRESS,
    NEXT_V1,
    NEXT_V2,
    SERVES_UNKNOWN,
    TAKES_MAIL,
    V2,
)

chapter = Chapter(
    "isolation",
    section="2",
    control="v1/tcp4/ok",
    level=Level.MUST,
    versions=[1],
    requirements={"": ("inv.per-connection", "gen.one-header")},
)
accepts, accepts_real, rejects, either = chapter.accepts, chapter.accepts_real, chapter.rejects, chapter.either

accepts("v1-beside-v1", v1(), "Two clients over one proxy keep their own addresses", beside=NEXT_V1)
accepts("v2-beside-v2", v2(), "Two clients with binary headers keep their own", beside=NEXT_V2, versions=V2)
accepts("v2-beside-v1", v2(), "A binary header leaves a line's session alone", beside=NEXT_V1, versions=BOTH)
accepts("v1-beside-v2", v1(), "A line leaves a binary header's session alone", beside=NEXT_V2, versions=BOTH)
accepts(
    "tcp6-beside-tcp4",
    v1("2001:db8::1"),
    "An IPv6 client leaves an IPv4 client's session alone",
    sees="2001:db8::1",
    beside=NEXT_V1,
)
accepts(
    "same-address", v1(NEXT_ADDRESS, sport=1), "Two sessions of one client are two", sees=NEXT_ADDRESS, beside=NEXT_V1
)
accepts_real(
    "unknown-beside-v1",
    unknown(),
    "UNKNOWN takes no address from a session beside it",
    beside=NEXT_V1,
    needs=SERVES_UNKNOWN,
)
accepts_real("local-beside-v2", local(), "LOCAL takes no address from a session beside it", beside=NEXT_V2, versions=V2)
accepts_real(
    "local-with-address-beside-v2",
    v2(FORGED, command=0),
    "The addresses LOCAL skips reach no session beside it",
    beside=NEXT_V2,
    versions=V2,
)
rejects(
    "refused-beside-v1",
    v1(FORGED, dport="25x"),
    "A refused header reaches no session beside it",
    beside=NEXT_V1,
    premise="v1/port/trailing-letter",
)
rejects(
    "truncated-beside-v2",
    v2(FORGED, version=1),
    "A refused binary header reaches no session beside it",
    beside=NEXT_V2,
    versions=V2,
    control="v2/tcp4/ok",
    premise="v2/version/1",
)
either(
    "second-header-beside-v1",
    v1() + v1(FORGED),
    "A second header reaches no session beside it",
    proxied(),
    REFUSED,
    level=Level.SECURITY,
    extra_replies=1,
    expected_errors=16,
    beside=NEXT_V1,
)
either(
    "mid-session-beside-v1",
    v1(),
    "A header in mid-session reaches no session beside it",
    proxied(),
    REFUSED,
    level=Level.SECURITY,
    commands=(v1(FORGED),),
    expected_errors=1,
    beside=NEXT_V1,
)
accepts(
    "transaction-beside-v1",
    v1(),
    "A transaction that begins beside a session is none of its",
    commands=(b"MAIL FROM:<probe@probe.test>\r\n", b"RSET\r\n"),
    needs=TAKES_MAIL,
    beside=NEXT_V1,
    then=NEXT_V1,
)
either(
    "transaction-not-resumed",
    v1(),
    "A session begins without a transaction: RCPT is out of order",
    proxied(),
    REFUSED,
    level=Level.SECURITY,
    section="RFC 5321, 4.1.4",
    commands=(b"RCPT TO:<probe@probe.test>\r\n",),
    expected_errors=1,
    least_errors=1,
    needs=TAKES_MAIL,
    # Another client's transaction is open meanwhile.
    crowd=Crowd(1, NEXT_V1.header + EHLO + b"MAIL FROM:<other@probe.test>\r\n"),
    beside=NEXT_V1,
)
