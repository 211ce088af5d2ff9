"""Loads that several machines share: where a master listens, and a worker that joins one until it is over."""

from __future__ import annotations

import contextlib
import math
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from proxyspec.errors import ExitCode, HarnessError, UsageError
from proxyspec.interruption import told

__all__ = ["DEFAULT_PORT", "Master", "parse_bind", "run_worker"]

#: Where Locust's masters listen.
DEFAULT_PORT = 5557
#: Workers of one master.
MAX_WORKERS = 1000
#: Seconds a worker has to end in order once it is told to.
STOP_PATIENCE = 10.0
#: Seconds between two looks at whether a signal came.
GLANCE = 0.1


@dataclass(frozen=True, slots=True)
class Master:
    """Where the master of a load listens for its workers, and how many it waits for.

    Raises:
        UsageError: a value is out of range.
    """

    host: str
    port: int
    workers: int

    def __post_init__(self) -> None:
        if not 1 <= self.workers <= MAX_WORKERS:
            raise UsageError(f"--expect-workers {self.workers} is out of range: 1 to {MAX_WORKERS}")


def parse_bind(text: str, workers: int) -> Master:
    """Read HOST:PORT, an IPv4 address or a name; the port may be missing.

    Raises:
        UsageError: it is something else.
    """
    host, colon, port = text.partition(":")
    if not host or (colon and not (port.isascii() and port.isdigit() and 0 < int(port) < 65536)):
        raise UsageError(f"{text!r} is no address of a master: write HOST or HOST:PORT")
    return Master(host, int(port) if colon else DEFAULT_PORT, workers)


def run_worker(profile: Path, master: Master, processes: int | None) -> ExitCode:
    """Work for a master until it says that the load is over; what is measured is in the master's record.

    Raises:
        UsageError: the profile is none, or not to be used here; Locust's process has said why.
        HarnessError: Locust cannot be executed, or fails.
    """
    words = [sys.executable, "-P", "-m", "proxyspec.load.process", "--locustfile", str(profile.absolute()), "--worker"]
    words += [f"--master-host={master.host}", f"--master-port={master.port}"]
    if processes is not None:
        words.append(f"--processes={processes}")
    clean = {name: value for name, value in os.environ.items() if not name.startswith("LOCUST_")}
    signals: list[None] = []
    with told(lambda: signals.append(None)):
        try:
            # Neither a locust.conf beside the user nor Locust's variables have a say.
            process = subprocess.Popen(words, stdin=subprocess.DEVNULL, env=clean, cwd="/", process_group=0)
        except OSError as error:
            raise HarnessError(f"Locust cannot be started: {error.strerror or error}") from error
        try:
            limit = math.inf
            while process.poll() is None and time.monotonic() < limit:
                if signals and limit == math.inf:
                    process.terminate()
                    limit = time.monotonic() + STOP_PATIENCE
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(GLANCE)
        finally:
            # Its workers, where it has some, are of its group.
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            code = process.wait()
    if signals:
        return ExitCode.INTERRUPTED
    if code == ExitCode.USAGE:
        raise UsageError(f"the worker cannot begin with {profile}; why is said above")
    if code not in (0, ExitCode.FAILED):
        raise HarnessError(f"the worker ended with code {code}; what it said is above")
    # Locust's own 1 stands for sessions that failed: the master judges those.
    return ExitCode.OK
