"""The connection core with simulated sockets and time: what each input makes it do."""

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxyspec_server.connection import Action, Connection, Finish, Service, State, Wait, Write
from proxyspec_server.deadlines import Timer
from proxyspec_server.ending import Ending
from proxyspec_server.journal import Note, Step
from proxyspec_server.profile import STRICT, Replies
from proxyspec_server.proxy import SIGNATURE, Endpoint
from proxyspec_server.trust import TrustList

PROXY = Endpoint("198.51.100.1", 40000)
STRANGER = Endpoint("203.0.113.5", 50000)
LOCAL = Endpoint("198.51.100.9", 25)
L4 = b"PROXY TCP4 192.0.2.1 192.0.2.2 1111 25\r\n"
V2_TCP4 = SIGNATURE + bytes.fromhex("2111000c c0000201 c0000202 0457 0019")
V2_LOCAL = SIGNATURE + bytes.fromhex("20000000")
BANNER = b"220 mx.test ESMTP proxyspec\r\n"
SERVICE = Service(name="mx.test", trust=TrustList.parse("198.51.100.1", "test"))


def connection(peer: Endpoint = PROXY, service: Service = SERVICE) -> Connection:
    return Connection(service, "c1", peer, LOCAL)


def written(actions: list[Action]) -> bytes:
    return b"".join(action.data for action in actions if isinstance(action, Write))


def steps(actions: list[Action]) -> list[Step]:
    return [action.step for action in actions if isinstance(action, Note)]


def timers(actions: list[Action]) -> list[Timer]:
    return [action.timer for action in actions if isinstance(action, Wait)]


def finishes(actions: list[Action]) -> bool:
    return bool(actions) and isinstance(actions[-1], Finish)


def test_a_trusted_peer_hears_nothing_before_its_header() -> None:
    core = connection()
    actions = core.connected()
    assert written(actions) == b""
    assert timers(actions) == [Timer.HEADER]
    assert core.state is State.AWAIT_HEADER
    assert core.received(L4[:20]) == []
    actions = core.received(L4[20:])
    assert written(actions) == BANNER
    assert timers(actions) == [Timer.IDLE]
    assert steps(actions) == [Step.HEADER, Step.GREETED]
    assert (core.client, core.proxy) == (("192.0.2.1", 1111), PROXY)


def test_header_bytes_do_not_move_the_deadline() -> None:
    core = connection()
    core.connected()
    for at in range(len(L4) - 1):
        assert core.received(L4[at : at + 1]) == []


@pytest.mark.parametrize("header", [L4, V2_TCP4])
def test_header_and_command_in_one_segment(header: bytes) -> None:
    core = connection()
    core.connected()
    actions = core.received(header + b"HELO x\r\nQUIT\r\n")
    assert written(actions) == (BANNER + b"250 mx.test Hello x [192.0.2.1]\r\n221 2.0.0 mx.test closing connection\r\n")
    assert finishes(actions)
    assert core.ending is Ending.QUIT


@pytest.mark.parametrize("header", [b"PROXY UNKNOWN\r\n", b"PROXY UNKNOWN 192.0.2.1 192.0.2.2 1 2\r\n", V2_LOCAL])
def test_without_addresses_the_real_peer_is_used(header: bytes) -> None:
    core = connection()
    core.connected()
    assert written(core.received(header + b"HELO x\r\n")) == BANNER + b"250 mx.test Hello x [198.51.100.1]\r\n"
    assert core.client == PROXY


@pytest.mark.parametrize("first", [L4, V2_TCP4])
@pytest.mark.parametrize(
    "second",
    [
        b"PROXY TCP4 198.51.100.77 192.0.2.2 7777 25\r\n",
        SIGNATURE + bytes.fromhex("2111000c c6336477 c0000202 1e61 0019") + b"\r\n",
    ],
)
def test_a_second_header_is_payload(first: bytes, second: bytes) -> None:
    core = connection()
    core.connected()
    replies = written(core.received(first + second + b"HELO x\r\n")).splitlines()
    assert replies[0] + b"\r\n" == BANNER
    assert all(reply.startswith((b"500 5.5.1", b"503 5.5.1")) for reply in replies[1:-1])
    assert len(replies) > 2
    assert replies[-1] == b"250 mx.test Hello x [192.0.2.1]"


