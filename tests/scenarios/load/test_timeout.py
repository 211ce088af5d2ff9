"""Held connections against the reference server, with a deadline short enough for a test."""

from __future__ import annotations

from pathlib import Path

import proxyspec_scenarios.load
from proxyspec.errors import ExitCode
from proxyspec.load import LoadOptions
from proxyspec.load.runner import LoadListener, run_load
from proxyspec.model import Target
from proxyspec.records import LoadRun
from proxyspec.rundir import RunDirectory

from .measured import measured

TIMEOUT = Path(proxyspec_scenarios.load.__path__[0]) / "timeout.py"

#: The server's own deadline, in seconds.
DEADLINE = 1.5


def _run(out: Path, declared: float, *server: str) -> LoadRun:
    with measured(*server) as running, RunDirectory.create("load", out) as directory:
        target = Target(host="127.0.0.1", port=running.port, header_timeout=declared)
        options = LoadOptions(
            users=40, seconds=20, expect=("p99(held) < 10s", "max(held) < 10s", "p99(header_to_banner) < 10s")
        )
        return run_load(target, TIMEOUT, options, directory, LoadListener())


def test_every_held_connection_gets_its_421_at_the_deadline(tmp_path: Path) -> None:
    run = _run(tmp_path, DEADLINE, "--header-timeout", str(DEADLINE))
    assert (run.exit_code, run.failures, run.errors) == (ExitCode.OK, 0, [])
    steps = {step.name: step for step in run.steps}
    # Ten of the forty send mail meanwhile; the load ends by itself long before its time.
    assert steps["held"].count == 30
    assert steps["held"].min_ms is not None
    assert steps["held"].min_ms >= DEADLINE * 1000
    assert steps["header_to_banner"].count == steps["quit"].count > 10
    assert run.duration < 15
    assert f"min(held) >= {DEADLINE:g}s" in [threshold.expression for threshold in run.thresholds]


def test_an_early_421_is_told(tmp_path: Path) -> None:
    run = _run(tmp_path, DEADLINE + 1, "--header-timeout", str(DEADLINE))
    assert run.exit_code == ExitCode.FAILED
    missed = [threshold.expression for threshold in run.thresholds if not threshold.met]
    assert missed == [f"min(held) >= {DEADLINE + 1:g}s"]
