"""HAProxy in a Docker container with the host's network, from any image that keeps the official one's conventions."""

from __future__ import annotations

import os
import queue
import signal
import socket
import threading
import time
import weakref
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, Final, TypeVar

from proxyspec_haproxy.checks import ConfigCheck, parse_config_check
from proxyspec_haproxy.engines.engine import Engine
from proxyspec_haproxy.engines.errors import EngineUnavailable
from proxyspec_haproxy.engines.handle import Instance
from proxyspec_haproxy.engines.owner import Owner
from proxyspec_haproxy.engines.workspace import CONFIG_NAME, MASTER_SOCKET, Workspace
from proxyspec_haproxy.logs import LogLines, visible
from proxyspec_haproxy.version import HAProxyVersion

if TYPE_CHECKING:
    from docker import DockerClient
    from docker.models.containers import Container

__all__ = ["LABEL", "DockerEngine", "connect", "image_present", "pull_image", "sweep_containers", "translated_errors"]

_Result = TypeVar("_Result")

LABEL: Final = "org.proxyspec"
_OWNER_LABEL: Final = "org.proxyspec.owner"
_CONFIG_DIR: Final = "/usr/local/etc/haproxy"
_RUN_DIR: Final = "/run/proxyspec"
# uid and gid of the official image's user; root hands it the socket folder, anybody else runs the container as himself.
_IMAGE_USER: Final = 99

_DEFAULT_HOST: Final = "unix:///var/run/docker.sock"
_API_TIMEOUT: Final = 30
_CHECK_TIMEOUT: Final = 20
_PULL_SILENCE: Final = 30.0
_PULL_TOTAL: Final = 300.0
_END_TIMEOUT: Final = 5.0
_LOG_SIZE: Final = "50m"


@contextmanager
def translated_errors(doing: str) -> Iterator[None]:
    """Turn whatever the docker SDK raises into EngineUnavailable with a remedy; `doing` begins the message."""
    import requests
    from docker.errors import DockerException

    try:
        yield
    except (DockerException, requests.exceptions.RequestException) as error:
        raise EngineUnavailable(f"{doing}: {_explain(error)}") from error


def _explain(error: BaseException) -> str:
    """Say what is wrong with Docker, by the operating system's error at the end of the chain where there is one."""
    link: BaseException | None = error
    while link is not None:
        # requests' own exceptions are OSErrors as well, without a number
        if isinstance(link, OSError) and link.errno is not None:
            if isinstance(link, PermissionError):
                return "no permission for Docker's socket; join the docker group, or choose the binary engine"
            if isinstance(link, FileNotFoundError | ConnectionRefusedError):
                return "its daemon does not answer; start it, or choose the binary engine"
        link = link.__cause__ or link.__context__
    text = visible(str(getattr(error, "explanation", None) or error))
    return text[:400]


def connect() -> DockerClient:
    """Connect to the daemon the environment names (DOCKER_HOST) or the local one, and check that it fits.

    Raises EngineUnavailable when it does not answer, or is not one of this machine: HAProxy must share the network and
    the temporary folder with the run.
    """
    host = os.environ.get("DOCKER_HOST") or _DEFAULT_HOST
    if not host.startswith("unix://"):
        raise EngineUnavailable(
            f"no Docker: DOCKER_HOST is {visible(host)[:80]}, not a socket of this machine; choose the binary engine"
        )
    try:
        # The SDK would leave its socket open when it cannot connect.
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(_API_TIMEOUT)
            probe.connect(host.removeprefix("unix://"))
    except OSError as error:
        raise EngineUnavailable(f"no Docker: {_explain(error)}") from error
    with translated_errors("no Docker"), ExitStack() as undo:
        import docker

        client = docker.from_env(timeout=_API_TIMEOUT)
        undo.callback(client.close)
        options = client.info().get("SecurityOptions") or ()
        if any("rootless" in str(option) for option in options):
            raise EngineUnavailable("no Docker: a rootless daemon has no host network; choose the binary engine")
        undo.pop_all()
        return client


def image_present(client: DockerClient, image: str) -> bool:
    """Say whether an image is on this machine."""
    from docker.errors import ImageNotFound

    with translated_errors(f"image {image}"):
        try:
            client.images.get(image)
        except ImageNotFound:
            return False
    return True


