"""A wire whose every segment is made here with Scapy and written to a TUN device: a small TCP client of our own.

It needs no retransmission and no congestion control, for a TUN device loses nothing.
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from proxyspec.model import Case, Via, View
from proxyspec.scheduler import Roads
from proxyspec.tcp.delivery import WHOLE, Delivery, Piece
from proxyspec.wire import Road

__all__ = ["Link", "PacketRoad", "PacketRoads", "PacketWire"]

#: Bytes of payload in a segment, when nothing else is asked for.
SEGMENT: Final = 1400
#: The window while it is open, in bytes.
WINDOW: Final = 65535
_FIRST_PORT, _LAST_PORT = 20_000, 60_000
_SEQUENCE: Final = 0xFFFFFFFF
#: Close to the wrap, so that sequence numbers pass through 0 within a header.
_INITIAL: Final = 0xFFFFFFF0


@dataclass(frozen=True, slots=True)
class PacketRoad(Road):
    """A road on which segments go as a delivery says."""

    delivery: Delivery = WHOLE


@dataclass(frozen=True, slots=True)
class PacketRoads(Roads):
    """The road of every case that is played packet by packet; other cases have none."""

    road: PacketRoad | None = None
    #: Case id -> how its header is sent; others go whole.
    deliveries: Mapping[str, Delivery] | None = None

    def of(self, case: Case) -> Road | None:
        """Return the road of `case`, or None if it is none of packets."""
        if case.via is not Via.PACKETS or self.road is None:
            return None
        delivery = (self.deliveries or {}).get(case.id, WHOLE)
        return PacketRoad(self.road.host, self.road.port, self.road.source, self.road.peer, delivery)


class Link:
    """Our end of a TUN device: takes packets in and hands each to the wire of its port."""

    def __init__(self, descriptor: int) -> None:
        from scapy.layers.inet import IP, TCP

        self.ip: Any = IP
        self.tcp: Any = TCP
        self._descriptor = descriptor
        self._wires: dict[int, PacketWire] = {}
        self._loop: asyncio.AbstractEventLoop | None = None
        self._port = _FIRST_PORT

    def join(self, wire: PacketWire) -> int:
        """Give a wire a port of its own and begin to listen for it."""
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            loop.add_reader(self._descriptor, self._read)
            self._loop = loop
        port = self.port()
        self._wires[port] = wire
        return port

    def port(self) -> int:
        """Return a port that no wire has."""
        while True:
            self._port = self._port + 1 if self._port < _LAST_PORT else _FIRST_PORT
            if self._port not in self._wires:
                return self._port

    def leave(self, port: int) -> None:
        """Forget the wire of this port."""
        self._wires.pop(port, None)

    def send(self, packet: Any) -> None:
        """Hand a packet to the kernel."""
        os.write(self._descriptor, bytes(packet))

    def _read(self) -> None:
        while True:
            try:
                raw = os.read(self._descriptor, 65536)
            except BlockingIOError:
                return
            if raw[:1] and raw[0] >> 4 == 4:
                packet = self.ip(raw)
                if self.tcp in packet and (wire := self._wires.get(packet[self.tcp].dport)) is not None:
                    wire.take(packet)


class PacketWire:
    """A `Wire` over a `Link`."""

    def __init__(self, link: Link, road: Road) -> None:
        self._link = link
        self._road = road
        self._delivery = road.delivery if isinstance(road, PacketRoad) else WHOLE
        self._port = 0
        self._next = _INITIAL
        self._wanted = 0
        self._window = 0 if self._delivery.closed_for else WINDOW
        self._inbox: asyncio.Queue[bytes | OSError] = asyncio.Queue()
        self._established = asyncio.Event()
        self._written = self._finished = self._over = False
        #: The target's FIN is in.
        self._theirs = False

    # The wire

    async def connect(self) -> View:
        """Shake hands; see `Wire.connect`."""
        self._port = self._link.join(self)
        for _ in range(self._delivery.half_open):
            self._emit("S", port=self._link.port())
        self._emit("S")
        await self._established.wait()
        if self._over:
            raise ConnectionRefusedError("the handshake was answered with RST")
        if self._delivery.closed_for:
            asyncio.get_running_loop().call_later(self._delivery.closed_for, self._open)
        assert self._road.source is not None
        return View.of(self._road.source, self._port)

    async def send(self, data: bytes) -> None:
        """Send segments, the first time as the delivery says; see `Wire.send`."""
        if self._finished or self._over:
            raise BrokenPipeError("our FIN is out already" if self._finished else "the connection was reset")
        delivery = WHOLE if self._written else self._delivery
        self._written = True
        size = len(data)
        pieces = delivery.pieces or tuple(Piece(at, min(at + SEGMENT, size)) for at in range(0, size, SEGMENT))
        base = self._next
        for place, piece in enumerate(pieces, 1):
            flags = ("P" if piece.push else "") + "A" + ("F" if delivery.fin and place == len(pieces) else "")
            self._emit(flags, piece.of(data), sequence=base + piece.start)
            if delivery.gap and place < len(pieces):
                await asyncio.sleep(delivery.gap)
        self._next = base + size
        if delivery.fin:
            self._next, self._finished = self._next + 1, True

    async def receive(self) -> bytes:
        """Return the next bytes; see `Wire.receive`."""
        got = await self._inbox.get()
        if isinstance(got, OSError):
            raise got
        return got

    def half_close(self) -> None:
        """Send FIN; see `Wire.half_close`."""
        if not self._finished and not self._over:
            self._emit("FA")
            self._next, self._finished = self._next + 1, True

    def reset(self) -> None:
        """Send RST and let go; see `Wire.reset`."""
        if self._port and not self._over:
            self._over = True
            self._emit("RA")
            self._link.leave(self._port)

    def close(self) -> None:
        """Let go, with FIN after the target's own, else with RST; see `Wire.close`."""
        if self._port and not self._over:
            self._over = True
            if not self._theirs:
                self._emit("RA")
            elif not self._finished:
                self._emit("FA")
            self._link.leave(self._port)

    # Packets

    def _emit(self, flags: str, data: bytes = b"", *, sequence: int | None = None, port: int | None = None) -> None:
        tcp = self._link.tcp(
            sport=self._port if port is None else port,
            dport=self._road.port,
            seq=(self._next if sequence is None else sequence) & _SEQUENCE,
            ack=self._wanted & _SEQUENCE,
            flags=flags,
            window=self._window,
            options=[("MSS", 1460)] if "S" in flags else [],
        )
        self._link.send(self._link.ip(src=self._road.source, dst=self._road.host) / tcp / data)

    def _open(self) -> None:
        self._window = WINDOW
        if not self._over:
            self._emit("A")

    def take(self, packet: Any) -> None:
        """Take a packet from the target."""
        tcp = packet[self._link.tcp]
        payload = bytes(tcp.payload)[: packet.len - 4 * packet.ihl - 4 * tcp.dataofs]
        if "R" in tcp.flags:
            self._over = True
            self._inbox.put_nowait(ConnectionResetError("connection reset by peer"))
            self._established.set()
            self._link.leave(self._port)
        elif not self._established.is_set():
            if tcp.flags == "SA":
                self._next += 1
                self._wanted = tcp.seq + 1
                self._emit("A")
                self._established.set()
        else:
            self._take_data(tcp, payload)

    def _take_data(self, tcp: Any, payload: bytes) -> None:
        in_order = tcp.seq == self._wanted & _SEQUENCE
        if payload and in_order and self._window:
            self._wanted += len(payload)
            self._inbox.put_nowait(payload)
        ended = "F" in tcp.flags and (tcp.seq + len(payload)) & _SEQUENCE == self._wanted & _SEQUENCE
        if ended:
            self._wanted += 1
            self._theirs = True
            self._inbox.put_nowait(b"")
        # Whatever takes up a sequence number is acknowledged, and so is a probe of a closed window.
        if payload or ended or not in_order:
            self._emit("A")
