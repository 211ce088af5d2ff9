"""The shell over real sockets on the loopback interface, with short deadlines."""

import asyncio
import io
import json
import socket
import ssl
import struct
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from time import monotonic
from typing import Any

import pytest

from proxyspec_server.command import bind
from proxyspec_server.connection import Action, Connection, Entrance, Service
from proxyspec_server.journal import Journal
from proxyspec_server.message import Message
from proxyspec_server.profile import STRICT, Limits
from proxyspec_server.proxy import Endpoint
from proxyspec_server.shell import Server
from proxyspec_server.trust import TrustList

L4 = b"PROXY TCP4 192.0.2.1 192.0.2.2 1111 25\r\n"
BANNER = b"220 mx.test ESMTP proxyspec\r\n"
TRUSTED = TrustList.parse("127.0.0.1\n::1", "test")
PATIENCE = 20.0

Entry = dict[str, Any]


class Feed(io.BytesIO):
    """A log that can be waited on."""

    def __init__(self) -> None:
        super().__init__()
        self.entries: list[Entry] = []
        self._news = asyncio.Event()

    def write(self, line: Any) -> int:
        self.entries.append(json.loads(line))
        self._news.set()
        return len(line)

    async def ended(self, count: int = 1) -> list[Entry]:
        """The `closed` entries, once there are that many."""
        while True:
            found = [entry for entry in self.entries if entry["event"] == "closed"]
            if len(found) >= count:
                return found
            self._news.clear()
            await asyncio.wait_for(self._news.wait(), PATIENCE)

    async def event(self, name: str) -> Entry:
        """The first entry of this kind, once there is one."""
        while True:
            for entry in self.entries:
                if entry["event"] == name:
                    return entry
            self._news.clear()
            await asyncio.wait_for(self._news.wait(), PATIENCE)

    async def ending(self) -> str:
        (entry,) = await self.ended()
        return str(entry["ending"])


@dataclass
class Rig:
    server: Server
    feed: Feed
    address: tuple[str, int]

    async def connect(self, **options: Any) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection(*self.address, **options)


@asynccontextmanager
async def running(
    trust: TrustList = TRUSTED,
    connection_type: type[Connection] = Connection,
    host: str = "127.0.0.1",
    deliver: Callable[[Message], None] | None = None,
    tls: ssl.SSLContext | None = None,
    entrance: Entrance = Entrance.CLEARTEXT,
    **limits: float,
) -> AsyncIterator[Rig]:
    feed = Feed()
    service = Service(
        name="mx.test",
        trust=trust,
        tls=tls,
        profile=replace(STRICT, limits=replace(Limits(linger=1.0), **limits)),  # type: ignore[arg-type]
        **({"deliver": deliver} if deliver else {}),  # type: ignore[arg-type]
    )
    server = Server(service, Journal(feed), connection_type)
    bound = bind(Endpoint(host, 0))
    await server.listen([bound], entrance)
    try:
        yield Rig(server, feed, bound.getsockname()[:2])
    finally:
        await server.stop()


def play(scenario: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(scenario, 60))


async def everything(reader: asyncio.StreamReader) -> bytes:
    return await asyncio.wait_for(reader.read(-1), PATIENCE)


def reset(writer: asyncio.StreamWriter) -> None:
    """Close with an RST."""
    raw = writer.get_extra_info("socket")
    raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    writer.transport.abort()


def test_silence_is_answered_at_the_deadline_and_not_before() -> None:
    async def scenario() -> None:
        async with running(header_timeout=0.3) as rig:
            start = monotonic()
            reader, writer = await rig.connect()
            assert await everything(reader) == b"421 4.4.2 mx.test PROXY timed out\r\n"
            assert 0.3 <= monotonic() - start < 3
            writer.close()
            (entry,) = await rig.feed.ended()
            assert entry["ending"] == "header-deadline"
            assert (entry["bytes_in"], entry["bytes_out"]) == (0, 35)
            assert entry["duration"] >= 0.3

    play(scenario())