def pull_image(client: DockerClient, image: str, *, patience: float = 8.0) -> None:
    """Pull an image; raises EngineUnavailable when the registry does not begin to answer within `patience` seconds."""
    repository, colon, tag = image.rpartition(":")
    if not colon or "/" in tag:
        repository, tag = image, "latest"
    events: queue.SimpleQueue[dict[str, Any] | BaseException | None] = queue.SimpleQueue()

    def pull() -> None:
        import requests
        from docker.errors import DockerException

        try:
            for event in client.api.pull(repository, tag=tag, stream=True, decode=True):
                events.put(event)
            events.put(None)
        except (DockerException, requests.exceptions.RequestException, OSError) as error:
            events.put(error)

    threading.Thread(target=pull, name=f"pull {image}", daemon=True).start()
    deadline = time.monotonic() + _PULL_TOTAL
    silence = patience
    while True:
        try:
            event = events.get(timeout=max(0.0, min(silence, deadline - time.monotonic())))
        except queue.Empty:
            raise EngineUnavailable(f"image {image}: the registry does not answer in time") from None
        if event is None:
            break
        if isinstance(event, BaseException):
            raise EngineUnavailable(f"image {image} cannot be pulled: {_explain(event)}") from event
        if "error" in event:
            raise EngineUnavailable(f"image {image} cannot be pulled: {visible(str(event['error']))[:400]}")
        silence = _PULL_SILENCE
    if not image_present(client, image):
        raise EngineUnavailable(f"image {image}: the pull ended without it")


def sweep_containers(client: DockerClient) -> list[str]:
    """Remove the containers of runs that have ended without doing so; returns their names."""
    from docker.errors import APIError

    removed: list[str] = []
    with translated_errors("sweeping up containers"):
        for container in client.containers.list(all=True, filters={"label": LABEL}, ignore_removed=True):
            owner = Owner.parse(str(container.labels.get(_OWNER_LABEL, "")))
            if owner is None or not owner.gone:
                continue
            try:
                container.remove(force=True, v=True)
            except APIError as error:
                if not _already_going(error):
                    raise
            removed.append(str(container.name))
    return removed


def _already_going(error: Exception) -> bool:
    """Whether the daemon says that a container is gone (404) or another has begun to remove or stop it (409)."""
    return getattr(error, "status_code", None) in (404, 409)


class DockerEngine(Engine):
    """Runs one image, which must be on this machine."""

    name = "docker"

    def __init__(self, client: DockerClient, image: str) -> None:
        """Take over `client`, which is closed with the engine; raises EngineUnavailable when the image is missing."""
        self.image = image
        self._client = client
        weakref.finalize(self, client.close)
        if not image_present(client, image):
            raise EngineUnavailable(
                f"image {image} is not on this machine; pull it, or build one from Debian's packages"
            )

    @cached_property
    def _version(self) -> HAProxyVersion:
        with translated_errors(f"image {self.image}"):
            config = self._client.images.get(self.image).attrs.get("Config") or {}
        for setting in config.get("Env") or ():
            name, _, value = str(setting).partition("=")
            if name == "HAPROXY_VERSION":
                return self._parse_version(value)
        _, output = self._run_to_end(["haproxy", "-v"], None)
        return self._parse_version(output)

    def _parse_version(self, text: str) -> HAProxyVersion:
        try:
            return HAProxyVersion.parse(text)
        except ValueError as error:
            raise EngineUnavailable(f"image {self.image}: {error}; choose an image of HAProxy") from error

    def version(self) -> HAProxyVersion:
        """Return what the image says of itself (HAPROXY_VERSION), or what `haproxy -v` says in it."""
        return self._version

    def describe(self) -> str:
        """Return "docker IMAGE (HAProxy RELEASE)"."""
        return f"docker {self.image} (HAProxy {self._version})"

    def sweep(self) -> list[str]:
        """Remove containers and folders that ended runs left behind; returns their names."""
        return [*sweep_containers(self._client), *super().sweep()]

    def _create(self, command: list[str], workspace: Workspace | None) -> Container:
        from docker.types import LogConfig

        root = os.getuid() == 0
        user = f"{_IMAGE_USER}:{_IMAGE_USER}" if root else f"{os.getuid()}:{os.getgid()}"
        volumes: dict[str, dict[str, str]] = {}
        if workspace is not None:
            if root:
                workspace.give_run_dir_to(_IMAGE_USER, _IMAGE_USER)
            # The folder, not the file: a mounted file would keep its old content after a rename.
            volumes[str(workspace.config_dir)] = {"bind": _CONFIG_DIR, "mode": "ro"}
            volumes[str(workspace.run_dir)] = {"bind": _RUN_DIR, "mode": "rw"}
        # create and start rather than run, which would pull a missing image
        container: Container = self._client.containers.create(
            self.image,
            command,
            network_mode="host",
            read_only=True,
            cap_drop=["ALL"],
            security_opt=["no-new-privileges"],
            user=user,
            labels={LABEL: "1", _OWNER_LABEL: str(Owner.current())},
            environment={"PROXYSPEC_RUN_DIR": _RUN_DIR, "PROXYSPEC_FILES_DIR": _CONFIG_DIR},
            volumes=volumes,
            log_config=LogConfig(type="json-file", config={"max-size": _LOG_SIZE}),
        )
        return container

    def _make(self, command: list[str], workspace: Workspace | None, undo: ExitStack) -> Container:
        """Create a container that `undo` removes, also where an interruption comes while the daemon is at it."""

        def make() -> Container:
            container = self._create(command, workspace)
            undo.callback(_unbroken, partial(_remove, container))
            return container

        return _unbroken(make)

    def _run_to_end(self, command: list[str], workspace: Workspace | None) -> tuple[int, str]:
        """Run a command in a container of its own; returns exit status and combined output."""
        with translated_errors(f"image {self.image}"), ExitStack() as undo:
            container = self._make(command, workspace, undo)
            container.start()
            status = int(container.wait(timeout=_CHECK_TIMEOUT)["StatusCode"])
            return status, container.logs().decode("utf-8", "replace")

    def _check(self, workspace: Workspace) -> ConfigCheck:
        status, output = self._run_to_end(["haproxy", "-c", "-f", f"{_CONFIG_DIR}/{CONFIG_NAME}"], workspace)
        check = parse_config_check(status, output)
        if any("Could not open configuration file" in alert for alert in check.alerts):
            raise EngineUnavailable(
                f"the Docker daemon does not see {workspace.config_dir} of this machine; choose the binary engine"
            )
        return check

    def _launch(self, workspace: Workspace, log: LogLines) -> Instance:
        master = f"{_RUN_DIR}/{MASTER_SOCKET},mode,600"
        # The official entrypoint puts -W -db in front; said twice they change nothing, and other images may not.
        command = ["haproxy", "-W", "-db", "-S", master, "-f", f"{_CONFIG_DIR}/{CONFIG_NAME}"]
        with translated_errors(f"image {self.image}"), ExitStack() as undo:
            container = self._make(command, workspace, undo)
            container.start()
            instance = _RunningContainer(container, log)
            undo.pop_all()
            return instance


