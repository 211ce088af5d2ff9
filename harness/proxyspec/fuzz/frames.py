"""Frames to try: a valid header bent by a chain of malformations, each a pure function of the seed and its number."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from random import Random
from typing import Final

from proxyspec.layers import TLV, Command, SSLType, TLVType
from proxyspec.layers.authoring import crc32c, local, noop, ssl, tlv, unknown, v1, v2
from proxyspec.malform import (
    AddTlv,
    Cut,
    DropPart,
    DropTlv,
    DuplicatePart,
    DuplicateTlv,
    FlipBit,
    Insert,
    LengthBy,
    LengthTo,
    Malformation,
    NestTlv,
    Overwrite,
    Pad,
    Refit,
    Remove,
    Repeat,
    Reseal,
    ReverseTlvs,
    SetField,
    Splice,
    SwapBytes,
    SwapParts,
    SwapTlvs,
    in_words,
    malformed,
)

__all__ = ["MAX_FRAME", "Frame", "frame"]

#: No frame is larger than this, in bytes: the largest header of version 2 and some payload.
MAX_FRAME: Final = 66_000

#: Addresses a session may have: documentation ranges (RFC 5737, RFC 3849) and what is easily misread.
_FOUR: Final = ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24")
_ODD_FOUR: Final = ("127.0.0.1", "10.0.0.1", "1.2.3.4", "100.100.100.100", "192.0.2.255", "223.255.255.254")
_SIX: Final = "2001:db8::/32"
_ODD_SIX: Final = ("::1", "fe80::1", "2001:db8::", "::ffff:192.0.2.1", "1:2:3:4:5:6:7:8", "abcd:ef01:2345:6789::")
#: The address of a second header, which must not be obeyed.
_SECOND: Final = "198.51.100.99"
_PORTS: Final = (0, 1, 9, 10, 25, 80, 255, 256, 587, 1023, 1024, 9999, 10000, 32767, 32768, 49152, 65534, 65535)

#: Bytes that mean something to one of the two forms, or to SMTP behind them.
_TOKENS: Final = (
    b" ",
    b"\t",
    b"\r",
    b"\n",
    b"\r\n",
    b"\0",
    b"0",
    b"00",
    b"-",
    b"+",
    b".",
    b":",
    b"::",
    b"%",
    b"_",
    b"x",
    b"PROXY",
    b"TCP4",
    b"TCP6",
    b"UNKNOWN",
    b"\xff",
    b"\xff\xff",
    b"\x80",
    b"65536",
    b"256",
    b"QUIT\n",
    b"EHLO x\r\n",
)
#: What may stand where a port is due, and where an address is.
_PORT_WORDS: Final = (
    b"",
    b"0",
    b"00",
    b"01",
    b"025",
    b"-1",
    b"+25",
    b"2_5",
    b"0x19",
    b"25x",
    b" 25",
    b"65535",
    b"65536",
    b"65561",
    b"4294967321",
    b"18446744073709551641",
    b"\xc2\xb2",
    "\u0662\u0665".encode(),
    b"-25",
    b"9" * 40,
)
_ADDRESS_WORDS: Final = (
    b"192.0.2.1",
    b"192.0.2.01",
    b"192.0.2",
    b"192.0.2.256",
    b"192.0.2.1.1",
    b"0300.0.2.1",
    b"0xc0.0.2.1",
    b"3221225985",
    b"2001:db8::1",
    b"2001:DB8::1",
    b"2001:db8::1::2",
    b"2001:db8::1%lo",
    b"[2001:db8::1]",
    b"::",
    b":::",
    b"::ffff:192.0.2.1",
    b"1:2:3:4:5:6:7:8:9",
    b"12345::1",
    b"localhost",
    b"::ffff:192.0.2.01",
    b"fe80::1%eth0",
    b"192.0.2.1/24",
    b"192.0..1",
    b"...",
)
_V1_PARTS: Final = ("prefix", "protocol", "src", "dst", "sport", "dport")


@dataclass(frozen=True)
class Frame:
    """A valid header and the malformations made to it."""

    #: What the header was, in words.
    base_name: str
    base: bytes
    chain: tuple[Malformation, ...] = ()

    @cached_property
    def data(self) -> bytes:
        """The bytes to send."""
        return malformed(self.base, *self.chain)[:MAX_FRAME]

    def describe(self) -> str:
        """Say how the frame was made."""
        return f"{self.base_name}: {in_words(self.chain)}"


def frame(seed: str, index: int, versions: frozenset[int]) -> Frame:
    """Return frame number `index` of the series that `seed` begins, for receivers of these header versions."""
    random = Random(f"{seed}/{index}")  # noqa: S311 - a reproducible series is the point
    version = random.choice(sorted(versions))
    if random.random() < 0.03:
        lead = random.choice((b"", b"PROXY ", b"PROXY TCP4 ", v2()[:12], v2()[:13], v2()[:14]))
        return Frame("random bytes", lead + random.randbytes(random.choice((0, 1, 4, 16, 40, 120, 600))))
    name, base = _v1_base(random) if version == 1 else _v2_base(random)
    links = random.choices((0, 1, 2, 3, 5), (12, 50, 24, 10, 4))[0]
    chain: list[Malformation] = []
    data = base
    for _ in range(links):
        change = _change(random, data, version)
        chain.append(change)
        data = change(data)[:MAX_FRAME]
    if version == 2 and links and random.random() < 0.3:
        chain += [Refit(), Reseal()] if random.random() < 0.5 else [Reseal()]
    return Frame(name, base, tuple(chain))


# Valid headers


def _ip4(random: Random) -> str:
    if random.random() < 0.2:
        return random.choice(_ODD_FOUR)
    return str(ipaddress.ip_network(random.choice(_FOUR))[random.randrange(256)])


def _ip6(random: Random) -> str:
    if random.random() < 0.2:
        return random.choice(_ODD_SIX)
    return str(ipaddress.ip_network(_SIX)[random.getrandbits(random.choice((4, 16, 48, 96)))])


def _port(random: Random) -> int:
    return random.choice(_PORTS) if random.random() < 0.5 else random.randrange(65536)


def _v1_base(random: Random) -> tuple[str, bytes]:
    kind = random.choices(("TCP4", "TCP6", "UNKNOWN"), (5, 4, 1))[0]
    if kind == "UNKNOWN":
        tails = ("", " ", " foo bar", " 192.0.2.1 192.0.2.2 1111 25", " " + "A" * random.randrange(92))
        return "an UNKNOWN line", unknown(random.choice(tails))
    host = _ip4 if kind == "TCP4" else _ip6
    source, target = host(random), host(random)
    if kind == "TCP6" and random.random() < 0.3:
        source = random.choice((source.upper(), ipaddress.ip_address(source).exploded))
    return f"a {kind} line", v1(source, target, _port(random), _port(random))


def _tlv(random: Random) -> TLV:
    kind = random.randrange(6)
    if kind == 0:
        return noop(random.choice((0, 1, 3, 10, 64)))
    if kind == 1:
        return tlv(TLVType.UNIQUE_ID, random.randbytes(random.choice((0, 1, 16, 128))))
    if kind == 2:
        return tlv(TLVType.AUTHORITY, "mx" + "a" * random.choice((0, 1, 20, 250)))
    if kind == 3:
        subs = [tlv(SSLType.VERSION, "TLSv1.3"), tlv(SSLType.CIPHER, "TLS_AES_128_GCM_SHA256"), tlv(SSLType.CN, "c")]
        return ssl(random.choice((0, 1, 3, 5, 7, 0xF8)), random.choice((0, 1)), subs[: random.randrange(4)])
    if kind == 4:
        return tlv(TLVType.ALPN, "smtp")
    return tlv(random.choice((0x00, 0x06, 0x21, 0x30, 0x7E, 0xE0, 0xEF, 0xF0, 0xF8, 0xFF)), random.randbytes(3))


def _v2_base(random: Random) -> tuple[str, bytes]:
    tlvs = [_tlv(random) for _ in range(random.choices((0, 1, 2, 4), (4, 3, 2, 1))[0])]
    if random.random() < 0.3:
        tlvs.insert(random.randrange(len(tlvs) + 1), crc32c())
    kind = random.choices(("TCP4", "TCP6", "LOCAL", "LOCAL with addresses", "another family"), (8, 6, 2, 2, 2))[0]
    extra = " with TLVs" if tlvs else ""
    source = _ip6(random) if kind == "TCP6" else _ip4(random)
    target = _ip6(random) if kind == "TCP6" else _ip4(random)
    ports = _port(random), _port(random)
    if kind == "LOCAL":
        return f"a LOCAL header{extra}", local(tlvs)
    if kind == "another family":
        family = random.choice((0x00, 0x12, 0x22, 0x31, 0x32, 0x01, 0x10))
        block = random.randbytes({0x22: 36, 0x31: 216, 0x32: 216}.get(family, 12))
        return f"a header of family 0x{family:02x}{extra}", v2(family=family, address=block, tlvs=tlvs)
    command = Command.LOCAL if kind == "LOCAL with addresses" else Command.PROXY
    return f"a {kind} header{extra}", v2(source, target, *ports, tlvs=tlvs, command=command)


# Malformations


def _at(random: Random, data: bytes) -> int:
    return random.randrange(len(data) + 1)


def _bytes(random: Random) -> bytes:
    return random.choice(_TOKENS) if random.random() < 0.7 else random.randbytes(random.choice((1, 2, 4, 16)))


def _delta(random: Random) -> int:
    return random.choice((-12, -4, -3, -2, -1, 1, 2, 3, 4, 12, 256))


_Maker = Callable[[Random, bytes], Malformation]

_ANY: Final[Sequence[tuple[int, _Maker]]] = (
    (3, lambda random, data: Cut(_at(random, data))),
    (3, lambda random, data: Insert(_at(random, data), _bytes(random))),
    (3, lambda random, data: Remove(_at(random, data), random.choice((1, 1, 2, 4)))),
    (3, lambda random, data: Overwrite(_at(random, data), _bytes(random))),
    (4, lambda random, data: FlipBit(_at(random, data), random.randrange(8))),
    (1, lambda random, data: Repeat(_at(random, data), random.choice((1, 2, 4, 12)))),
    (1, lambda random, data: SwapBytes(_at(random, data), random.choice((2, 4)))),
    (1, lambda random, data: Splice(_at(random, data), random.choice((v1(), v2())), random.choice((0, 5, 12, 16)))),
    (1, lambda random, data: Pad(_bytes(random))),
    (1, lambda random, data: Pad(random.choice((v1(_SECOND), v2(_SECOND), v1("2001:db8::99"))))),
)
_V1: Final[Sequence[tuple[int, _Maker]]] = (
    (10, lambda random, data: SetField(random.choice(("sport", "dport")), random.choice(_PORT_WORDS))),
    (10, lambda random, data: SetField(random.choice(("src", "dst")), random.choice(_ADDRESS_WORDS))),
    (
        2,
        lambda random, data: SetField(
            "protocol", random.choice((b"TCP", b"tcp4", b"TCP5", b"TCP44", b"UDP4", b"UNIX"))
        ),
    ),
    (2, lambda random, data: SetField("protocol", random.choice((b"TCP4", b"TCP6", b"UNKNOWN", b"UNKNOWNX")))),
    (2, lambda random, data: SetField("prefix", random.choice((b"proxy", b"Proxy", b"PROXX", b" PROXY", b"PROXYv1")))),
    (
        3,
        lambda random, data: SetField(
            f"sep{random.randrange(1, 6)}", random.choice((b"  ", b"\t", b"", b"\0", b" \t"))
        ),
    ),
    (
        3,
        lambda random, data: SetField(
            "eol", random.choice((b"\n", b"\r", b"\n\r", b"\r\r\n", b"\0\r\n", b"\r\0\n", b""))
        ),
    ),
    (2, lambda random, data: SetField("rest", random.choice((b" ", b" junk", b"x", b"\0", b" 25", b"\n", b"0" * 70)))),
    (1, lambda random, data: DuplicatePart(random.choice(_V1_PARTS))),
    (2, lambda random, data: DropPart(random.choice(_V1_PARTS))),
    (1, lambda random, data: SwapParts(*random.sample(_V1_PARTS, 2))),
)
_V2: Final[Sequence[tuple[int, _Maker]]] = (
    (1, lambda random, data: SetField("version", random.randrange(16))),
    (2, lambda random, data: SetField("cmd", random.choice((0, 1, 2, 3, 8, 15)))),
    (
        2,
        lambda random, data: SetField("family", random.randrange(16) if random.random() < 0.4 else random.randrange(4)),
    ),
    (2, lambda random, data: SetField("transport", random.choice((0, 1, 2, 3, 4, 9, 15)))),
    (4, lambda random, data: LengthBy(_delta(random))),
    (2, lambda random, data: LengthTo(random.choice((0, 1, 11, 12, 35, 36, 215, 216, 521, 0x0C00, 0x8000, 0xFFFF)))),
    (3, lambda random, data: LengthBy(_delta(random), random.randrange(4))),
    (1, lambda random, data: LengthTo(random.choice((0, 1, 0x8000, 0xFFFF)), random.randrange(4))),
    (3, lambda random, data: AddTlv(random.randrange(256), random.randbytes(random.choice((0, 1, 3, 4, 5, 129, 300))))),
    (
        2,
        lambda random, data: AddTlv(
            random.choice(tuple(TLVType)), random.randbytes(random.choice((0, 3, 4, 5, 129, 260)))
        ),
    ),
    (3, lambda random, data: AddTlv(TLVType.CRC32C, random.choice((bytes(4), b"\xff" * 4, bytes(3), bytes(5), b"")))),
    (1, lambda random, data: DropTlv(random.randrange(4))),
    (1, lambda random, data: DuplicateTlv(random.randrange(4))),
    (1, lambda random, data: SwapTlvs(random.randrange(2), random.randrange(2, 4))),
    (1, lambda random, data: ReverseTlvs()),
    (1, lambda random, data: NestTlv(random.randrange(3), random.choice((1, 2, 16, 100)))),
)


def _change(random: Random, data: bytes, version: int) -> Malformation:
    makers = [*_ANY, *(_V1 if version == 1 else _V2)]
    make = random.choices([maker for _, maker in makers], [weight for weight, _ in makers])[0]
    return make(random, data)
