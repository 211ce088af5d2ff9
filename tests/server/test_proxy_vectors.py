"""Literal headers and what the parser makes of each: one row a case, in the order of the PROXY protocol text."""

import struct

import pytest
from crc32c import crc32c

from proxyspec_server.proxy import Command, Family, Header, HeaderParser, Malformed, NeedMore, Rule, SslInfo, Tlv

L4 = b"PROXY TCP4 192.0.2.1 192.0.2.2 1111 25\r\n"
L6 = b"PROXY TCP6 2001:db8::1 2001:db8::2 1111 25\r\n"
SIG = bytes.fromhex("0d0a0d0a000d0a515549540a")
A4 = bytes.fromhex("c0000201 c0000202 0457 0019")
A6 = bytes.fromhex("20010db8000000000000000000000001 20010db8000000000000000000000002 0457 0019")
UX = b"/run/client".ljust(108, b"\0") + b"/run/server".ljust(108, b"\0")
FULL = b"ffff:" * 7 + b"ffff"
PAYLOAD = b"EHLO x\r\n"

CRC_OK = bytes.fromhex("0d0a0d0a000d0a515549540a 21110013 c0000201 c0000202 0457 0019 030004 047edc6e")
CRC_LOCAL = bytes.fromhex("0d0a0d0a000d0a515549540a 20000007 030004 a9b87e8f")


def v2(version_command: int, family: int, body: bytes = b"", length: int | None = None) -> bytes:
    announced = len(body) if length is None else length
    return SIG + struct.pack("!BBH", version_command, family, announced) + body


def tlv(kind: int, value: bytes = b"") -> bytes:
    return struct.pack("!BH", kind, len(value)) + value


def tcp4(*tlvs: bytes) -> bytes:
    return v2(0x21, 0x11, A4 + b"".join(tlvs))


def line(rest: bytes) -> bytes:
    return b"PROXY " + rest + b"\r\n"


def with_source(source: bytes) -> bytes:
    return line(b"TCP4 " + source + b" 192.0.2.2 1111 25")


def with_source6(source: bytes) -> bytes:
    return line(b"TCP6 " + source + b" 2001:db8::2 1111 25")


def with_ports(ports: bytes) -> bytes:
    return line(b"TCP4 192.0.2.1 192.0.2.2 " + ports)


def nested_ssl(depth: int) -> bytes:
    value = b"\x01\0\0\0\0"
    for _ in range(depth):
        value = b"\x01\0\0\0\0" + tlv(0x20, value)
    return tlv(0x20, value)


def with_checksum(*parts: bytes) -> bytes:
    """A TCP4 header whose CRC32C TLV, given as the empty part, is right."""
    before, after = parts[: parts.index(b"")], parts[parts.index(b"") + 1 :]
    head = A4 + b"".join(before) + b"\x03\0\x04"
    tail = b"".join(after)
    zeroed = v2(0x21, 0x11, head + bytes(4) + tail)
    return zeroed[: 16 + len(head)] + struct.pack("!I", crc32c(zeroed)) + tail


OK4 = ("192.0.2.1:1111", "192.0.2.2:25")
OK6 = ("[2001:db8::1]:1111", "[2001:db8::2]:25")
REAL = (None, None)

