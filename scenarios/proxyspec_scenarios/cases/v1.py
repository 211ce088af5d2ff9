"""Version 1, the text line: grammar, limits and meaning (section 2.1)."""

from proxyspec.casebook import REAL, REFUSED, Chapter, proxied
from proxyspec.layers.authoring import unknown, v1
from proxyspec.model import Level, Timing
from proxyspec_scenarios.headers import EHLO, SERVES_UNKNOWN, TOO_LONG

chapter = Chapter(
    "v1",
    section="2.1",
    control="v1/tcp4/ok",
    versions=[1],
    requirements={
        "tcp4": ("v1.line.grammar", "v1.support", "v1.address.source-first"),
        "tcp6": ("v1.line.grammar", "v1.support", "v1.ip6.form"),
        "unknown": ("v1.unknown.accept", "v1.unknown.ignore"),
        "unknown/suffix": ("v1.protocol.known",),
        "case": ("v1.case", "v1.protocol.known"),
        "separator": ("v1.separator",),
        "line-end": ("v1.line.crlf",),
        "length": ("v1.line.length", "v1.line.too-long", "inv.bounded"),
        "ip4": ("v1.ip4.form", "inv.atomic-address"),
        "ip6": ("v1.ip6.form", "inv.atomic-address"),
        "port": ("v1.port.range", "v1.port.form"),
        "field": ("v1.line.grammar", "inv.no-downgrade"),
        "protocol": ("v1.protocol.known",),
        "family": ("v1.family.form",),
    },
)
accepts, accepts_real, rejects, either = chapter.accepts, chapter.accepts_real, chapter.rejects, chapter.either

_TCP4 = b"PROXY TCP4 192.0.2.1 192.0.2.2 1111 25"
_LAST = b"ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"
_DST6 = "2001:db8::2"


def _tcp6(src: str, dst: str = _DST6) -> bytes:
    return v1(src, dst, protocol="TCP6")


accepts("tcp4/ok", v1(), "A complete TCP4 line is accepted")
accepts("tcp4/lowest", v1("0.0.0.1", "0.0.0.2"), "Octets of 0 are in range", sees="0.0.0.1")
accepts("tcp4/highest", v1("223.255.255.255", "255.255.255.255"), "Octets of 255 are in range", sees="223.255.255.255")
accepts("tcp4/digits", v1("1.22.133.4", "9.10.99.100"), "Octets have one to three digits", sees="1.22.133.4")
accepts("tcp6/ok", v1("2001:db8::1", _DST6), "A complete TCP6 line is accepted", sees="2001:db8::1")
accepts("tcp6/upper", v1("2001:DB8::A", "2001:DB8::B"), "IPv6 in upper case is accepted", sees="2001:db8::a")
accepts("tcp6/mixed-case", v1("2001:dB8::aBcD", _DST6), "IPv6 in mixed case is accepted", sees="2001:db8::abcd")
accepts(
    "tcp6/full",
    v1("2001:0db8:0000:0000:0000:0000:0000:0001", "2001:0db8:0000:0000:0000:0000:0000:0002"),
    "Groups may have leading zeros, and the address is the same",
    sees="2001:db8::1",
)
accepts("tcp6/uncompressed", _tcp6("2001:db8:0:0:0:0:0:1"), "An address may do without '::'", sees="2001:db8::1")
accepts("tcp6/loopback", _tcp6("::1", "::1"), "A '::' may come first", sees="::1")
accepts("tcp6/trailing-double-colon", _tcp6("2001:db8::", _DST6), "A '::' may come last", sees="2001:db8::")
accepts("tcp6/one-group-compressed", _tcp6("2001:db8:1::3:4:5:6"), "A '::' may be short", sees="2001:db8:1:0:3:4:5:6")
accepts(
    "tcp6/longest",
    b"PROXY TCP6 " + _LAST + b" " + _LAST + b" 65535 65535\r\n",
    "The longest TCP6 line, of 104 bytes, is accepted",
    sees=_LAST.decode(),
)
either(
    "tcp6/mapped",
    _tcp6("::ffff:192.0.2.1", "::ffff:192.0.2.2"),
    "An IPv4-mapped address, as the reference sender writes it, is accepted, mapped or not",
    proxied("::ffff:192.0.2.1"),
    proxied(),
    level=Level.IMPLIED,
    control="v1/tcp6/ok",
)
either(
    "tcp6/compatible",
    _tcp6("::192.0.2.1"),
    "An IPv4-compatible address is taken as it is, or refused",
    proxied("::192.0.2.1"),
    proxied(),
    REFUSED,
    control="v1/tcp6/ok",
)
either(
    "tcp6/unspecified",
    _tcp6("::", "::"),
    "The unspecified address is taken as it is, or refused",
    proxied("::"),
    REAL,
    REFUSED,
    control="v1/tcp6/ok",
)

