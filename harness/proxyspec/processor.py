"""How much processor time the target's processes have used or waited for, read from Linux's /proc.

What spins wants a whole processor, and on a busy machine gets less; what idles runs for a moment now and then, and on a
busy machine waits long for each. The two differ in what is left when the waiting is taken off: did it run, or sleep?
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

__all__ = ["ProcessorMeter", "Spent", "busy", "processor_time"]

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


class Spent(NamedTuple):
    """What a thread has spent so far, in seconds."""

    ran: float
    #: Ready to run, while others had the processors.
    waited: float


NOTHING = Spent(0.0, 0.0)


def _threads(pid: int, proc: Path) -> dict[int, Spent]:
    """Return what each thread of `pid` has spent; nothing where the kernel does not count the waiting."""
    spent = {}
    try:
        for task in (proc / str(pid) / "task").iterdir():
            ran, waited = (task / "schedstat").read_text().split()[:2]
            spent[int(task.name)] = Spent(int(ran) / _NANOSECONDS, int(waited) / _NANOSECONDS)
    except (OSError, ValueError):
        return {}
    return spent


def processor_time(pid: int, proc: Path = PROC) -> dict[int, Spent] | None:
    """Return what each thread of `pid` and its living descendants has spent; None if the process is not there.

    Where the kernel does not count the waiting there is one row a process, and the time it ran.
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
    spent: dict[int, Spent] = {}
    for number in family:
        ticks = int(stats[number][_USER]) + int(stats[number][_SYSTEM])
        spent |= _threads(number, proc) or {number: Spent(ticks / os.sysconf("SC_CLK_TCK"), 0.0)}
    return spent


def busy(before: Mapping[int, Spent], after: Mapping[int, Spent], elapsed: float) -> tuple[float, float]:
    """Return how long all threads ran, and how long the one that ran most did not wait for a processor, in seconds.

    Close to each other, that thread did not sleep. The second is never below what that thread ran.
    """
    used = [
        (now.ran - then.ran, now.waited - then.waited)
        for now, then in ((now, before.get(thread, NOTHING)) for thread, now in after.items())
    ]
    ran, waited = max(used, default=NOTHING)
    return sum(max(0.0, run) for run, _ in used), max(ran, elapsed - waited)


class ProcessorMeter:
    """`processor_time` of one target, read anew only when the last reading is no longer fresh."""

    def __init__(self, pid: int, clock: Callable[[], float] = time.monotonic, proc: Path = PROC) -> None:
        self._pid = pid
        self._clock = clock
        self._proc = proc
        self._read_at: float | None = None
        self._spent: Mapping[int, Spent] | None = None

    def read(self) -> Mapping[int, Spent] | None:
        """Return what is spent now, or was at most `FRESH` seconds ago; None if the target is gone."""
        now = self._clock()
        if self._read_at is None or now - self._read_at > FRESH:
            self._read_at, self._spent = now, processor_time(self._pid, self._proc)
        return self._spent
