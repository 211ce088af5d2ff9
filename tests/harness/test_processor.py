"""Processor time read from a /proc made by hand, and from the real one."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from proxyspec.processor import FRESH, ProcessorMeter, Spent, busy, processor_time

TICKS = os.sysconf("SC_CLK_TCK")


def process(proc: Path, pid: int, parent: int, user: int, system: int, name: str = "mail (server)") -> None:
    (proc / str(pid)).mkdir()
    fields = ["S", str(parent), *["0"] * 9, str(user), str(system), *["0"] * 30]
    (proc / str(pid) / "stat").write_text(f"{pid} ({name}) {' '.join(fields)}\n")


def test_a_process_and_its_descendants_are_seen(tmp_path: Path) -> None:
    process(tmp_path, 10, 1, TICKS, 0)
    process(tmp_path, 11, 10, TICKS, TICKS)
    process(tmp_path, 12, 11, 0, 2 * TICKS)
    process(tmp_path, 20, 1, 50 * TICKS, 0)
    (tmp_path / "self").mkdir()
    assert processor_time(10, tmp_path) == {10: (1.0, 0.0), 11: (2.0, 0.0), 12: (2.0, 0.0)}
    assert processor_time(11, tmp_path) == {11: (2.0, 0.0), 12: (2.0, 0.0)}
    assert processor_time(99, tmp_path) is None


def test_each_thread_is_told_where_the_kernel_counts_the_waiting(tmp_path: Path) -> None:
    process(tmp_path, 10, 1, TICKS, 0)
    for thread, counted in ((10, "500000000 1500000000 7"), (11, "1000000000 0 1")):
        (tmp_path / "10" / "task" / str(thread)).mkdir(parents=True)
        (tmp_path / "10" / "task" / str(thread) / "schedstat").write_text(counted + "\n")
    process(tmp_path, 12, 10, 2 * TICKS, 0)
    assert processor_time(10, tmp_path) == {10: (0.5, 1.5), 11: (1.0, 0.0), 12: (2.0, 0.0)}
    (tmp_path / "10" / "task" / "11" / "schedstat").write_text("nonsense\n")
    assert processor_time(10, tmp_path) == {10: (1.0, 0.0), 12: (2.0, 0.0)}


def test_running_and_sleeping_are_told_apart_however_long_both_wait() -> None:
    before = {1: Spent(5.0, 1.0), 2: Spent(0.0, 0.0), 3: Spent(7.0, 7.0)}
    idle = {1: Spent(5.02, 1.8), 2: Spent(0.01, 0.9)}
    assert busy(before, idle, 1.0) == pytest.approx((0.03, 0.2))
    spinning = {1: Spent(5.01, 1.8), 2: Spent(0.12, 0.88)}
    assert busy(before, spinning, 1.0) == pytest.approx((0.13, 0.12))
    assert busy(before, {1: Spent(6.0, 1.0)}, 1.0) == pytest.approx((1.0, 1.0))
    assert busy(before, {9: Spent(0.3, 0.0), 10: Spent(0.3, 0.1)}, 1.0) == pytest.approx((0.6, 0.9))
    assert busy(before, {}, 1.0) == (0.0, 1.0)


def test_a_process_that_goes_while_it_is_read_is_left_out(tmp_path: Path) -> None:
    process(tmp_path, 10, 1, TICKS, 0)
    (tmp_path / "11").mkdir()
    assert processor_time(10, tmp_path) == {10: (1.0, 0.0)}


def test_our_own_time_passes() -> None:
    def ran() -> float:
        spent = processor_time(os.getpid())
        assert spent is not None
        return sum(thread.ran for thread in spent.values())

    before = ran()
    while (now := ran()) == before:
        sum(range(10_000))
    assert now > before


def test_a_meter_reads_anew_only_when_its_reading_is_old(tmp_path: Path) -> None:
    process(tmp_path, 10, 1, TICKS, 0)
    now = [100.0]
    meter = ProcessorMeter(10, lambda: now[0], tmp_path)
    assert meter.read() == {10: (1.0, 0.0)}
    (tmp_path / "10" / "stat").unlink()
    now[0] += FRESH / 2
    assert meter.read() == {10: (1.0, 0.0)}
    now[0] += FRESH
    assert meter.read() is None
