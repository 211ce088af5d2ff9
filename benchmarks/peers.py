"""The servers compared, each a process of its own whose processor time can be read from outside."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from benchmarks.postfix import Postfix

PATIENCE = 20.0
"""Seconds a server may take to start."""
BACKLOG = 4096


@dataclass(frozen=True, slots=True)
class Peer:
    """How a server is started; "{port}" in the command becomes the port."""

    name: str
    command: Sequence[str]
    environment: dict[str, str] | None = None
    banner_first: bool = True
    """Whether it greets without a PROXY header, which tells that it is there."""


@dataclass(frozen=True, slots=True)
class Running:
    """A server that answers."""

    name: str
    pid: int
    port: int

    def cpu(self) -> float:
        """Seconds of processor time it has taken, all threads together."""
        threads = Path(f"/proc/{self.pid}/task").glob("*/schedstat")
        return sum(int(thread.read_text().split()[0]) for thread in threads) / 1e9


def reference(name: str, *options: str) -> Peer:
    """The reference server with these options; it trusts nobody unless they say so."""
    command = [sys.executable, "-m", "proxyspec_server", "--hostname", "mx.test", "--listen", "127.0.0.1:{port}"]
    return Peer(name, [*command, *options], banner_first="--trust" not in options)


def smtp_sink(postfix: Postfix) -> Peer:
    """Postfix's sink, in C."""
    command = [postfix.program("smtp-sink"), "-h", "mx.test"]
    if os.geteuid() == 0:
        command += ["-u", "nobody"]
    return Peer("smtp-sink", [*command, "127.0.0.1:{port}", str(BACKLOG)], postfix.environment)


def aiosmtpd() -> Peer:
    """aiosmtpd on a loop of its own, with messages dropped on arrival."""
    return Peer("aiosmtpd", [sys.executable, "-m", "benchmarks.aiosmtpd_server", "{port}"])


@contextmanager
def running(peer: Peer) -> Iterator[Running]:
    """Start a server, and stop it in the end. Raises RuntimeError when it does not answer."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port = int(probe.getsockname()[1])
    command = [part.replace("{port}", str(port)) for part in peer.command]
    with subprocess.Popen(
        command,
        env=peer.environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        try:
            _await(peer, process, port)
            yield Running(peer.name, process.pid, port)
        finally:
            process.terminate()
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()


def _await(peer: Peer, process: subprocess.Popen[str], port: int) -> None:
    deadline = time.monotonic() + PATIENCE
    while time.monotonic() < deadline:
        if process.poll() is not None:
            said = process.stderr.read().strip() if process.stderr is not None else ""
            raise RuntimeError(f"{peer.name} ended with {process.returncode}: {said or 'without a word'}")
        try:
            with socket.create_connection(("127.0.0.1", port), 1.0) as client:
                if not peer.banner_first or client.recv(512).startswith(b"220"):
                    return
        except OSError:
            time.sleep(0.05)
    raise RuntimeError(f"{peer.name} did not answer on port {port} within {PATIENCE:g} s")
