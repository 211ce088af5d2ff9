"""The engine against real sockets of 127.0.0.1, turned by the tests themselves."""

from __future__ import annotations

import contextlib
import select
import socket
import struct
import time
from collections.abc import Iterator

import pytest

from proxyspec.load.dialogue import Dialogue, Drip, Exchange, Hold, Leave, Notice, Say, Script, Step
from proxyspec.load.engine import Endpoint, Engine, Line
from proxyspec.load.options import SessionOptions
from proxyspec.load.scripts import delivery, message

from .fake_smtp import FakeSmtp, Vice, fake_smtp

HEADER = b"PROXY TCP4 192.0.2.1 192.0.2.2 1111 25\r\n"
OPTIONS = SessionOptions(message_size=700)
READY = frozenset({220})
BANNER = Exchange(Step.HEADER_TO_BANNER, b"", READY)
#: Seconds until a test gives up.
LIMIT = 20.0


@pytest.fixture
def engine() -> Iterator[Engine]:
    with contextlib.closing(Engine()) as made:
        yield made


def _turn_until_over(engine: Engine, *lines: Line) -> None:
    limit = time.monotonic() + LIMIT
    while not all(line.over for line in lines):
        assert time.monotonic() < limit, "the engine hangs"
        engine.turn(0.02)
        engine.expire()


def _start(
    engine: Engine, endpoint: Endpoint, script: Script | None = None, hail: bytes = HEADER, patience: float = 5.0
) -> Line:
    return engine.start(endpoint, lambda begun: Dialogue(script or delivery(OPTIONS), hail, begun), patience)


def _play(
    engine: Engine,
    fake: FakeSmtp,
    script: Script | None = None,
    hail: bytes = HEADER,
    patience: float = 5.0,
) -> Line:
    line = _start(engine, Endpoint(fake.host, fake.port), script, hail, patience)
    _turn_until_over(engine, line)
    return line


@contextlib.contextmanager
def _listening() -> Iterator[tuple[socket.socket, Endpoint]]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(LIMIT)
        yield server, Endpoint("127.0.0.1", server.getsockname()[1])


def _accept(server: socket.socket) -> socket.socket:
    connection, _ = server.accept()
    connection.settimeout(LIMIT)
    return connection


@pytest.mark.parametrize("header", [HEADER, b""])
def test_a_session_times_every_step_and_delivers_the_message(engine: Engine, header: bytes) -> None:
    with fake_smtp(header=bool(header)) as fake:
        line = _play(engine, fake, hail=header)
    assert line.failure is None
    taken = dict(zip(line.dialogue.script.steps, line.dialogue.taken, strict=True))
    assert list(taken) == [Step.CONNECT, *(step for step in Step if step in taken and step is not Step.CONNECT)]
    assert all(time > 0 for time in taken.values())
    assert sum(taken.values()) <= line.ended - line.dialogue.begun
    assert fake.headers == ([header] if header else [])
    assert fake.messages == [message(700)[:-3]]
    assert [command.split()[0] for command in fake.commands] == [b"EHLO", b"MAIL", b"RCPT", b"DATA", b"QUIT"]
    assert len(engine) == 0


def test_many_sessions_side_by_side(engine: Engine) -> None:
    with fake_smtp() as fake:
        lines = [_start(engine, Endpoint(fake.host, fake.port)) for _ in range(50)]
        _turn_until_over(engine, *lines)
    assert [line.failure for line in lines] == [None] * 50
    assert len(fake.messages) == 50


def test_many_messages_on_one_connection(engine: Engine) -> None:
    with fake_smtp() as fake:
        line = _play(engine, fake, delivery(SessionOptions(messages=20)))
    assert line.failure is None
    assert (len(fake.headers), len(fake.messages)) == (1, 20)


def test_a_message_larger_than_every_buffer_arrives_whole(engine: Engine) -> None:
    size = 20 * 1024 * 1024
    with fake_smtp() as fake:
        line = _play(engine, fake, delivery(SessionOptions(message_size=size)))
    assert line.failure is None
    assert fake.messages == [message(size)[:-3]]


@pytest.mark.parametrize(
    ("vice", "failure"),
    [
        (Vice.BUSY, "421 at banner"),
        (Vice.CLOSES, "closed at banner"),
        (Vice.RESETS, "reset at banner"),
        (Vice.BABBLES, "no reply line at banner"),
        (Vice.GREETS_AND_LEAVES, "421 at ehlo"),
        (Vice.CLOSES_AT_DATA, "closed at data"),
    ],
)
def test_a_failure_is_classed_by_step_and_reason(engine: Engine, vice: Vice, failure: str) -> None:
    with fake_smtp(vice) as fake:
        line = _play(engine, fake)
    assert str(line.failure) == failure
    assert len(line.dialogue.taken) == line.dialogue.script.steps.index(line.dialogue.step)


def test_a_silent_server_times_out(engine: Engine) -> None:
    with fake_smtp(Vice.SILENT) as fake:
        line = _play(engine, fake, patience=0.2)
    assert str(line.failure) == "timeout at banner"
    assert 0.2e9 <= line.ended - line.dialogue.begun < 5e9


def test_a_step_that_trickles_times_out_all_the_same(engine: Engine) -> None:
    with _listening() as (server, endpoint):
        line = _start(engine, endpoint, patience=0.3)
        with _accept(server) as peer:
            limit = time.monotonic() + LIMIT
            while not line.over:
                assert time.monotonic() < limit
                with contextlib.suppress(OSError):
                    peer.send(b"220-still\r\n")
                engine.turn(0.02)
                engine.expire()
    assert str(line.failure) == "timeout at banner"


