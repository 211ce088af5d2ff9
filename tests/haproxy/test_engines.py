from __future__ import annotations

import os
import select
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxyspec_haproxy import (
    FILES_DIR,
    RUN_DIR,
    BinaryEngine,
    Bind,
    CheckKind,
    ConfigRejected,
    DockerEngine,
    Engine,
    EngineUnavailable,
    HAProxyVersion,
    HostPort,
    Listen,
    Listener,
    ProxyHeader,
    RuntimeUnavailable,
    Server,
    StartFailed,
    choose_engine,
    render_topology,
)
from proxyspec_haproxy.engines.choose import newest
from proxyspec_haproxy.engines.docker import pull_image
from proxyspec_haproxy.engines.owner import Owner
from proxyspec_haproxy.engines.workspace import Workspace, sweep_workspaces

if TYPE_CHECKING:
    from docker import DockerClient

DEADLINE = 10.0


def config(port: int, version: HAProxyVersion, *, weight: int = 1) -> str:
    server = Server("mx1", HostPort("127.0.0.1", 9), proxy=ProxyHeader.V1, weight=weight)
    listener = Listener("smtp", (Bind(HostPort("127.0.0.1", port)),), (server,), CheckKind.NONE)
    return render_topology(Listen((listener,)), version)


def containers(client: DockerClient, owner: str) -> list[str]:
    found = client.containers.list(all=True, filters={"label": f"org.proxyspec.owner={owner}"}, ignore_removed=True)
    return [str(container.id) for container in found]


def folders(owner: str) -> list[Path]:
    return list(Path(tempfile.gettempdir()).glob(f"proxyspec-{owner}-*"))


def ended(pid: int) -> bool:
    """Wait, for DEADLINE seconds, until a process that need not be a child of ours has ended."""
    try:
        process = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return bool(select.select([process], [], [], DEADLINE)[0])
    finally:
        os.close(process)


def nothing_left(engine: Engine, client: DockerClient | None) -> None:
    assert folders(str(Owner.current())) == []
    if client is not None:
        assert containers(client, str(Owner.current())) == []
    assert engine.name in ("binary", "docker")


@pytest.fixture
def client(engine: Engine, request: pytest.FixtureRequest) -> DockerClient | None:
    """The daemon, where the engine at hand is Docker."""
    if engine.name != "docker":
        return None
    found: DockerClient = request.getfixturevalue("docker_client")
    return found


def test_a_whole_life(engine: Engine, client: DockerClient | None, free_ports: Callable[[int], list[int]]) -> None:
    first, second = free_ports(2)
    version = engine.version()
    text = config(first, version)
    with engine.start(text) as running:
        assert running.config_text == text
        assert running.info is not None
        assert HAProxyVersion.parse(running.info.version) == version
        assert [row.name for row in running.runtime.stat("smtp")] == ["FRONTEND", "mx1", "BACKEND"]
        socket.create_connection(("127.0.0.1", first), 2).close()

        running.runtime.command("set server smtp/mx1 state maint")
        assert running.runtime.server("smtp", "mx1").state == "MAINT"
        running.runtime.enable("smtp", "mx1")
        assert running.runtime.server("smtp", "mx1").state != "MAINT"

        good = config(second, version, weight=7)
        outcome = running.reload(good)
        assert outcome.ok, outcome.log
        assert running.config_text == good
        running.runtime.wait(lambda: running.runtime.server("smtp", "mx1").weight == 7)
        socket.create_connection(("127.0.0.1", second), 2).close()

        outcome = running.reload(good.replace("balance roundrobin", "balance roundrobbin"))
        assert outcome.ok is False
        assert "balance only supports 'roundrobin'" in outcome.log
        assert running.config_text == good
        socket.create_connection(("127.0.0.1", second), 2).close()

        outcome = running.reload(text)
        assert outcome.ok, outcome.log
        running.runtime.wait(lambda: running.runtime.server("smtp", "mx1").weight == 1)
        pids = [process.pid for process in running.master.processes()]
    assert any("exited with code 0" in line for line in running.log_lines)
    if client is None:
        assert all(ended(pid) for pid in pids)
    with pytest.raises(RuntimeUnavailable):
        running.runtime.info()
    running.stop()  # once more does nothing
    nothing_left(engine, client)


