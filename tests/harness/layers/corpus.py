"""Valid headers of both versions, each with what it says, and literal bytes for those that are known from elsewhere."""

from dataclasses import dataclass
from typing import Final

from proxyspec.layers.authoring import SSLClient, SSLType, TLVType, crc32c, local, noop, ssl, tlv, unknown, v1, v2

TLVs = tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Valid:
    """A valid header and what a dissector has to read in it, written down by hand.

    `family` is the 14th byte of version 2 and the protocol of version 1; `tlvs` are types and lengths; `opaque` are
    the bytes behind the fixed part, or behind UNKNOWN, that carry no addresses.
    """

    data: bytes
    version: int
    family: int | str
    command: int = 1
    src: str | bytes = ""
    dst: str | bytes = ""
    sport: int | None = None
    dport: int | None = None
    tlvs: TLVs = ()
    opaque: bytes = b""


def _line(family: str, data: bytes, src: str, dst: str, sport: int = 1111, dport: int = 25) -> Valid:
    return Valid(data, 1, family, src=src, dst=dst, sport=sport, dport=dport)


def _ignored(data: bytes, opaque: bytes = b"") -> Valid:
    return Valid(data, 1, "UNKNOWN", opaque=opaque)


def _inet(data: bytes, *tlvs: tuple[int, int], family: int = 0x11, command: int = 1) -> Valid:
    return Valid(data, 2, family, command, "192.0.2.1", "192.0.2.2", 1111, 25, tlvs)


def _inet6(data: bytes, *tlvs: tuple[int, int], family: int = 0x21, command: int = 1) -> Valid:
    return Valid(data, 2, family, command, "2001:db8::1", "2001:db8::2", 1111, 25, tlvs)


def _unspec(data: bytes, *tlvs: tuple[int, int], command: int = 0) -> Valid:
    return Valid(data, 2, 0x00, command, tlvs=tlvs, opaque=data[16:])


_FULL6: Final = "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"
_CERTIFICATE: Final = b"\x30\x82\x04\xac" + bytes(range(256)) * 4 + bytes(176)
_CHAINED: Final = crc32c(int.from_bytes(v2(tlvs=[crc32c(), crc32c()])[-4:], "big"))

VERSION_1: Final = {
    "tcp4": _line("TCP4", v1(), "192.0.2.1", "192.0.2.2"),
    "tcp4-longest": _line(
        "TCP4",
        v1("255.255.255.254", "255.255.255.255", 65534, 65535),
        "255.255.255.254",
        "255.255.255.255",
        65534,
        65535,
    ),
    "tcp4-zeros": _line("TCP4", v1("0.0.0.0", "0.0.0.0", 0, 0), "0.0.0.0", "0.0.0.0", 0, 0),
    "tcp4-loopback": _line("TCP4", v1("127.0.0.1", "127.0.0.1", 53258, 23201), "127.0.0.1", "127.0.0.1", 53258, 23201),
    "tcp4-source-port-0": _line("TCP4", v1(sport=0), "192.0.2.1", "192.0.2.2", 0),
    "tcp6": _line("TCP6", v1("2001:db8::1"), "2001:db8::1", "2001:db8::2"),
    "tcp6-longest": _line("TCP6", v1(_FULL6, _FULL6, 65535, 65535), _FULL6, _FULL6, 65535, 65535),
    "tcp6-upper-case": _line("TCP6", v1("2001:DB8::ABCD"), "2001:db8::abcd", "2001:db8::2"),
    "tcp6-full": _line("TCP6", v1("2001:0db8:0000:0000:0000:0000:0000:0001"), "2001:db8::1", "2001:db8::2"),
    "tcp6-unspecified": _line("TCP6", v1("::", "::", 0, 0), "::", "::", 0, 0),
    "tcp6-mapped": _line("TCP6", v1("::ffff:192.0.2.1"), "::ffff:192.0.2.1", "2001:db8::2"),
    "tcp6-mixed": _line(
        "TCP6", v1("2001:db8::7", "::ffff:127.0.0.1", 47808, 23204), "2001:db8::7", "::ffff:127.0.0.1", 47808, 23204
    ),
    "unknown": _ignored(unknown()),
    "unknown-blank": _ignored(unknown(" ")),
    "unknown-words": _ignored(unknown(" foo bar"), b"foo bar"),
    "unknown-addresses": _ignored(
        v1(_FULL6, _FULL6, 65535, 65535, protocol="UNKNOWN"), f"{_FULL6} {_FULL6} 65535 65535".encode()
    ),
}