def test_nobody_listening_is_refused(engine: Engine) -> None:
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        line = _start(engine, Endpoint("127.0.0.1", bound.getsockname()[1]))
        _turn_until_over(engine, line)
    assert str(line.failure) == "refused at connect"
    assert line.dialogue.taken == []


def test_source_addresses_take_turns(engine: Engine) -> None:
    with _listening() as (server, endpoint):
        named = Endpoint(endpoint.host, endpoint.port, ("127.0.0.9", "127.0.0.10"))
        lines = [_start(engine, named) for _ in range(4)]
        seen = []
        for _ in lines:
            with _accept(server) as peer:
                seen.append(peer.getpeername()[0])
    assert seen == ["127.0.0.9", "127.0.0.10"] * 2


def test_an_address_of_another_machine_is_no_source(engine: Engine) -> None:
    with _listening() as (_, endpoint):
        line = _start(engine, Endpoint(endpoint.host, endpoint.port, ("192.0.2.1",)))
    assert str(line.failure) == "no free port at connect"


def test_without_descriptors_it_says_so(engine: Engine, monkeypatch: pytest.MonkeyPatch) -> None:
    class Exhausted:
        def __init__(self, *_: object) -> None:
            raise OSError(24, "Too many open files")

    monkeypatch.setattr("_socket.socket", Exhausted)
    line = _start(engine, Endpoint("127.0.0.1", 1))
    assert str(line.failure) == "no free descriptor at connect"
    engine.turn()


def test_an_owner_is_woken_once_by_a_turn(engine: Engine) -> None:
    woken = []
    with fake_smtp() as fake:
        line = _start(engine, Endpoint(fake.host, fake.port))
        line.wake = lambda: woken.append(line.over)
        _turn_until_over(engine, line)
        while engine.turn():
            pass
    assert woken == [True]


def test_an_abandoned_line_is_unfinished_and_wakes_nobody(engine: Engine) -> None:
    with _listening() as (server, endpoint):
        line = _start(engine, endpoint)
        line.wake = lambda: pytest.fail("woken")
        engine.abandon(line)
        with _accept(server) as peer:
            peer.recv(4096)
            assert peer.recv(1) == b""
        engine.turn()
    assert str(line.failure) == "unfinished at banner"
    assert len(engine) == 0


def test_a_line_that_ended_stays_as_it_ended(engine: Engine) -> None:
    with fake_smtp() as fake:
        line = _play(engine, fake)
    engine.abandon(line)
    assert line.failure is None


def _end_of(peer: socket.socket) -> str:
    """What the server sees at last: `FIN` or `RST`."""
    try:
        while peer.recv(4096):
            pass
    except ConnectionResetError:
        return "RST"
    return "FIN"


@pytest.mark.parametrize(("abrupt", "end"), [(True, "RST"), (False, "FIN")])
def test_leaving_right_away(engine: Engine, abrupt: bool, end: str) -> None:
    with _listening() as (server, endpoint):
        line = _start(engine, endpoint, Script((Say(), Leave(abrupt=abrupt))), b"")
        assert (line.over, line.failure) == (True, None)
        with _accept(server) as peer:
            assert _end_of(peer) == end


def test_a_reply_left_unread_makes_a_reset_of_our_fin(engine: Engine) -> None:
    with _listening() as (server, endpoint):
        line = _start(engine, endpoint, Script((BANNER, Say(b"EHLO x\r\n"), Notice(Step.EHLO), Leave(abrupt=False))))
        with _accept(server) as peer:
            peer.sendall(b"220 hi\r\n")
            engine.turn(LIMIT)
            assert peer.recv(4096).startswith(HEADER)
            peer.sendall(b"250 x\r\n")
            _turn_until_over(engine, line)
            assert _end_of(peer) == "RST"
    assert line.failure is None
    assert len(line.dialogue.taken) == 3


def test_a_drip_keeps_its_gaps(engine: Engine) -> None:
    with _listening() as (server, endpoint):
        line = _start(engine, endpoint, Script((Drip(b"", 10, 0.06), Leave(abrupt=False))))
        with _accept(server) as peer:
            _turn_until_over(engine, line)
            heard = b""
            while data := peer.recv(4096):
                heard += data
    assert heard == HEADER
    # Four pieces of up to ten bytes, three gaps between.
    assert line.dialogue.taken[1] >= 0.06e9 * ((len(HEADER) - 1) // 10)


def test_a_held_connection_is_over_when_the_server_says_so(engine: Engine) -> None:
    with _listening() as (server, endpoint):
        line = _start(engine, endpoint, Script((Say(), Hold())), HEADER[:10])
        with _accept(server) as peer:
            assert peer.recv(4096) == HEADER[:10]
            engine.turn()
            assert not line.over
            peer.sendall(b"421 too late\r\n")
        _turn_until_over(engine, line)
    assert line.failure is None
    assert line.dialogue.word == 421


def test_a_421_right_before_the_reset_is_heard(engine: Engine) -> None:
    with _listening() as (server, endpoint):
        line = _start(engine, endpoint, Script((Say(), Hold())), b"")
        with _accept(server) as peer:
            peer.sendall(b"421 too late\r\n")
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        _turn_until_over(engine, line)
    assert line.failure is None


def test_closing_leaves_no_descriptor_open() -> None:
    engine = Engine()
    with _listening() as (_, endpoint):
        line = _start(engine, endpoint)
        number = line.number
        engine.close()
    assert str(line.failure) == "unfinished at banner"
    with pytest.raises((OSError, ValueError)):
        select.epoll.fromfd(number).modify(number, 0)
