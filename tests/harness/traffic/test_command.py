"""`proxyspec haproxy traffic` as a user meets it."""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from proxyspec.cli import main
from proxyspec.errors import ExitCode
from proxyspec.records import load_run
from proxyspec.records.traffic import TrafficRun
from proxyspec_haproxy import BinaryEngine
from proxyspec_haproxy.engines.workspace import sweep_workspaces
from proxyspec_scenarios.traffic import SCENARIOS

from .test_scenarios_run import haproxies_of, processes_of


def test_the_list_can_be_narrowed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["haproxy", "traffic", "--list", "--scenario", "idle-*"]) == 0
    assert [line.split()[0] for line in capsys.readouterr().out.splitlines()] == [
        "idle-client",
        "idle-server",
        "idle-beyond",
    ]


def test_the_list_names_every_scenario(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["haproxy", "traffic", "--list"]) == ExitCode.OK
    listed = [line.split()[0] for line in capsys.readouterr().out.splitlines()]
    assert listed == [scenario.name for scenario in SCENARIOS]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--scenario", "no-such"], "--scenario 'no-such' fits none of round-robin, "),
        (["--rate", "0"], "--rate 0: give 1 to 5000"),
        (["--rate", "nan"], "--rate nan"),
        (["--time", "soon"], "--time 'soon' is no duration"),
        (["--time", "2h"], "--time 2h: an hour is the most"),
        (["--haproxy", "podman"], "podman"),
    ],
)
def test_bad_words_are_named(words: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["haproxy", "traffic", "--out", str(tmp_path / "run"), *words]) == ExitCode.USAGE
    assert said in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


@pytest.mark.haproxy
def test_a_run_leaves_a_record_a_table_and_its_evidence(
    binary_engine: BinaryEngine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    words = ["--scenario", "queue-*", "--scenario", "forged", "--haproxy", f"binary:{binary_engine.path}"]
    assert main(["haproxy", "traffic", *words, "--out", str(out)]) == ExitCode.OK
    run = load_run(out)
    assert isinstance(run, TrafficRun)
    release = binary_engine.version().release
    assert [row.id for row in run.rows] == [f"traffic/queue-timeout@{release}", f"traffic/forged@{release}"]
    queue = run.rows[0]
    assert (queue.lost, queue.duplicated, queue.messages) == (0, 0, 12)
    assert queue.delivered == queue.acknowledged == sum(queue.servers.values())
    assert queue.terminations["sQ"] >= 10
    for name in ("haproxy.cfg", "haproxy.log", "s1.ndjson"):
        assert (out / queue.evidence / name).stat().st_size > 0
    events = [json.loads(line)["event"] for line in (out / "events.ndjson").read_text().splitlines()]
    assert events == ["run-started", "scenario-judged", "scenario-judged", "run-finished"]
    shown = capsys.readouterr().out
    assert f"PASS       traffic/forged@{release}" in shown
    assert "queue-timeout" in shown.partition("scenario ")[2]


@pytest.mark.haproxy
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_keeps_what_was_judged_and_leaves_nothing(
    number: signal.Signals, binary_engine: BinaryEngine, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    words = ["--scenario", "forged", "--scenario", "death", "--time", "60", "--rate", "30"]
    command = [sys.executable, "-m", "proxyspec", "haproxy", "traffic", *words]
    with subprocess.Popen(
        [*command, "--haproxy", f"binary:{binary_engine.path}", "--out", str(out)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("PASS") and "forged" in line:
                break
        assert processes_of(out), "the other scenario goes on"
        process.send_signal(number)
        shown, errors = process.communicate(timeout=30)
        assert process.returncode == ExitCode.INTERRUPTED
    assert "interrupted; what was judged so far is kept" in errors
    assert "forged" in shown
    run = load_run(out)
    assert isinstance(run, TrafficRun)
    assert (run.status, run.exit_code) == ("interrupted", ExitCode.INTERRUPTED)
    assert [row.scenario for row in run.rows] == ["forged"]
    assert processes_of(out) == []
    assert haproxies_of(process.pid) == []


@pytest.mark.haproxy
def test_a_killed_run_takes_its_servers_along(binary_engine: BinaryEngine, tmp_path: Path) -> None:
    out = tmp_path / "run"
    words = ["--scenario", "forged", "--scenario", "death", "--time", "60", "--rate", "30"]
    command = [sys.executable, "-m", "proxyspec", "haproxy", "traffic", *words]
    with subprocess.Popen(
        [*command, "--haproxy", f"binary:{binary_engine.path}", "--out", str(out)],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONUNBUFFERED": "1"},
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("PASS") and "forged" in line:
                break
        servers = [os.pidfd_open(pid) for pid in processes_of(out) if pid != process.pid]
        assert servers
        process.kill()
        # HAProxy's standard output is not ours, so the end of this pipe is that of the run alone.
        process.communicate(timeout=30)

    for server in servers:
        poll = select.poll()
        poll.register(server, select.POLLIN)
        assert poll.poll(20_000), "a server outlived its run"
        os.close(server)
    assert processes_of(out) == []
    # Whoever starts an HAProxy next sweeps the folder of a killed run; here it may have been another test.
    sweep_workspaces()
    assert haproxies_of(process.pid) == []