for _name, _sport, _dport, _title in (
    ("zero", 0, 0, "Port 0 is in range"),
    ("zero-source", 0, 25, "Source port 0 is in range"),
    ("zero-destination", 1111, 0, "Destination port 0 is in range"),
    ("one", 1, 1, "Port 1 is in range"),
    ("32768", 32768, 32768, "Port 32768 is in range: ports have no sign"),
    ("65534", 65534, 65534, "Port 65534 is in range"),
    ("65535", 65535, 65535, "Port 65535 is in range"),
):
    accepts(f"port/{_name}", v1(sport=_sport, dport=_dport), _title)

for _name, _rest, _level, _title in (
    ("short", b"", Level.SHOULD, "UNKNOWN is served with the connection's own address"),
    (
        "with-addresses",
        (b" " + _LAST) * 2 + b" 65535 65535",
        Level.MUST,
        "What follows UNKNOWN is ignored, up to the longest legal line of 107 bytes",
    ),
    ("with-proxied", b" 192.0.2.1 192.0.2.2 1111 25", Level.MUST, "Addresses behind UNKNOWN are not used"),
    ("garbage", b" foo bar\x00\xff baz", Level.MUST, "Anything may follow UNKNOWN"),
    ("trailing-space", b" ", Level.MUST, "A space may follow UNKNOWN"),
    ("106", b" " + b"A" * 90, Level.MUST, "A line of 106 bytes is short enough"),
    ("107", b" " + b"A" * 91, Level.MUST, "A line of 107 bytes is short enough"),
):
    accepts_real(f"unknown/{_name}", unknown(_rest), _title, level=_level, needs=SERVES_UNKNOWN)
rejects("unknown/suffix", b"PROXY UNKNOWNX\r\n", "The token is UNKNOWN, not a word that begins so", level=Level.IMPLIED)
rejects("case/proxy", b"proxy" + _TCP4[5:] + b"\r\n", "The prefix is upper case")
rejects("case/proxy-mixed", b"Proxy" + _TCP4[5:] + b"\r\n", "The prefix is upper case in all its letters")
rejects("case/tcp4", v1(protocol="tcp4"), "The protocol is upper case")
rejects("case/tcp6", v1("2001:db8::1", protocol="Tcp6"), "TCP6 is upper case", control="v1/tcp6/ok")
rejects(
    "case/unknown",
    b"PROXY unknown\r\n",
    "UNKNOWN is upper case",
    control="v1/unknown/short",
    needs=SERVES_UNKNOWN,
)
for _name, _line, _title in (
    ("none", b"PROXYTCP4" + _TCP4[10:], "A space stands behind the prefix"),
    ("double", _TCP4.replace(b"TCP4 ", b"TCP4  "), "Exactly one space stands between two fields"),
    ("double-protocol", _TCP4.replace(b"PROXY ", b"PROXY  "), "One space stands before the protocol"),
    ("double-destination", _TCP4.replace(b".1 ", b".1  "), "One space stands before the destination"),
    ("double-source-port", _TCP4.replace(b".2 ", b".2  "), "One space stands before the source port"),
    ("double-destination-port", _TCP4.replace(b"1111 ", b"1111  "), "One space stands before the destination port"),
    ("leading", b" " + _TCP4, "Nothing stands before the prefix"),
    ("tab", _TCP4.replace(b" ", b"\t"), "A tab is no separator"),
    ("tab-last", _TCP4[:-3] + b"\t25", "A tab does not even separate the last field"),
    ("comma", _TCP4.replace(b" ", b","), "A comma is no separator"),
    ("nul", _TCP4.replace(b"TCP4 ", b"TCP4\0"), "A NUL is no separator"),
    ("no-break-space", _TCP4.replace(b"TCP4 ", b"TCP4\xa0"), "A no-break space is no separator"),
    ("trailing-space", _TCP4 + b" ", "Nothing stands between the last port and the line end"),
    ("trailing-tab", _TCP4 + b"\t", "Not even a tab stands between the last port and the line end"),
):
    rejects(f"separator/{_name}", _line + b"\r\n", _title)