@pytest.mark.parametrize(
    "data",
    [
        b"EHLO x\r\n",
        b"\r\n" + L4,
        b"PROXY TCP4 192.0.2.1 192.0.2.2 1111 65561\r\nNOOP\r\n",
        SIGNATURE + bytes.fromhex("31110000") + b"NOOP\r\n",
    ],
)
def test_a_malformed_header_gets_421_and_no_service(data: bytes) -> None:
    core = connection()
    core.connected()
    actions = core.received(data)
    assert written(actions) == b"421 4.3.2 mx.test invalid PROXY header\r\n"
    assert finishes(actions)
    assert steps(actions) == [Step.REFUSED]
    assert core.ending is Ending.HEADER_MALFORMED
    assert core.received(L4 + b"NOOP\r\n") == []
    assert core.client == PROXY


@pytest.mark.parametrize("ending", [Ending.HEADER_MALFORMED, Ending.HEADER_DEADLINE])
def test_an_empty_reply_means_silence(ending: Ending) -> None:
    profile = replace(STRICT, replies=Replies(header_malformed="", header_timeout=""))
    core = connection(service=replace(SERVICE, profile=profile))
    core.connected()
    actions = core.received(b"X") if ending is Ending.HEADER_MALFORMED else core.header_deadline()
    assert written(actions) == b""
    assert finishes(actions)
    assert core.ending is ending


def test_the_header_deadline() -> None:
    core = connection()
    core.connected()
    core.received(L4[:-1])
    actions = core.header_deadline()
    assert written(actions) == b"421 4.4.2 mx.test PROXY timed out\r\n"
    assert finishes(actions)
    assert core.ending is Ending.HEADER_DEADLINE
    assert core.received(b"\n") == []


def test_a_header_deadline_that_comes_after_the_header_does_nothing() -> None:
    core = connection()
    core.connected()
    core.received(L4)
    assert core.header_deadline() == []
    assert core.ending is None


def test_an_unlisted_peer_is_greeted_at_once() -> None:
    core = connection(STRANGER)
    actions = core.connected()
    assert written(actions) == BANNER
    assert timers(actions) == [Timer.IDLE]
    assert written(core.received(b"HELO x\r\n")) == b"250 mx.test Hello x [203.0.113.5]\r\n"
    assert core.proxy is None


@pytest.mark.parametrize("header", [L4, L4.lower(), V2_TCP4, V2_LOCAL, SIGNATURE])
@pytest.mark.parametrize("segment", [1, 1000])
def test_an_unlisted_peer_with_a_header_is_refused_for_now(header: bytes, segment: int) -> None:
    core = connection(STRANGER)
    core.connected()
    actions = [action for at in range(0, len(header), segment) for action in core.received(header[at : at + segment])]
    assert written(actions).splitlines()[-1] == b"421 4.7.0 PROXY not allowed from 203.0.113.5"
    assert segment == 1 or len(written(actions).splitlines()) == 1
    assert finishes(actions)
    assert core.ending is Ending.REFUSED
    assert Step.REFUSED in steps(actions)
    assert core.client == STRANGER


def test_the_signature_after_a_command_is_no_opening() -> None:
    core = connection(STRANGER)
    core.connected()
    core.received(b"NOOP\r\n")
    core.received(V2_TCP4 + b"\r\n")
    assert core.ending is None


def test_nobody_is_trusted_by_default() -> None:
    core = connection(service=replace(SERVICE, trust=TrustList()))
    assert written(core.connected()) == BANNER


