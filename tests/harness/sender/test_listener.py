"""The listener against scripted senders: what it observes, what it says, what it bounds."""

from __future__ import annotations

import asyncio
import socket

import pytest

from proxyspec.errors import UsageError
from proxyspec.layers.authoring import local, v1, v2
from proxyspec.model import Ending, Verdict
from proxyspec.sender import rules
from proxyspec.sender.arrival import Arrival
from proxyspec.sender.expectation import Expectation, Facts, Place, Role
from proxyspec.sender.judge import Judged, judge
from proxyspec.sender.listener import Limits, bind, receiving
from tests.harness.sender.scripted import RESET, Heard, hear, send

SESSION = b"EHLO x\r\nQUIT\r\n"
UNTOLD = Expectation(version=None, role=Role.UNTOLD, src=Place.ANY, dst=Place.ANY, exact=False)
HASTY = Limits(patience=0.05)


def judged(heard: Heard) -> Judged:
    return judge(heard.arrival, UNTOLD, Facts())


def told(found: Judged) -> list[str]:
    return [finding.rule.id for finding in found.findings]


@pytest.mark.parametrize("header", [v1(), v2(), local()])
def test_a_whole_header_and_a_session(header: bytes) -> None:
    heard = hear(header, SESSION)
    assert heard.arrival.data == header + SESSION
    assert heard.arrival.peer == heard.own
    assert heard.arrival.looks[0].data == header
    assert heard.arrival.looks[0].segments == 1
    assert heard.arrival.gave_up is None
    assert [line[:4] for line in heard.replies.splitlines()] == [b"220 ", b"250-", b"250-", b"250 ", b"221 "]
    assert judged(heard).verdict is Verdict.PASS


@pytest.mark.parametrize("cut", [1, 8, 16, 27])
def test_a_split_header_is_noticed_whether_or_not_the_pieces_were_seen_apart(cut: int) -> None:
    found = judged(hear(v2()[:cut], v2()[cut:], SESSION))
    assert (found.verdict, told(found)) == (Verdict.FAIL, [rules.WHOLE.id])


def test_a_header_with_its_payload_in_one_segment() -> None:
    heard = hear(v2() + SESSION)
    assert (len(heard.arrival.looks), heard.arrival.looks[0].segments) == (1, 1)
    assert judged(heard).verdict is Verdict.PASS


@pytest.mark.parametrize(
    ("script", "rule"),
    [
        ((v2(), v2(), SESSION), rules.ONCE),
        ((v1() + v1(), SESSION), rules.ONCE),
        ((b"NOOP\r\n" + v1(), SESSION), rules.FIRST),
        ((SESSION,), rules.HEADER),
        ((v2()[:20],), rules.HEADER),
        ((v1(sport="01"), SESSION), rules.V1_LINE),
    ],
)
def test_faults_over_a_socket(script: tuple[bytes, ...], rule: rules.Rule) -> None:
    found = judged(hear(*script, limits=HASTY))
    assert (found.verdict, told(found)) == (Verdict.FAIL, [rule.id])


def test_a_sender_without_a_header_is_greeted_and_found_out() -> None:
    heard = hear(SESSION)
    assert heard.replies.startswith(b"220 ")
    assert judged(heard).findings[0].rule is rules.HEADER


def test_silence_is_greeted_in_the_end() -> None:
    async def run() -> tuple[Arrival, bytes]:
        heard: asyncio.Future[Arrival] = asyncio.get_running_loop().create_future()
        server = bind("127.0.0.1", 0)
        async with asyncio.timeout(30), receiving(server, heard.set_result, HASTY):
            reader, writer = await asyncio.open_connection(*server.getsockname())
            greeting = await reader.readline()
            writer.write(b"QUIT\r\n")
            await reader.read()
            writer.close()
            return await heard, greeting

    arrival, greeting = asyncio.run(run())
    assert greeting.startswith(b"220 ")
    assert arrival.gave_up is not None
    assert arrival.gave_up >= HASTY.patience
    assert told(judge(arrival, UNTOLD, Facts())) == [rules.HEADER.id]


def test_a_reset_behind_the_header_keeps_the_header() -> None:
    heard = hear(local(), RESET)
    assert (heard.arrival.data, heard.arrival.ending, heard.arrival.peer) == (local(), Ending.RST, heard.own)
    assert judged(heard).verdict is Verdict.PASS


def test_a_reset_before_a_byte_proves_nothing() -> None:
    assert judged(hear(RESET)).verdict is Verdict.INFO


def test_what_is_kept_of_a_connection_is_bounded() -> None:
    heard = hear(v2(), b"NOOP\r\n" * 1000, SESSION, limits=Limits(most_bytes=100))
    assert len(heard.arrival.data) == 100
    assert heard.arrival.dropped == len(v2()) + 6000 + len(SESSION) - 100
    assert heard.replies.count(b"250 2.0.0 done") == 1000


def test_a_connection_that_stays_is_ended() -> None:
    heard = hear(v2(), b"EHLO x\r\n", limits=Limits(longest=0.1))
    assert heard.arrival.data == v2() + b"EHLO x\r\n"


def test_connections_that_are_open_at_the_end_are_told_then() -> None:
    told: list[Arrival] = []

    async def run() -> None:
        server = bind("127.0.0.1", 0)
        async with asyncio.timeout(30), receiving(server, told.append):
            reader, writer = await asyncio.open_connection(*server.getsockname())
            writer.write(v2())
            await reader.readline()
            assert told == []
        writer.transport.abort()

    asyncio.run(run())
    assert [(arrival.data, arrival.ending) for arrival in told] == [(v2(), Ending.OPEN)]


def test_who_is_not_admitted_is_closed_and_not_told() -> None:
    told: list[Arrival] = []

    async def run() -> bytes:
        server = bind("127.0.0.1", 0)
        async with asyncio.timeout(30), receiving(server, told.append, admits=lambda peer: peer.port == 0):
            reader, writer = await asyncio.open_connection(*server.getsockname())
            said = await reader.read()
            writer.close()
            return said

    assert asyncio.run(run()) == b""
    assert told == []


def test_many_at_once() -> None:
    told: list[Arrival] = []

    async def run() -> None:
        server = bind("127.0.0.1", 0)
        port = server.getsockname()[1]
        async with asyncio.timeout(30), receiving(server, told.append, Limits(parallel=3)):
            replies = await asyncio.gather(*(send(port, [v2(), SESSION]) for _ in range(20)))
        assert all(said.startswith(b"220 ") for said, _ in replies)

    asyncio.run(run())
    assert len(told) == 20


def test_an_address_in_use_is_the_users_affair() -> None:
    with bind("127.0.0.1", 0) as server, pytest.raises(UsageError, match="--listen") as refused:
        bind("127.0.0.1", server.getsockname()[1])
    assert str(server) is not None
    assert "127.0.0.1" in str(refused.value)


@pytest.mark.skipif(not socket.has_ipv6, reason="no IPv6 in this Python")
def test_ipv6() -> None:
    async def run() -> Arrival:
        heard: asyncio.Future[Arrival] = asyncio.get_running_loop().create_future()
        server = bind("::1", 0)
        async with asyncio.timeout(30), receiving(server, heard.set_result):
            _, writer = await asyncio.open_connection("::1", server.getsockname()[1])
            writer.write(v2() + SESSION)
            arrival = await heard
            writer.close()
            return arrival

    arrival = asyncio.run(run())
    assert (arrival.here.address, arrival.data) == ("::1", v2() + SESSION)