rejects("line-end/lf", _TCP4 + b"\n", "A bare LF does not end the line", waits=True)
rejects("line-end/lf-pipelined", _TCP4 + b"\n" + EHLO, "A bare LF does not end the line, whatever is behind it")
rejects("line-end/cr", _TCP4 + b"\r", "A bare CR does not end the line", waits=True)
rejects("line-end/cr-pipelined", _TCP4 + b"\r" + EHLO, "A bare CR does not end the line, whatever is behind it")
rejects("line-end/cr-then-other", _TCP4 + b"\rX", "A CR without its LF ends the connection", waits=True)
rejects("line-end/crcrlf", _TCP4 + b"\r\r\n", "One CR stands before the LF")
rejects("line-end/lfcr", _TCP4 + b"\n\r", "LF CR does not end the line", waits=True)
rejects("line-end/nul", _TCP4 + b"\0\r\n", "A NUL before the line end is refused")
rejects("line-end/vertical-tab", _TCP4 + b"\v\r\n", "White space before the line end is refused")
rejects("line-end/next-line", _TCP4 + b"\xc2\x85", "No other line end will do", waits=True)
rejects("line-end/none", _TCP4, "A line that never ends is not obeyed", waits=True)

rejects(
    "length/no-crlf-107",
    unknown(" " + "A" * 200)[:107],
    "107 bytes without a line end are refused",
    level=Level.SHOULD,
    timing=Timing.PROMPT,
    waits=True,
    control="v1/unknown/107",
    needs=SERVES_UNKNOWN,
)
for _length in (108, 109, 2016):
    rejects(
        f"length/{_length}",
        unknown(" " + "A" * (_length - 16)),
        f"A line of {_length} bytes is too long",
        level=Level.SHOULD,
        control="v1/unknown/107",
        needs=SERVES_UNKNOWN,
    )
rejects("length/no-crlf-2000", b"PROXY TCP4 " + b"A" * 2000, "An endless line is refused", level=Level.SHOULD)
rejects(
    "length/4000",
    TOO_LONG,
    "A line of 4000 bytes is refused",
    level=Level.SHOULD,
)
rejects("length/padded-108", v1(dport="0" * 68 + "25"), "A port padded to 108 bytes is refused")

for _name, _address, _title in (
    ("leading-zero", "192.000.002.001", "Octets with leading zeros are refused"),
    ("leading-zero-one", "192.0.2.01", "A single leading zero is refused"),
    ("octal", "010.0.0.1", "An octet that looks octal is refused"),
    ("octet-256", "256.0.2.1", "An octet above 255 is refused"),
    ("octet-256-last", "192.0.2.256", "The last octet, too, is 255 at most"),
    ("octet-257", "192.0.2.257", "An octet that wraps to the control's is refused"),
    ("octet-300", "192.300.2.1", "An octet of three digits is 255 at most"),
    ("octet-999", "999.0.2.1", "An octet of 999 is refused"),
    ("octet-1000", "1000.0.2.1", "An octet has three digits at most"),
    ("three-octets", "192.0.1", "An IPv4 address has four octets"),
    ("two-octets", "192.1", "An IPv4 address does not have two octets"),
    ("five-octets", "192.0.2.1.5", "An IPv4 address does not have five octets"),
    ("empty-octet", "192..2.1", "An octet is not empty"),
    ("empty-first", ".0.2.1", "The first octet is not empty"),
    ("trailing-dot", "192.0.2.", "The last octet is not empty"),
    ("fifth-empty", "192.0.2.1.", "No dot follows the last octet"),
    ("dots-only", "...", "Dots alone are no address"),
    ("hex", "0xc0.0.2.1", "Octets are decimal"),
    ("int32", "3221225985", "A single number is no address"),
    ("negative", "-192.0.2.1", "An octet has no sign"),
    ("plus", "+192.0.2.1", "Not even a plus sign stands before an octet"),
    ("letters", "a.b.c.d", "Letters are no octets"),
    ("name", "client.example.com", "A name is no address"),
    ("prefix-length", "192.0.2.1/32", "A network is no address"),
    ("with-port", "192.0.2.1:1111", "An address has no port of its own"),
    ("bracket", "[192.0.2.1]", "An address has no brackets"),
    ("nul", b"192.0.2.1\0", "A NUL is no part of an address"),
):
    rejects(f"ip4/{_name}", v1(_address, "192.0.2.2", protocol="TCP4"), _title)
