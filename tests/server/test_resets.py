"""How connections end, over real sockets and on every event loop: each end told apart, counted, and no reply lost."""

import asyncio
import socket
import ssl
import struct
from collections.abc import Callable, Coroutine
from contextlib import ExitStack
from importlib.util import find_spec
from typing import Any

import pytest

from proxyspec_server.connection import Connection, Entrance
from proxyspec_server.ending import Ending
from proxyspec_server.proxy import Endpoint
from proxyspec_server.trust import TrustList
from tests.server.test_shell import BANNER, L4, PATIENCE, TRUSTED, Rig, everything, reset, running
from tests.server.tls_client import TlsClient, lenient_context

Play = Callable[[Coroutine[Any, Any, None]], None]
NOW = struct.pack("ii", 1, 0)
"""SO_LINGER: close with an RST."""


def _stock() -> asyncio.AbstractEventLoop:
    return asyncio.new_event_loop()


def _uvloop() -> asyncio.AbstractEventLoop:
    import uvloop

    loop: asyncio.AbstractEventLoop = uvloop.new_event_loop()
    return loop


LOOPS = [_stock, *([_uvloop] if find_spec("uvloop") else [])]


@pytest.fixture(params=LOOPS, ids=lambda loop: loop.__name__.strip("_"))
def play(request: pytest.FixtureRequest) -> Play:
    def run(scenario: Coroutine[Any, Any, None]) -> None:
        with asyncio.Runner(loop_factory=request.param) as runner:
            runner.run(asyncio.wait_for(scenario, 60))

    return run


async def until(condition: Callable[[], bool]) -> None:
    """Let the loop run until something is so."""
    async with asyncio.timeout(PATIENCE):
        while not condition():  # noqa: ASYNC110  (what is waited for has no event, and the loop has to run)
            await asyncio.sleep(0)


SESSION = L4 + b"EHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<b@example.com>\r\nDATA\r\n"


@pytest.mark.parametrize(
    ("sent", "last", "fin", "rst"),
    [
        (b"", b"", "fin-before-header", "rst-before-header"),
        (L4[:20], b"", "fin-within-header", "rst-within-header"),
        (L4, BANNER, "fin-after-header", "rst-after-header"),
        (L4 + b"HELO x\r\n", b"[192.0.2.1]\r\n", "fin-mid-session", "rst-mid-session"),
        (SESSION, b"354 End data with <CR><LF>.<CR><LF>\r\n", "fin-mid-session", "rst-mid-session"),
        (SESSION + b"half a line", b"354 End data with <CR><LF>.<CR><LF>\r\n", "fin-mid-session", "rst-mid-session"),
        (b"X", b"invalid PROXY header\r\n", "header-malformed", "header-malformed"),
        (L4 + b"QUIT\r\n", b"closing connection\r\n", "quit", "quit"),
    ],
)
@pytest.mark.parametrize("how", ["fin", "rst"])
def test_at_every_state(play: Play, sent: bytes, last: bytes, fin: str, rst: str, how: str) -> None:
    async def scenario() -> None:
        async with running() as rig:
            reader, writer = await rig.connect()
            writer.write(sent)
            said = b""
            while not said.endswith(last):
                said += await asyncio.wait_for(reader.read(4096), PATIENCE)
            await until(lambda: rig.server.snapshot().traffic.bytes_in == len(sent))
            await rig.feed.event("connected")
            if how == "rst":
                reset(writer)
            else:
                writer.close()
            expected = rst if how == "rst" else fin
            assert await rig.feed.ending() == expected
            snapshot = rig.server.snapshot()
            assert snapshot.endings[Ending(expected)] == 1 == sum(snapshot.endings.values())
            assert (snapshot.accepted, snapshot.current, snapshot.faults) == (1, 0, 0)
            assert snapshot.traffic.bytes_in == len(sent)

    play(scenario())


@pytest.mark.parametrize("how", ["fin", "rst"])
@pytest.mark.parametrize("done", [False, True])
@pytest.mark.parametrize("entrance", list(Entrance))
def test_around_a_handshake(play: Play, certificate: ssl.SSLContext, entrance: Entrance, done: bool, how: str) -> None:
    async def scenario() -> None:
        async with running(tls=certificate, entrance=entrance) as rig:
            reader, writer = await rig.connect()
            writer.write(L4)
            if entrance is Entrance.CLEARTEXT:
                writer.write(b"STARTTLS\r\n")
                assert (await reader.readline(), await reader.readline())[0] == BANNER
            client = TlsClient()
            said = b""
            while done and b"250" not in said:
                writer.write(client.take())
                said += client.feed(await asyncio.wait_for(reader.read(65536), PATIENCE))
                if client.object.version() and not said.count(b"HELO"):
                    writer.write(client.encrypt(b"HELO x\r\n"))
                    said += b"HELO"
            if done:
                await rig.feed.event("helo")
            else:
                writer.write(client.take()[:30])
                size = len(L4) + (10 if entrance is Entrance.CLEARTEXT else 0) + 30
                await until(lambda: rig.server.snapshot().traffic.bytes_in == size)
            if how == "rst":
                reset(writer)
            else:
                writer.close()
            assert await rig.feed.ending() == f"{how}-{'mid-session' if done else 'within-handshake'}"
            assert rig.server.snapshot().traffic.handshakes == done
            assert rig.server.faults == 0

    play(scenario())


