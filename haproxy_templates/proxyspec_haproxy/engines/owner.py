"""Whose leftover is this: names a process so that neither a recycled pid nor another container's pid protects one."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

__all__ = ["Owner"]

_TEXT: Final = re.compile(r"(?P<namespace>[0-9]{1,20})-(?P<pid>[0-9]{1,10})-(?P<started>[0-9]{1,20})")
_NO_NAMESPACE: Final = 0


def _pid_namespace() -> int:
    try:
        return Path("/proc/self/ns/pid").stat().st_ino
    except OSError:
        return _NO_NAMESPACE


def _started(pid: int) -> int | None:
    """Start time of a process in clock ticks since boot, None when there is no such process."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text(encoding="ascii", errors="replace")
    except OSError:
        return None
    # proc(5): the name, field 2, is in parentheses and may hold blanks; the start time is field 22
    after_name = stat.rpartition(")")[2].split()
    return int(after_name[22 - 3])


@dataclass(frozen=True, slots=True)
class Owner:
    """A process: its pid namespace, its pid in there, and when it started."""

    namespace: int
    pid: int
    started: int

    @classmethod
    def current(cls) -> Owner:
        """Return this process."""
        return cls(_pid_namespace(), os.getpid(), _started(os.getpid()) or 0)

    @classmethod
    def parse(cls, text: str) -> Owner | None:
        """Read what str() wrote; None for anything else."""
        match = _TEXT.fullmatch(text)
        return cls(int(match["namespace"]), int(match["pid"]), int(match["started"])) if match else None

    def __str__(self) -> str:
        return f"{self.namespace}-{self.pid}-{self.started}"

    @property
    def gone(self) -> bool:
        """Whether the process has certainly ended; one of another pid namespace cannot be seen, so it never counts."""
        return self.namespace == _pid_namespace() and _started(self.pid) != self.started