def _unbroken(work: Callable[[], _Result]) -> _Result:
    """Do something in a thread, which no interruption reaches: that comes to the main thread, which waits for it."""
    worker = ThreadPoolExecutor(1, "docker")
    try:
        working = worker.submit(work)
    except RuntimeError:  # the interpreter is at its end and starts no more threads
        return work()
    with worker:
        return working.result()


def _remove(container: Container) -> None:
    from docker.errors import APIError

    try:
        container.remove(force=True, v=True)
    except APIError as error:
        if not _already_going(error):
            raise


class _RunningContainer:
    """A started container and the thread that reads its log."""

    def __init__(self, container: Container, log: LogLines) -> None:
        self._container = container
        self._log = log
        self._thread = threading.Thread(target=self._read, name="haproxy log", daemon=True)
        self._thread.start()

    def _read(self) -> None:
        import requests
        from docker.errors import DockerException

        try:
            for chunk in self._container.logs(stream=True, follow=True):
                self._log.feed(chunk)
        except (DockerException, requests.exceptions.RequestException, OSError) as error:
            self._log.feed(f"\n[WARNING] the log ends here: {error}".encode())
        self._log.end()

    def signal(self, number: signal.Signals) -> None:
        """Send the master a signal; no error when it has ended."""
        from docker.errors import APIError

        with translated_errors("signal to the container"):
            try:
                self._container.kill(number.name)
            except APIError as error:
                if not _already_going(error):
                    raise

    def exit_status(self) -> int | None:
        """Return the master's exit status, None while it runs; 137 when somebody else removed the container."""
        from docker.errors import NotFound

        with translated_errors("state of the container"):
            try:
                self._container.reload()
            except NotFound:
                return 128 + signal.SIGKILL
        if self._container.status not in ("exited", "dead"):
            return None
        return int(self._container.attrs["State"]["ExitCode"])

    def destroy(self) -> None:
        """Remove the container, running or not, after its log has been read to the end."""
        _unbroken(self._destroy)

    def _destroy(self) -> None:
        with translated_errors("removing the container"):
            if self.exit_status() is not None:
                self._thread.join(_END_TIMEOUT)
            _remove(self._container)
        self._thread.join(_END_TIMEOUT)