def test_idle_and_shutdown_end_a_session() -> None:
    for provoke, reply, ending in (
        (Connection.idle, b"421 4.4.2 mx.test idle for too long\r\n", Ending.IDLE),
        (Connection.shutdown, b"421 4.3.2 mx.test shutting down\r\n", Ending.SHUTDOWN),
    ):
        core = connection(STRANGER)
        core.connected()
        actions = provoke(core)
        assert written(actions) == reply
        assert finishes(actions)
        assert core.ending is ending
        assert provoke(core) == []


def test_shutdown_reaches_those_who_wait_for_a_header() -> None:
    core = connection()
    core.connected()
    assert written(core.shutdown()) == b"421 4.3.2 mx.test shutting down\r\n"
    assert core.ending is Ending.SHUTDOWN


def test_one_connection_too_many() -> None:
    for peer in (PROXY, STRANGER):
        core = connection(peer)
        actions = core.overloaded()
        assert written(actions) == b"421 4.3.2 mx.test too many connections\r\n"
        assert finishes(actions)
        assert core.ending is Ending.TOO_MANY_CONNECTIONS


STAGES: list[tuple[Endpoint, bytes, Ending, Ending]] = [
    (PROXY, b"", Ending.FIN_BEFORE_HEADER, Ending.RST_BEFORE_HEADER),
    (PROXY, L4[:9], Ending.FIN_WITHIN_HEADER, Ending.RST_WITHIN_HEADER),
    (PROXY, V2_TCP4[:16], Ending.FIN_WITHIN_HEADER, Ending.RST_WITHIN_HEADER),
    (PROXY, L4, Ending.FIN_AFTER_HEADER, Ending.RST_AFTER_HEADER),
    (PROXY, L4 + b"HELO x\r\n", Ending.FIN_MID_SESSION, Ending.RST_MID_SESSION),
    (STRANGER, b"", Ending.FIN_AFTER_BANNER, Ending.RST_AFTER_BANNER),
    (STRANGER, b"HELO x\r\n", Ending.FIN_MID_SESSION, Ending.RST_MID_SESSION),
    (STRANGER, b"QUIT\r\n", Ending.QUIT, Ending.QUIT),
    (PROXY, b"X", Ending.HEADER_MALFORMED, Ending.HEADER_MALFORMED),
]


@pytest.mark.parametrize(("peer", "data", "fin", "rst"), STAGES)
def test_how_far_a_connection_had_come(peer: Endpoint, data: bytes, fin: Ending, rst: Ending) -> None:
    for provoke, ending in ((Connection.eof, fin), (Connection.reset, rst)):
        core = connection(peer)
        core.connected()
        if data:
            core.received(data)
        provoke(core)
        assert core.ending is ending
        assert core.state is State.CLOSED
        assert core.received(b"NOOP\r\n") == []


def test_a_fin_is_answered_with_silence_and_a_fin() -> None:
    core = connection()
    core.connected()
    core.received(L4)
    assert core.eof() == [Finish()]


def test_a_reset_met_while_writing() -> None:
    core = connection(STRANGER)
    core.connected()
    core.reset_while_writing()
    core.reset()
    assert core.ending is Ending.RST_WHILE_WRITING


@given(st.lists(st.binary(max_size=40), max_size=8), st.sampled_from([PROXY, STRANGER]))
def test_random_bytes_never_raise_and_never_reach_a_220_without_a_header(pieces: list[bytes], peer: Endpoint) -> None:
    core = connection(peer)
    actions = core.connected()
    for piece in pieces:
        actions += core.received(piece)
    assert core.header is not None or peer is STRANGER or b"220" not in written(actions)


def test_connections_share_nothing() -> None:
    first, second = connection(), connection()
    for core in (first, second):
        core.connected()
    first.received(L4 + b"HELO first\r\nMAIL FROM:<a@example.com>\r\n")
    assert written(second.received(V2_LOCAL + b"HELO second\r\nRCPT TO:<b@example.com>\r\n")) == (
        BANNER + b"250 mx.test Hello second [198.51.100.1]\r\n503 5.5.1 Say MAIL first\r\n"
    )
