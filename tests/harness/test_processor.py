"""Processor time read from a /proc made by hand, and from the real one."""

from __future__ import annotations

import os
from pathlib import Path

from proxyspec.processor import FRESH, ProcessorMeter, processor_seconds

TICKS = os.sysconf("SC_CLK_TCK")


def process(proc: Path, pid: int, parent: int, user: int, system: int, name: str = "mail (server)") -> None:
    (proc / str(pid)).mkdir()
    fields = ["S", str(parent), *["0"] * 9, str(user), str(system), *["0"] * 30]
    (proc / str(pid) / "stat").write_text(f"{pid} ({name}) {' '.join(fields)}\n")


def test_a_process_and_its_descendants_are_summed(tmp_path: Path) -> None:
    process(tmp_path, 10, 1, TICKS, 0)
    process(tmp_path, 11, 10, TICKS, TICKS)
    process(tmp_path, 12, 11, 0, 2 * TICKS)
    process(tmp_path, 20, 1, 50 * TICKS, 0)
    (tmp_path / "self").mkdir()
    assert processor_seconds(10, tmp_path) == 5.0
    assert processor_seconds(11, tmp_path) == 4.0
    assert processor_seconds(99, tmp_path) is None


def test_waiting_for_a_processor_counts_where_the_kernel_tells(tmp_path: Path) -> None:
    process(tmp_path, 10, 1, TICKS, 0)
    for thread, counted in ((10, "500000000 1500000000 7"), (11, "1000000000 0 1")):
        (tmp_path / "10" / "task" / str(thread)).mkdir(parents=True)
        (tmp_path / "10" / "task" / str(thread) / "schedstat").write_text(counted + "\n")
    process(tmp_path, 12, 10, 2 * TICKS, 0)
    assert processor_seconds(10, tmp_path) == 5.0
    (tmp_path / "10" / "task" / "11" / "schedstat").write_text("nonsense\n")
    assert processor_seconds(10, tmp_path) == 3.0


def test_a_process_that_goes_while_it_is_read_is_left_out(tmp_path: Path) -> None:
    process(tmp_path, 10, 1, TICKS, 0)
    (tmp_path / "11").mkdir()
    assert processor_seconds(10, tmp_path) == 1.0


def test_our_own_time_passes() -> None:
    before = processor_seconds(os.getpid())
    while (now := processor_seconds(os.getpid())) == before:
        sum(range(10_000))
    assert before is not None
    assert now is not None
    assert now > before


def test_a_meter_reads_anew_only_when_its_reading_is_old(tmp_path: Path) -> None:
    process(tmp_path, 10, 1, TICKS, 0)
    now = [100.0]
    meter = ProcessorMeter(10, lambda: now[0], tmp_path)
    assert meter.read() == 1.0
    (tmp_path / "10" / "stat").unlink()
    now[0] += FRESH / 2
    assert meter.read() == 1.0
    now[0] += FRESH
    assert meter.read() is None
