"""Deadlines in simulated time."""

from hypothesis import given
from hypothesis import strategies as st

from proxyspec_server.deadlines import Deadlines, Timer


def test_nothing_falls_early_and_all_fall_in_order() -> None:
    deadlines: Deadlines[str] = Deadlines({Timer.HEADER: 30.0, Timer.IDLE: 5.0})
    assert deadlines.next_due() is None
    assert deadlines.start(Timer.HEADER, "a", 0.0) == 30.0
    deadlines.start(Timer.HEADER, "b", 1.0)
    deadlines.start(Timer.IDLE, "c", 27.0)
    assert deadlines.next_due() == 30.0
    assert list(deadlines.expire(29.999)) == []
    assert list(deadlines.expire(31.0)) == [(Timer.HEADER, "a"), (Timer.HEADER, "b")]
    assert list(deadlines.expire(31.0)) == []
    assert deadlines.next_due() == 32.0


def test_restart_moves_a_deadline_behind_the_others() -> None:
    deadlines: Deadlines[str] = Deadlines({Timer.IDLE: 10.0})
    deadlines.start(Timer.IDLE, "a", 0.0)
    deadlines.start(Timer.IDLE, "b", 1.0)
    deadlines.start(Timer.IDLE, "a", 2.0)
    assert list(deadlines.expire(11.0)) == [(Timer.IDLE, "b")]
    assert deadlines.next_due() == 12.0


def test_cancel_and_forget() -> None:
    deadlines: Deadlines[str] = Deadlines({Timer.IDLE: 1.0, Timer.WRITE: 1.0})
    deadlines.start(Timer.IDLE, "a", 0.0)
    deadlines.start(Timer.WRITE, "a", 0.0)
    deadlines.cancel(Timer.WRITE, "a")
    deadlines.cancel(Timer.WRITE, "never started")
    assert list(deadlines.expire(1.0)) == [(Timer.IDLE, "a")]
    deadlines.start(Timer.IDLE, "a", 2.0)
    deadlines.forget("a")
    assert deadlines.next_due() is None


def test_breaking_off_loses_none() -> None:
    deadlines: Deadlines[str] = Deadlines({Timer.IDLE: 1.0})
    for key in "abc":
        deadlines.start(Timer.IDLE, key, 0.0)
    assert next(deadlines.expire(9.0)) == (Timer.IDLE, "a")
    assert list(deadlines.expire(9.0)) == [(Timer.IDLE, "b"), (Timer.IDLE, "c")]


@given(st.lists(st.tuples(st.sampled_from(list(Timer)), st.integers(0, 5), st.integers(0, 3))))
def test_agrees_with_a_plain_table(starts: list[tuple[Timer, int, int]]) -> None:
    periods = {Timer.HEADER: 30.0, Timer.HANDSHAKE: 4.0, Timer.IDLE: 7.0, Timer.LINGER: 2.0, Timer.WRITE: 3.0}
    deadlines: Deadlines[int] = Deadlines(periods)
    table: dict[tuple[Timer, int], float] = {}
    now = 0.0
    for timer, key, pause in starts:
        now += pause
        table[timer, key] = deadlines.start(timer, key, now)
        assert table[timer, key] == now + periods[timer]
        fallen = {entry for entry, due in table.items() if due <= now}
        assert set(deadlines.expire(now)) == fallen
        for entry in fallen:
            del table[entry]
        for kind in Timer:
            assert deadlines.pending(kind) == sum(1 for waiting, _ in table if waiting is kind)
        assert deadlines.next_due() == min(table.values(), default=None)