def test_while_replies_pile_up(play: Play) -> None:
    async def scenario() -> None:
        async with running(trust=TrustList()) as rig:
            with socket.socket() as client:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
                client.setblocking(False)
                loop = asyncio.get_running_loop()
                await loop.sock_connect(client, rig.address)
                flood = asyncio.create_task(flooding(loop, client))
                await rig.feed.event("connected")
                (wire,) = rig.server.wires
                await until(lambda: wire._unsent != b"")
                flood.cancel()
                await asyncio.gather(flood, return_exceptions=True)
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NOW)
            assert await rig.feed.ending() == "rst-while-writing"
            assert rig.server.faults == 0

    async def flooding(loop: asyncio.AbstractEventLoop, client: socket.socket) -> None:
        while True:
            await loop.sock_sendall(client, b"HELP\r\n" * 1000)

    play(scenario())


@pytest.mark.parametrize("host", ["127.0.0.1", "::1"])
def test_before_the_server_has_looked(play: Play, host: str) -> None:
    async def scenario() -> None:
        async with running(host=host) as rig:
            # Nothing else runs meanwhile, so the server accepts a connection that is reset already.
            with socket.create_connection(rig.address) as client:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NOW)
                name = Endpoint(*client.getsockname()[:2])
            assert await rig.feed.ending() == "rst-before-header"
            # The peer still has its name: it comes with the connection, and getpeername() would not know it any more.
            assert rig.feed.entries[0]["peer"] == str(name)
            assert rig.server.snapshot().endings[Ending.RST_BEFORE_HEADER] == 1
            assert rig.server.faults == 0

    play(scenario())


CROWD = 200


@pytest.mark.parametrize("trusted", [True, False])
def test_no_reset_of_ours_destroys_a_421(play: Play, trusted: bool) -> None:
    """Each client has sent far more than the server wants to read, and reads only once everything is over."""
    junk = b"NOOP\r\n" * 20_000

    def crowd(rig: Rig) -> list[bytes]:
        with ExitStack() as stack:
            clients = [stack.enter_context(socket.create_connection(rig.address)) for _ in range(CROWD)]
            for client in clients:
                client.setblocking(False)
                client.send((b"X" if trusted else L4) + junk)
            for client in clients:
                client.settimeout(PATIENCE)
                with client.dup() as other:
                    # More for a server that has said its last word.
                    other.sendall(b"NOOP\r\n")
            return [b"".join(iter(lambda client=client: client.recv(65536), b"")) for client in clients]  # type: ignore[misc]

    async def scenario() -> None:
        async with running(trust=TRUSTED if trusted else TrustList()) as rig:
            replies = await asyncio.to_thread(crowd, rig)
            last = (
                b"421 4.3.2 mx.test invalid PROXY header" if trusted else b"421 4.7.0 PROXY not allowed from 127.0.0.1"
            )
            assert [reply.splitlines()[-1] for reply in replies] == [last] * CROWD
            await rig.feed.ended(CROWD)
            ending = Ending.HEADER_MALFORMED if trusted else Ending.REFUSED
            assert rig.server.snapshot().endings[ending] == CROWD

    play(scenario())


def test_the_deadline_of_a_handshake(play: Play, certificate: ssl.SSLContext) -> None:
    async def scenario() -> None:
        async with running(tls=certificate, entrance=Entrance.TLS, tls_timeout=0.3) as rig:
            reader, writer = await rig.connect()
            writer.write(L4 + TlsClient().take()[:100])
            assert await everything(reader) == b""
            writer.close()
            (entry,) = await rig.feed.ended()
            assert entry["ending"] == "tls-deadline"
            assert entry["duration"] >= 0.3

    play(scenario())


@pytest.mark.parametrize("entrance", list(Entrance))
def test_a_whole_session_in_tls(play: Play, certificate: ssl.SSLContext, entrance: Entrance) -> None:
    async def scenario() -> None:
        messages: list[Any] = []
        async with running(tls=certificate, entrance=entrance, deliver=messages.append) as rig:
            reader, writer = await rig.connect()
            writer.write(L4)
            if entrance is Entrance.CLEARTEXT:
                assert await reader.readline() == BANNER
                writer.write(b"EHLO x\r\nSTARTTLS\r\n")
                while not (await reader.readline()).startswith(b"220 2.0.0"):
                    pass
            await writer.start_tls(lenient_context(), server_hostname="mx.test")
            text = b"".join(b"%06d %s\r\n" % (number, b"x" * 60) for number in range(20_000))
            writer.write(b"EHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<b@example.com>\r\nDATA\r\n" + text + b".\r\nQUIT\r\n")
            assert (await everything(reader)).endswith(b"221 2.0.0 mx.test closing connection\r\n")
            writer.close()
            assert b"".join(messages[0].chunks[1:]) == text
            assert await rig.feed.ending() == "quit"
            tls = await rig.feed.event("tls")
            assert tls["version"].startswith("TLSv1.")
            assert tls["client"] == "192.0.2.1:1111"

    play(scenario())