def test_dripping_bytes_do_not_move_the_deadline() -> None:
    async def scenario() -> None:
        async with running(header_timeout=0.3) as rig:
            start = monotonic()
            reader, writer = await rig.connect()
            reply = asyncio.create_task(everything(reader))
            for at in range(len(L4)):
                if reply.done():
                    break
                writer.write(L4[at : at + 1])
                await asyncio.wait([reply], timeout=0.05)
            assert await reply == b"421 4.4.2 mx.test PROXY timed out\r\n"
            assert 0.3 <= monotonic() - start < len(L4) * 0.05
            writer.close()

    play(scenario())


def test_the_deadline_ends_with_the_header() -> None:
    async def scenario() -> None:
        async with running(header_timeout=0.1) as rig:
            reader, writer = await rig.connect()
            writer.write(L4)
            assert await reader.readline() == BANNER
            silent, other = await rig.connect()
            # Once a later connection has met its deadline, the first one's has long passed.
            assert (await everything(silent)).startswith(b"421 4.4.2")
            writer.write(b"QUIT\r\n")
            assert await everything(reader) == b"221 2.0.0 mx.test closing connection\r\n"
            writer.close()
            other.close()

    play(scenario())


@pytest.mark.parametrize("first", [b"X", L4 + b"QUIT\r\n"])
def test_unread_input_does_not_destroy_the_last_reply(first: bytes) -> None:
    async def one(rig: Rig) -> bytes:
        reader, writer = await rig.connect()
        writer.write(first + b"NOOP\r\n" * 50_000)
        reply = await everything(reader)
        writer.write(b"more\r\n")
        writer.close()
        return reply

    async def scenario() -> None:
        async with running() as rig:
            replies = await asyncio.gather(*(one(rig) for _ in range(20)))
            last = (
                b"421 4.3.2 mx.test invalid PROXY header" if first == b"X" else b"221 2.0.0 mx.test closing connection"
            )
            assert {reply.splitlines()[-1] for reply in replies} == {last}
            assert all(entry["bytes_in"] >= len(first) for entry in await rig.feed.ended(20))

    play(scenario())


def test_a_peer_that_keeps_the_connection_after_our_fin_is_cut() -> None:
    async def scenario() -> None:
        async with running(linger=0.2) as rig:
            reader, writer = await rig.connect()
            writer.write(b"X")
            assert (await everything(reader)).startswith(b"421 4.3.2")
            assert await rig.feed.ending() == "header-malformed"
            writer.close()

    play(scenario())


def test_half_close_still_gets_its_replies() -> None:
    async def scenario() -> None:
        async with running() as rig:
            reader, writer = await rig.connect()
            writer.write(L4 + b"HELO x\r\n")
            writer.write_eof()
            assert await everything(reader) == BANNER + b"250 mx.test Hello x [192.0.2.1]\r\n"
            assert await rig.feed.ending() == "fin-mid-session"
            writer.close()

    play(scenario())


@pytest.mark.parametrize(
    ("sent", "said", "fin", "rst"),
    [
        (b"", b"", "fin-before-header", "rst-before-header"),
        (L4[:20], b"", "fin-within-header", "rst-within-header"),
        (L4, BANNER, "fin-after-header", "rst-after-header"),
        (L4 + b"HELO x\r\n", BANNER + b"250 mx.test Hello x [192.0.2.1]\r\n", "fin-mid-session", "rst-mid-session"),
    ],
)
@pytest.mark.parametrize("how", ["fin", "rst"])
def test_how_a_peer_leaves_is_told_apart(sent: bytes, said: bytes, fin: str, rst: str, how: str) -> None:
    async def scenario() -> None:
        received = asyncio.Event()

        class Watched(Connection):
            __slots__ = ("_seen",)

            def connected(self) -> list[Action]:
                self._seen = 0
                if not sent:
                    received.set()
                return super().connected()

            def received(self, data: bytes) -> list[Action]:
                self._seen += len(data)
                if self._seen == len(sent):
                    received.set()
                return super().received(data)

        async with running(connection_type=Watched) as rig:
            reader, writer = await rig.connect()
            writer.write(sent)
            await asyncio.wait_for(received.wait(), PATIENCE)
            # What is left unread would turn the FIN into an RST.
            assert await asyncio.wait_for(reader.readexactly(len(said)), PATIENCE) == said
            if how == "rst":
                reset(writer)
            else:
                writer.close()
            assert await rig.feed.ending() == (rst if how == "rst" else fin)
            assert rig.server.faults == 0

    play(scenario())


