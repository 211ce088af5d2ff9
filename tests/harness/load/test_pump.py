"""The engine under gevent's hub; nothing is patched, the servers are threads of their own."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import gevent
import pytest

from proxyspec.load.dialogue import Dialogue, Hold, Say, Script
from proxyspec.load.engine import Endpoint, Engine, Line
from proxyspec.load.options import SessionOptions
from proxyspec.load.pump import Pump
from proxyspec.load.scripts import delivery

from .fake_smtp import FakeSmtp, Vice, fake_smtp

SCRIPT = delivery(SessionOptions())
HEADER = b"PROXY TCP4 192.0.2.1 192.0.2.2 1111 25\r\n"
LIMIT = 20.0


@pytest.fixture
def pump() -> Iterator[Pump]:
    with contextlib.closing(Pump()) as made:
        yield made


def _play(pump: Pump, fake: FakeSmtp, script: Script = SCRIPT, patience: float = 5.0) -> Line:
    line = pump.begin(Endpoint(fake.host, fake.port), lambda begun: Dialogue(script, HEADER, begun), patience)
    pump.wait(line)
    return line


def test_greenlets_play_side_by_side(pump: Pump) -> None:
    with fake_smtp() as fake:
        players = [gevent.spawn(lambda: [_play(pump, fake).failure for _ in range(3)]) for _ in range(20)]
        gevent.joinall(players, timeout=LIMIT)
    assert [player.value for player in players] == [[None] * 3] * 20
    assert len(fake.messages) == 60


def test_a_line_that_never_began_needs_no_waiting(pump: Pump) -> None:
    with fake_smtp() as fake:
        nobody = FakeSmtp("127.0.0.1", fake.port)
    line = _play(pump, nobody)
    assert str(line.failure) == "refused at connect"


def test_deadlines_are_kept_without_any_event(pump: Pump) -> None:
    with fake_smtp(Vice.SILENT) as fake:
        line = _play(pump, fake, patience=0.2)
    assert str(line.failure) == "timeout at banner"


def test_a_greenlet_torn_out_of_its_sleep_abandons_its_line(pump: Pump) -> None:
    begun: list[Line] = []

    def hold(fake: FakeSmtp) -> None:
        line = pump.begin(
            Endpoint(fake.host, fake.port), lambda begun: Dialogue(Script((Say(), Hold())), b"", begun), 60.0
        )
        begun.append(line)
        pump.wait(line)

    with fake_smtp() as fake:
        holder = gevent.spawn(hold, fake)
        gevent.sleep(0)
        assert begun
        assert not begun[0].over
        holder.kill(timeout=LIMIT)
        # Others go on, and nobody wakes the dead.
        assert _play(pump, fake).failure is None
    assert holder.dead
    assert str(begun[0].failure) == "unfinished at held"


def test_a_busy_pump_leaves_turns_to_timers(pump: Pump, monkeypatch: pytest.MonkeyPatch) -> None:
    turns = 0

    def busy(_: Engine) -> int:
        nonlocal turns
        turns += 1
        return 1

    monkeypatch.setattr(Engine, "turn", busy)
    pump._turn()
    for timers in range(1, 6):
        gevent.sleep(1e-6)
        # However much there is to do, a timer that is due waits for a few calls at most.
        assert turns <= 8 * (timers + 2)
    assert turns >= 8