rejects("ip4/absent", b"PROXY TCP4   1111 25\r\n", "Addresses are not empty")
rejects("ip4/destination-leading-zero", v1(dst="192.0.2.02"), "The destination obeys the rules of the source")
rejects("ip4/destination-octet-256", v1(dst="192.0.2.256"), "An octet of the destination is 255 at most")
rejects("ip4/destination-three-octets", v1(dst="192.0.2"), "The destination has four octets, too")

for _name, _port, _title in (
    ("65536", "65536", "A port above 65535 is refused"),
    ("65537", "65537", "A port that wraps to 1 is refused"),
    ("99999", "99999", "The largest port of five digits is refused"),
    ("100000", "100000", "A port of six digits is refused"),
    ("wrap32", "4294967321", "A port that wraps to 25 in 32 bits is refused"),
    ("wrap64", "18446744073709551641", "A port that wraps to 25 in 64 bits is refused"),
    ("negative", "-1", "A negative port is refused"),
    ("plus", "+25", "A port has no sign"),
    ("underscore", "1_0", "A port has no underscore"),
    ("leading-zero-destination", "025", "A destination port with a leading zero is refused"),
    ("double-zero", "00", "Port 0 is written with one digit"),
    ("hex", "0x10", "Ports are decimal"),
    ("alpha", "smtp", "A port is no name"),
    ("trailing-letter", "25x", "A letter behind the digits is refused"),
    ("decimal-point", "25.0", "A port is an integer"),
    ("exponent", "1e3", "A port has no exponent"),
    ("other-digits", b"\xd9\xa2\xd9\xa5", "Digits are ASCII"),
    ("superscript", b"2\xc2\xb2", "Superscripts are no digits"),
    ("nul", b"25\0", "A NUL is no part of a port"),
    ("sixty-digits", "9" * 60, "A port of sixty digits is refused"),
):
    rejects(f"port/{_name}", v1(dport=_port), _title)
rejects("port/leading-zero", v1(sport="01111", dport="025"), "Ports with leading zeros are refused")
rejects("port/wrap16", v1(dport=65561), "A port that wraps to 25 in 16 bits is refused")
rejects("port/source-65536", v1(sport=65536), "A source port above 65535 is refused")
rejects("port/source-hex", v1(sport="0x10"), "The source port is decimal, too")
rejects("port/source-negative", v1(sport="-1"), "A negative source port is refused")
rejects("port/source-underscore", v1(sport="1_0"), "A source port has no underscore")
rejects("port/source-alpha", v1(sport="smtp"), "A source port is no name")
rejects("port/empty", b"PROXY TCP4 192.0.2.1 192.0.2.2  \r\n", "Ports are not empty")