ACCEPTED: dict[str, tuple[bytes, tuple[str | None, str | None]]] = {
    # Section 2.1.
    "v1.tcp4.ok": (L4, OK4),
    "v1.tcp6.ok": (L6, OK6),
    "v1.unknown.short": (b"PROXY UNKNOWN\r\n", REAL),
    "v1.unknown.with-addresses": (line(b"UNKNOWN " + FULL + b" " + FULL + b" 65535 65535"), REAL),
    "v1.unknown.garbage": (b"PROXY UNKNOWN foo bar\x00\xff baz\r\n", REAL),
    "v1.unknown.trailing-space": (b"PROXY UNKNOWN \r\n", REAL),
    "v1.unknown.valid-addresses": (line(b"UNKNOWN 192.0.2.1 192.0.2.2 1111 25"), REAL),
    "v1.len.107": (b"PROXY UNKNOWN " + b"A" * 91 + b"\r\n", REAL),
    "v1.port.zero": (with_ports(b"0 25"), ("192.0.2.1:0", "192.0.2.2:25")),
    "v1.port.zero-both": (with_ports(b"0 0"), ("192.0.2.1:0", "192.0.2.2:0")),
    "v1.port.65535": (with_ports(b"65535 65535"), ("192.0.2.1:65535", "192.0.2.2:65535")),
    "v1.ip4.zero": (with_source(b"0.0.0.0"), ("0.0.0.0:1111", "192.0.2.2:25")),
    "v1.ip4.broadcast": (with_source(b"255.255.255.255"), ("255.255.255.255:1111", "192.0.2.2:25")),
    "v1.ip6.full": (with_source6(b"2001:0db8:0000:0000:0000:0000:0000:0001"), OK6),
    "v1.ip6.longest": (
        line(b"TCP6 " + FULL + b" " + FULL + b" 65535 65535"),
        ("[" + FULL.decode() + "]:65535", "[" + FULL.decode() + "]:65535"),
    ),
    "v1.ip6.upper": (with_source6(b"2001:DB8::ABCD"), ("[2001:db8::abcd]:1111", OK6[1])),
    "v1.ip6.v4mapped": (with_source6(b"::ffff:192.0.2.1"), ("[::ffff:192.0.2.1]:1111", OK6[1])),
    "v1.ip6.v4tail": (with_source6(b"64:ff9b::192.0.2.1"), ("[64:ff9b::c000:201]:1111", OK6[1])),
    "v1.ip6.v4compat": (with_source6(b"::192.0.2.1"), ("[::192.0.2.1]:1111", OK6[1])),
    "v1.ip6.unspecified": (line(b"TCP6 :: :: 1111 25"), ("[::]:1111", "[::]:25")),
    "v1.ip6.trailing-run": (with_source6(b"2001:db8:1:2:3:4:5::"), ("[2001:db8:1:2:3:4:5:0]:1111", OK6[1])),
    # Section 2.2, the fixed part.
    "v2.tcp4.ok": (v2(0x21, 0x11, A4), OK4),
    "v2.tcp6.ok": (v2(0x21, 0x21, A6), OK6),
    "v2.local.len0": (bytes.fromhex("0d0a0d0a000d0a515549540a20000000"), REAL),
    "v2.local.tcp4-address": (v2(0x20, 0x11, A4), REAL),
    "v2.local.tcp4-address-zero": (v2(0x20, 0x11, bytes(12)), REAL),
    "v2.local.tcp4-len0": (v2(0x20, 0x11), REAL),
    "v2.local.tcp6-address": (v2(0x20, 0x21, A6), REAL),
    "v2.local.unspec-with-bytes": (v2(0x20, 0x00, A4), REAL),
    "v2.local.tlv": (v2(0x20, 0x00, b"\x04\x00\x03abc"), REAL),
    "v2.local.bad-family": (v2(0x20, 0xF3), REAL),
    "v2.local.bad-transport": (v2(0x20, 0x13), REAL),
    "v2.proxy.unspec-len0": (v2(0x21, 0x00), REAL),
    "v2.proxy.unspec-len12": (v2(0x21, 0x00, A4), REAL),
    "v2.proxy.fam-01": (v2(0x21, 0x01, A4), REAL),
    "v2.proxy.fam-02": (v2(0x21, 0x02, A4), REAL),
    "v2.proxy.fam-10": (v2(0x21, 0x10, A4), REAL),
    "v2.proxy.fam-20": (v2(0x21, 0x20, A6), REAL),
    "v2.proxy.fam-30": (v2(0x21, 0x30, UX), REAL),
    "v2.proxy.udp4": (v2(0x21, 0x12, A4), REAL),
    "v2.proxy.udp6": (v2(0x21, 0x22, A6), REAL),
    "v2.proxy.unix-stream": (v2(0x21, 0x31, UX), REAL),
    "v2.proxy.unix-dgram": (v2(0x21, 0x32, UX), REAL),
    "v2.len.total-232": (tcp4(tlv(4, bytes(201))), OK4),
    "v2.len.total-233": (tcp4(tlv(4, bytes(202))), OK4),
    "v2.len.total-536": (tcp4(tlv(4, bytes(505))), OK4),
    "v2.len.total-537": (tcp4(tlv(4, bytes(506))), OK4),
    "v2.len.4096": (tcp4(tlv(4, bytes(4096 - 15))), OK4),
    "v2.addr.order": (
        v2(0x21, 0x11, bytes.fromhex("01020304 05060708 0910 1112")),
        ("1.2.3.4:2320", "5.6.7.8:4370"),
    ),
    "v2.addr.v4mapped": (
        v2(0x21, 0x21, bytes.fromhex("00000000000000000000ffffc0000201") + A6[16:]),
        ("[::ffff:192.0.2.1]:1111", OK6[1]),
    ),
    "v2.addr.any": (v2(0x21, 0x11, bytes(4) + A4[4:]), ("0.0.0.0:1111", "192.0.2.2:25")),
    "v2.addr.any6": (v2(0x21, 0x21, bytes(16) + A6[16:]), ("[::]:1111", OK6[1])),
    "v2.addr.loopback-src": (v2(0x21, 0x11, b"\x7f\0\0\x01" + A4[4:]), ("127.0.0.1:1111", "192.0.2.2:25")),
    # Sections 2.2.1 to 2.2.8.
    "v2.tlv.unknown-type": (tcp4(tlv(0x7E, b"abc")), OK4),
    "v2.tlv.type-00": (tcp4(tlv(0x00, b"abc")), OK4),
    "v2.tlv.noop-empty": (tcp4(tlv(0x04)), OK4),
    "v2.tlv.noop-10": (tcp4(tlv(0x04, bytes(10))), OK4),
    "v2.tlv.noop-many": (tcp4(tlv(0x04) * 100), OK4),
    "v2.tlv.duplicate": (tcp4(tlv(0x02, b"a") * 2), OK4),
    "v2.tlv.alpn": (tcp4(tlv(0x01, b"smtp")), OK4),
    "v2.tlv.authority-255": (tcp4(tlv(0x02, b"a" * 255)), OK4),
    "v2.tlv.authority-256": (tcp4(tlv(0x02, b"a" * 256)), OK4),
    "v2.tlv.authority-bad-utf8": (tcp4(tlv(0x02, b"\xff\xfe\r\nX: y")), OK4),
    "v2.tlv.unique-id-128": (tcp4(tlv(0x05, b"u" * 128)), OK4),
    "v2.tlv.crc32c-ok": (CRC_OK, OK4),
    "v2.tlv.crc32c-ok-not-last": (with_checksum(tlv(2, b"example.com"), b"", tlv(4, b"abcd")), OK4),
    "v2.tlv.crc32c-local-ok": (CRC_LOCAL, REAL),
    "v2.tlv.ssl-ok": (
        tcp4(tlv(0x20, b"\x01\0\0\0\0" + tlv(0x21, b"TLSv1.3") + tlv(0x23, b"TLS_AES_128_GCM_SHA256"))),
        OK4,
    ),
    "v2.tlv.ssl-client0": (tcp4(tlv(0x20, b"\x00\0\0\0\0")), OK4),
    "v2.tlv.ssl-nested": (tcp4(nested_ssl(480)), OK4),
    "v2.tlv.ssl-unknown-client-bits": (tcp4(tlv(0x20, b"\xf8\0\0\0\0")), OK4),
    "v2.tlv.ssl-subtypes-26-27-28": (
        tcp4(
            tlv(0x20, b"\x01\0\0\0\0" + tlv(0x26, b"x25519") + tlv(0x27, b"ed25519") + tlv(0x28, b"\x30" * 1500)),
        ),
        OK4,
    ),
    "v2.tlv.ssl-subtype-at-top": (tcp4(tlv(0x21, b"TLSv1.3")), OK4),
    "v2.tlv.netns": (tcp4(tlv(0x30, b"blue")), OK4),
    "v2.tlv.custom-e0": (tcp4(tlv(0xE0, b"abc")), OK4),
    "v2.tlv.custom-ef": (tcp4(tlv(0xEF, b"abc")), OK4),
    "v2.tlv.experiment-f0": (tcp4(tlv(0xF0, b"abc")), OK4),
    "v2.tlv.future-ff": (tcp4(tlv(0xFF, b"abc")), OK4),
    "v2.tlv.value-1024": (tcp4(tlv(0xE1, b"x" * 1024)), OK4),
    "v2.tlv.value-1025": (tcp4(tlv(0xE1, b"x" * 1025)), OK4),
    "v2.tlv.log-injection": (tcp4(tlv(0x05, b"\r\n\x1b[2J\0")), OK4),
}