def test_a_slow_reader_inside_tls_is_bounded_and_cut(play: Play, certificate: ssl.SSLContext) -> None:
    async def scenario() -> None:
        trust = TrustList()
        async with running(trust=trust, tls=certificate, entrance=Entrance.TLS, write_timeout=0.3) as rig:
            reader, writer = await rig.connect(ssl=lenient_context())
            assert await reader.readline() == BANNER
            writer.transport.pause_reading()  # type: ignore[attr-defined]

            async def flood() -> None:
                while True:
                    writer.write(b"HELP\r\n" * 10_000)
                    await writer.drain()

            task = asyncio.create_task(flood())
            (entry,) = await rig.feed.ended()
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)
            writer.transport.abort()
            assert entry["ending"] == "slow-reader"
            assert entry["bytes_in"] < 50_000_000

    play(scenario())


def test_waiting_connections_are_limited(play: Play) -> None:
    async def scenario() -> None:
        async with running(waiting=2) as rig:
            first, one = await rig.connect()
            _, two = await rig.connect()
            await until(lambda: rig.server.snapshot().waiting == 2)
            third, three = await rig.connect()
            assert await everything(third) == b"421 4.3.2 mx.test too many connections wait for their header\r\n"
            three.close()
            one.write(L4)
            assert await first.readline() == BANNER
            fourth, four = await rig.connect()
            four.write(L4)
            assert await fourth.readline() == BANNER
            assert rig.server.snapshot().waiting == 1
            # Who need not send a header does not wait.
            rig.server.trust(TrustList())
            for _ in range(3):
                reader, writer = await rig.connect()
                assert await reader.readline() == BANNER
                writer.close()
            for writer in (one, two, four):
                writer.close()
            assert rig.server.snapshot().endings[Ending.TOO_MANY_WAITING] == 1

    play(scenario())


def test_connections_of_one_client_are_limited_and_given_back(play: Play) -> None:
    async def scenario() -> None:
        async with running(connections_per_client=1) as rig:
            first, one = await rig.connect()
            one.write(L4)
            assert await first.readline() == BANNER
            for header, said in ((L4, b"421 4.7.0"), (L4.replace(b"192.0.2.1", b"192.0.2.9"), b"220")):
                reader, writer = await rig.connect()
                writer.write(header)
                assert (await reader.readline()).startswith(said)
                reset(writer)
            reset(one)
            await rig.feed.ended(3)
            again, writer = await rig.connect()
            writer.write(L4)
            assert await again.readline() == BANNER
            writer.close()

    play(scenario())


def test_what_is_counted_is_what_happened(play: Play) -> None:
    async def scenario() -> None:
        async with running(header_timeout=0.2) as rig:
            local = b"\r\n\r\n\0\r\nQUIT\n" + bytes.fromhex("20000000")
            message = b"HELO x\r\nMAIL FROM:<>\r\nRCPT TO:<b@example.com>\r\nDATA\r\nx\r\n.\r\n"
            sent = [L4 + message + b"QUIT\r\n", local + b"QUIT\r\n", b"X", b""]
            received = []
            for data in sent:
                reader, writer = await rig.connect()
                writer.write(data)
                received.append(await everything(reader))
                writer.close()
            await rig.feed.ended(len(sent))
            found: Any = rig.server.snapshot().as_json()
            assert found["connections"] == {"accepted": 4, "refused": 1, "current": 0, "waiting": 0}
            assert {name: count for name, count in found["endings"].items() if count} == {
                "quit": 2,
                "header-malformed": 1,
                "header-deadline": 1,
            }
            assert found["headers"] == {"v1": {"LOCAL": 0, "PROXY": 1}, "v2": {"LOCAL": 1, "PROXY": 0}}
            assert found["messages"]["accepted"] == 1
            assert found["bytes"] == {"in": sum(map(len, sent)), "out": sum(map(len, received))}
            assert found["header_deadlines"]["count"] == 1
            assert 0 <= found["header_deadlines"]["lateness_max"] < 5

    play(scenario())


def test_faulty_cores_are_counted_as_faults(play: Play) -> None:
    class Faulty(Connection):
        __slots__ = ()

        def plaintext(self, data: bytes) -> Any:
            raise RuntimeError("boom")

    async def scenario() -> None:
        async with running(connection_type=Faulty) as rig:
            _, writer = await rig.connect()
            writer.write(L4)
            assert await rig.feed.ending() == "fault"
            snapshot = rig.server.snapshot()
            assert (snapshot.endings[Ending.FAULT], snapshot.faults) == (1, 1)
            writer.close()

    play(scenario())
