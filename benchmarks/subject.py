"""The reference server as a process whose counters, descriptors, memory and processor time can be read from outside."""

import json
import re
import resource
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

PATIENCE = 20.0
"""Seconds the server may take to start, and to settle."""

_READY = re.compile(r"(metrics|listening) on (?:http://)?127\.0\.0\.1:(\d+)")


@dataclass(frozen=True, slots=True)
class Subject:
    """The running server."""

    pid: int
    port: int
    metrics_port: int

    def counters(self) -> dict[str, Any]:
        """What it has counted, as its metrics port tells it."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.metrics_port}/metrics.json", timeout=PATIENCE) as answer:
            counted: dict[str, Any] = json.load(answer)
        return counted

    def descriptors(self) -> int:
        """How many files it has open."""
        return sum(1 for _ in Path(f"/proc/{self.pid}/fd").iterdir())

    def settle(self, descriptors: int) -> bool:
        """Wait until it has no more files open than that; False when it keeps more."""
        deadline = time.monotonic() + PATIENCE
        while self.descriptors() > descriptors:
            if time.monotonic() > deadline:
                return False
            time.sleep(0.005)
        return True

    def cpu(self) -> float:
        """Seconds of processor time it has taken, all threads together."""
        threads = Path(f"/proc/{self.pid}/task").glob("*/schedstat")
        return sum(int(thread.read_text().split()[0]) for thread in threads) / 1e9

    def memory(self) -> int:
        """Bytes of memory it holds."""
        pages = int(Path(f"/proc/{self.pid}/statm").read_text().split()[1])
        return pages * resource.getpagesize()


@contextmanager
def bare(loop: str) -> Iterator[Subject]:
    """Start the server that does nothing; it has no counters. Raises RuntimeError when it does not start."""
    command = [sys.executable, "-m", "benchmarks.bare", loop]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            said = process.stdout.readline()
            if not said:
                raise RuntimeError(f"benchmarks.bare ended with {process.wait(PATIENCE)}")
            yield Subject(process.pid, int(said), 0)
        finally:
            process.kill()


@contextmanager
def subject(*options: str) -> Iterator[Subject]:
    """Start the server with a metrics port; it trusts 127.0.0.1 alone. Raises RuntimeError when it does not start."""
    command = [sys.executable, "-m", "proxyspec_server", "--hostname", "mx.test", "--listen", "127.0.0.1:0"]
    command += ["--metrics", "127.0.0.1:0", "--trust", "127.0.0.1", *options]
    with subprocess.Popen(command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            said = [process.stderr.readline() for _ in range(2)]
            ports = {match[1]: int(match[2]) for match in map(_READY.match, said) if match}
            if len(ports) != 2:
                raise RuntimeError(f"the server did not start: {''.join(said).strip() or 'it said nothing'}")
            yield Subject(process.pid, ports["listening"], ports["metrics"])
        finally:
            process.terminate()
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()


def raise_descriptor_limit(wanted: int) -> None:
    """Let this process, and those it starts, open that many files. Raises RuntimeError when the system forbids it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        if hard != resource.RLIM_INFINITY and hard < wanted:
            raise RuntimeError(
                f"{wanted} open files are needed and the hard limit is {hard}; "
                f"raise it with `ulimit -Hn {wanted}` as root, or ask for fewer connections"
            )
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
