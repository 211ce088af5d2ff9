"""The driver against scripted servers, in virtual time."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

import pytest

from proxyspec.driver import FLOOD_LIMIT, TRANSCRIPT_LIMIT, drive, watch
from proxyspec.model import (
    Case,
    Ending,
    EventKind,
    HalfClose,
    Level,
    Pause,
    Reset,
    Send,
    Step,
    Target,
    Transcript,
    View,
    WatchCheck,
)
from proxyspec.wire import Road

from .scripted_wire import CLIENT, FIN, RST, Said, Script, ScriptedWire, smtp_server
from .virtual_time import run_virtually

TARGET = Target(host="127.0.0.1", port=25)
ROAD = Road("127.0.0.1", 25)
HEADER = b"PROXY TCP4 192.0.2.1 192.0.2.2 1111 25\r\n"


def case(*steps: Step, commands: tuple[bytes, ...] = (), extra_replies: int = 0) -> Case:
    return Case(
        id="test/case",
        title="t",
        section="2",
        level=Level.MUST,
        steps=steps,
        accept=(),
        commands=commands,
        extra_replies=extra_replies,
    )


def takes_line(received: bytes) -> tuple[int, str] | None:
    end = received.find(b"\r\n")
    return (end + 2, "192.0.2.1") if end >= 0 else None


def transcript(case: Case, script: Script, road: Road = ROAD) -> tuple[Transcript, ScriptedWire]:
    wire = ScriptedWire(script)
    return run_virtually(drive(case, TARGET, road, wire)), wire


def test_a_session_is_probed_with_two_ehlos_and_quit() -> None:
    seen, wire = transcript(case(Send(HEADER)), smtp_server(takes_line))
    assert wire.sent == HEADER + b"EHLO first.probe.test\r\nEHLO second.probe.test\r\nQUIT\r\n"
    assert seen.sent == wire.sent
    assert seen.received.count(b"250-mx.test Hello [192.0.2.1]") == 2
    assert seen.received.endswith(b"221 bye\r\n")
    assert seen.ending is Ending.FIN
    assert seen.client == CLIENT == seen.peer
    assert wire.closed


def test_commands_go_between_the_two_ehlos_each_after_its_reply() -> None:
    seen, wire = transcript(case(Send(HEADER), commands=(b"PROXY again\r\n",)), smtp_server(takes_line))
    assert wire.sent.index(b"first.probe") < wire.sent.index(b"PROXY again") < wire.sent.index(b"second.probe")
    kinds = [(e.kind, e.data) for e in seen.events if e.kind in (EventKind.SENT, EventKind.RECEIVED)]
    assert kinds.index((EventKind.RECEIVED, b"500 what?\r\n")) < kinds.index(
        (EventKind.SENT, b"EHLO second.probe.test\r\n")
    )


def test_a_silent_server_is_given_up_after_deadline_and_margin() -> None:
    seen, _ = transcript(case(Send(HEADER)), lambda received, half: ())
    assert seen.ending is Ending.OPEN
    assert seen.duration == pytest.approx(TARGET.give_up)


def test_an_end_at_the_deadline_is_timed() -> None:
    seen, _ = transcript(case(), smtp_server(takes_line, last_words=b"421 late\r\n"))
    assert seen.ending is Ending.FIN
    assert seen.received == b"421 late\r\n"
    assert seen.duration == pytest.approx(30.0)


def test_a_deadline_never_looks_earlier_than_it_was() -> None:
    """The target accepts when the kernel does; a harness that learns of it late must not blame the target."""
    wire = ScriptedWire(smtp_server(takes_line))
    connect = wire.connect

    async def told_late() -> View:
        client = await connect()
        await asyncio.sleep(0.5)
        return client

    wire.connect = told_late  # type: ignore[method-assign]
    seen = run_virtually(drive(case(), TARGET, ROAD, wire))
    assert seen.duration == pytest.approx(30.0)


def test_a_refusal_that_stays_open_is_told_quit_and_then_left() -> None:
    def stubborn(received: bytes, half: bool) -> Iterable[tuple[float, Said]]:
        return [(0, b"554 no\r\n")] if received == HEADER else []

    seen, wire = transcript(case(Send(HEADER)), stubborn)
    assert wire.sent == HEADER + b"QUIT\r\n"
    assert seen.ending is Ending.OPEN
    assert seen.duration < 5


def test_a_drip_ends_when_the_server_has_gone() -> None:
    steps: list[Step] = []
    for byte in HEADER:
        steps += [Send(bytes([byte])), Pause(timeouts=1.3 / 38)]
    seen, wire = transcript(case(*steps), smtp_server(takes_line))
    assert seen.ending is Ending.FIN
    assert seen.duration == pytest.approx(30.0)
    assert HEADER.startswith(wire.sent)
    assert len(wire.sent) < len(HEADER)
    assert seen.first(EventKind.STEPS_DONE) is None


def test_a_reset_is_told_from_a_fin() -> None:
    seen, _ = transcript(case(Send(b"x")), lambda received, half: [(0, RST)] if received else [])
    assert seen.ending is Ending.RST


def test_after_a_half_close_nothing_more_is_sent() -> None:
    seen, wire = transcript(case(Send(HEADER), HalfClose()), smtp_server(takes_line, deadline=None))
    assert wire.sent == HEADER
    assert seen.received.startswith(b"220 ")
    assert seen.first(EventKind.CLIENT_FIN) is not None
    assert seen.duration == pytest.approx(TARGET.give_up)


def test_a_refused_connection_is_no_session() -> None:
    wire = ScriptedWire(lambda received, half: (), refuses=ConnectionRefusedError(111, "Connection refused"))
    seen = run_virtually(drive(case(Send(HEADER)), TARGET, ROAD, wire))
    assert seen.ending is Ending.NEVER
    assert "refused" in seen.events[0].note
    assert wire.closed


def test_a_flood_is_cut_off_and_counted() -> None:
    chunk = b"250-" + b"x" * 65532

    def flood(received: bytes, half: bool) -> Iterable[tuple[float, Said]]:
        return [(0, chunk)] * 1000 if not received else []

    seen, _ = transcript(case(Pause(1.0), Send(HEADER)), flood)
    assert len(seen.received) == TRANSCRIPT_LIMIT
    assert FLOOD_LIMIT - TRANSCRIPT_LIMIT < seen.dropped < FLOOD_LIMIT + len(chunk)
    assert seen.ending is Ending.OPEN


def test_garbage_that_ends_is_recorded() -> None:
    seen, _ = transcript(
        case(Send(HEADER)), lambda received, half: [(0, b"SSH-2.0-x\r\n"), (0.5, FIN)] if not half else []
    )
    assert b"SSH-2.0-x" in seen.received


def test_the_peer_is_the_proxy_on_a_road_through_one() -> None:
    seen, _ = transcript(case(Send(HEADER)), smtp_server(takes_line), Road("127.0.0.1", 25, None, "127.0.0.1"))
    assert seen.peer == View("127.0.0.1")
    assert seen.client == CLIENT


class _Up:
    up = True
    text = "L7OK/221"


def test_a_watched_check_is_one_observation() -> None:
    async def watcher(name: str) -> _Up:
        assert name == "check-smtp-v1"
        return _Up()

    seen = run_virtually(watch(case(WatchCheck("check-smtp-v1")), watcher))
    assert [(e.kind, e.note) for e in seen.events] == [(EventKind.OBSERVED, "up: L7OK/221")]


def test_checks_and_connections_do_not_mix() -> None:
    async def watcher(name: str) -> _Up:
        return _Up()

    with pytest.raises(TypeError, match="test/case"):
        run_virtually(watch(case(Send(b"x")), watcher))


def test_an_interruption_while_the_reader_is_stopped_is_not_lost() -> None:
    driving: asyncio.Task[Transcript]

    class Interrupting(ScriptedWire):
        async def receive(self) -> bytes:
            try:
                return await super().receive()
            except asyncio.CancelledError:
                driving.cancel()
                raise

    async def main() -> None:
        nonlocal driving
        wire = Interrupting(smtp_server(takes_line))
        driving = asyncio.create_task(drive(case(Send(b"PROXY "), Pause(0.1), Reset()), TARGET, ROAD, wire))
        with pytest.raises(asyncio.CancelledError):
            await driving
        assert wire.closed

    run_virtually(main())
