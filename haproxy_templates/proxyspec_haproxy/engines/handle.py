"""One running HAProxy, wherever it runs: readiness, reload, log and a stop that leaves nothing behind."""

from __future__ import annotations

import atexit
import os
import signal
import threading
import time
from collections.abc import Mapping
from contextlib import suppress
from types import TracebackType
from typing import Final, Protocol, Self

from proxyspec_haproxy.checks import alerts_in
from proxyspec_haproxy.engines.errors import StartFailed
from proxyspec_haproxy.engines.workspace import MASTER_SOCKET, STATS_SOCKET, Workspace
from proxyspec_haproxy.errors import HAProxyError
from proxyspec_haproxy.logs import LogLines
from proxyspec_haproxy.runtime import (
    Info,
    MasterClient,
    Reload,
    RuntimeClient,
    RuntimeUnavailable,
    UnexpectedAnswer,
    current_workers,
)

__all__ = ["HAProxy", "Instance"]

_POLL: Final = 0.01
# A SIGUSR1 that reaches a master busy re-executing itself (after a start or a failed reload, up to 3.0) is lost.
_SIGNAL_AGAIN: Final = 0.5


class Instance(Protocol):
    """HAProxy's master as a process somewhere."""

    def signal(self, number: signal.Signals) -> None:
        """Send the master a signal; no error when it has ended."""

    def exit_status(self) -> int | None:
        """Return the master's exit status, None while it runs."""

    def destroy(self) -> None:
        """End master and workers at once, in whatever state they are; the log is complete afterwards."""


class HAProxy:
    """A started HAProxy; a context manager that stops it.

    `runtime` and `master` are its sockets, `info` is `show info` at the time it got ready.
    """

    def __init__(
        self, workspace: Workspace, instance: Instance, log: LogLines, text: str, files: Mapping[str, bytes]
    ) -> None:
        self.runtime = RuntimeClient(workspace.run_dir / STATS_SOCKET)
        self.master = MasterClient(workspace.run_dir / MASTER_SOCKET)
        self.info: Info | None = None
        self._workspace = workspace
        self._instance = instance
        self._log = log
        self._text = text
        self._files = dict(files)
        self._pid = os.getpid()
        self._stopping = threading.Lock()
        self._stopped = False
        _running.add(self)

    @property
    def config_text(self) -> str:
        """The configuration in service: that of the start, or of the last reload that succeeded."""
        return self._text

    @property
    def log_lines(self) -> tuple[str, ...]:
        """What HAProxy has logged so far, oldest first: its own messages and a line per session and check result."""
        return self._log.all()

    def wait_ready(self, timeout: float) -> None:
        """Wait until the worker answers on the stats socket and the master on its own.

        The second half matters: up to 3.0 a master still re-executing itself loses signals. Raises StartFailed with
        what HAProxy said when it ends instead, or when `timeout` seconds pass.
        """
        deadline = time.monotonic() + timeout
        while True:
            try:
                info = self.runtime.info()
                if self.master.workers():
                    self.info = info
                    return
            except (RuntimeUnavailable, UnexpectedAnswer):
                pass
            status = self._instance.exit_status()
            if status is not None:
                self._instance.destroy()
                raise StartFailed(f"HAProxy ended with status {status} while starting:", self._said())
            if time.monotonic() >= deadline:
                raise StartFailed(f"HAProxy did not get ready within {timeout} s:", self._said())
            time.sleep(_POLL)

    def _said(self) -> str:
        text = "\n".join(self._log.all())
        alerts = alerts_in(text)
        return "\n".join(alerts) if alerts else text

    def reload(self, text: str, *, files: Mapping[str, bytes] | None = None, timeout: float = 10.0) -> Reload:
        """Put another configuration into service without closing the listening sockets.

        `files` replaces or adds files beside it. When HAProxy refuses, `ok` is false, `log` says why, and the old
        configuration goes on serving. Raises RuntimeUnavailable when the master does not answer.
        """
        before = self.master.workers()
        mark = self._log.seen
        self._workspace.write(text, {**self._files, **(files or {})})
        result = self.master.reload(timeout=timeout)
        if result.ok is None:
            result = self._watch_reload(before, mark, timeout)
        if result.ok:
            self._text = text
            self._files.update(files or {})
        else:
            self._workspace.write(self._text, self._files)
        return result

    def _watch_reload(self, before: frozenset[int], mark: int, timeout: float) -> Reload:
        """Tell by a new worker, or by [ALERT] lines, how a reload went on a release that does not say (before 2.7)."""
        deadline = time.monotonic() + timeout
        while time.monotonic() < deadline:
            try:
                processes = self.master.processes()
            except RuntimeUnavailable:  # the master is still re-executing itself
                processes = []
            workers = current_workers(processes)
            if workers and not workers & before:
                return Reload(ok=True, log="")
            # Up to 2.6 the master reads the configuration. Its return counts too: the next signal reaches it.
            for master in (process.pid for process in processes if process.kind == "master"):
                alerts = alerts_in("\n".join(self._log.since(mark)), pid=master)
                if alerts:
                    return Reload(ok=False, log="\n".join(alerts))
            time.sleep(_POLL)
        return Reload(ok=False, log=f"no new worker and no error within {timeout} s")

    def stop(self, *, timeout: float = 5.0) -> None:
        """Stop gracefully (SIGUSR1), after `timeout` seconds forcibly, and remove every trace; may be called twice."""
        with self._stopping:
            if self._stopped:
                return
            self._stopped = True
            try:
                self._ask_to_stop(timeout)
            finally:
                self._remove()

    def kill(self) -> None:
        """Stop at once, open sessions or not, and remove every trace; may be called twice."""
        with self._stopping:
            if not self._stopped:
                self._stopped = True
                self._remove()

    def _remove(self) -> None:
        try:
            self._instance.destroy()
        finally:
            self._workspace.remove()
            _running.discard(self)

    def _ask_to_stop(self, timeout: float) -> None:
        deadline = time.monotonic() + timeout
        signal_at = 0.0
        while self._instance.exit_status() is None and (now := time.monotonic()) < deadline:
            if now >= signal_at:
                self._instance.signal(signal.SIGUSR1)
                signal_at = now + _SIGNAL_AGAIN
            time.sleep(_POLL)

    def kill_at_exit(self) -> None:
        """Kill it unless this is a forked copy of the process that started it."""
        if self._pid == os.getpid():
            self.kill()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()


# Held until stopped: whoever loses the handle still leaves nothing behind when the process ends.
_running: set[HAProxy] = set()


@atexit.register
def _kill_all() -> None:
    for running in tuple(_running):
        with suppress(HAProxyError):  # the engine has gone first; the folder is removed all the same
            running.kill_at_exit()