def test_a_peer_that_has_gone_before_the_banner() -> None:
    async def scenario() -> None:
        async with running(trust=TrustList()) as rig:
            # Within this block the loop does not run, so the server accepts a connection that is reset already.
            with socket.create_connection(rig.address) as client:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            assert await rig.feed.ending() == "rst-while-writing"
            assert rig.server.faults == 0

    play(scenario())


def test_a_peer_that_does_not_read_is_bounded_and_cut() -> None:
    async def scenario() -> None:
        async with running(trust=TrustList(), write_timeout=0.3) as rig:
            with socket.create_connection(rig.address) as client:
                client.setblocking(False)
                loop = asyncio.get_running_loop()

                async def flood() -> None:
                    while True:
                        await loop.sock_sendall(client, b"HELP\r\n" * 10_000)

                task = asyncio.create_task(flood())
                (entry,) = await rig.feed.ended()
                task.cancel()
                await asyncio.gather(task, return_exceptions=True)
            assert entry["ending"] == "slow-reader"
            assert entry["bytes_in"] < 50_000_000

    play(scenario())


def test_a_slow_reader_that_reads_in_time_loses_nothing() -> None:
    async def scenario() -> None:
        async with running(trust=TrustList()) as rig:
            reader, writer = await rig.connect(limit=1024)
            count = 60_000
            writer.write(b"NOOP\r\n" * count + b"QUIT\r\n")
            replies = (await everything(reader)).splitlines()
            assert len(replies) == count + 2
            assert set(replies[1:-1]) == {b"250 2.0.0 OK"}
            writer.close()
            assert await rig.feed.ending() == "quit"

    play(scenario())


def test_idle() -> None:
    async def scenario() -> None:
        async with running(trust=TrustList(), idle_timeout=0.2) as rig:
            reader, writer = await rig.connect()
            assert await everything(reader) == BANNER + b"421 4.4.2 mx.test idle for too long\r\n"
            writer.close()
            assert await rig.feed.ending() == "idle"

    play(scenario())


def test_stopping_tells_everybody() -> None:
    async def scenario() -> None:
        async with running() as rig:
            waiting, first = await rig.connect()
            session, second = await rig.connect()
            second.write(L4)
            assert await session.readline() == BANNER
            stopping = asyncio.create_task(rig.server.stop())
            for reader, writer in ((waiting, first), (session, second)):
                assert await everything(reader) == b"421 4.3.2 mx.test shutting down\r\n"
                writer.close()
            await asyncio.wait_for(stopping, PATIENCE)
            assert {entry["ending"] for entry in await rig.feed.ended(2)} == {"shutdown"}
            assert not rig.server.wires
            with pytest.raises(ConnectionRefusedError):
                await rig.connect()

    play(scenario())


def test_stopping_does_not_wait_for_ever() -> None:
    async def scenario() -> None:
        async with running(linger=0.2) as rig:
            _, writer = await rig.connect()
            writer.write(L4 + b"NOOP\r\n")
            start = monotonic()
            await rig.server.stop()
            assert monotonic() - start < 5
            assert not rig.server.wires
            writer.close()

    play(scenario())


def test_connections_are_limited() -> None:
    async def scenario() -> None:
        async with running(trust=TrustList(), connections=1) as rig:
            first, one = await rig.connect()
            assert await first.readline() == BANNER
            second, two = await rig.connect()
            assert await everything(second) == b"421 4.3.2 mx.test too many connections\r\n"
            two.close()
            await rig.feed.ended()
            one.write(b"QUIT\r\n")
            assert (await everything(first)).startswith(b"221")
            one.close()
            await rig.feed.ended(2)
            third, three = await rig.connect()
            assert await third.readline() == BANNER
            three.close()

    play(scenario())


