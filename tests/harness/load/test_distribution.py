"""Loads shared by a master and workers: separate processes on the loopback, and machines as network namespaces."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

import proxyspec_scenarios.load
from proxyspec.errors import ExitCode
from proxyspec.haproxy.front import free_ports
from proxyspec.load import LoadOptions
from proxyspec.load.distribution import Master
from proxyspec.load.messages import Tick
from proxyspec.load.runner import LoadListener, run_load
from proxyspec.model import Target
from proxyspec.records import LoadRun
from proxyspec.rundir import RunDirectory
from tests.scenarios.load.measured import Measured, measured

STEADY = Path(proxyspec_scenarios.load.__path__[0]) / "steady.py"

LENIENT = ("p95(session) < 30s", "p99(header_to_banner) < 30s")


@contextlib.contextmanager
def _workers(
    count: int, master: str, prefixes: Sequence[Sequence[str]] = ((),)
) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Start workers, the prefixes taking turns; each is the leader of a process group of its own."""
    command = [sys.executable, "-m", "proxyspec", "load", "--worker", "--profile", "steady", "--master-host", master]
    found = []
    try:
        for number in range(count):
            words = [*prefixes[number % len(prefixes)], *command]
            found.append(subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, process_group=0))
        yield found
    finally:
        for worker in found:
            # It ends its own Locust.
            worker.terminate()
            with contextlib.suppress(ProcessLookupError):
                worker.wait(timeout=30)


def _run(server: Measured, out: Path, options: LoadOptions, listener: LoadListener | None = None) -> LoadRun:
    with RunDirectory.create("load", out) as directory:
        target = Target(host=server.host, port=server.port)
        return run_load(target, STEADY, options, directory, listener or LoadListener(), command=["load"])


def test_four_workers_add_up_to_what_the_server_counted(tmp_path: Path) -> None:
    port = free_ports(1)[0]
    master = Master("127.0.0.1", port, 4)
    with measured() as server, _workers(4, f"127.0.0.1:{port}") as workers:
        options = LoadOptions(users=8, seconds=8, master=master, expect=LENIENT, server_metrics=server.metrics)
        run = _run(server, tmp_path / "out", options)
        assert [worker.wait(30) for worker in workers] == [ExitCode.OK] * 4
    assert (run.exit_code, run.workers, run.lost, run.users, run.failures) == (ExitCode.OK, 4, 0, 8, 0)
    assert {step.count for step in run.steps} == {run.sessions}
    assert all(sum(count for _, count in step.distribution) == run.sessions for step in run.steps)
    last = [sample for sample in run.samples if sample.source == "server"][-1]
    assert last.values["ended quit"] == run.sessions > 20
    assert run.generator is not None
    assert run.generator.processes == 4


def test_a_worker_with_another_profile_than_its_master_says_so(tmp_path: Path) -> None:
    master = f"127.0.0.1:{free_ports(1)[0]}"
    command = [sys.executable, "-m", "proxyspec", "load", "--worker", "--profile", "spike", "--master-host", master]
    with (
        measured() as server,
        subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True) as worker,
    ):
        host, _, port = master.partition(":")
        run = _run(server, tmp_path / "out", LoadOptions(users=2, seconds=2, master=Master(host, int(port), 1)))
        _, said = worker.communicate(timeout=30)
    assert run.sessions == 0
    assert worker.returncode == ExitCode.USAGE, said
    assert "the users of the master's load are Steady, and those of this worker's are Sender" in said
    assert "--profile" in said
    assert "Traceback" not in said


def test_a_worker_killed_in_the_middle_is_told_and_the_rest_adds_up(tmp_path: Path) -> None:
    class Killer(LoadListener):
        def ticked(self, message: Tick) -> None:
            if message.sessions > 20 and victims:
                os.killpg(victims.pop(), signal.SIGKILL)

    port = free_ports(1)[0]
    locust = [sys.executable, "-m", "locust", "-f", str(STEADY), "--worker", "--master-host=127.0.0.1"]
    locust.append(f"--master-port={port}")
    with (
        measured() as server,
        _workers(1, f"127.0.0.1:{port}"),
        subprocess.Popen(
            locust, cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, process_group=0
        ) as victim,
    ):
        victims = [victim.pid]
        options = LoadOptions(
            users=4,
            seconds=6,
            master=Master("127.0.0.1", port, 2),
            expect=LENIENT,
            server_metrics=server.metrics,
        )
        run = _run(server, tmp_path / "out", options, Killer())
        assert victim.wait(10) == -signal.SIGKILL
    assert (run.workers, run.lost) == (2, 1)
    assert not victims
    assert {step.count for step in run.steps} == {run.sessions}
    # What the dead one did since its last report is missing, and nothing else.
    last = [sample for sample in run.samples if sample.source == "server"][-1]
    assert 20 < run.sessions <= last.values["ended quit"]