MALFORMED: dict[str, tuple[bytes, Rule]] = {
    # Section 2: what is no header at all.
    "gen.noheader.short": (b"EHLO x\r\n", Rule.PREFIX),
    "gen.noheader.long": (b"EHLO mail.example.com this is long enough\r\n", Rule.PREFIX),
    "gen.noheader.tls": (bytes.fromhex("16030100c8010000c40303"), Rule.PREFIX),
    "gen.noheader.http": (b"GET / HTTP/1.0\r\n\r\n", Rule.PREFIX),
    "gen.noheader.leading-crlf": (b"\r\n" + L4, Rule.PREFIX),
    "gen.noheader.leading-crlf-v2": (b"\r\n" + v2(0x21, 0x11, A4), Rule.PREFIX),
    "detect.partial-prefix.v1": (b"PROXX", Rule.PREFIX),
    "detect.partial-prefix.v2": (b"\r\n\r\nX", Rule.PREFIX),
    # Section 2.1.
    "v1.unknown.suffix": (b"PROXY UNKNOWNX\r\n", Rule.V1_PROTOCOL),
    "v1.unknown.too-long": (b"PROXY UNKNOWN " + b"A" * 92 + b"\r\n", Rule.V1_LENGTH),
    "v1.unknown.bare-cr": (b"PROXY UNKNOWN a\rb\r\n", Rule.V1_LINE_END),
    "v1.case.proxy": (b"proxy TCP4 192.0.2.1 192.0.2.2 1111 25\r\n", Rule.PREFIX),
    "v1.case.tcp4": (line(b"tcp4 192.0.2.1 192.0.2.2 1111 25"), Rule.V1_PROTOCOL),
    "v1.case.unknown": (b"PROXY unknown\r\n", Rule.V1_PROTOCOL),
    "v1.sep.none": (b"PROXYTCP4 192.0.2.1 192.0.2.2 1111 25\r\n", Rule.PREFIX),
    "v1.sep.double-proto": (line(b" TCP4 192.0.2.1 192.0.2.2 1111 25"), Rule.V1_PROTOCOL),
    "v1.sep.double-src": (line(b"TCP4  192.0.2.1 192.0.2.2 1111 25"), Rule.V1_FIELDS),
    "v1.sep.double-dst": (line(b"TCP4 192.0.2.1  192.0.2.2 1111 25"), Rule.V1_FIELDS),
    "v1.sep.double-sport": (line(b"TCP4 192.0.2.1 192.0.2.2  1111 25"), Rule.V1_FIELDS),
    "v1.sep.double-dport": (line(b"TCP4 192.0.2.1 192.0.2.2 1111  25"), Rule.V1_FIELDS),
    "v1.sep.trailing-space": (line(b"TCP4 192.0.2.1 192.0.2.2 1111 25 "), Rule.V1_FIELDS),
    "v1.sep.leading-space": (b" " + L4, Rule.PREFIX),
    "v1.sep.tab": (L4.replace(b" ", b"\t"), Rule.PREFIX),
    "v1.sep.tab-last": (with_ports(b"1111\t25"), Rule.V1_FIELDS),
    "v1.eol.lf": (L4[:-2] + b"\n", Rule.V1_LINE_END),
    "v1.eol.lf-pipelined": (L4[:-2] + b"\n" + PAYLOAD, Rule.V1_LINE_END),
    "v1.eol.cr-then-other": (L4[:-1] + b"X", Rule.V1_LINE_END),
    "v1.eol.crcrlf": (L4[:-2] + b"\r\r\n", Rule.V1_LINE_END),
    "v1.eol.lfcr": (L4[:-2] + b"\n\r", Rule.V1_LINE_END),
    "v1.eol.nul": (with_ports(b"1111 25\0"), Rule.V1_PORT),
    "v1.len.108": (with_ports(b"1111 " + b"0" * 69 + b"25"), Rule.V1_LENGTH),
    "v1.len.4000": (with_ports(b"0" * 4000 + b"1111 25"), Rule.V1_LENGTH),
    "v1.len.no-crlf-107": (b"PROXY UNKNOWN " + b"A" * 93, Rule.V1_LENGTH),
    "v1.len.cr-at-107": (b"PROXY UNKNOWN " + b"A" * 92 + b"\r", Rule.V1_LENGTH),
    "v1.len.no-crlf-2000": (b"PROXY TCP4 " + b"A" * 2000, Rule.V1_LENGTH),
    "v1.ip4.leading-zero": (with_source(b"192.000.002.001"), Rule.V1_ADDRESS),
    "v1.ip4.octal-ambiguous": (with_source(b"010.0.0.1"), Rule.V1_ADDRESS),
    "v1.ip4.octet-256": (with_source(b"256.0.2.1"), Rule.V1_ADDRESS),
    "v1.ip4.octet-999": (with_source(b"999.0.2.1"), Rule.V1_ADDRESS),
    "v1.ip4.octet-1000": (with_source(b"1000.0.2.1"), Rule.V1_ADDRESS),
    "v1.ip4.three-octets": (with_source(b"192.0.1"), Rule.V1_ADDRESS),
    "v1.ip4.five-octets": (with_source(b"192.0.2.1.5"), Rule.V1_ADDRESS),
    "v1.ip4.empty-octet": (with_source(b"192..2.1"), Rule.V1_ADDRESS),
    "v1.ip4.trailing-dot": (with_source(b"192.0.2.1."), Rule.V1_ADDRESS),
    "v1.ip4.dots-only": (line(b"TCP4 ... ... 1111 25"), Rule.V1_ADDRESS),
    "v1.ip4.absent": (line(b"TCP4   1111 25"), Rule.V1_ADDRESS),
    "v1.ip4.hex": (with_source(b"0xc0.0.2.1"), Rule.V1_ADDRESS),
    "v1.ip4.int32": (with_source(b"3221225985"), Rule.V1_ADDRESS),
    "v1.ip4.plus": (with_source(b"+192.0.2.1"), Rule.V1_ADDRESS),
    "v1.ip4.nul": (with_source(b"192.0.2.1\0"), Rule.V1_ADDRESS),
    "v1.ip4.non-ascii": (with_source(b"192.0.2.\xd9\xa1"), Rule.V1_ADDRESS),
    "v1.ip4.destination": (line(b"TCP4 192.0.2.1 192.0.2.256 1111 25"), Rule.V1_ADDRESS),
    "v1.port.leading-zero": (with_ports(b"01111 025"), Rule.V1_PORT),
    "v1.port.two-zeros": (with_ports(b"00 25"), Rule.V1_PORT),
    "v1.port.65536": (with_ports(b"65536 25"), Rule.V1_PORT),
    "v1.port.wrap16": (with_ports(b"1111 65561"), Rule.V1_PORT),
    "v1.port.wrap32": (with_ports(b"1111 4294967321"), Rule.V1_PORT),
    "v1.port.negative": (with_ports(b"-1 25"), Rule.V1_PORT),
    "v1.port.plus": (with_ports(b"1111 +25"), Rule.V1_PORT),
    "v1.port.underscore": (with_ports(b"1_0 25"), Rule.V1_PORT),
    "v1.port.empty": (with_ports(b" "), Rule.V1_PORT),
    "v1.port.hex": (with_ports(b"0x10 25"), Rule.V1_PORT),
    "v1.port.alpha": (with_ports(b"smtp 25"), Rule.V1_PORT),
    "v1.port.non-ascii-digit": (with_ports("1111 ٢٥".encode()), Rule.V1_PORT),
    "v1.field.missing-dport": (with_ports(b"1111"), Rule.V1_FIELDS),
    "v1.field.missing-ports": (line(b"TCP4 192.0.2.1 192.0.2.2"), Rule.V1_FIELDS),
    "v1.field.missing-all": (b"PROXY TCP4\r\n", Rule.V1_FIELDS),
    "v1.field.only-proxy": (b"PROXY\r\n", Rule.PREFIX),
    "v1.field.only-proxy-space": (b"PROXY \r\n", Rule.V1_PROTOCOL),
    "v1.field.trailing": (with_ports(b"1111 25 junk"), Rule.V1_FIELDS),
    "v1.field.trailing-glued": (with_ports(b"1111 25junk"), Rule.V1_PORT),
    "v1.field.trailing-tcp6": (L6[:-2] + b" junk\r\n", Rule.V1_FIELDS),
    "v1.proto.prefix": (line(b"fooTCP4 192.0.2.1 192.0.2.2 1111 25"), Rule.V1_PROTOCOL),
    "v1.proto.infix": (line(b"TCPxyz4 192.0.2.1 192.0.2.2 1111 25"), Rule.V1_PROTOCOL),
    "v1.proto.tcp44": (line(b"TCP44 192.0.2.1 192.0.2.2 1111 25"), Rule.V1_PROTOCOL),
    "v1.proto.udp4": (line(b"UDP4 192.0.2.1 192.0.2.2 1111 25"), Rule.V1_PROTOCOL),
    "v1.proto.tcp5": (line(b"TCP5 192.0.2.1 192.0.2.2 1111 25"), Rule.V1_PROTOCOL),
    "v1.proto.unix": (line(b"UNIX /a /b 1 2"), Rule.V1_PROTOCOL),
    "v1.family.tcp4-with-ip6": (line(b"TCP4 2001:db8::1 2001:db8::2 1111 25"), Rule.V1_ADDRESS),
    "v1.family.tcp6-with-ip4": (line(b"TCP6 192.0.2.1 192.0.2.2 1111 25"), Rule.V1_ADDRESS),
    "v1.family.mixed": (line(b"TCP6 2001:db8::1 192.0.2.2 1111 25"), Rule.V1_ADDRESS),
    "v1.ip6.zone": (with_source6(b"fe80::1%eth0"), Rule.V1_ADDRESS),
    "v1.ip6.bracket": (with_source6(b"[2001:db8::1]"), Rule.V1_ADDRESS),
    "v1.ip6.two-double-colon": (with_source6(b"2001::db8::1"), Rule.V1_ADDRESS),
    "v1.ip6.triple-colon": (with_source6(b"2001:::1"), Rule.V1_ADDRESS),
    "v1.ip6.five-hex": (with_source6(b"2001:0db80::1"), Rule.V1_ADDRESS),
    "v1.ip6.nine-groups": (with_source6(b"1:2:3:4:5:6:7:8:9"), Rule.V1_ADDRESS),
    "v1.ip6.seven-groups": (with_source6(b"1:2:3:4:5:6:7"), Rule.V1_ADDRESS),
    "v1.ip6.leading-colon": (with_source6(b":1:2:3:4:5:6:7"), Rule.V1_ADDRESS),
    "v1.ip6.trailing-colon": (with_source6(b"1:2:3:4:5:6:7:"), Rule.V1_ADDRESS),
    "v1.ip6.tail-octal": (with_source6(b"::ffff:192.0.2.01"), Rule.V1_ADDRESS),
    "v1.ip6.empty-ports": (line(b"TCP6 2001:db8::1 2001:db8::2  "), Rule.V1_PORT),
    "v1.ip6.port-wrap": (line(b"TCP6 2001:db8::1 2001:db8::2 1111 65561"), Rule.V1_PORT),
    # Section 2.2, the fixed part.
    "v2.sig.byte0": (b"\x0c" + v2(0x21, 0x11, A4)[1:], Rule.PREFIX),
    "v2.sig.byte11": (SIG[:11] + b"\x0b" + v2(0x21, 0x11, A4)[12:], Rule.PREFIX),
    "v2.sig.nul-replaced": (SIG[:4] + b"\x20" + v2(0x21, 0x11, A4)[5:], Rule.PREFIX),
    "v2.version.0": (v2(0x01, 0x11, A4), Rule.V2_VERSION),
    "v2.version.1": (v2(0x11, 0x11, A4), Rule.V2_VERSION),
    "v2.version.3": (v2(0x31, 0x11, A4), Rule.V2_VERSION),
    "v2.cmd.2": (v2(0x22, 0x11, A4), Rule.V2_COMMAND),
    "v2.cmd.15": (v2(0x2F, 0x11, A4), Rule.V2_COMMAND),
    "v2.proxy.unix-short": (v2(0x21, 0x31, UX[:215]), Rule.V2_LENGTH),
    "v2.proxy.fam-03": (v2(0x21, 0x03, A4), Rule.V2_FAMILY),
    "v2.proxy.fam-13": (v2(0x21, 0x13, A4), Rule.V2_FAMILY),
    "v2.proxy.fam-1f": (v2(0x21, 0x1F, A4), Rule.V2_FAMILY),
    "v2.proxy.fam-23": (v2(0x21, 0x23, A6), Rule.V2_FAMILY),
    "v2.proxy.fam-33": (v2(0x21, 0x33, UX), Rule.V2_FAMILY),
    "v2.proxy.fam-40": (v2(0x21, 0x40, A4), Rule.V2_FAMILY),
    "v2.proxy.fam-41": (v2(0x21, 0x41, A4), Rule.V2_FAMILY),
    "v2.proxy.fam-44": (v2(0x21, 0x44, A4), Rule.V2_FAMILY),
    "v2.proxy.fam-f1": (v2(0x21, 0xF1, A4), Rule.V2_FAMILY),
    "v2.proxy.fam-ff": (v2(0x21, 0xFF, A4), Rule.V2_FAMILY),
    "v2.proxy.udp4-short": (v2(0x21, 0x12, A4[:11]), Rule.V2_LENGTH),
    "v2.len.zero-tcp4": (v2(0x21, 0x11), Rule.V2_LENGTH),
    "v2.len.11": (v2(0x21, 0x11, A4[:11]), Rule.V2_LENGTH),
    "v2.len.11-with-payload": (v2(0x21, 0x11, A4, length=11) + PAYLOAD, Rule.V2_LENGTH),
    "v2.len.tcp6-35": (v2(0x21, 0x21, A6[:35]), Rule.V2_LENGTH),
    "v2.len.tcp6-12": (v2(0x21, 0x21, A4), Rule.V2_LENGTH),
    "v2.len.4097": (tcp4(tlv(4, bytes(4097 - 15))), Rule.V2_SIZE_LIMIT),
    "v2.len.65535": (tcp4(tlv(4, bytes(65535 - 15))), Rule.V2_SIZE_LIMIT),
    "v2.len.65535-starved": (v2(0x21, 0x11, A4, length=65535), Rule.V2_SIZE_LIMIT),
    "v2.len.65535-local": (v2(0x20, 0x00, A4, length=65535), Rule.V2_SIZE_LIMIT),
    # Sections 2.2.1 to 2.2.8.
    "v2.tlv.truncated-header-1": (tcp4(b"\x04"), Rule.TLV_BOUNDS),
    "v2.tlv.truncated-header-2": (tcp4(b"\x04\x00"), Rule.TLV_BOUNDS),
    "v2.tlv.overrun-1": (tcp4(b"\x04\x00\x04abc"), Rule.TLV_BOUNDS),
    "v2.tlv.overrun-into-payload": (tcp4(b"\x04\x00\x04abc") + PAYLOAD, Rule.TLV_BOUNDS),
    "v2.tlv.len-ffff": (tcp4(b"\x04\xff\xffabc"), Rule.TLV_BOUNDS),
    "v2.tlv.udp-overrun": (v2(0x21, 0x12, A4 + b"\x04\x00\x04abc"), Rule.TLV_BOUNDS),
    "v2.tlv.unique-id-129": (tcp4(tlv(0x05, b"u" * 129)), Rule.UNIQUE_ID),
    "v2.tlv.crc32c-mismatch": (CRC_OK[:-1] + b"\x6f", Rule.CRC32C),
    "v2.tlv.crc32c-address-changed": (CRC_OK.replace(A4[:4], b"\xc0\0\x02\x03"), Rule.CRC32C),
    "v2.tlv.crc32c-zero": (CRC_OK[:-4] + bytes(4), Rule.CRC32C),
    "v2.tlv.crc32c-ieee": (CRC_OK[:-4] + bytes.fromhex("95b9c04d"), Rule.CRC32C),
    "v2.tlv.crc32c-swapped": (CRC_OK[:-4] + bytes.fromhex("6edc7e04"), Rule.CRC32C),
    "v2.tlv.crc32c-no-final-xor": (CRC_OK[:-4] + bytes.fromhex("fb812391"), Rule.CRC32C),
    "v2.tlv.crc32c-len3": (tcp4(tlv(0x03, bytes(3))), Rule.CRC32C),
    "v2.tlv.crc32c-len5": (tcp4(tlv(0x03, bytes(5))), Rule.CRC32C),
    "v2.tlv.crc32c-twice": (with_checksum(b"", tlv(0x03, bytes(4))), Rule.CRC32C),
    "v2.tlv.crc32c-local-bad": (CRC_LOCAL[:-1] + b"\x8e", Rule.CRC32C),
    "v2.tlv.ssl-len0": (tcp4(tlv(0x20)), Rule.SSL),
    "v2.tlv.ssl-len4": (tcp4(tlv(0x20, b"\x01\0\0\0")), Rule.SSL),
    "v2.tlv.ssl-sub-overrun": (tcp4(tlv(0x20, b"\x01\0\0\0\0\x21\0\x05abc"), tlv(4, b"xx")), Rule.TLV_BOUNDS),
    "v2.tlv.ssl-sub-truncated": (tcp4(tlv(0x20, b"\x01\0\0\0\0\x21\0"), tlv(4, b"xx")), Rule.TLV_BOUNDS),
}

