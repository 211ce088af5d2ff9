"""Headers that other projects test their receivers with, as bytes, and what those projects expect of them.

From aiosmtpd 1.4.6, `aiosmtpd/tests/test_proxyprotocol.py`, and go-proxyproto (github.com/pires/go-proxyproto) at
c435999, `v1_test.go`, `v2_test.go`, `fuzz_test.go` and `tlvparse/`. Values those draw at random stand here as zeros.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["PUBLISHED", "REAL", "REFUSED", "Published"]

#: Served, with the connection's own address, or with one that is none of IP.
REAL = "real"
#: No valid header, also where more bytes might make it one.
REFUSED = "refused"

_SIGNATURE = bytes.fromhex("0d0a0d0a000d0a515549540a")


@dataclass(frozen=True, slots=True)
class Published:
    """One header; `theirs` is the source address their receiver reads, REAL or REFUSED."""

    origin: str
    name: str
    data: bytes
    theirs: str
    #: Why the text says otherwise, with its section, where it does.
    differs: str | None = None

    @property
    def id(self) -> str:
        """Its name in results."""
        return f"{self.origin}/{self.name}"


def _v2(command: int, family: int, payload: bytes) -> bytes:
    return _SIGNATURE + bytes((0x20 | command, family)) + len(payload).to_bytes(2, "big") + payload


_LOCAL, _PROXY = 0, 1
_LOCAL_IS_SERVED = "section 2.2: LOCAL must be accepted as valid and its block discarded, with a family that is ignored"
_SEAL_IS_WRONG = "section 2.2.3: the checksum is not that of the header, which a receiver need not look at but we do"
_DEAD, _CAFE = "2020:dead::0001", "2021:cafe::0002"


def _aiosmtpd_v1() -> Iterator[tuple[str, str, str]]:
    yield "joaoreis81", "PROXY TCP4 222.222.22.222 111.11.11.111 33504 25\r\n", "222.222.22.222"
    yield "haproxydoc", "PROXY TCP4 192.168.0.1 192.168.0.11 56324 443\r\n", "192.168.0.1"
    yield "cloudflare4", "PROXY TCP4 192.0.2.0 192.0.2.255 42300 443\r\n", "192.0.2.0"
    yield (
        "cloudflare6",
        "PROXY TCP6 2001:db8:: 2001:db8:ffff:ffff:ffff:ffff:ffff:ffff 42300 443\r\n",
        "2001:db8::",
    )
    yield "avinetworks", "PROXY TCP4 12.97.16.194 136.179.21.69 31646 80\r\n", "12.97.16.194"
    yield "googlecloud", "PROXY TCP4 192.0.2.1 198.51.100.1 15221 110\r\n", "192.0.2.1"
    yield "good", "PROXY TCP4 255.255.255.255 255.255.255.255 65535 65535\r\n", "255.255.255.255"
    yield "good-cut", "PROXY TCP4 255.255.2", REFUSED
    yield "invalid-sig", "PROXI TCP4 1.2.3.4 5.6.7.8 9 10\r\n", REFUSED
    yield "noproxy", "HELO example.org\r\n", REFUSED
    yield "tcp4", "PROXY TCP4 1.2.3.4 5.6.7.8 0 65535\r\n", "1.2.3.4"
    yield "tcp6-shortened", f"PROXY TCP6 {_DEAD} {_CAFE} 8000 65535\r\n", "2020:dead::1"
    yield "unknown", "PROXY UNKNOWN whatever\r\n", REAL
    yield "unknown-short", "PROXY UNKNOWN\r\n", REAL
    yield "wrong-signature", "PROXY1 UNKNOWN whatevs\r\n", REFUSED
    yield "family-tcp5", "PROXY TCP5 123.123.123.123 231.231.231.231 80 90\r\n", REFUSED
    yield "family-tcp", "PROXY TCP 123.123.123.123 231.231.231.231 80 90\r\n", REFUSED
    yield "proto-udp4", "PROXY UDP4 123.123.123.123 231.231.231.231 80 90\r\n", REFUSED
    yield "too-long", f"PROXY UNKNOWN {'*' * 100}\r\n", REFUSED
    yield "nocr", "PROXY UNKNOWN\n", REFUSED
    yield "notproxy", "NOTPROX TCP4 1.2.3.4 5.6.7.8 65535 65535\r\n", REFUSED
    yield "wrongtype-64", "PROXY TCP6 1.2.3.4 5.6.7.8 65535 65535\r\n", REFUSED
    yield "wrongtype-46", f"PROXY TCP4 {_DEAD} {_CAFE} 65535 65535\r\n", REFUSED
    yield "wrongtype-6mixed", f"PROXY TCP6 1.2.3.4 {_CAFE} 65535 65535\r\n", REFUSED
    yield "zeroleader", f"PROXY TCP6 {_DEAD} {_CAFE} 02501 0\r\n", REFUSED
    yield "space1", f"PROXY TCP6  {_DEAD} {_CAFE} 0 0\r\n", REFUSED
    yield "space2", f"PROXY TCP6 {_DEAD}  {_CAFE} 0 0\r\n", REFUSED
    yield "space3", f"PROXY TCP6 {_DEAD} {_CAFE}  8080 0\r\n", REFUSED
    yield "space4", f"PROXY TCP6 {_DEAD} {_CAFE} 0  0\r\n", REFUSED
    yield "addr6s", f"PROXY TCP6 {_DEAD[:-1]}g {_CAFE} 0 0\r\n", REFUSED
    yield "addr6d", f"PROXY TCP6 {_DEAD} {_CAFE[:-1]}h 0 0\r\n", REFUSED
    yield "extra-space", f"PROXY TCP6 {_DEAD} {_CAFE} 0 25 \r\n", REFUSED
    yield "extra-text", f"PROXY TCP6 {_DEAD} {_CAFE} 0 25 text\r\n", REFUSED
    yield "addr4", "PROXY TCP6 1.2.3.a 5.6.7.8 65535 65535\r\n", REFUSED
    yield "ports-oob", "PROXY TCP4 1.2.3.4 5.6.7.8 65536 10200\r\n", REFUSED
    yield "portd-oob", f"PROXY TCP6 {_DEAD} {_CAFE} 10000 65536\r\n", REFUSED


_AIOSMTPD_V2 = bytes.fromhex(
    "0d0a0d0a000d0a515549540a211100727f0000017f000001b05262a503000454fdc6ff020009415554484f52495459050009554e495155"
    "455f49442000440100000000210007544c5376312e322500075253413430393624000a5253412d53484132353623001b45434448452d52"
    "53412d4145533235362d47434d2d534841333834"
)


def _aiosmtpd_v2() -> Iterator[tuple[str, bytes, str, str | None]]:
    yield "data1-exact", _AIOSMTPD_V2, "127.0.0.1", None
    yield "data1-cut", _AIOSMTPD_V2[:20], REFUSED, None
    yield "data1-xtra", _AIOSMTPD_V2 + b"Test data that is not part of PROXYv2.\n", "127.0.0.1", None
    yield "unspec-empty", _v2(_LOCAL, 0x00, b""), REAL, None
    yield "unspec-notempty", _v2(_LOCAL, 0x00, b"asdfghjkl"), REAL, None
    four = bytes((10, 212, 4, 33, 10, 11, 12, 13, 0, 0, 0xFF, 0xFF))
    six = bytes.fromhex("2020dead0000000000000000000000012021cafe000000000000000000000022fffe1f90")
    unix = b"/proc/source".ljust(108, b"\0") + b"/proc/dest".ljust(108, b"\0")
    for family, block in ((0x10, four), (0x20, six), (0x30, unix)):
        for transport in (1, 2):
            yield f"local-{family | transport:02x}", _v2(_LOCAL, family | transport, block), REAL, None
            yield (
                f"local-{family | transport:02x}-tlv",
                _v2(_LOCAL, family | transport, block + b"fake_tlv"),
                REAL,
                None,
            )
    for family in (0x01, 0x02, 0x10, 0x20, 0x30):
        yield f"fallback-{family:02x}", _v2(_LOCAL, family, b"whatever"), REAL, None
    yield "quip", b"\r\n\r\n\0\r\nQUIP\n\x20\0\0\0", REFUSED, None
    yield "version-3", _SIGNATURE + b"\x30\0\0\0", REFUSED, None
    yield "command-2", _v2(2, 0x00, b""), REFUSED, None
    yield "family-4", _v2(_LOCAL, 0x40, b""), REFUSED, None
    yield "proto-3", _v2(_LOCAL, 0x03, b""), REFUSED, None
    short = bytes((192, 168, 0, 11, 172, 16, 0, 22, 0xFF, 0xFE, 0x1F, 0x90))
    yield "6-should-be-4", _v2(_LOCAL, 0x21, short), REFUSED, _LOCAL_IS_SERVED


_L4, _L6, _MAPPED = "127.0.0.1", "::1", "::ffff:127.0.0.1"
_LONG = "1234:5678:9abc:def0:cafe:babe:dead:2bad"


def _both(address: str, port: int = 65533) -> str:
    return f"{address} {address} {port} {port}"


def _go_v1() -> Iterator[tuple[str, str, str]]:
    yield "no-signature", "There is no spoon", REFUSED
    yield "prox", "PROX", REFUSED
    yield "proxy-lf", "PROXY \n", REFUSED
    yield "proxy-crlf", "PROXY \r\n", REFUSED
    yield "proxy-no-space-crlf", "PROXY\r\n", REFUSED
    yield "proxy-something", "PROXY SOMETHING\r\n", REFUSED
    yield "incomplete-tcp4", f"PROXY TCP4 {_both(_L4)}", REFUSED
    yield "invalid-ip", "PROXY TCP4 invalid invalid 65533 65533\r\n", REFUSED
    yield "tcp4-with-ipv6", f"PROXY TCP4 {_both(_L6)}\r\n", REFUSED
    yield "tcp4-with-mapped", f"PROXY TCP4 {_both(_MAPPED)}\r\n", REFUSED
    yield "tcp6-not-an-ip", "PROXY TCP6 not-an-ip ::1 1234 5678\r\n", REFUSED
    yield "tcp4-invalid-port", f"PROXY TCP4 {_both(_L4, 99999)}\r\n", REFUSED
    yield "too-long", f"PROXY UNKNOWN {_both(_LONG)} \r\n", REFUSED
    yield "signed-port", "PROXY TCP4 1.2.3.4 5.6.7.8 +80 443\r\n", REFUSED
    yield "leading-zero-port", "PROXY TCP4 1.2.3.4 5.6.7.8 080 443\r\n", REFUSED
    yield "empty-port", "PROXY TCP4 1.2.3.4 5.6.7.8  443\r\n", REFUSED
    yield "trailing-token", "PROXY TCP4 1.2.3.4 5.6.7.8 80 443 extra\r\n", REFUSED
    yield "junk-behind-signature", "PROXYjunk TCP4 1.2.3.4 5.6.7.8 80 443\r\n", REFUSED
    yield "signature-glued", "PROXYTCP4 1.2.3.4 5.6.7.8 80 443\r\n", REFUSED
    yield "zone-source", "PROXY TCP6 fe80::1%eth0 fe80::2 80 443\r\n", REFUSED
    yield "zone-destination", "PROXY TCP6 fe80::1 fe80::2%eth0 80 443\r\n", REFUSED
    yield "leading-zero-octet", "PROXY TCP4 01.2.3.4 5.6.7.8 80 443\r\n", REFUSED
    yield "tcp6-ipv4", "PROXY TCP6 192.0.2.1 192.0.2.2 1234 5678\r\n", REFUSED
    yield "tcp6-ipv4-destination", "PROXY TCP6 2001:db8::1 192.0.2.1 51512 22\r\n", REFUSED
    yield "tcp4", f"PROXY TCP4 {_both(_L4)}\r\nGET /", _L4
    yield "tcp6", f"PROXY TCP6 {_both(_L6)}\r\nGET /", _L6
    yield "tcp4-in-6", f"PROXY TCP6 {_both(_MAPPED)}\r\nGET /", _L4
    yield "unknown", "PROXY UNKNOWN\r\n", REAL
    yield "unknown-addresses", f"PROXY UNKNOWN {_both(_L4, 99999)}\r\n", REAL
    yield "port-65535", "PROXY TCP4 1.2.3.4 5.6.7.8 65535 65535\r\n", "1.2.3.4"
    yield "port-65536", "PROXY TCP4 1.2.3.4 5.6.7.8 65536 443\r\n", REFUSED
    yield "line-107", f"PROXY UNKNOWN {'x' * 91}\r\n", REAL
    yield "line-108", f"PROXY UNKNOWN {'x' * 92}\r\n", REFUSED
    yield "overflow", f"PROXY TCP6 {_both(_LONG)}{' ' * 10238}\r\n", REFUSED


_GO_FOUR = bytes((127, 0, 0, 1) * 2) + b"\xff\xfd" * 2
_GO_SIX = (b"\0" * 15 + b"\x01") * 2 + b"\xff\xfd" * 2
_GO_UNIX = b"socket".ljust(108, b"\0") * 2
_GO_DEFINED = {0x00, 0x11, 0x12, 0x21, 0x22, 0x31, 0x32}


_GO_DIFFERS = {
    **{f"undefined-{family:02x}-local": _LOCAL_IS_SERVED for family in (0x01, 0x02, 0x10, 0x20, 0x30)},
    "aws-capture": _SEAL_IS_WRONG,
}


def _go_v2() -> Iterator[tuple[str, bytes, str]]:
    yield "truncated-signature", _SIGNATURE[2:], REFUSED
    yield "signature-only", _SIGNATURE, REFUSED
    yield "invalid-command", _SIGNATURE + b"\x99", REFUSED
    yield "command-only", _SIGNATURE + b"\x21", REFUSED
    yield "proxy-unspec-only", _SIGNATURE + b"\x21\x00", REFUSED
    yield "invalid-family", _SIGNATURE + b"\x21\x99", REFUSED
    yield "no-length", _SIGNATURE + b"\x21\x11", REFUSED
    yield "invalid-length", _SIGNATURE + b"\x21\x11\x99", REFUSED
    yield "unspec-no-length", _SIGNATURE + b"\x20\x00", REFUSED
    yield "tcp4-mismatching-length", _SIGNATURE + b"\x21\x11\x00\x0c", REFUSED
    yield "tcp6-mismatching-length", _SIGNATURE + b"\x21\x21\x00\x24", REFUSED
    yield "tcp4-length-zero", _v2(_PROXY, 0x11, b"") + _GO_SIX, REFUSED
    yield "tcp6-with-ipv4", _SIGNATURE + b"\x21\x21\x00\x24" + _GO_FOUR, REFUSED
    yield "unspec-without-tlvs", _SIGNATURE + b"\x20\x00\x00\x64", REFUSED
    yield "too-large-tlv", _v2(_PROXY, 0x11, _GO_FOUR + bytes(10240)), REFUSED
    yield "version-1", _SIGNATURE + b"\x11", REFUSED
    yield "local-mismatching-length", _SIGNATURE + b"\x20\x11\x00\x0c", REFUSED
    yield "unix-mismatching-length", _SIGNATURE + b"\x21\x31\x00\xd8", REFUSED
    yield "truncated-tlv", _v2(_PROXY, 0x11, _GO_FOUR + bytes(8))[:-5], REFUSED
    yield "local-truncated", _SIGNATURE + b"\x20\x11\x00\x05\xaa\xbb", REFUSED
    yield "max-size", _v2(_PROXY, 0x11, bytes(4096)), "0.0.0.0"
    yield "max-size-plus-1", _v2(_PROXY, 0x11, bytes(4097)), REFUSED
    yield "local", _v2(_LOCAL, 0x11, _GO_FOUR), REAL
    yield "local-unspec", _v2(_LOCAL, 0x00, b""), REAL
    yield "tcp4", _v2(_PROXY, 0x11, _GO_FOUR), _L4
    yield "tcp6", _v2(_PROXY, 0x21, _GO_SIX), _L6
    yield "udp4", _v2(_PROXY, 0x12, _GO_FOUR), _L4
    yield "udp6", _v2(_PROXY, 0x22, _GO_SIX), _L6
    yield "unix-stream", _v2(_PROXY, 0x31, _GO_UNIX), REAL
    yield "unix-datagram", _v2(_PROXY, 0x32, _GO_UNIX), REAL
    yield "tcp4-tlv", _v2(_PROXY, 0x11, _GO_FOUR + bytes(100)), _L4
    yield "tcp6-tlv", _v2(_PROXY, 0x21, _GO_SIX + bytes(100)), _L6
    yield "local-unspec-tlv", _v2(_LOCAL, 0x00, bytes(100)), REAL
    yield "local-unix-tlv", _v2(_LOCAL, 0x31, _GO_UNIX + bytes(100)), REAL
    yield "tcp4-medium-tlv", _v2(_PROXY, 0x11, _GO_FOUR + bytes(2048)), _L4
    tail = b"\x99\x97\x98"
    yield "tcp4-padded", _v2(_PROXY, 0x11, _GO_FOUR.ljust(84, b"\0")) + tail, _L4
    yield "tcp6-padded", _v2(_PROXY, 0x21, _GO_SIX.ljust(84, b"\0")) + tail, _L6
    yield "unix-padded", _v2(_PROXY, 0x31, _GO_UNIX + bytes(4)) + tail, REAL
    for family in sorted(set(range(256)) - _GO_DEFINED):
        for word, command in (("proxy", _PROXY), ("local", _LOCAL)):
            yield f"undefined-{family:02x}-{word}", _v2(command, family, bytes(216)), REFUSED
    tlv = b"\x01\x00\x01\xaa"
    yield "local-unspec-one-tlv", _v2(_LOCAL, 0x00, tlv), REAL
    yield "local-tcp4-zeros", _v2(_LOCAL, 0x11, bytes(12)), REAL
    yield "local-udp4-zeros", _v2(_LOCAL, 0x12, bytes(12)), REAL
    yield "local-tcp4-one-tlv", _v2(_LOCAL, 0x11, bytes(12) + tlv), REAL
    yield "local-tcp4-empty", _v2(_LOCAL, 0x11, b""), REAL
    yield "local-tcp4-short", _v2(_LOCAL, 0x11, tlv + bytes(7)), REAL
    yield (
        "ssl-cn",
        bytes.fromhex(
            "0d0a0d0a000d0a515549540a211100407f0000017f000001cc8a232e2000310700000000210007544c5376312e3322001f4578"
            "616d706c6520436f6d6d6f6e204e616d6520436c69656e742043657274"
        ),
        _L4,
    )
    yield (
        "ssl-cipher",
        bytes.fromhex(
            "0d0a0d0a000d0a515549540a2121004f00000000000000000000ffff0a015b0e00000000000000000000ffff0a01019ff47c01"
            "bb2000280100000000210007544c5376312e33230016544c535f4145535f3235365f47434d5f534841333834"
        ),
        "10.1.91.14",
    )
    yield (
        "aws-example",
        bytes.fromhex(
            "0d0a0d0a000d0a515549540a21110054ac1f0771ac1f0a1fc8f20050030004e8d6892dea001701767063652d30386432626631"
            "3566616335303031633904002400" + "00" * 35
        ),
        "172.31.7.113",
    )
    yield (
        "aws-capture",
        bytes.fromhex(
            "0d0a0d0a000d0a515549540a21110054c0a82c0ac0a82c07cc3e241b030004b9286fa6ea001701767063652d30656661643435"
            "3865633937623738333304002400" + "00" * 35
        ),
        "192.168.44.10",
    )


PUBLISHED = (
    *(Published("aiosmtpd", f"v1-{name}", line.encode(), theirs) for name, line, theirs in _aiosmtpd_v1()),
    *(Published("aiosmtpd", f"v2-{name}", data, theirs, why) for name, data, theirs, why in _aiosmtpd_v2()),
    *(Published("go-proxyproto", f"v1-{name}", line.encode(), theirs) for name, line, theirs in _go_v1()),
    *(Published("go-proxyproto", f"v2-{name}", data, theirs, _GO_DIFFERS.get(name)) for name, data, theirs in _go_v2()),
)