#: The command line, with a signal at the moment at which the first process that it starts is there.
INTERRUPTED_AT_BIRTH = """
import signal, sys
from proxyspec.cli import main

number = int(sys.argv.pop(1))

def birth(frame, event, argument):
    if event == "c_return" and argument.__name__ == "fork_exec":
        sys.setprofile(None)
        signal.raise_signal(number)

sys.setprofile(birth)
sys.exit(main())
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_worker_interrupted_while_it_starts_locust_ends_that_too(number: signal.Signals) -> None:
    nobody = f"127.0.0.1:{free_ports(1)[0]}"
    words = [str(int(number)), "load", "--worker", "--profile", "steady", "--master-host", nobody]
    # Who were left would hold its standard error open.
    ended = subprocess.run(
        [sys.executable, "-c", INTERRUPTED_AT_BIRTH, *words], capture_output=True, text=True, timeout=40, check=False
    )
    assert ended.returncode == ExitCode.INTERRUPTED, ended.stderr


@contextlib.contextmanager
def _machines(count: int) -> Iterator[list[tuple[str, str, str]]]:
    """Make network namespaces, each linked to this one; yield name, this end's address and that end's address."""
    mark = secrets.token_hex(2)
    made: list[tuple[str, str, str]] = []

    def ip(*words: str) -> None:
        subprocess.run(["ip", *words], check=True, capture_output=True)

    try:
        for number in range(count):
            name, here, there = f"ps-{mark}-{number}", f"ps{mark}h{number}", f"ps{mark}t{number}"
            # 198.18.0.0/15 is for benchmarks (RFC 2544); the mark keeps test runs apart.
            network = (
                f"198.{18 + int(mark[0], 16) % 2}.{int(mark[1:3], 16)}.{4 * (number + 1 + 8 * (int(mark[3], 16) % 4))}"
            )
            base, _, last = network.rpartition(".")
            mine, theirs = f"{base}.{int(last) + 1}", f"{base}.{int(last) + 2}"
            ip("netns", "add", name)
            made.append((name, mine, theirs))
            ip("link", "add", here, "type", "veth", "peer", "name", there, "netns", name)
            ip("address", "add", f"{mine}/30", "dev", here)
            ip("link", "set", here, "up")
            ip("-n", name, "address", "add", f"{theirs}/30", "dev", there)
            ip("-n", name, "link", "set", there, "up")
            ip("-n", name, "link", "set", "lo", "up")
            ip("-n", name, "route", "add", "default", "via", mine)
        yield made
    finally:
        for name, _, _ in made:
            # The links go with it.
            subprocess.run(["ip", "netns", "delete", name], check=False, capture_output=True)


@pytest.mark.tools
@pytest.mark.skipif(os.geteuid() != 0, reason="network namespaces need root")
def test_machines_share_a_load(tmp_path: Path) -> None:
    port = free_ports(1)[0]
    with _machines(2) as machines:
        (one, mine, theirs), (two, _, others) = machines
        trust = ("--trust", theirs, "--trust", others, "--trust", mine)
        prefixes = (("ip", "netns", "exec", one), ("ip", "netns", "exec", two))
        with measured(*trust, host=mine) as server, _workers(2, f"{mine}:{port}", prefixes) as workers:
            options = LoadOptions(
                users=4,
                seconds=6,
                master=Master(mine, port, 2),
                expect=LENIENT,
                server_metrics=server.metrics,
                allowed=(mine,),
            )
            run = _run(server, tmp_path / "out", options)
            assert [worker.wait(30) for worker in workers] == [ExitCode.OK] * 2
    assert (run.exit_code, run.workers, run.lost, run.failures) == (ExitCode.OK, 2, 0, 0)
    last = [sample for sample in run.samples if sample.source == "server"][-1]
    assert last.values["ended quit"] == run.sessions > 20
    assert {step.count for step in run.steps} == {run.sessions}