WAITING: dict[str, bytes] = {
    "v1.eol.cr": L4[:-1],
    "gen.timeout.partial": b"PROXY TCP4 192.",
    "gen.fragment.v1-5": b"PROXY",
    "v2.sig.only": SIG,
    "v2.hdr.15-bytes": v2(0x21, 0x11, A4)[:15],
    "gen.fragment.v2-after-16": v2(0x21, 0x11, A4)[:16],
    "gen.fragment.v2-inside-tlv": tcp4(b"\x04\x00\x03abc")[:-1],
    "v2.local.truncated": v2(0x20, 0x00, b"", length=12),
}


@pytest.mark.parametrize("case", ACCEPTED)
def test_accepted(case: str) -> None:
    data, (source, destination) = ACCEPTED[case]
    parser = HeaderParser()
    header = parser.feed(data + PAYLOAD)
    assert isinstance(header, Header)
    assert (header.source and str(header.source), header.destination and str(header.destination)) == (
        source,
        destination,
    )
    assert header.size == len(data)
    assert parser.rest == PAYLOAD


@pytest.mark.parametrize("case", MALFORMED)
def test_malformed(case: str) -> None:
    data, rule = MALFORMED[case]
    parser = HeaderParser()
    verdict = parser.feed(data)
    assert isinstance(verdict, Malformed)
    assert verdict.rule is rule
    assert verdict.reason.isprintable()
    assert verdict.reason.isascii()
    assert parser.rest == b""


