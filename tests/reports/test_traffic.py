"""A traffic run in the report: one table for each HAProxy, one drawing for each time line, all text escaped."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

from proxyspec.model import Verdict
from proxyspec.records import Environment, load_run
from proxyspec.records.traffic import (
    TrafficError,
    TrafficEvent,
    TrafficFinding,
    TrafficPoint,
    TrafficRecord,
    TrafficRun,
)
from proxyspec_reports import render_html, view
from proxyspec_reports.traffic import traffic_view


def row(
    scenario: str = "death", release: str = "3.2.26", *, verdict: Verdict = Verdict.PASS, **changed: object
) -> TrafficRecord:
    record = TrafficRecord(
        id=f"traffic/{scenario}@{release}",
        title="A server is killed",
        verdict=verdict,
        reason="996 acknowledged, every one delivered once",
        scenario=scenario,
        haproxy=release,
        seconds=4.0,
        rate=199.9,
        late=0.07,
        messages=1000,
        sessions=1026,
        sent=1000,
        acknowledged=997,
        delivered=998,
        lost=0,
        duplicated=0,
        in_doubt=3,
        in_doubt_delivered=1,
        refused=0,
        misattributed=0,
        redispatched=34,
        retried=35,
        queue_max=0,
        times_to_down=[0.434, 0.31],
        findings=[TrafficFinding(verdict=Verdict.PASS, text="s1 DOWN after 0.43 s")],
        errors=[TrafficError(step="end of data", error="closed", count=10)],
        events=[
            TrafficEvent(at=1.5, text="s1 killed", planned=True),
            TrafficEvent(at=1.93, text="s1 DOWN (L4CON <b>refused</b>)", planned=False),
        ],
        timeline=[
            TrafficPoint(
                at=0.25 + n / 2, delivered={"s1": 60.0 if n < 3 else 0.0, "s2": 70.0, "s3": 70.0}, failed=n / 2
            )
            for n in range(8)
        ],
        servers={"s1": 71, "s2": 463, "s3": 464},
        terminations={"--": 1024, "SD": 2},
        endings={"quit": 1045},
        evidence="evidence/3.2.26/death",
    )
    return record.model_copy(update=changed)


def run(*rows: TrafficRecord) -> TrafficRun:
    return TrafficRun(
        id="traffic-1",
        started=datetime(2026, 5, 1, 12, tzinfo=UTC),
        duration=39.0,
        status="complete",
        command=["haproxy", "traffic"],
        environment=Environment(proxyspec="0", python="3.11", platform="Linux", haproxy=None),
        exit_code=0,
        subject="Traffic through HAProxy 3.2.26",
        rate=200.0,
        processors=2,
        rows=list(rows),
    )


def test_scenarios_are_grouped_by_haproxy() -> None:
    found = traffic_view(run(row(), row("drain"), row(release="2.2.9")), "run-1")
    assert [(group.haproxy, [one.scenario for one in group.rows]) for group in found.groups] == [
        ("3.2.26", ["death", "drain"]),
        ("2.2.9", ["death"]),
    ]
    assert (found.acknowledged, found.lost, found.duplicated) == (3 * 997, 0, 0)
    anchors = [one.anchor for group in found.groups for one in group.rows]
    assert len(set(anchors)) == 3


def test_the_slowest_time_to_down_is_shown() -> None:
    found = traffic_view(run(row(), row("calm", times_to_down=[])), "run-1")
    assert [one.down for one in found.groups[0].rows] == [0.434, None]


def test_a_server_something_happened_to_has_a_line_of_its_own_and_events_stand_upright() -> None:
    plot = traffic_view(run(row()), "run-1").groups[0].rows[0].plot
    assert plot is not None
    lines = {line.name: line.points for line in plot.lines}
    assert list(lines) == ["s1", "the other servers", "failed sessions", "events"]
    assert lines["s1"][0] == (0.25, 60.0)
    assert lines["the other servers"][0] == (0.25, 140.0)
    assert lines["events"] == ((1.5, 0.0), (1.5, 140.0), (1.5, None))


def test_servers_nothing_happened_to_are_drawn_alone_or_together() -> None:
    three = traffic_view(run(row(events=[])), "run-1").groups[0].rows[0].plot
    assert three is not None
    assert [line.name for line in three.lines] == ["s1", "s2", "s3", "failed sessions"]
    many = {f"s{n}": 1 for n in range(1, 6)}
    five = traffic_view(run(row(events=[], servers=many)), "run-1").groups[0].rows[0].plot
    assert five is not None
    assert [line.name for line in five.lines] == ["all servers", "failed sessions"]


def test_a_short_run_has_no_drawing() -> None:
    short = row(timeline=row().timeline[:3])
    assert traffic_view(run(short, row(delivered=0)), "run-1").groups[0].rows[0].plot is None
    assert traffic_view(run(row(delivered=0)), "run-1").groups[0].rows[0].plot is None


def test_the_page_shows_figures_and_escapes_text() -> None:
    lossy = row("flapping", verdict=Verdict.FAIL, lost=2, reason="2 acknowledged and <i>lost</i>")
    page = render_html(view([run(row(), lossy)]))
    assert "HAProxy 3.2.26" in page
    assert "434 ms" in page
    assert "closed at end of data" in page
    assert "&lt;b&gt;refused&lt;/b&gt;" in page
    assert "&lt;i&gt;lost&lt;/i&gt;" in page
    assert "<i>lost" not in page
    assert page.count("<svg viewBox=") >= 2
    assert '<details id="run-1-row-2" open>' in page
    assert '<details id="run-1-row-1">' in page


def test_the_record_survives_the_disk(tmp_path: Path) -> None:
    written = run(row())
    (tmp_path / "run.json").write_text(written.model_dump_json())
    assert load_run(tmp_path) == written


def test_an_empty_run_says_so() -> None:
    assert "No scenario was judged." in render_html(view([run()]))
