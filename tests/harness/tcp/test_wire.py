"""The packet wire against a kernel played by the test, on the other end of a socket pair."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from scapy.layers.inet import IP, TCP

from proxyspec.tcp.delivery import WHOLE, Delivery, conflicting, split_at
from proxyspec.tcp.wire import Link, PacketRoad, PacketWire

TARGET, PEER = "10.255.255.1", "10.255.255.2"


class Kernel:
    """The far end: what comes, and what it answers."""

    def __init__(self, end: socket.socket) -> None:
        self._end = end
        self.port = 0

    async def next(self) -> Any:
        raw = await asyncio.get_running_loop().sock_recv(self._end, 65536)
        packet = IP(raw)
        assert (packet.src, packet.dst, packet[TCP].dport) == (PEER, TARGET, 25)
        self.port = packet[TCP].sport
        return packet[TCP]

    async def say(self, flags: str, sequence: int, acknowledged: int = 0, data: bytes = b"") -> None:
        segment = TCP(sport=25, dport=self.port, flags=flags, seq=sequence, ack=acknowledged & 0xFFFFFFFF)
        await asyncio.get_running_loop().sock_sendall(self._end, bytes(IP(src=TARGET, dst=PEER) / segment / data))


def played(scene: Callable[[PacketWire, Kernel], Awaitable[None]], delivery: Delivery = WHOLE) -> None:
    async def main() -> None:
        ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)
        with ours, theirs:
            ours.setblocking(False)
            theirs.setblocking(False)
            link = Link(ours.fileno())
            wire = PacketWire(link, PacketRoad(TARGET, 25, PEER, None, delivery))
            async with asyncio.timeout(20):
                await scene(wire, Kernel(theirs))
            asyncio.get_running_loop().remove_reader(ours.fileno())

    asyncio.run(main())


async def shaken(wire: PacketWire, kernel: Kernel) -> int:
    connecting = asyncio.create_task(wire.connect())
    syn = await kernel.next()
    assert str(syn.flags) == "S"
    await kernel.say("SA", 1000, syn.seq + 1)
    acknowledgement = await kernel.next()
    assert (str(acknowledgement.flags), acknowledgement.ack) == ("A", 1001)
    view = await connecting
    assert (view.address, view.port) == (PEER, kernel.port)
    return int(acknowledgement.seq)


def test_segments_go_as_the_delivery_says_and_the_rest_whole() -> None:
    async def scene(wire: PacketWire, kernel: Kernel) -> None:
        base = await shaken(wire, kernel)
        await wire.send(b"abcdef")
        got = [await kernel.next() for _ in range(3)]
        assert [(one.seq - base) & 0xFFFFFFFF for one in got] == [0, 0, 2]
        assert [bytes(one.payload) for one in got] == [b"ab", bytes([ord("a") ^ 0xFF, ord("b") ^ 0xFF]), b"cdef"]
        await wire.send(b"ghi")
        last = await kernel.next()
        assert ((last.seq - base) & 0xFFFFFFFF, bytes(last.payload)) == (6, b"ghi")

    played(scene, conflicting(6, 2))


def test_push_flags_are_as_asked() -> None:
    async def scene(wire: PacketWire, kernel: Kernel) -> None:
        await shaken(wire, kernel)
        await wire.send(b"abcd")
        assert [str((await kernel.next()).flags) for _ in range(2)] == ["A", "A"]

    played(scene, split_at(4, 2, push=False, gap=0))


def test_a_fin_rides_on_the_last_segment_and_nothing_follows_it() -> None:
    async def scene(wire: PacketWire, kernel: Kernel) -> None:
        await shaken(wire, kernel)
        await wire.send(b"ab")
        assert str((await kernel.next()).flags) == "FPA"
        with pytest.raises(BrokenPipeError):
            await wire.send(b"c")

    played(scene, Delivery(fin=True))


def test_what_comes_in_order_is_read_once_and_acknowledged() -> None:
    async def scene(wire: PacketWire, kernel: Kernel) -> None:
        await shaken(wire, kernel)
        await kernel.say("PA", 1001, 0, b"220 mx\r\n")
        assert (await kernel.next()).ack == 1009
        await kernel.say("PA", 1001, 0, b"220 mx\r\n")
        assert (await kernel.next()).ack == 1009
        await kernel.say("FPA", 1009, 0, b"bye")
        assert (await kernel.next()).ack == 1013
        assert [await wire.receive() for _ in range(3)] == [b"220 mx\r\n", b"bye", b""]
        wire.close()
        assert str((await kernel.next()).flags) == "FA"

    played(scene)


def test_a_reset_is_an_error_to_the_reader() -> None:
    async def scene(wire: PacketWire, kernel: Kernel) -> None:
        await shaken(wire, kernel)
        await kernel.say("R", 1001)
        with pytest.raises(ConnectionResetError):
            await wire.receive()
        with pytest.raises(BrokenPipeError):
            await wire.send(b"x")

    played(scene)


def test_a_refused_handshake_is_an_error() -> None:
    async def scene(wire: PacketWire, kernel: Kernel) -> None:
        connecting = asyncio.create_task(wire.connect())
        await kernel.next()
        await kernel.say("RA", 0)
        with pytest.raises(ConnectionRefusedError):
            await connecting

    played(scene)


def test_letting_go_of_an_open_connection_is_a_reset() -> None:
    async def scene(wire: PacketWire, kernel: Kernel) -> None:
        await shaken(wire, kernel)
        wire.close()
        wire.close()
        assert str((await kernel.next()).flags) == "RA"

    played(scene)


def test_a_closed_window_opens_after_its_time() -> None:
    async def scene(wire: PacketWire, kernel: Kernel) -> None:
        connecting = asyncio.create_task(wire.connect())
        syn = await kernel.next()
        assert syn.window == 0
        await kernel.say("SA", 1000, syn.seq + 1)
        assert (await kernel.next()).window == 0
        await connecting
        await kernel.say("PA", 1001, 0, b"x")
        probe = await kernel.next()
        assert (probe.window, probe.ack) == (0, 1001)
        opened = await kernel.next()
        assert (opened.window, opened.ack) == (65535, 1001)
        await kernel.say("PA", 1001, 0, b"x")
        assert await wire.receive() == b"x"

    played(scene, Delivery(closed_for=0.2))


def test_half_open_handshakes_come_from_other_ports() -> None:
    async def scene(wire: PacketWire, kernel: Kernel) -> None:
        connecting = asyncio.create_task(wire.connect())
        ports = set()
        for _ in range(4):
            syn = await kernel.next()
            assert str(syn.flags) == "S"
            ports.add(syn.sport)
        assert len(ports) == 4
        await kernel.say("SA", 1000, syn.seq + 1)
        assert (await connecting).port == syn.sport

    played(scene, Delivery(half_open=3))
