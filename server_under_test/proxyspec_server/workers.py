"""Several processes that do the same work under one parent: started, restarted when they die, stopped together."""

import os
import signal
import sys
from collections.abc import Callable
from dataclasses import dataclass
from time import monotonic

PAUSE = 1.0
"""Seconds from one start of a worker to its next at least, so that one that dies at once is no burden."""

_SIGNALS = {number.value: number.name for number in signal.Signals}
_FORWARDED = {signal.SIGHUP, signal.SIGUSR1}
_STOPPING = {signal.SIGTERM, signal.SIGINT}
_AWAITED = {signal.SIGCHLD, *_FORWARDED, *_STOPPING}


@dataclass(frozen=True, slots=True)
class Duty:
    """What a worker is told.

    `ready` has to be called once it serves and has its signal handlers: signals wait until then. `lifeline` is a
    descriptor that becomes readable when the parent is gone, so that no worker outlives it.
    """

    number: int
    lifeline: int
    ready: Callable[[], None]


Work = Callable[[Duty], int]
"""What a worker does from its start to its end; returns the exit code."""


class WorkerFailed(Exception):
    """A worker ended before it could serve; what was the matter it has told itself."""


class Supervisor:
    """Keeps `count` workers at work until a signal says stop. It must be called from a process without threads."""

    def __init__(
        self, count: int, work: Work, tell: Callable[[str], None], leave: Callable[[], None], grace: float
    ) -> None:
        """`tell` hears of workers that died, `leave` is called before they are stopped.

        `grace` is how many seconds they get to stop before they are killed.
        """
        self._work = work
        self._tell = tell
        self._leave = leave
        self._grace = grace
        self._pids: dict[int, int] = {}
        self._started: dict[int, float] = dict.fromkeys(range(count), 0.0)
        self._codes: list[int] = []
        self._lifeline, self._held = os.pipe()
        self._mask: set[signal.Signals | int] = set()

    def start(self) -> None:
        """Start all workers and wait until they serve. Raises WorkerFailed, with none left, when one does not."""
        self._mask = set(signal.pthread_sigmask(signal.SIG_BLOCK, _AWAITED))
        for number in self._started:
            if not self._start(number):
                self._stop()
                raise WorkerFailed(f"worker {number} ended before it could serve")

    def run(self) -> tuple[signal.Signals, list[int]]:
        """Supervise until SIGTERM or SIGINT; returns which it was, and the exit codes of the workers then stopped.

        SIGHUP and SIGUSR1 are passed on to the workers.
        """
        while True:
            caught = signal.sigtimedwait(_AWAITED, self._until_restart())
            number = signal.Signals(caught.si_signo) if caught is not None else None
            if number in _STOPPING:
                self._stop()
                return signal.Signals(number), self._codes
            if number in _FORWARDED:
                self._signal(signal.Signals(number))
            self._reap()
            for worker in self._due():
                self._start(worker)

    def _start(self, number: int) -> bool:
        """Fork a worker; returns whether it has come to serve."""
        told, telling = os.pipe()
        sys.stdout.flush()
        sys.stderr.flush()
        self._started[number] = monotonic()
        pid = os.fork()
        if pid == 0:
            os.close(told)
            os.close(self._held)
            # Leaving by SystemExit unwinds the caller too, and shows the traceback of a fault.
            sys.exit(self._work(Duty(number, self._lifeline, lambda: self._ready(telling))))
        self._pids[pid] = number
        os.close(telling)
        served = os.read(told, 1) != b""
        os.close(told)
        return served

    def _ready(self, telling: int) -> None:
        signal.pthread_sigmask(signal.SIG_SETMASK, self._mask)
        os.write(telling, b"!")
        os.close(telling)

    def _due(self) -> list[int]:
        running = set(self._pids.values())
        now = monotonic()
        return [n for n, started in self._started.items() if n not in running and started + PAUSE <= now]

    def _until_restart(self) -> float:
        running = set(self._pids.values())
        waits = [started + PAUSE - monotonic() for n, started in self._started.items() if n not in running]
        return max(0.0, min(waits, default=3600.0))

    def _reap(self) -> None:
        """Take note of the workers that have died."""
        for pid in list(self._pids):
            done, status = os.waitpid(pid, os.WNOHANG)
            if not done:
                continue
            number, code = self._pids.pop(pid), os.waitstatus_to_exitcode(status)
            how = f"died of {_SIGNALS.get(-code, f'signal {-code}')}" if code < 0 else f"ended with {code}"
            self._tell(f"worker {number} (process {pid}) {how}; another one takes its place")

    def _signal(self, number: signal.Signals) -> None:
        for pid in self._pids:
            os.kill(pid, number)

    def _stop(self) -> None:
        """Stop all workers, by force those that have not ended within the time they get."""
        self._leave()
        self._signal(signal.SIGTERM)
        deadline = monotonic() + self._grace
        while self._pids:
            for pid in list(self._pids):
                done, status = os.waitpid(pid, os.WNOHANG)
                if done:
                    del self._pids[pid]
                    self._codes.append(os.waitstatus_to_exitcode(status))
            if self._pids and signal.sigtimedwait({signal.SIGCHLD}, max(0.0, deadline - monotonic())) is None:
                self._tell(f"{len(self._pids)} of the workers did not stop within {self._grace:g} s and are killed")
                self._signal(signal.SIGKILL)
                deadline = monotonic() + self._grace
        os.close(self._held)
        os.close(self._lifeline)
        signal.pthread_sigmask(signal.SIG_SETMASK, self._mask)
