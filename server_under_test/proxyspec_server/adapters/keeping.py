"""Starts a server's processes, knows when it listens, and ends every one of them."""

from __future__ import annotations

import contextlib
import os
import re
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import psutil  # type: ignore[import-untyped]

from proxyspec_server.adapters.contract import HERE, Launch
from proxyspec_server.adapters.errors import AdapterError
from proxyspec_server.adapters.surroundings import no_lookups, orphans_come_here, parts_with, see
from proxyspec_server.visible import visible

__all__ = ["GRACE", "PATIENCE", "Kept", "PortTaken", "kept", "last_words", "wait"]

#: Seconds a server may take to listen, and to end when it is told to.
PATIENCE: Final = 60.0
GRACE: Final = 5.0
_LOOK_AGAIN: Final = 0.05
_LISTEN: Final = "0A"  # as /proc/net/tcp has it
_LINES: Final = 12
_TAIL: Final = 64 * 1024
_TAKEN = re.compile(rb"EADDRINUSE|[Aa]ddress already in use|cannot bind")


class PortTaken(AdapterError):
    """Somebody took the port since it was found free."""


def last_words(log: Path, lines: int = _LINES) -> str:
    """Return the last lines of a log, made safe to show; a sentence where there are none."""
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - _TAIL))
            said = file.read().splitlines()[-lines:]
    except OSError as error:
        return f"(no log: {error.strerror or error})"
    return "\n".join(f"  {visible(line, 300)}" for line in said) or "  (not a word)"


class Kept:
    """The processes of a server that has been started."""

    def __init__(self, launch: Launch, log: Path, port: int) -> None:
        self._launch = launch
        self._log = log
        self._port = port
        #: Since when, on the monotonic clock, nobody holds the other end of what a process serves.
        self._deserted: dict[int, float] = {}
        self._processes: list[subprocess.Popen[bytes]] = []

    @property
    def pid(self) -> int:
        """The mail server's main process."""
        return self._processes[-1].pid

    def start(self, environment: dict[str, str]) -> None:
        """Start the commands; what they print goes into the log.

        Raises:
            AdapterError: a program is missing.
        """
        with self._log.open("ab") as log:
            for command in self._launch.commands:
                try:
                    self._processes.append(
                        subprocess.Popen(
                            command,
                            stdin=subprocess.DEVNULL,
                            stdout=log,
                            stderr=subprocess.STDOUT,
                            env=environment,
                            start_new_session=True,
                            # Safe here: this program has one thread.
                            preexec_fn=lambda: parts_with(signal.SIGKILL),
                        )
                    )
                except OSError as error:
                    raise AdapterError(f"{command[0]} cannot be run: {error.strerror or error}") from error

    def gone(self) -> str | None:
        """Say which process has ended and how, or None while all run."""
        for command, process in zip(self._launch.commands, self._processes, strict=True):
            if (code := process.poll()) is not None:
                how = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
                return f"{Path(command[0]).name} has ended ({how})"
        return None

    def end(self) -> None:
        """Tell the processes to end, and after a grace kill whatever is left of them and of theirs."""
        for process in self._processes:
            with contextlib.suppress(ProcessLookupError):
                process.send_signal(self._launch.stop)
        deadline = time.monotonic() + GRACE
        while _alive() and time.monotonic() < deadline:
            _reap()
            time.sleep(_LOOK_AGAIN)
        while left := _alive():
            for process in left:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
            _reap()
            time.sleep(_LOOK_AGAIN)

    def end_the_deserted(self) -> None:
        """Kill what lives on for a connection that nobody holds: if it spins, others lack the processor."""
        if self._launch.deserted_seconds is None:
            return
        now, deserted = time.monotonic(), _deserted(self._port)
        ours = {process.pid: process for process in _alive() if process.pid in deserted}
        self._deserted = {pid: self._deserted.get(pid, now) for pid in ours}
        for pid, since in self._deserted.items():
            if now - since >= self._launch.deserted_seconds:
                with contextlib.suppress(psutil.NoSuchProcess):
                    ours[pid].kill()


def _alive() -> list[psutil.Process]:
    return list(psutil.Process().children(recursive=True))


def _reap() -> None:
    """Take leave of every child that has ended, adopted ones too."""
    with contextlib.suppress(ChildProcessError):
        while os.waitpid(-1, os.WNOHANG) != (0, 0):
            pass


def _listens(port: int) -> bool:
    """Tell whether one of our descendants listens on this port of 127.0.0.1, without a connection it would see."""
    ours = {process.pid for process in _alive()}
    return any(
        socket.pid in ours and socket.status == psutil.CONN_LISTEN and socket.laddr in {(HERE, port), ("0.0.0.0", port)}  # noqa: S104
        for socket in psutil.net_connections("tcp4")
    )


def _deserted(port: int) -> set[int]:
    """Return the processes with a connection of this port whose other end no process holds any more."""
    sockets = [socket for socket in psutil.net_connections("tcp4") if socket.pid is not None and socket.raddr]
    held = {(socket.laddr, socket.raddr) for socket in sockets}
    return {socket.pid for socket in sockets if socket.laddr.port == port and (socket.raddr, socket.laddr) not in held}


@contextlib.contextmanager
def kept(launch: Launch, log: Path, run: Path, port: int, *, tell: Callable[[str], None]) -> Iterator[Kept]:
    """Run the server for the time of the context, which is entered once it listens.

    This process must have no other children. `tell` gets a sentence where something is not as it should be.

    Raises:
        PortTaken: somebody else listens on the port.
        AdapterError: it does not start; its last words are in the message.
    """
    orphans_come_here()
    try:
        see({**no_lookups(run), **launch.bindings}, launch.layers)
    except AdapterError as error:
        if launch.needs_bindings:
            raise AdapterError(f"{error}; this server cannot do without") from error
        tell(f"{error}: what this server looks up may be asked of the machine's own resolver")
    server = Kept(launch, log, port)
    try:
        server.start({**os.environ, **launch.environment})
        deadline = time.monotonic() + PATIENCE
        while not _listens(port):
            if (gone := server.gone()) is not None:
                kind = PortTaken if _TAKEN.search(log.read_bytes()[-_TAIL:]) else AdapterError
                raise kind(f"it does not start, {gone}; the end of its log:\n{last_words(log)}")
            if time.monotonic() > deadline:
                raise AdapterError(
                    f"it does not listen on port {port} after {PATIENCE:.0f} s; the end of its log:\n{last_words(log)}"
                )
            time.sleep(_LOOK_AGAIN)
        yield server
    finally:
        server.end()


def wait(server: Kept, log: Path) -> None:
    """Wait until standard input ends.

    Raises:
        AdapterError: the server has ended before.
    """
    while True:
        ready, _, _ = select.select([sys.stdin], [], [], 0.25)
        if ready and not os.read(sys.stdin.fileno(), 4096):
            return
        if (gone := server.gone()) is not None:
            raise AdapterError(f"{gone}; the end of its log:\n{last_words(log)}")
        server.end_the_deserted()
