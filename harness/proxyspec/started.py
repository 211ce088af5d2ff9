"""A server that a command starts, and that ends with all its processes."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from proxyspec.errors import HarnessError, UsageError
from proxyspec.interruption import undisturbed
from proxyspec.logs import last_lines
from proxyspec.printable import printable

__all__ = ["started"]

#: How long the server may take to listen, its stop command to end, and its processes to go, in seconds.
STARTING, STOPPING, ENDING = 60.0, 20.0, 10.0
#: How often it is asked whether it listens, or has gone, in seconds.
EVERY = 0.05
#: The last bytes of what it said that an error shows.
SHOWN = 2000


def _listens(host: str, port: int) -> bool:
    try:
        with socket.create_connection((host, port), 1.0):
            return True
    except OSError:
        return False


def _run(words: Sequence[str], folder: Path | None, said: BinaryIO) -> subprocess.Popen[bytes]:
    # A session of its own, so that Ctrl-C reaches us alone and the order of stopping is ours.
    try:
        return subprocess.Popen(
            words, cwd=folder, stdin=subprocess.DEVNULL, stdout=said, stderr=subprocess.STDOUT, start_new_session=True
        )
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise UsageError(f"the command {printable(words[0])!r} cannot be run: {reason}") from error


def _last_words(log: Path) -> str:
    return "\n".join(last_lines(log, SHOWN)) or "no word from it"


@contextlib.contextmanager
def started(
    words: Sequence[str], host: str, port: int, log: Path, *, stop: Sequence[str] = (), folder: Path | None = None
) -> Iterator[int | None]:
    """Run a command, in `folder`, until the server listens and for the time of the context; what it says goes to `log`.

    Yields its process id, or None if it has left the server behind and ended, which takes a command `stop`. At the end
    that is run, and what is left of the process group is ended, by SIGTERM and then SIGKILL.

    Raises:
        UsageError: the command cannot be run, or somebody else listens there.
        HarnessError: the server ends, or does not listen in time; with its own words.
    """
    if _listens(host, port):
        raise UsageError(f"{host}:{port} answers before its server is started: end what listens there")
    with log.open("wb") as said:
        process = None
        try:
            with undisturbed():
                process = _run(words, folder, said)
            until = time.monotonic() + STARTING
            while not _listens(host, port):
                status = process.poll()
                if status is not None and (status != 0 or not stop):
                    raise HarnessError(f"the server ended with {status} on {host}:{port}: {_last_words(log)}")
                if time.monotonic() > until:
                    raise HarnessError(f"the server does not listen on {host}:{port}: {_last_words(log)}")
                time.sleep(EVERY)
            yield process.pid if process.poll() is None else None
        finally:
            if process is not None:
                with undisturbed():
                    if stop:
                        _stop(stop, folder, said)
                    _end(process, patience=ENDING if stop else 0.0)


def _stop(words: Sequence[str], folder: Path | None, said: BinaryIO) -> None:
    """Run the stop command; one that fails or hangs leaves the server to the signals."""
    with contextlib.suppress(UsageError, subprocess.TimeoutExpired):
        stopping = _run(words, folder, said)
        try:
            stopping.wait(STOPPING)
        finally:
            _end(stopping)


def _end(process: subprocess.Popen[bytes], patience: float = 0.0) -> None:
    """See that the whole group of `process` goes, by itself within `patience` seconds or else by signals."""
    if _gone(process, patience):
        return
    for number in (signal.SIGTERM, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, number)
        if _gone(process, ENDING):
            return


def _gone(process: subprocess.Popen[bytes], patience: float) -> bool:
    """Wait until no process of the group is left."""
    until = time.monotonic() + patience
    while True:
        process.poll()
        # A group that belongs to another user is there, too.
        with contextlib.suppress(PermissionError):
            try:
                os.killpg(process.pid, 0)
            except ProcessLookupError:
                return True
        if time.monotonic() >= until:
            return False
        time.sleep(EVERY)
