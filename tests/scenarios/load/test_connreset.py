"""Planned ends against those that the reference server counted."""

from __future__ import annotations

from pathlib import Path

import proxyspec_scenarios.load
from proxyspec.errors import ExitCode
from proxyspec.load import LoadOptions
from proxyspec.load.runner import LoadListener, run_load
from proxyspec.load.scripts import PATTERNS
from proxyspec.model import Target
from proxyspec.records import LoadRun
from proxyspec.rundir import RunDirectory

from .measured import Measured, measured

CONNRESET = Path(proxyspec_scenarios.load.__path__[0]) / "connreset.py"


def _run(server: Measured, out: Path, metrics: str | None, seconds: float = 2) -> LoadRun:
    options = LoadOptions(users=12, seconds=seconds, server_metrics=metrics)
    with RunDirectory.create("load", out) as directory:
        return run_load(Target(host="127.0.0.1", port=server.port), CONNRESET, options, directory, LoadListener())


def test_every_planned_end_is_counted_and_mail_is_unharmed(tmp_path: Path) -> None:
    with measured() as server:
        run = _run(server, tmp_path, server.metrics)
    assert (run.exit_code, run.failures, run.errors) == (ExitCode.OK, 0, [])
    assert set(run.planned) == {pattern.name for pattern in PATTERNS}
    assert all(count > 5 for count in run.planned.values())
    counted = [threshold for threshold in run.thresholds if threshold.expression.startswith("counted(")]
    assert len(counted) == 4
    assert all(threshold.met for threshold in counted)
    assert sum(threshold.actual or 0 for threshold in counted) == sum(run.planned.values())
    quits = {step.name: step.count for step in run.steps}["quit"]
    assert quits == run.sessions - sum(run.planned.values()) > 0


def test_without_counters_the_mail_alone_is_judged(tmp_path: Path) -> None:
    with measured() as server:
        run = _run(server, tmp_path, None, seconds=1)
    assert run.exit_code == ExitCode.OK
    assert [threshold.expression for threshold in run.thresholds] == ["errors == 0", "p99(header_to_banner) < 1s"]


def test_another_servers_counters_do_not_add_up(tmp_path: Path) -> None:
    with measured() as server, measured() as other:
        run = _run(server, tmp_path, other.metrics, seconds=1)
    assert run.exit_code == ExitCode.FAILED
    assert [threshold.met for threshold in run.thresholds if threshold.expression.startswith("counted(")] == [False] * 4
