"""What every engine does alike: check a configuration, start HAProxy on it, sweep up after runs that could not."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping
from contextlib import ExitStack
from types import MappingProxyType
from typing import ClassVar, Final

from proxyspec_haproxy.checks import ConfigCheck
from proxyspec_haproxy.engines.errors import ConfigRejected
from proxyspec_haproxy.engines.handle import HAProxy, Instance
from proxyspec_haproxy.engines.workspace import Workspace, sweep_workspaces
from proxyspec_haproxy.logs import LogLines
from proxyspec_haproxy.version import HAProxyVersion

__all__ = ["Engine"]

_NO_FILES: Final[Mapping[str, bytes]] = MappingProxyType({})


class Engine(ABC):
    """A way to run HAProxy. Instances may be used from several threads, and start any number of HAProxies."""

    name: ClassVar[str]

    @abstractmethod
    def version(self) -> HAProxyVersion:
        """Return the release this engine runs; raises EngineUnavailable when it cannot be told."""

    @abstractmethod
    def describe(self) -> str:
        """Return engine, image or path, and release in one line for people."""

    def check(self, text: str, *, files: Mapping[str, bytes] = _NO_FILES) -> ConfigCheck:
        """Run `haproxy -c` on a configuration. `files` (plain name -> content) lie in topology.FILES_DIR."""
        with ExitStack() as undo:
            workspace = Workspace()
            undo.callback(workspace.remove)
            workspace.write(text, files)
            return self._check(workspace)

    def start(self, text: str, *, files: Mapping[str, bytes] = _NO_FILES, timeout: float = 10.0) -> HAProxy:
        """Check a configuration, start HAProxy on it and wait, up to `timeout` seconds, until it is ready.

        Raises ConfigRejected when `haproxy -c` refuses it, StartFailed when HAProxy does not get ready (a port in use,
        for one), EngineUnavailable when the engine fails. Whatever was started is removed then, and on an interrupt.
        """
        self.sweep()
        with ExitStack() as undo:
            workspace = Workspace()
            undo.callback(workspace.remove)
            workspace.write(text, files)
            check = self._check(workspace)
            if not check.ok:
                raise ConfigRejected(check)
            log = LogLines()
            instance = self._launch(workspace, log)
            undo.callback(instance.destroy)
            running = HAProxy(workspace, instance, log, text, files)
            undo.callback(running.kill)
            running.wait_ready(timeout)
            undo.pop_all()
            return running

    def sweep(self) -> list[str]:
        """Remove what ended runs left behind; returns their names."""
        return [str(path) for path in sweep_workspaces()]

    @abstractmethod
    def _check(self, workspace: Workspace) -> ConfigCheck: ...

    @abstractmethod
    def _launch(self, workspace: Workspace, log: LogLines) -> Instance:
        """Start the master on the workspace's configuration; on failure nothing of it may stay."""