FIXED: Final = {
    "tcp4": _inet(v2()),
    "tcp6": _inet6(v2("2001:db8::1")),
    "udp4": _inet(v2(family=0x12), family=0x12),
    "udp6": _inet6(v2("2001:db8::1", family=0x22), family=0x22),
    "unix-stream": Valid(
        v2("/run/a", "/run/b"), 2, 0x31, src=b"/run/a".ljust(108, b"\0"), dst=b"/run/b".ljust(108, b"\0")
    ),
    "unix-dgram": Valid(
        v2("/run/a", "/run/b", family=0x32), 2, 0x32, src=b"/run/a".ljust(108, b"\0"), dst=b"/run/b".ljust(108, b"\0")
    ),
    "unix-abstract-and-full": Valid(
        v2(b"\0abstract", b"/" + b"p" * 107), 2, 0x31, src=b"\0abstract".ljust(108, b"\0"), dst=b"/" + b"p" * 107
    ),
    "ports-0": Valid(v2(sport=0, dport=0), 2, 0x11, 1, "192.0.2.1", "192.0.2.2", 0, 0),
    "ports-65535": Valid(v2(sport=65535, dport=65535), 2, 0x11, 1, "192.0.2.1", "192.0.2.2", 65535, 65535),
    "byte-order": Valid(v2("1.2.3.4", "5.6.7.8", 0x0910, 0x1112), 2, 0x11, 1, "1.2.3.4", "5.6.7.8", 2320, 4370),
    "any-address": Valid(v2("0.0.0.0", "255.255.255.255"), 2, 0x11, 1, "0.0.0.0", "255.255.255.255", 1111, 25),
    "mapped": Valid(
        v2("::ffff:192.0.2.1", "::ffff:192.0.2.2"), 2, 0x21, 1, "::ffff:192.0.2.1", "::ffff:192.0.2.2", 1111, 25
    ),
    "unspec": _unspec(v2(family=0x00, address=b""), command=1),
    "unspec-opaque": _unspec(v2(family=0x00), command=1),
    "local": _unspec(local()),
    "local-opaque": _unspec(v2(command=0, family=0x00)),
    "local-noop": _unspec(local([noop(3)]), (4, 3)),
    "local-ssl": _unspec(local([ssl(0)]), (0x20, 5)),
    "local-crc32c": _unspec(local([crc32c()]), (3, 4)),
    "local-tcp4": _inet(v2(command=0), command=0),
    "local-tcp6": _inet6(v2("2001:db8::1", command=0), command=0),
    "local-tcp4-zeros": Valid(v2("0.0.0.0", "0.0.0.0", 0, 0, command=0), 2, 0x11, 0, "0.0.0.0", "0.0.0.0", 0, 0),
}

