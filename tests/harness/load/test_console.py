from __future__ import annotations

import io
from datetime import UTC, datetime

from rich.console import Console

from proxyspec.conformance import target_record
from proxyspec.load.console import LoadConsole, print_load
from proxyspec.load.messages import Started, Tick
from proxyspec.model import Target
from proxyspec.records import LoadError, LoadPoint, LoadRun, LoadStep, Threshold
from proxyspec.runhead import environment

TIMES = {"0.5": 1.25, "0.9": 2.0, "0.95": 3.0, "0.99": 4.0, "1.0": 12345.678}


def _run(**changes: object) -> LoadRun:
    fields: dict[str, object] = {
        "id": "load-x",
        "started": datetime(2026, 1, 1, tzinfo=UTC),
        "duration": 2.0,
        "status": "complete",
        "command": ["load"],
        "target": target_record(Target(host="127.0.0.1", port=25), "none"),
        "environment": environment(None),
        "exit_code": 1,
        "profile": "throughput",
        "header": "v2",
        "users": 2,
        "sessions": 20,
        "failures": 3,
        "rate": 10.0,
        "steps": [
            LoadStep(name="header_to_banner", count=20, failures=3, rate=10.0, mean_ms=1.5, percentiles_ms=TIMES)
        ],
        "timeline": [],
        "errors": [LoadError(step="ehlo", error="[red]\x1b at ehlo", count=3)],
        "thresholds": [
            Threshold(expression="errors < 0.1%", actual=15.0, met=False),
            Threshold(expression="p95(quit) < 1s", actual=None, met=False),
            Threshold(expression="rate > 1/s", actual=10.0, met=True),
        ],
    }
    return LoadRun.model_validate(fields | changes)


def _printed(run: LoadRun, reason: str | None = None) -> str:
    file = io.StringIO()
    print_load(Console(file=file, width=100), run, reason)
    return file.getvalue()


def test_the_figures_are_all_there() -> None:
    text = _printed(_run())
    assert "header_to_banner     20       3   1.5  1.2  2.0  3.0  4.0  12345.7" in text
    assert "20 sessions, 3 failed, 10.0 sessions/s" in text
    assert "3 × [red]\\x1b at ehlo (ehlo)" in text
    assert "MISSED errors < 0.1%  (measured 15)" in text
    assert "MISSED p95(quit) < 1s  (not measured)" in text
    assert "MET    rate > 1/s  (measured 10)" in text


def test_planned_ends_and_lost_processes_are_told() -> None:
    text = _printed(_run(planned={"banner-rst": 7, "[b]": 1}, workers=4, lost=1))
    assert "ended early as planned: 1 × [b], 7 × banner-rst" in text
    assert "1 of 4 processes ended without their last figures" in text
    assert "planned" not in _printed(_run())
    assert "processes" not in _printed(_run())


def test_many_kinds_of_errors_are_cut() -> None:
    errors = [LoadError(step="ehlo", error=f"{code} at ehlo", count=1) for code in range(400, 415)]
    assert "and 5 more kinds of errors" in _printed(_run(errors=errors))


def test_nothing_measured_says_why() -> None:
    text = _printed(_run(steps=[], errors=[], thresholds=[], sessions=0, failures=0, rate=0.0), "is it running?")
    assert text == "nothing measured: is it running?\n"


def test_plain_lines_come_every_few_seconds() -> None:
    file = io.StringIO()
    with LoadConsole(Console(file=file, width=100)) as listener:
        listener.started(Started(users=1, seconds=12, header="none", thresholds=[]))
        for second in range(1, 13):
            point = LoadPoint(at=float(second), users=1, rate=7.0, failure_rate=0.0)
            listener.ticked(Tick(point=point, sessions=7 * second, failures=0))
    assert file.getvalue().splitlines() == [
        "1 user, no header, for 12 s",
        "    5 s  1 users  7 sessions/s  0 failed",
        "   10 s  1 users  7 sessions/s  0 failed",
    ]