def test_traffic_is_in_the_log(engine: Engine, free_ports: Callable[[int], list[int]]) -> None:
    (port,) = free_ports(1)
    with engine.start(config(port, engine.version())) as running:
        with socket.create_connection(("127.0.0.1", port), 2) as connection:
            assert connection.recv(1) == b""
        running.runtime.wait(lambda: any(" smtp smtp/mx1 " in line for line in running.log_lines))


def test_a_stop_ends_open_sessions(
    engine: Engine, client: DockerClient | None, free_ports: Callable[[int], list[int]]
) -> None:
    (port,) = free_ports(1)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        text = config(port, engine.version()).replace("127.0.0.1:9 ", f"127.0.0.1:{silent.getsockname()[1]} ")
        text = text.replace("hard-stop-after 2000ms", "hard-stop-after 100ms")
        with engine.start(text) as running, socket.create_connection(("127.0.0.1", port), 2) as session:
            accepted, _ = silent.accept()
            with accepted:
                assert accepted.recv(100).startswith(b"PROXY TCP4 127.0.0.1 ")
                running.stop()
                session.settimeout(2)
                assert session.recv(1) == b""
    nothing_left(engine, client)


def test_a_broken_configuration_is_refused_in_haproxys_words(engine: Engine, client: DockerClient | None) -> None:
    text = config(2525, engine.version()).replace("send-proxy", "send-proxi")
    check = engine.check(text)
    assert not check.ok
    with pytest.raises(ConfigRejected, match="'send-proxi'; did you mean 'send-proxy' maybe") as refused:
        engine.start(text)
    assert len(refused.value.alerts) == len(check.alerts)  # the same but for the folder
    assert any("haproxy.cfg:" in alert for alert in refused.value.alerts)
    nothing_left(engine, client)


def test_a_port_in_use_is_told_in_haproxys_words(engine: Engine, client: DockerClient | None) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(StartFailed) as failed:
            engine.start(config(port, engine.version()))
    message = str(failed.value)
    assert "HAProxy ended with status 1 while starting" in message
    assert "cannot bind socket (Address already in use)" in message
    assert f"127.0.0.1:{port}" in message
    nothing_left(engine, client)


def test_files_and_sockets_have_their_place_in_every_engine(
    engine: Engine, free_ports: Callable[[int], list[int]]
) -> None:
    (port,) = free_ports(1)
    binds = (Bind(HostPort("127.0.0.1", port)), Bind(f"unix@{RUN_DIR}/in.sock"))
    servers = (Server("mx1", HostPort("127.0.0.1", 9)),)
    listen = Listener("smtp", binds, servers, CheckKind.NONE, extra=(f'errorfile 503 "{FILES_DIR}/503.http"',))
    text = render_topology(Listen((listen,)), engine.version()).replace("mode tcp", "mode http")
    text = text.replace("option tcplog", "option httplog")
    page = b"HTTP/1.0 503 Service Unavailable\r\nContent-Length: 5\r\n\r\nhere\n"
    with engine.start(text, files={"503.http": page}), socket.create_connection(("127.0.0.1", port), 2) as connection:
        connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
        answer = b"".join(iter(lambda: connection.recv(1000), b""))
    assert answer.endswith(b"here\n")


@pytest.mark.parametrize("name", ["../x", "haproxy.cfg", "", "..", "a/b"])
def test_files_with_a_path_are_refused(name: str) -> None:
    workspace = Workspace()
    try:
        with pytest.raises(ValueError, match="expected a plain file name"):
            workspace.write("", {name: b""})
    finally:
        workspace.remove()


def test_the_folder_of_a_run_is_private_and_replaced_as_a_whole() -> None:
    workspace = Workspace()
    try:
        assert stat.S_IMODE(workspace.path.stat().st_mode) == 0o700
        assert stat.S_IMODE(workspace.run_dir.stat().st_mode) == 0o700
        assert len(str(workspace.run_dir / "haproxy.sock")) <= 97
        workspace.write("one", {"a": b"1"})
        before = workspace.config_file.stat().st_ino
        workspace.write("two", {})
        assert workspace.config_file.read_text() == "two"
        assert workspace.config_file.stat().st_ino != before
        assert sorted(path.name for path in workspace.config_dir.iterdir()) == ["a", "haproxy.cfg"]
    finally:
        workspace.remove()
    assert not workspace.path.exists()