def test_trust_can_change_while_running() -> None:
    async def scenario() -> None:
        async with running(trust=TrustList()) as rig:
            reader, writer = await rig.connect()
            assert await reader.readline() == BANNER
            rig.server.trust(TRUSTED)
            trusted, other = await rig.connect()
            other.write(L4 + b"HELO x\r\nQUIT\r\n")
            assert (await everything(trusted)).startswith(BANNER + b"250 mx.test Hello x [192.0.2.1]")
            writer.write(b"HELO x\r\n")
            assert await reader.readline() == b"250 mx.test Hello x [127.0.0.1]\r\n"
            writer.close()
            other.close()

    play(scenario())


def test_ipv6() -> None:
    async def scenario() -> None:
        async with running(trust=TrustList(), host="::1") as rig:
            reader, writer = await rig.connect()
            writer.write(b"HELO x\r\nQUIT\r\n")
            assert b"250 mx.test Hello x [::1]\r\n" in await everything(reader)
            writer.close()
            (entry,) = await rig.feed.ended()
            assert entry["peer"].startswith("[::1]:")

    play(scenario())


def test_a_large_message_arrives_whole() -> None:
    async def scenario() -> None:
        messages: list[Message] = []
        async with running(deliver=messages.append) as rig:
            reader, writer = await rig.connect()
            text = b"".join(b"%06d %s\r\n" % (number, b"x" * 60) for number in range(30_000))
            writer.write(
                L4 + b"EHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<b@example.com>\r\nDATA\r\n" + text + b".\r\nQUIT\r\n"
            )
            replies = await everything(reader)
            assert b"\r\n250 2.0.0 OK queued as " in replies
            assert b"".join(messages[0].chunks[1:]) == text
            writer.close()

    play(scenario())


def test_a_fault_of_ours_costs_one_connection() -> None:
    class Faulty(Connection):
        __slots__ = ()

        def received(self, data: bytes) -> list[Action]:
            if data == b"boom\r\n":
                raise RuntimeError("boom")
            return super().received(data)

    async def scenario() -> None:
        async with running(trust=TrustList(), connection_type=Faulty) as rig:
            reader, writer = await rig.connect()
            other, second = await rig.connect()
            assert await reader.readline() == BANNER
            writer.write(b"boom\r\n")
            assert await rig.feed.ending() == "fault"
            assert rig.server.faults == 1
            assert [entry["reason"] for entry in rig.feed.entries if entry["event"] == "fault"] == [
                "a connection met a fault of ours: RuntimeError('boom')"
            ]
            second.write(b"QUIT\r\n")
            assert (await everything(other)).startswith(BANNER + b"221")
            writer.close()
            second.close()

    play(scenario())


def test_the_log_of_a_proxied_session() -> None:
    async def scenario() -> None:
        async with running() as rig:
            reader, writer = await rig.connect()
            writer.write(L4 + b"EHLO a\x1b[2J\r\nMAIL FROM:<>\r\nRCPT TO:<b@example.com>\r\nDATA\r\nx\r\n.\r\nQUIT\r\n")
            await everything(reader)
            writer.close()
            await rig.feed.ended()
            events = [entry["event"] for entry in rig.feed.entries]
            assert events == ["connected", "header", "greeted", "helo", "message", "closed"]
            peer = "{}:{}".format(*writer.get_extra_info("sockname"))
            assert all(entry["peer"] == peer for entry in rig.feed.entries)
            assert len({entry["connection"] for entry in rig.feed.entries}) == 1
            assert [entry["client"] for entry in rig.feed.entries] == [peer] + ["192.0.2.1:1111"] * 5
            assert [entry["proxy"] for entry in rig.feed.entries] == [None] + [peer] * 5
            assert rig.feed.entries[1]["destination"] == "192.0.2.2:25"
            assert rig.feed.entries[3]["name"] == r"a\x1b[2J".replace("\\", "\\\\")
            assert rig.feed.entries[4]["recipients"] == ["b@example.com"]
            assert rig.feed.entries[5]["ending"] == "quit"

    play(scenario())