EXTENDED: Final = {
    "alpn": _inet(v2(tlvs=[tlv(TLVType.ALPN, "smtp")]), (1, 4)),
    "authority": _inet(v2(tlvs=[tlv(TLVType.AUTHORITY, "mx.example.net")]), (2, 14)),
    "authority-255": _inet(v2(tlvs=[tlv(TLVType.AUTHORITY, "a" * 255)]), (2, 255)),
    "authority-utf8": _inet(v2(tlvs=[tlv(TLVType.AUTHORITY, "bücher.example")]), (2, 15)),
    "crc32c": _inet(v2("192.0.2.1", tlvs=[crc32c()]), (3, 4)),
    "crc32c-in-the-middle": _inet(
        v2(tlvs=[tlv(TLVType.AUTHORITY, "a.example"), crc32c(), tlv(TLVType.NOOP, "abcd")]), (2, 9), (3, 4), (4, 4)
    ),
    "crc32c-twice": _inet(v2(tlvs=[crc32c(), crc32c()]), (3, 4), (3, 4)),
    "crc32c-chained": _inet(v2(tlvs=[crc32c(), _CHAINED]), (3, 4), (3, 4)),
    "crc32c-tcp6": _inet6(v2("2001:db8::1", tlvs=[crc32c()]), (3, 4)),
    "noop-empty": _inet(v2(tlvs=[noop()]), (4, 0)),
    "noop-10": _inet(v2(tlvs=[noop(10)]), (4, 10)),
    "noop-many": _inet(v2(tlvs=[noop()] * 150), *[(4, 0)] * 150),
    "unique-id": _inet(v2(tlvs=[tlv(TLVType.UNIQUE_ID, "id-1")]), (5, 4)),
    "unique-id-empty": _inet(v2(tlvs=[tlv(TLVType.UNIQUE_ID)]), (5, 0)),
    "unique-id-128": _inet(v2(tlvs=[tlv(TLVType.UNIQUE_ID, "u" * 128)]), (5, 128)),
    "ssl-no-tls": _inet(v2(tlvs=[ssl(0)]), (0x20, 5)),
    "ssl-version": _inet(v2(tlvs=[ssl(1, 0, [tlv(SSLType.VERSION, "TLSv1.2")])]), (0x20, 15)),
    "ssl-not-verified": _inet(v2(tlvs=[ssl(SSLClient.SSL | SSLClient.CERT_CONN, 18)]), (0x20, 5)),
    "ssl-undefined-bits": _inet(v2(tlvs=[ssl(0xF8)]), (0x20, 5)),
    "ssl-certificate": _inet(
        v2(
            tlvs=[
                ssl(
                    7,
                    0,
                    [
                        tlv(SSLType.VERSION, "TLSv1.2"),
                        tlv(SSLType.CN, "client.example"),
                        tlv(SSLType.KEY_ALG, "RSA2048"),
                        tlv(SSLType.SIG_ALG, "RSA-SHA256"),
                        tlv(SSLType.CIPHER, "ECDHE-RSA-AES256-GCM-SHA384"),
                    ],
                )
            ]
        ),
        (0x20, 85),
    ),
    "ssl-newest-types": _inet(
        v2(
            tlvs=[
                ssl(
                    7,
                    0,
                    [
                        tlv(SSLType.GROUP, "x25519"),
                        tlv(SSLType.SIG_SCHEME, "ed25519"),
                        tlv(SSLType.CLIENT_CERT, _CERTIFICATE),
                    ],
                )
            ]
        ),
        (0x20, 5 + 9 + 10 + 3 + 1204),
    ),
    "ssl-type-outside": _inet(v2(tlvs=[tlv(SSLType.VERSION, "TLSv1.3")]), (0x21, 7)),
    "netns": _inet(v2(tlvs=[tlv(TLVType.NETNS, "blue")]), (0x30, 4)),
    "type-00": _inet(v2(tlvs=[tlv(0x00, "abc")]), (0x00, 3)),
    "type-7e": _inet(v2(tlvs=[tlv(0x7E, "abc")]), (0x7E, 3)),
    "duplicate": _inet(v2(tlvs=[tlv(TLVType.AUTHORITY, "a"), tlv(TLVType.AUTHORITY, "b")]), (2, 1), (2, 1)),
    "custom": _inet(
        v2(tlvs=[tlv(number, "abc") for number in range(0xE0, 0xF0)]), *[(n, 3) for n in range(0xE0, 0xF0)]
    ),
    "experiment": _inet(
        v2(tlvs=[tlv(number, "abc") for number in range(0xF0, 0xF8)]), *[(n, 3) for n in range(0xF0, 0xF8)]
    ),
    "future": _inet(v2(tlvs=[tlv(number, "") for number in range(0xF8, 0x100)]), *[(n, 0) for n in range(0xF8, 0x100)]),
    "value-1025": _inet(v2(tlvs=[tlv(0xE1, "x" * 1025)]), (0xE1, 1025)),
    "control-characters": _inet(v2(tlvs=[tlv(TLVType.UNIQUE_ID, b"\r\nX: y\x1b[2J\0")]), (5, 11)),
    "unix-noop": Valid(
        v2("/a", "/b", tlvs=[noop(2)]),
        2,
        0x31,
        src=b"/a".ljust(108, b"\0"),
        dst=b"/b".ljust(108, b"\0"),
        tlvs=((4, 2),),
    ),
    "total-232": _inet(v2(tlvs=[noop(201)]), (4, 201)),
    "total-536": _inet(v2(tlvs=[noop(505)]), (4, 505)),
    "total-537": _inet(v2(tlvs=[noop(506)]), (4, 506)),
    "total-16384": _inet(v2(tlvs=[tlv(0xE0, b"x" * 16353)]), (0xE0, 16353)),
    "total-65551": _inet(v2(tlvs=[noop(65520)]), (4, 65520)),
    "every-option": Valid(
        v2(
            "127.0.0.1",
            "127.0.0.1",
            45138,
            25253,
            tlvs=[
                crc32c(),
                tlv(TLVType.AUTHORITY, "AUTHORITY"),
                tlv(TLVType.UNIQUE_ID, "UNIQUE_ID"),
                ssl(
                    1,
                    0,
                    [
                        tlv(SSLType.VERSION, "TLSv1.2"),
                        tlv(SSLType.KEY_ALG, "RSA4096"),
                        tlv(SSLType.SIG_ALG, "RSA-SHA256"),
                        tlv(SSLType.CIPHER, "ECDHE-RSA-AES256-GCM-SHA384"),
                    ],
                ),
            ],
        ),
        2,
        0x11,
        1,
        "127.0.0.1",
        "127.0.0.1",
        45138,
        25253,
        ((3, 4), (2, 9), (5, 9), (0x20, 68)),
    ),
}

HEADERS: Final[dict[str, Valid]] = {
    f"{group}/{name}": header
    for group, headers in (("v1", VERSION_1), ("v2", FIXED), ("v2-tlv", EXTENDED))
    for name, header in headers.items()
}