def ended_owner() -> Owner:
    """The identity of a process that has ended."""
    text = "from proxyspec_haproxy.engines.owner import Owner; print(Owner.current())"
    done = subprocess.run([sys.executable, "-c", text], capture_output=True, text=True, check=True)
    owner = Owner.parse(done.stdout.strip())
    assert owner is not None
    return owner


def test_who_owns_a_leftover() -> None:
    me = Owner.current()
    assert Owner.parse(str(me)) == me
    assert not me.gone
    assert ended_owner().gone
    assert Owner(me.namespace, me.pid, me.started + 1).gone, "another process had this pid before"
    assert not Owner(me.namespace + 1, 1, 1).gone, "a process of another namespace cannot be seen"


@given(st.text())
def test_any_text_is_an_owner_or_none(text: str) -> None:
    owner = Owner.parse(text)
    assert owner is None or str(owner) == text


def test_folders_of_ended_runs_are_swept_and_no_others() -> None:
    here = Path(tempfile.gettempdir())
    gone = here / f"proxyspec-{ended_owner()}-abc"
    foreign = here / f"proxyspec-notours-{os.getpid()}"
    mine = Workspace()
    try:
        gone.mkdir()
        (gone / "file").touch()
        foreign.mkdir()
        sweep_workspaces()
        assert not gone.exists()
        assert mine.path.exists()
        assert foreign.exists()
    finally:
        mine.remove()
        foreign.rmdir()
        shutil.rmtree(gone, ignore_errors=True)


RUN = """
import signal, sys
from proxyspec_haproxy import choose_engine
from proxyspec_haproxy.engines.owner import Owner

ending, spec, text = sys.argv[1:]
engine = choose_engine(spec).engine
running = engine.start(text)
print(Owner.current(), *[process.pid for process in running.master.processes()], flush=True)
if ending == "forgotten":
    sys.exit(0)
with running:
    signal.pause()
"""


@pytest.mark.parametrize("ending", ["forgotten", "interrupted", "killed"])
def test_nothing_outlives_a_run_however_it_ends(
    ending: str, engine: Engine, client: DockerClient | None, free_ports: Callable[[int], list[int]]
) -> None:
    (port,) = free_ports(1)
    spec = f"docker:{engine.image}" if isinstance(engine, DockerEngine) else "binary"
    command = [sys.executable, "-c", RUN, ending, spec, config(port, engine.version())]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as run:
        assert run.stdout is not None
        line = run.stdout.readline()
        assert line, run.communicate()[1]
        owner, *pids = line.split()
        if ending != "forgotten":
            assert folders(owner) != []
            run.send_signal(signal.SIGINT if ending == "interrupted" else signal.SIGKILL)
        _, said = run.communicate(timeout=DEADLINE)
    assert {"forgotten": 0, "interrupted": -signal.SIGINT, "killed": -signal.SIGKILL}[ending] == run.returncode, said
    if client is None:
        assert all(ended(int(pid)) for pid in pids)
    if ending == "killed":
        # The next run finds what a killed one could not remove.
        assert folders(owner) != []
        engine.sweep()
    assert folders(owner) == []
    if client is not None:
        assert containers(client, owner) == []


@pytest.mark.haproxy
def test_the_binary_engine_says_what_it_runs(binary_engine: BinaryEngine, wheel_engine: BinaryEngine) -> None:
    choice = choose_engine("binary")
    assert choice.name == "binary"
    assert choice.engine.describe() == f"binary {binary_engine.path} (HAProxy {binary_engine.version()})"
    assert choice.why == f"{binary_engine.path} is the haproxy on PATH."
    named = choose_engine(f"binary:{wheel_engine.path}")
    assert named.engine.version() == wheel_engine.version()
    assert str(wheel_engine.path) in named.why


@pytest.mark.haproxy
def test_the_wheels_haproxy_runs_as_well(wheel_engine: BinaryEngine, free_ports: Callable[[int], list[int]]) -> None:
    (port,) = free_ports(1)
    text = config(port, wheel_engine.version())
    with wheel_engine.start(text) as running:
        outcome = running.reload(text.replace("balance roundrobin", "balance nosuch"))
        assert outcome.ok is False
        assert "balance only supports 'roundrobin'" in outcome.log


