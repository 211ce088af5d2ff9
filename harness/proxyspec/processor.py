"""How much processor time the target's processes have used or waited for, read from Linux's /proc."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path

__all__ = ["ProcessorMeter", "processor_seconds"]

PROC = Path("/proc")
#: Fields of /proc/PID/stat behind the command's closing parenthesis: parent, user and system time in ticks.
_PARENT, _USER, _SYSTEM = 1, 11, 12
_NANOSECONDS = 1e9
#: How old a reading may be that is given out again, in seconds: many cases ask at the same moment.
FRESH = 0.05


def _stat(pid: int, proc: Path) -> list[str] | None:
    """Return the fields of a process behind its name, or None if it has gone."""
    try:
        text = (proc / str(pid) / "stat").read_text(errors="replace")
    except OSError:
        return None
    return text.rpartition(")")[2].split()


def _wanted(pid: int, proc: Path) -> float | None:
    """Return the seconds the threads of `pid` ran and waited for a processor, or None where the kernel counts neither.

    What spins wants a whole processor, and on a busy machine gets less: the waiting counts, too.
    """
    total = 0
    try:
        for task in (proc / str(pid) / "task").iterdir():
            ran, waited = (task / "schedstat").read_text().split()[:2]
            total += int(ran) + int(waited)
    except (OSError, ValueError):
        return None
    return total / _NANOSECONDS


def processor_seconds(pid: int, proc: Path = PROC) -> float | None:
    """Return how long `pid` and its living descendants ran or waited to run, in seconds; None if it is not there.

    Where the kernel does not count the waiting it is the time they ran.
    """
    table = {int(entry.name): _stat(int(entry.name), proc) for entry in proc.iterdir() if entry.name.isdigit()}
    stats = {number: fields for number, fields in table.items() if fields is not None}
    if pid not in stats:
        return None
    family, grown = {pid}, True
    while grown:
        born = {number for number, fields in stats.items() if int(fields[_PARENT]) in family} - family
        family |= born
        grown = bool(born)
    total = 0.0
    for number in family:
        wanted = _wanted(number, proc)
        ticks = int(stats[number][_USER]) + int(stats[number][_SYSTEM])
        total += wanted if wanted is not None else ticks / os.sysconf("SC_CLK_TCK")
    return total


class ProcessorMeter:
    """`processor_seconds` of one target, read anew only when the last reading is no longer fresh."""

    def __init__(self, pid: int, clock: Callable[[], float] = time.monotonic, proc: Path = PROC) -> None:
        self._pid = pid
        self._clock = clock
        self._proc = proc
        self._read_at: float | None = None
        self._seconds: float | None = None

    def read(self) -> float | None:
        """Return the seconds as they are now, or were at most `FRESH` seconds ago; None if the target is gone."""
        now = self._clock()
        if self._read_at is None or now - self._read_at > FRESH:
            self._read_at, self._seconds = now, processor_seconds(self._pid, self._proc)
        return self._seconds