@pytest.mark.parametrize("case", WAITING)
def test_waiting(case: str) -> None:
    parser = HeaderParser()
    verdict = parser.feed(WAITING[case])
    assert isinstance(verdict, NeedMore)
    assert verdict.wanted > len(WAITING[case])
    assert parser.received == len(WAITING[case])


def test_what_a_header_says() -> None:
    ssl = tlv(0x20, b"\x05\0\0\0\0" + tlv(0x21, b"TLSv1.3"))
    header = HeaderParser().feed(tcp4(tlv(0x02, b"a"), tlv(0x02, b"b"), ssl))
    assert isinstance(header, Header)
    assert (header.version, header.command, header.family) == (2, Command.PROXY, Family.TCP4)
    assert header.tlvs == (Tlv(2, b"a"), Tlv(2, b"b"), Tlv(0x20, ssl[3:]))
    assert header.ssl == SslInfo(5, 0, (Tlv(0x21, b"TLSv1.3"),))


@pytest.mark.parametrize(
    ("value", "encrypted", "certified"),
    [
        ("01 00000000", True, False),
        ("03 00000000", True, True),
        ("05 00000000", True, True),
        ("07 00000001", True, False),
        ("06 00000000", False, False),
        ("00 00000000", False, False),
        ("f8 00000000", False, False),
    ],
)
def test_what_an_ssl_tlv_proves(value: str, encrypted: bool, certified: bool) -> None:
    info = SslInfo.of(bytes.fromhex(value))
    assert (info.encrypted, info.certified) == (encrypted, certified)


def test_every_rule_has_its_section_and_a_case() -> None:
    assert {rule for _, rule in MALFORMED.values()} == set(Rule)
    assert all(rule.section.startswith("2") for rule in Rule)


@pytest.mark.parametrize(
    ("versions", "data", "accepted"),
    [
        ({1}, L4, True),
        ({1}, v2(0x21, 0x11, A4), False),
        ({2}, L4, False),
        ({2}, v2(0x21, 0x11, A4), True),
    ],
)
def test_only_the_versions_asked_for(versions: set[int], data: bytes, accepted: bool) -> None:
    verdict = HeaderParser(frozenset(versions)).feed(data)
    assert isinstance(verdict, Header if accepted else Malformed)


def test_the_size_limit_is_an_argument() -> None:
    header = tcp4(tlv(4, bytes(65535 - 15)))
    assert isinstance(HeaderParser(max_header_size=16 + 65535).feed(header), Header)
    assert isinstance(HeaderParser(max_header_size=len(header) - 1).feed(header), Malformed)
