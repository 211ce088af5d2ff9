from __future__ import annotations

from datetime import UTC, datetime

import pytest

from proxyspec.records import Run
from proxyspec.records.traffic import TrafficRun
from proxyspec.runhead import environment
from proxyspec_reports.kinds import by_kind
from tests.reports.samples import clean_run, load_run

TRAFFIC = TrafficRun(
    id="traffic-1",
    started=datetime(2026, 5, 1, 12, tzinfo=UTC),
    duration=1.0,
    status="complete",
    command=[],
    environment=environment(None),
    exit_code=0,
    subject="Traffic",
    haproxies=[],
    rate=1.0,
    processors=1,
    rows=[],
)


@pytest.mark.parametrize(("run", "way"), [(clean_run(), "cases"), (load_run(), "thresholds"), (TRAFFIC, "rows")])
def test_each_kind_is_written_its_own_way(run: Run, way: str) -> None:
    made = by_kind(
        run,
        lambda run: ("cases", len(run.cases)),
        lambda run: ("thresholds", len(run.thresholds)),
        lambda run: ("rows", len(run.judged)),
    )
    assert made[0] == way
