"""The reference server with its counters served."""

from __future__ import annotations

import contextlib
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass


@dataclass(frozen=True)
class Measured:
    port: int
    #: Where its counters are.
    metrics: str
    #: Its process.
    pid: int
    host: str = "127.0.0.1"


@contextlib.contextmanager
def measured(*arguments: str, host: str = "127.0.0.1") -> Iterator[Measured]:
    """Run it on free ports; it trusts 127.0.0.1."""
    command = [sys.executable, "-m", "proxyspec_server", "--listen", f"{host}:0", "--metrics", "127.0.0.1:0"]
    command += ["--trust", "127.0.0.1", *arguments]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        watchdog = threading.Timer(90, process.kill)
        watchdog.start()
        try:
            said = process.stderr.readline() + process.stderr.readline()
            port = re.search(rf"listening on {re.escape(host)}:(\d+)", said)
            metrics = re.search(r"metrics on (http://127\.0\.0\.1:\d+)/metrics", said)
            assert port is not None, said
            assert metrics is not None, said
            yield Measured(int(port[1]), f"{metrics[1]}/metrics.json", process.pid, host)
        finally:
            watchdog.cancel()
            process.kill()
