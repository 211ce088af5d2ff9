"""Capture files read for the one thing that matters here: what each TCP stream begins with."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import proxyspec.layers  # noqa: F401 - it keeps Scapy quiet while that loads
from proxyspec.errors import UsageError

__all__ = ["FIRST_BYTES", "MAX_STREAMS", "Stream", "is_capture", "streams_of"]

#: Bytes kept of the beginning of a stream: the longest header there can be, and some.
FIRST_BYTES = 66 * 1024
#: Streams read of one file; the rest is left out.
MAX_STREAMS = 10_000

_MAGICS = (
    b"\xa1\xb2\xc3\xd4",
    b"\xd4\xc3\xb2\xa1",
    b"\xa1\xb2\x3c\x4d",
    b"\x4d\x3c\xb2\xa1",
    b"\x0a\x0d\x0d\x0a",
)
_SYN, _ACK = 0x02, 0x10

#: Address and port.
_End = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Stream:
    """The first bytes of a connection from the side that opened it (or, where that was not seen, spoke first)."""

    client: _End
    server: _End
    first: bytes
    #: Whether the connection's beginning is in the file.
    complete: bool


def is_capture(data: bytes) -> bool:
    """Tell whether a file's first bytes are those of pcap or pcapng."""
    return data[:4] in _MAGICS


@dataclass(slots=True)
class _Side:
    """One direction: segments by their place after the first byte; what came first stays."""

    base: int | None = None
    pieces: dict[int, bytes] = field(default_factory=dict)

    def add(self, seq: int, data: bytes) -> None:
        if not data:
            return
        if self.base is None:
            self.base = seq
        at = (seq - self.base) & 0xFFFFFFFF
        if at < FIRST_BYTES and len(self.pieces.get(at, b"")) < len(data):
            self.pieces[at] = data

    def first(self) -> bytes:
        """Return what is there without a gap."""
        joined = bytearray()
        for at, data in sorted(self.pieces.items()):
            if at > len(joined):
                break
            joined += data[max(0, len(joined) - at) :]
        return bytes(joined[:FIRST_BYTES])


@dataclass(slots=True)
class _Connection:
    opener: _End
    other: _End
    seen_open: bool
    first_seq: int
    sides: dict[_End, _Side]

    def stream(self) -> Stream:
        return Stream(self.opener, self.other, self.sides[self.opener].first(), self.seen_open)


def _segments(path: Path) -> Iterator[tuple[_End, _End, int, int, bytes]]:
    """Yield (source, destination, flags, sequence number, data) of every TCP segment.

    Raises:
        UsageError: the file cannot be read, or is no capture.
    """
    from scapy.error import Scapy_Exception
    from scapy.layers.inet import IP, TCP
    from scapy.layers.inet6 import IPv6
    from scapy.packet import NoPayload, Padding
    from scapy.utils import PcapReader

    def read(packet: Any) -> tuple[_End, _End, int, int, bytes] | None:
        tcp = packet.getlayer(TCP)
        network = packet.getlayer(IP) or packet.getlayer(IPv6)
        if tcp is None or network is None:
            return None
        # Short frames are padded; the padding is no payload, and neither is what Scapy would make of a known port.
        data = b"" if isinstance(tcp.payload, NoPayload | Padding) else bytes(tcp.payload.original)
        return (network.src, tcp.sport), (network.dst, tcp.dport), int(tcp.flags), int(tcp.seq), data

    try:
        # Opened here: Scapy leaves a file open that turns out to be no capture.
        with path.open("rb") as file, PcapReader(file) as reader:
            for packet in reader:
                if (segment := read(packet)) is not None:
                    yield segment
    except (OSError, EOFError, ValueError, Scapy_Exception) as error:
        raise UsageError(f"{path} cannot be read as a capture: {error}; is it whole, and pcap or pcapng?") from error


def streams_of(path: Path) -> tuple[Stream, ...]:
    """Return the streams of a capture in the order in which they begin.

    Raises:
        UsageError: the file cannot be read, or is no capture.
    """
    connections: list[_Connection] = []
    current: dict[frozenset[_End], _Connection] = {}
    for source, destination, flags, seq, data in _segments(path):
        key = frozenset((source, destination))
        opens = flags & (_SYN | _ACK) == _SYN
        connection = current.get(key)
        if connection is None or (opens and (not connection.seen_open or connection.first_seq != seq)):
            if not opens and not data:
                continue
            if len(connections) >= MAX_STREAMS:
                current.pop(key, None)
                continue
            connection = _Connection(source, destination, opens, seq, {source: _Side(), destination: _Side()})
            connections.append(connection)
            current[key] = connection
        side = connection.sides[source]
        if flags & _SYN:
            side.base = (seq + 1) & 0xFFFFFFFF
            seq += 1
        side.add(seq, data)
    return tuple(connection.stream() for connection in connections)
