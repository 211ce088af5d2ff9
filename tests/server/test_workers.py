"""Several workers on one port, as processes: shared load, deaths, signals, the end."""

import json
import os
import signal
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from proxyspec_server.command import main
from proxyspec_server.workers import PAUSE
from tests.server.test_command import L4, PATIENCE, Process, read_all, server

BANNER = b"220 mx.test ESMTP proxyspec\r\n"


def workers(process: Process) -> set[int]:
    """The processes that serve."""
    children = Path(f"/proc/{process.popen.pid}/task/{process.popen.pid}/children")
    return {int(pid) for pid in children.read_text().split()}


def event(process: Process, name: str) -> dict[str, Any]:
    return process.event(name)


def test_the_connections_are_shared_out() -> None:
    with server("--workers", "2", "--log", "-") as process:
        assert event(process, "listening")["address"] == f"127.0.0.1:{process.ports[0]}"
        assert len(workers(process)) == 2
        servers = set()
        # The chance that the kernel gives all of a hundred to one of the two is 2^-99.
        for _ in range(100):
            with process.connect() as client:
                assert client.recv(100) == BANNER
            servers.add(str(event(process, "connected")["connection"]).partition(".")[0])
        assert len(servers) == 2
        assert process.stop() == 0


def test_one_listening_line_and_whole_lines_in_the_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with server("--workers", "3", "--log", str(log)) as process:
        for _ in range(10):
            with ExitStack() as clients:
                crowd = [clients.enter_context(process.connect()) for _ in range(20)]
                for client in crowd:
                    client.sendall(b"EHLO " + b"x" * 250 + b"\r\nQUIT\r\n")
                for client in crowd:
                    assert read_all(client).endswith(b"closing connection\r\n")
        assert process.stop() == 0
        assert process.popen.stderr is not None
        assert process.popen.stderr.read() == ""
    entries = [json.loads(line) for line in log.read_text().splitlines()]
    assert [entry["event"] for entry in entries].count("listening") == 1
    assert [entry.get("ending") for entry in entries].count("quit") == 200
    assert [entry["event"] for entry in entries].count("stopped") == 3


def test_a_worker_that_dies_is_told_of_and_replaced() -> None:
    with server("--workers", "2", "--log", "-") as process:
        before = workers(process)
        victim = min(before)
        os.kill(victim, signal.SIGKILL)
        reason = str(event(process, "trouble")["reason"])
        assert f"(process {victim}) died of SIGKILL; another one takes its place" in reason
        # Whoever was dealt to the dead worker's socket waits there for its successor.
        for _ in range(20):
            with process.connect() as client:
                client.settimeout(PATIENCE)
                assert client.recv(100) == BANNER
        after = workers(process)
        assert len(after) == 2
        assert victim not in after
        assert process.stop() == 0


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_all_are_told_when_it_stops(number: signal.Signals, code: int) -> None:
    with server("--workers", "2", "--trust", "127.0.0.1") as process, ExitStack() as clients:
        crowd = [clients.enter_context(process.connect()) for _ in range(10)]
        for client in crowd:
            client.sendall(L4)
            assert client.recv(100) == BANNER
        process.popen.send_signal(number)
        for client in crowd:
            assert read_all(client) == b"421 4.3.2 mx.test shutting down\r\n"
            client.close()
        assert process.popen.wait(PATIENCE) == code


def test_nobody_outlives_the_parent() -> None:
    with server("--workers", "2") as process, process.connect() as client:
        assert client.recv(100) == BANNER
        process.popen.kill()
        assert read_all(client) == b"421 4.3.2 mx.test shutting down\r\n"


def test_signals_reach_all(tmp_path: Path) -> None:
    hosts = tmp_path / "haproxy_hosts"
    hosts.write_text("192.0.2.1\n")
    with server("--workers", "2", "--hosts", str(hosts), "--log", "-") as process:
        hosts.write_text("127.0.0.1\n192.0.2.1\n")
        process.popen.send_signal(signal.SIGHUP)
        assert [event(process, "reloaded")["trusted"] for _ in range(2)] == [2, 2]
        process.popen.send_signal(signal.SIGUSR1)
        assert [event(process, "metrics")["faults"] for _ in range(2)] == [0, 0]
        assert process.stop() == 0


def test_a_port_in_use_is_told_even_if_it_could_be_shared(capsys: pytest.CaptureFixture[str]) -> None:
    with server("--workers", "2") as process:
        assert main(["--workers", "2", "--listen", f"127.0.0.1:{process.ports[0]}"], prog="serve") == 2
        assert f"port {process.ports[0]} is in use" in capsys.readouterr().err


def test_metrics_of_several_processes_are_refused(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--workers", "2", "--metrics", "127.0.0.1:0"], prog="serve") == 2
    assert "--metrics counts for one process; leave out --workers" in capsys.readouterr().err


def script(body: str) -> subprocess.CompletedProcess[str]:
    preamble = "import os, signal, sys, time\nfrom proxyspec_server.workers import *\n"
    return subprocess.run(
        [sys.executable, "-c", preamble + body], capture_output=True, text=True, timeout=PATIENCE, check=False
    )


def test_restarts_are_bounded() -> None:
    done = script("""
deaths = []
def tell(reason):
    deaths.append(time.monotonic())
    if len(deaths) == 3:
        os.kill(os.getpid(), signal.SIGTERM)
def work(duty):
    duty.ready()
    return 3
supervisor = Supervisor(1, work, tell, lambda: None, 5.0)
supervisor.start()
print(supervisor.run()[0].name, deaths[2] - deaths[0])
""")
    assert done.stderr == ""
    caught, seconds = done.stdout.split()
    assert caught == "SIGTERM"
    # Deaths are noticed late, never early, so that two restarts take nearly two pauses at least.
    assert float(seconds) > 1.5 * PAUSE


def test_a_worker_that_cannot_begin_ends_it_all() -> None:
    done = script("""
def work(duty):
    if duty.number == 1:
        return 7
    duty.ready()
    signal.sigwait({signal.SIGUSR2})
    return 0
try:
    Supervisor(2, work, print, lambda: None, 5.0).start()
except WorkerFailed as error:
    print(error)
    print(open(f"/proc/self/task/{os.getpid()}/children").read())
""")
    assert done.stderr == ""
    assert done.stdout == "worker 1 ended before it could serve\n\n"


def test_one_that_does_not_stop_is_killed() -> None:
    done = script("""
def work(duty):
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    duty.ready()
    while True:
        signal.pause()
supervisor = Supervisor(1, work, print, lambda: os.kill(os.getpid(), 0), 0.2)
supervisor.start()
os.kill(os.getpid(), signal.SIGTERM)
print(supervisor.run())
""")
    assert done.stderr == ""
    assert done.stdout == ("1 of the workers did not stop within 0.2 s and are killed\n(<Signals.SIGTERM: 15>, [-9])\n")
