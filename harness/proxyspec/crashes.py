"""Lines of a target's log that tell of a process killed by a signal of its own making, and when they came.

To whoever holds the connection such a death looks like a refusal: the kernel ends it. Only the process's parent, the
kernel or the C library knows better, and they write it down.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from proxyspec.errors import UsageError
from proxyspec.logs import Tail
from proxyspec.model import Target

__all__ = ["KNOWN", "Crash", "CrashReader", "CrashWatch", "crash_log", "crash_pattern"]

#: Reads the lines that tell of a crash and have come since it was last asked.
CrashReader = Callable[[], Sequence[str]]

#: How often the log is read, in seconds.
EVERY: Final = 0.05
#: Lines kept of one run, and characters of each.
KEPT, LINE = 65536, 400

# Of the signals only those a process brings upon itself: ILL, TRAP, ABRT, BUS, FPE, SEGV, SYS. Others have senders.
_NUMBER: Final = r"(?:4|5|6|7|8|11|31)\b"
_NAME: Final = r"(?:ILL|TRAP|ABRT|BUS|FPE|SEGV|SYS)\b"
#: The beginning of a line of syslog: time and host.
_SYSLOG: Final = r"(?:[A-Z][a-z]{2} [ \d]\d [\d:]{8} \S+ |\d{4}-\d\d-\d\dT[\d:.+Z-]+ \S+ )"

#: Who says it -> how its line begins. What a client sends may stand in any line, but not where these begin.
KNOWN: Final[dict[str, str]] = {
    "Postfix": rf"{_SYSLOG}postfix[\w-]*/master\[\d+\]: warning: process \S+ pid \d+ killed by signal {_NUMBER}",
    "Dovecot": (
        rf"(?:{_SYSLOG}dovecot: |[A-Z][a-z]{{2}} \d\d [\d:]{{8}} )[\w-]+: (?:Fatal|Error): (?:master: )?"
        rf"service\([\w-]+\): child \d+ killed with signal {_NUMBER}"
    ),
    "Exim": rf"\d{{4}}-\d\d-\d\d [\d:.]+ (?:[+-]\d{{4}} )?(?:\[\d+\] )?SIG{_NAME} \(",
    "OpenSMTPD": rf"{_SYSLOG}?smtpd(?:\[\d+\])?: (?:warn: )?lost child: [\w ]+ terminated; signal {_NUMBER}",
    "nginx": rf"\d{{4}}/\d\d/\d\d [\d:]{{8}} \[alert\] \d+#\d+: worker process \d+ exited on signal {_NUMBER}",
    "HAProxy": r"\[ALERT\] +\(\d+\) : [Cc]urrent worker (?:#\d+ )?\(\d+\) exited with code 1(?:32|33|34|35|36|39|59)\b",
    "the reference server": (
        rf'\{{"time":"[^"]*","event":"trouble","reason":"worker \d+ \(process \d+\) died of SIG{_NAME}'
    ),
    "systemd": rf"{_SYSLOG}systemd\[\d+\]: \S+: Main process exited, code=(?:killed|dumped), status=\d+/{_NAME}",
    "supervisord": rf"\d{{4}}-\d\d-\d\d [\d:,]+ \w+ exited: \S+ \(terminated by SIG{_NAME}",
    "Linux": (
        rf"{_SYSLOG}kernel: (?:\[ *[\d.]+\] )?(?:traps: )?[\w./:-]+\[\d+\]:? "
        r"(?:segfault at|general protection fault|trap (?:invalid opcode|divide error|stack segment))"
    ),
    "FreeBSD": rf"{_SYSLOG}kernel: (?:\[[\d.]+\] )?pid \d+ \([\w.-]+\)[\w ,]*: exited on signal {_NUMBER}",
    "a shell": (
        r"(?:[\w./-]+: line \d+: +\d+ )?"
        r"(?:Segmentation fault|Aborted|Bus error|Illegal instruction|Trace/breakpoint trap)"
        r"(?: +\(core dumped\))?(?:$| {2,})"
    ),
    "a failed assertion": r"[\w.-]+: [\w./+-]+:\d+: [^'`]+: Assertion [`'].*' failed\.$",
    "the C library": (
        r"(?:\*\*\* (?:stack smashing|buffer overflow) detected \*\*\*: terminated|double free or corruption \(|"
        r"free\(\): |malloc\(\): |realloc\(\): |munmap_chunk\(\): |malloc_consolidate\(\): |corrupted (?:size|double))"
    ),
    "C++": r"terminate called (?:after throwing an instance of '|without an active exception)",
    "a sanitizer": r"(?:=+\n)?==\d+==ERROR: (?:HWAddress|Address|Memory|Thread|UndefinedBehavior)Sanitizer: ",
}
_ANY_KNOWN: Final = re.compile("|".join(f"(?:{pattern})" for pattern in KNOWN.values()))
#: The beginning of a pattern that begins anywhere in a line.
_ANYWHERE: Final = re.compile(r"\^?(?:\((?:\?:|\?P<\w+>)?)*\.(?:[*+]|\{)")


def crash_pattern(text: str | None) -> re.Pattern[str]:
    """Return the profile's `crash_pattern`, compiled, or without one that of the lines known here.

    Raises:
        UsageError: it is no regular expression, matches every line, or begins anywhere in a line.
    """
    if text is None:
        return _ANY_KNOWN
    try:
        pattern = re.compile(text)
    except re.error as error:
        raise UsageError(f"crash_pattern {text!r} is no regular expression: {error}") from error
    if pattern.match("") is not None or _ANYWHERE.match(text) is not None:
        raise UsageError(
            f"crash_pattern {text!r} matches whatever a client makes the target log: it is matched from the beginning "
            "of a line, so begin with what the target itself writes there (its time, its name)"
        )
    return pattern


def crash_log(target: Target) -> CrashReader | None:
    """Return a reader of the log in which the target's crashes are told, from now on; None: no log is declared.

    Raises:
        UsageError: the log does not exist or cannot be read, or the pattern is of no use.
    """
    pattern = crash_pattern(target.crash_pattern)
    named = target.crash_log or (target.oracle_file if target.oracle == "log" else None)
    if named is None:
        return None
    try:
        Path(named).open("rb").close()
    except OSError as error:
        why = error.strerror or error
        raise UsageError(f"crash_log {named} cannot be read ({why}): name the file the target logs to") from error
    tail = Tail(Path(named))
    return lambda: [line for line in tail.lines() if pattern.match(line)]


@dataclass(frozen=True, slots=True)
class Crash:
    """A line that tells of a crash; `at` is when it was read, on the clock of the event loop."""

    at: float
    line: str


class CrashWatch:
    """When crashes were told of from now on."""

    def __init__(self, read: CrashReader) -> None:
        read()  # What is there has come before.
        self._read = read
        self._crashes: list[Crash] = []

    def look(self) -> None:
        """Read what is new."""
        now = asyncio.get_running_loop().time()
        self._crashes += [Crash(now, line[:LINE]) for line in self._read()][: KEPT - len(self._crashes)]

    async def follow(self) -> None:
        """Look again and again until cancelled, so that each crash has its time."""
        while True:
            self.look()
            await asyncio.sleep(EVERY)

    @property
    def told(self) -> Sequence[Crash]:
        """All crashes told of so far, the earliest first."""
        return self._crashes

    def between(self, since: float, until: float) -> Sequence[Crash]:
        """Return the crashes told of in this time, both ends included."""
        return [crash for crash in self._crashes if since <= crash.at <= until]
