"""Version 1, the text line: grammar, limits and meaning (section 2.1)."""

from proxyspec.casebook import Chapter
from proxyspec.layers.authoring import unknown, v1
from proxyspec.model import Level, Timing

chapter = Chapter("v1", section="2.1", control="v1/tcp4/ok", versions=[1])
accepts, accepts_real, rejects = chapter.accepts, chapter.accepts_real, chapter.rejects

_TCP4 = b"PROXY TCP4 192.0.2.1 192.0.2.2 1111 25"

accepts("tcp4/ok", v1(), "A complete TCP4 line is accepted")
accepts("tcp6/ok", v1("2001:db8::1", "2001:db8::2"), "A complete TCP6 line is accepted", sees="2001:db8::1")
accepts("tcp6/upper", v1("2001:DB8::A", "2001:DB8::B"), "IPv6 in upper case is accepted", sees="2001:db8::a")
accepts("port/zero", v1(sport=0, dport=0), "Port 0 is in range")
accepts("port/65535", v1(sport=65535, dport=65535), "Port 65535 is in range")
accepts_real("unknown/short", unknown(), "UNKNOWN is served with the connection's own address", level=Level.SHOULD)
accepts_real(
    "unknown/with-addresses",
    unknown(" ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff" * 2 + " 65535 65535"),
    "What follows UNKNOWN is ignored, up to the longest legal line of 107 bytes",
)
rejects("unknown/suffix", b"PROXY UNKNOWNX\r\n", "The token is UNKNOWN, not a word that begins so", level=Level.IMPLIED)
rejects("case/proxy", b"proxy" + _TCP4[5:] + b"\r\n", "The prefix is upper case")
rejects("case/tcp4", v1(protocol="tcp4"), "The protocol is upper case")
rejects("separator/double", _TCP4.replace(b"TCP4 ", b"TCP4  ") + b"\r\n", "Exactly one space stands between two fields")
rejects("separator/tab", _TCP4.replace(b" ", b"\t") + b"\r\n", "A tab is no separator")
rejects("separator/trailing-space", _TCP4 + b" \r\n", "Nothing stands between the last port and the line end")
rejects("line-end/lf", _TCP4 + b"\n", "A bare LF does not end the line", waits=True)
rejects("line-end/lf-pipelined", _TCP4 + b"\nEHLO x\r\n", "A command behind a bare LF is not answered")
rejects("line-end/cr-then-other", _TCP4 + b"\rX", "A CR without its LF ends the connection", waits=True)
rejects("line-end/nul", _TCP4 + b"\0\r\n", "A NUL before the line end is refused")
rejects(
    "length/no-crlf-107",
    unknown(" " + "A" * 200)[:107],
    "107 bytes without a line end are refused",
    level=Level.SHOULD,
    timing=Timing.PROMPT,
    waits=True,
)
rejects("length/108", unknown(" " + "A" * 92), "A line of 108 bytes is too long", level=Level.SHOULD)
rejects("length/no-crlf-2000", b"PROXY TCP4 " + b"A" * 2000, "An endless line is refused", level=Level.SHOULD)
rejects("ip4/leading-zero", v1("192.000.002.001"), "Octets with leading zeros are refused")
rejects("ip4/octet-256", v1("256.0.2.1"), "An octet above 255 is refused")
rejects("ip4/three-octets", v1("192.0.1"), "An IPv4 address has four octets")
rejects("ip4/hex", v1("0xc0.0.2.1"), "Octets are decimal")
rejects("port/leading-zero", v1(sport="01111", dport="025"), "Ports with leading zeros are refused")
rejects("port/65536", v1(sport=65536), "A port above 65535 is refused")
rejects("port/wrap32", v1(dport=4294967321), "A port that wraps to 25 in 32 bits is refused")
rejects("port/plus", v1(dport="+25"), "A port has no sign")
rejects("port/hex", v1(sport="0x10"), "Ports are decimal")
rejects("field/missing-port", b"PROXY TCP4 192.0.2.1 192.0.2.2 1111\r\n", "A missing field is refused")
rejects("field/only-prefix", b"PROXY\r\n", "A line without fields is refused")
rejects("field/trailing", _TCP4 + b" junk\r\n", "A field too many is refused")
rejects("protocol/udp4", v1(protocol="UDP4"), "Version 1 knows TCP4, TCP6 and UNKNOWN alone")
rejects("family/tcp4-with-ip6", v1("2001:db8::1", "2001:db8::2", protocol="TCP4"), "TCP4 takes IPv4 addresses")
rejects("family/tcp6-with-ip4", v1(protocol="TCP6"), "TCP6 takes IPv6 addresses", control="v1/tcp6/ok")
rejects(
    "ip6/zone",
    v1("fe80::1%eth0", "2001:db8::2", protocol="TCP6"),
    "A zone is no part of an address",
    control="v1/tcp6/ok",
)
rejects(
    "ip6/two-double-colons",
    v1("2001::db8::1", "2001:db8::2", protocol="TCP6"),
    "An address has one '::' at most",
    control="v1/tcp6/ok",
)