@pytest.mark.haproxy
@pytest.mark.docker
def test_docker_says_what_it_runs_and_auto_prefers_it(docker_engine: DockerEngine) -> None:
    named = choose_engine("auto", image=docker_engine.image)
    assert named.name == "docker"
    assert named.why == f"Docker answers and image {docker_engine.image}, as asked for, is on this machine."
    series = docker_engine.version().series
    assert choose_engine(f"docker:{series}").engine.describe().startswith(f"docker {docker_engine.image} (HAProxy ")
    auto = choose_engine("auto")
    assert auto.name == "docker"
    assert auto.why.startswith("Docker answers and image proxyspec/haproxy:")


@pytest.mark.haproxy
def test_auto_falls_back_on_the_binary_and_says_why(
    monkeypatch: pytest.MonkeyPatch, binary_engine: BinaryEngine
) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent/docker.sock")
    choice = choose_engine("auto")
    assert choice.name == "binary"
    assert "Docker is not used (no Docker: its daemon does not answer" in choice.why
    assert choice.why.endswith(f"{binary_engine.path} is the haproxy on PATH.")
    with pytest.raises(EngineUnavailable, match="its daemon does not answer; start it, or choose the binary engine"):
        choose_engine("docker")


def test_a_daemon_elsewhere_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "tcp://127.0.0.1:1")
    with pytest.raises(EngineUnavailable, match=r"DOCKER_HOST is tcp://127\.0\.0\.1:1, not a socket of this machine"):
        choose_engine("docker")


@pytest.mark.docker
def test_a_missing_image_fails_soon(docker_client: DockerClient) -> None:
    # A registry on a port where nobody listens: the daemon answers at once, whatever the network.
    began = time.monotonic()
    with pytest.raises(EngineUnavailable, match=r"image 127\.0\.0\.1:9/nosuch:1 cannot be pulled"):
        choose_engine("docker:127.0.0.1:9/nosuch:1")
    assert time.monotonic() - began < 10


@pytest.mark.docker
def test_a_registry_that_does_not_answer_is_not_waited_for(docker_client: DockerClient) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        image = f"127.0.0.1:{mute.getsockname()[1]}/nosuch:1"
        with pytest.raises(EngineUnavailable, match="the registry does not answer in time"):
            pull_image(docker_client, image, patience=0.2)


@pytest.mark.parametrize("spec", ["", "podman", "auto:2", "docker:", "binary:", "binary: ", "Docker", "\x1b[1m"])
def test_an_engine_that_is_none(spec: str) -> None:
    with pytest.raises(ValueError, match=r"expected auto, docker, .*, binary or binary:/path") as bad:
        choose_engine(spec)
    assert "\x1b" not in str(bad.value)


def test_an_image_besides_a_binary_or_another_image_is_a_contradiction() -> None:
    for spec in ("binary", "docker:3.2"):
        with pytest.raises(ValueError, match="contradict"):
            choose_engine(spec, image="haproxy:3.2")


@pytest.mark.parametrize(
    ("path", "complaint"),
    [
        ("/nonexistent/haproxy", "no such file"),
        ("/", "no such file"),
        ("/etc/passwd", "Permission denied"),
        ("/bin/echo", "-v ended with 0 and said '-v'"),
        ("/bin/false", "-v ended with 1"),
    ],
)
def test_a_binary_that_is_no_haproxy(path: str, complaint: str) -> None:
    with pytest.raises(EngineUnavailable, match=complaint):
        choose_engine(f"binary:{path}")


@pytest.mark.parametrize(
    ("images", "best"),
    [
        (["h:2.6", "h:3.2", "h:2.10"], "h:3.2"),
        (["h:2.6", "h:2.10"], "h:2.10"),
        (["h:lts", "h:2.2"], "h:2.2"),
        (["h:latest"], "h:latest"),
        (["h:3.2-alpine", "h:3.2.1"], "h:3.2.1"),
        ([], None),
    ],
)
def test_the_newest_image(images: list[str], best: str | None) -> None:
    assert newest(images) == best
