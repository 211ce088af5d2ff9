"""PROXY headers for load: authored once by the Scapy layers, then copied with another source address and port each.

A header of a load must cost less than the session behind it, and building one with Scapy costs as much as a session.
"""

from __future__ import annotations

import ipaddress
import itertools
import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Final, Protocol

import crc32c

from proxyspec.layers import authoring
from proxyspec.load.options import HeaderKind

__all__ = [
    "AUTHORITY",
    "PERIOD",
    "POOL_SIZE",
    "Frame",
    "Source",
    "headers",
    "sources",
    "unique_id",
    "v1_frame",
    "v2_frame",
    "v2_tlv_frame",
]

#: Networks for documentation (RFC 5737, RFC 3849): no real client is ever impersonated.
_NETWORKS: Final = ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32")

#: Source addresses taken from each network.
_PER_NETWORK: Final = 250
POOL_SIZE: Final = _PER_NETWORK * len(_NETWORKS)

#: Source ports lie between these; the step is coprime to their number, so all of them occur.
_FIRST_PORT: Final = 1024
_PORTS: Final = 65536 - _FIRST_PORT
_PORT_STEP: Final = 7919

#: Headers until one comes again.
PERIOD: Final = math.lcm(POOL_SIZE, _PORTS)

#: A port that occurs nowhere else in an authored frame.
_MARK_PORT: Final = 54321

_AUTHORED: Final = {4: "192.0.2.1", 6: "2001:db8::1"}
_SIZE: Final = {4: 4, 6: 16}

#: Where the address block of a version 2 header begins (section 2.2).
_BLOCK: Final = 16


@dataclass(frozen=True, slots=True)
class Source:
    """A source address in both of its forms."""

    text: bytes
    packed: bytes

    @classmethod
    def of(cls, address: str) -> Source:
        """Build it from any spelling; `text` keeps the spelling.

        Raises:
            ValueError: `address` is no IP address.
        """
        return cls(address.encode("ascii"), ipaddress.ip_address(address).packed)

    @property
    def version(self) -> int:
        """4 or 6."""
        return 4 if len(self.packed) == 4 else 6


class Frame(Protocol):
    """A header with room for another source."""

    def patched(self, source: Source, port: int) -> bytes:
        """Return the header with this source address and port (0 to 65535).

        The address must be of the frame's own family.
        """
        ...


@dataclass(frozen=True, slots=True)
class _Line:
    """Version 1 (section 2.1): text before the source address, between address and port, after the port."""

    head: bytes
    middle: bytes
    tail: bytes

    def patched(self, source: Source, port: int) -> bytes:
        return b"%b%b%b%d%b" % (self.head, source.text, self.middle, port, self.tail)


@dataclass(frozen=True, slots=True)
class _Binary:
    """Version 2 (section 2.2): bytes before the source address, between address and port, after the port."""

    head: bytes
    middle: bytes
    tail: bytes

    def patched(self, source: Source, port: int) -> bytes:
        return self.head + source.packed + self.middle + port.to_bytes(2, "big") + self.tail


@cache
def v1_frame(version: int) -> Frame:
    """Return the frame of a TCP4 (`version` 4) or TCP6 (6) line; destination and its port are the layers' defaults."""
    address = _AUTHORED[version]
    authored = authoring.v1(address, sport=_MARK_PORT)
    head, _, rest = authored.partition(address.encode())
    middle, _, tail = rest.partition(str(_MARK_PORT).encode())
    return _Line(head, middle, tail)


@cache
def v2_frame(version: int) -> Frame:
    """Return the frame of a PROXY command for TCP over IPv4 (`version` 4) or IPv6 (6), without TLVs."""
    size = _SIZE[version]
    authored = authoring.v2(_AUTHORED[version], sport=_MARK_PORT)
    port = _BLOCK + 2 * size
    return _Binary(authored[:_BLOCK], authored[_BLOCK + size : port], authored[port + 2 :])


#: The AUTHORITY of every header with TLVs (section 2.2.2).
AUTHORITY: Final = "mx.server.example"

#: Bytes of a UNIQUE_ID (section 2.2.5): as HAProxy's `%rt` or a UUID in hexadecimal would be.
_ID_SIZE: Final = 16


def unique_id(source: Source, port: int) -> bytes:
    """Return the UNIQUE_ID of the header with this source: other sources have others, as long as the pool lasts."""
    return b"%0*x" % (_ID_SIZE, int.from_bytes(source.packed[-4:], "big") << 16 | port)


@dataclass(frozen=True, slots=True)
class _Extended:
    """Version 2 with TLVs: as `_Binary`; then to the UNIQUE_ID's value, to the checksum's, which ends it."""

    head: bytes
    middle: bytes
    to_id: bytes
    to_sum: bytes

    def patched(self, source: Source, port: int) -> bytes:
        begin = b"%b%b%b%b%b%b%b" % (
            self.head,
            source.packed,
            self.middle,
            port.to_bytes(2, "big"),
            self.to_id,
            unique_id(source, port),
            self.to_sum,
        )
        value: int = crc32c.crc32c(begin + _ZEROED)
        return begin + value.to_bytes(4, "big")


#: The checksum's own field counts as zero (section 2.2.3).
_ZEROED: Final = bytes(4)


@cache
def v2_tlv_frame(version: int) -> Frame:
    """Return a frame as `v2_frame`, with AUTHORITY, UNIQUE_ID and CRC32C (sections 2.2.2, 2.2.5, 2.2.3) behind it."""
    size = _SIZE[version]
    mark = bytes(range(_ID_SIZE))
    authored = authoring.v2(
        _AUTHORED[version],
        sport=_MARK_PORT,
        tlvs=[
            authoring.tlv(authoring.TLVType.AUTHORITY, AUTHORITY),
            authoring.tlv(authoring.TLVType.UNIQUE_ID, mark),
            authoring.crc32c(),
        ],
    )
    port = _BLOCK + 2 * size
    identity = authored.index(mark)
    checksum = len(authored) - len(_ZEROED)
    return _Extended(
        authored[:_BLOCK],
        authored[_BLOCK + size : port],
        authored[port + 2 : identity],
        authored[identity + _ID_SIZE : checksum],
    )


@cache
def sources() -> tuple[Source, ...]:
    """Return the pool of source addresses, the networks taking turns."""
    hosts = [itertools.islice(ipaddress.ip_network(network).hosts(), _PER_NETWORK) for network in _NETWORKS]
    return tuple(Source.of(str(address)) for row in zip(*hosts, strict=True) for address in row)


@cache
def _pool(kind: HeaderKind) -> tuple[tuple[Source, Callable[[Source, int], bytes]], ...]:
    """Each source with what makes its header: of ten thousand users none makes a pool of its own."""
    make = {HeaderKind.V1: v1_frame, HeaderKind.V2: v2_frame, HeaderKind.V2_TLV: v2_tlv_frame}[kind]
    frames = {4: make(4), 6: make(6)}
    return tuple((source, frames[source.version].patched) for source in sources())


def headers(kind: HeaderKind, start: int = 0) -> Iterator[bytes]:
    """Yield headers without end, each with the next source of the pool; `start` is the first one's place.

    For `HeaderKind.NONE` they are empty.
    """
    if kind is HeaderKind.NONE:
        yield from itertools.repeat(b"")
    pool = _pool(kind)
    for number in itertools.count(start):
        source, patched = pool[number % POOL_SIZE]
        yield patched(source, _FIRST_PORT + number * _PORT_STEP % _PORTS)
