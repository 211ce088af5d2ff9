"""A server that the harness starts for itself, and stops with all its processes."""

from __future__ import annotations

import contextlib
import os
import shlex
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path

from proxyspec.errors import HarnessError, UsageError

__all__ = ["started"]

#: How long the server may take to listen, and to stop, in seconds.
PATIENCE = 20.0
#: How often it is asked whether it listens, in seconds.
EVERY = 0.05
#: The last bytes of what it said that an error shows.
SHOWN = 2000


def _words(command: str, places: Mapping[str, str]) -> list[str]:
    try:
        return [word.format(**places) for word in shlex.split(command)]
    except (KeyError, IndexError, ValueError) as error:
        known = ", ".join(f"{{{name}}}" for name in places)
        raise UsageError(f"--start {command!r} cannot be read ({error}); it may hold {known}") from error


def _listens(host: str, port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1.0)
        return probe.connect_ex((host, port)) == 0


@contextlib.contextmanager
def started(command: str, host: str, port: int, places: Mapping[str, str], log: Path) -> Iterator[int]:
    """Run `command` until it listens on `host` and `port`, and for the time of the context; yield its process id.

    Words in braces are replaced by `places`; what it says goes into the file `log`.

    Raises:
        UsageError: the command cannot be read or run.
        HarnessError: the server ends, or does not listen in time; with its own words.
    """
    words = _words(command, places)
    with log.open("wb") as said:
        try:
            process = subprocess.Popen(
                words, stdin=subprocess.DEVNULL, stdout=said, stderr=subprocess.STDOUT, start_new_session=True
            )
        except OSError as error:
            raise UsageError(f"--start: {words[0]!r} cannot be run: {error.strerror}") from error
    try:
        until = time.monotonic() + PATIENCE
        while not _listens(host, port):
            if process.poll() is not None or time.monotonic() > until:
                text = log.read_bytes()[-SHOWN:].decode(errors="replace")
                told = "".join(c if c.isprintable() or c == "\n" else f"\\x{ord(c):02x}" for c in text).strip()
                what = f"ended with {process.returncode}" if process.poll() is not None else "does not listen"
                raise HarnessError(f"the server {what} on {host}:{port}: {told or 'no word from it'}")
            time.sleep(EVERY)
        yield process.pid
    finally:
        for number in (signal.SIGTERM, signal.SIGKILL):
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, number)
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(PATIENCE)
                break