_SIGNATURE: Final = "0d0a0d0a000d0a515549540a"
_A4: Final = "c0000201c000020204570019"
_A6: Final = "20010db800000000000000000000000120010db800000000000000000000000204570019"

# Bytes written down independently of the layers. "v2-tlv/every-option", "v2/local-crc32c" and "v2/local-ssl" were
# sent by HAProxy, as were the TLV bytes of "v2-tlv/ssl-certificate" and its shorter relatives.
LITERALS: Final[dict[str, bytes]] = {
    "v1/tcp4": b"PROXY TCP4 192.0.2.1 192.0.2.2 1111 25\r\n",
    "v1/tcp4-loopback": b"PROXY TCP4 127.0.0.1 127.0.0.1 53258 23201\r\n",
    "v1/tcp4-zeros": b"PROXY TCP4 0.0.0.0 0.0.0.0 0 0\r\n",
    "v1/tcp4-longest": b"PROXY TCP4 255.255.255.254 255.255.255.255 65534 65535\r\n",
    "v1/tcp6": b"PROXY TCP6 2001:db8::1 2001:db8::2 1111 25\r\n",
    "v1/tcp6-upper-case": b"PROXY TCP6 2001:DB8::ABCD 2001:db8::2 1111 25\r\n",
    "v1/tcp6-mixed": b"PROXY TCP6 2001:db8::7 ::ffff:127.0.0.1 47808 23204\r\n",
    "v1/unknown": b"PROXY UNKNOWN\r\n",
    "v1/unknown-blank": b"PROXY UNKNOWN \r\n",
    "v1/unknown-words": b"PROXY UNKNOWN foo bar\r\n",
    "v1/unknown-addresses": b"PROXY UNKNOWN " + (b"ffff:" * 7 + b"ffff ") * 2 + b"65535 65535\r\n",
    "v2/tcp4": bytes.fromhex(_SIGNATURE + "2111000c" + _A4),
    "v2/tcp6": bytes.fromhex(_SIGNATURE + "21210024" + _A6),
    "v2/udp4": bytes.fromhex(_SIGNATURE + "2112000c" + _A4),
    "v2/udp6": bytes.fromhex(_SIGNATURE + "21220024" + _A6),
    "v2/unix-stream": bytes.fromhex(_SIGNATURE + "213100d8") + b"/run/a" + bytes(102) + b"/run/b" + bytes(102),
    "v2/byte-order": bytes.fromhex(_SIGNATURE + "2111000c 01020304 05060708 0910 1112"),
    "v2/unspec": bytes.fromhex(_SIGNATURE + "21000000"),
    "v2/unspec-opaque": bytes.fromhex(_SIGNATURE + "2100000c" + _A4),
    "v2/local": bytes.fromhex(_SIGNATURE + "20000000"),
    "v2/local-noop": bytes.fromhex(_SIGNATURE + "20000006 040003 000000"),
    "v2/local-ssl": bytes.fromhex(_SIGNATURE + "20000008 200005 00 00000000"),
    "v2/local-crc32c": bytes.fromhex(_SIGNATURE + "20000007 030004 a9b87e8f"),
    "v2/local-tcp4": bytes.fromhex(_SIGNATURE + "2011000c" + _A4),
    "v2-tlv/alpn": bytes.fromhex(_SIGNATURE + "21110013" + _A4 + "010004 736d7470"),
    "v2-tlv/crc32c": bytes.fromhex(_SIGNATURE + "21110013" + _A4 + "030004 047edc6e"),
    "v2-tlv/unique-id-empty": bytes.fromhex(_SIGNATURE + "2111000f" + _A4 + "050000"),
    "v2-tlv/ssl-no-tls": bytes.fromhex(_SIGNATURE + "21110014" + _A4 + "200005 00 00000000"),
    "v2-tlv/ssl-version": bytes.fromhex(_SIGNATURE + "2111001e" + _A4 + "20000f 01 00000000 210007 544c5376312e32"),
    "v2-tlv/ssl-certificate": bytes.fromhex(_SIGNATURE + "21110064" + _A4 + "200055 07 00000000 210007")
    + b"TLSv1.2\x22\0\x0eclient.example\x25\0\x07RSA2048\x24\0\x0aRSA-SHA256\x23\0\x1bECDHE-RSA-AES256-GCM-SHA384",
    "v2-tlv/netns": bytes.fromhex(_SIGNATURE + "21110013" + _A4 + "300004 626c7565"),
    "v2-tlv/every-option": bytes.fromhex(
        _SIGNATURE
        + "21110072 7f000001 7f000001 b052 62a5 030004 54fdc6ff"
        + "020009 415554484f52495459 050009 554e495155455f4944 200044 01 00000000 210007 544c5376312e32"
        + "250007 52534134303936 24000a 5253412d534841323536"
        + "23001b 45434448452d5253412d4145533235362d47434d2d534841333834"
    ),
}