for _name, _line, _title in (
    ("missing-port", b"PROXY TCP4 192.0.2.1 192.0.2.2 1111", "A missing field is refused"),
    ("missing-ports", b"PROXY TCP4 192.0.2.1 192.0.2.2", "Missing ports are refused"),
    ("missing-destination", b"PROXY TCP4 192.0.2.1", "A missing destination is refused"),
    ("missing-all", b"PROXY TCP4", "TCP4 needs its addresses"),
    ("missing-all-space", b"PROXY TCP4 ", "A space is no address"),
    ("missing-all-tcp6", b"PROXY TCP6", "TCP6 needs its addresses"),
    ("only-prefix", b"PROXY", "A line without fields is refused"),
    ("only-prefix-space", b"PROXY ", "A space is no protocol"),
    ("trailing", _TCP4 + b" junk", "A field too many is refused"),
    ("trailing-number", _TCP4 + b" 25", "A third port is refused"),
    ("trailing-glued", _TCP4 + b"junk", "Nothing is glued to the last field"),
    ("prefix-glued", b"PROXYjunk" + _TCP4[5:], "Nothing is glued to the prefix"),
    ("prefix-typed-wrong", b"PROXX" + _TCP4[5:], "The prefix is PROXY"),
    ("swapped", b"PROXY TCP4 1111 25 192.0.2.1 192.0.2.2", "The fields have one order"),
):
    rejects(f"field/{_name}", _line + b"\r\n", _title)
rejects(
    "field/trailing-tcp6",
    v1("2001:db8::1", _DST6, rest=" junk"),
    "A field too many is refused behind TCP6, too",
    control="v1/tcp6/ok",
)
for _name, _word in (
    ("prefix", "fooTCP4"),
    ("infix", "TCPxyz4"),
    ("tcp44", "TCP44"),
    ("tcp", "TCP"),
    ("tcp5", "TCP5"),
    ("udp4", "UDP4"),
    ("udp6", "UDP6"),
    ("inet", "INET"),
    ("not-ascii", b"\xff\xfe"),
):
    rejects(f"protocol/{_name}", v1(protocol=_word), "Version 1 knows TCP4, TCP6 and UNKNOWN alone")
rejects("protocol/unix", b"PROXY UNIX /a /b 1 2\r\n", "Version 1 knows no UNIX sockets")

rejects("family/tcp4-with-ip6", v1("2001:db8::1", _DST6, protocol="TCP4"), "TCP4 takes IPv4 addresses")
rejects("family/tcp6-with-ip4", v1(protocol="TCP6"), "TCP6 takes IPv6 addresses", control="v1/tcp6/ok")
rejects(
    "family/tcp6-ip4-destination",
    _tcp6("2001:db8::1", "192.0.2.2"),
    "Both addresses of TCP6 are IPv6",
    control="v1/tcp6/ok",
)
rejects("family/tcp4-ip6-destination", v1(dst=_DST6), "Both addresses of TCP4 are IPv4")

for _name, _address, _title in (
    ("zone", "fe80::1%eth0", "A zone is no part of an address"),
    ("bracket", "[2001:db8::1]", "An address has no brackets"),
    ("two-double-colons", "2001::db8::1", "An address has one '::' at most"),
    ("triple-colon", "2001:db8:::1", "Three colons in a row are refused"),
    ("five-hex", "2001:0db80::1", "A group has four digits at most"),
    ("nine-groups", "1:2:3:4:5:6:7:8:9", "An address does not have nine groups"),
    ("seven-groups", "1:2:3:4:5:6:7", "An address without '::' has eight groups"),
    ("leading-colon", ":2001:db8:0:0:0:0:1", "An address does not begin with one colon"),
    ("trailing-colon", "2001:db8:0:0:0:0:1:", "An address does not end with one colon"),
    ("no-hex", "2001:db8::g", "Groups are hexadecimal"),
    ("prefix-length", "2001:db8::1/128", "A network is no address"),
    ("mapped-octet-256", "::ffff:192.0.2.256", "The octets of a mapped address are 255 at most"),
    ("tag", "IPv6:2001:db8::1", "The tag of SMTP is no part of an address"),
    ("nul", b"2001:db8::1\0", "A NUL is no part of an address"),
):
    rejects(f"ip6/{_name}", v1(_address, _DST6, protocol="TCP6"), _title, control="v1/tcp6/ok")
rejects(
    "ip6/destination-zone", _tcp6("2001:db8::1", "fe80::1%eth0"), "The destination has no zone", control="v1/tcp6/ok"
)
rejects("ip6/empty-ports", b"PROXY TCP6 2001:db8::1 2001:db8::2  \r\n", "Ports are not empty", control="v1/tcp6/ok")
rejects("ip6/port-wrap16", v1("2001:db8::1", dport=65561), "A port over IPv6 does not wrap", control="v1/tcp6/ok")
