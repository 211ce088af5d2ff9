"""The plots of a load beside its time line, and the tables with the same figures."""

from __future__ import annotations

from proxyspec.records import LoadRun, Threshold
from proxyspec.records.load import GeneratorRecord, LoadSample, LoadStage, LoadStep
from proxyspec_reports import render_html, view
from proxyspec_reports.load import Standing, load_view
from proxyspec_reports.load_panels import panels
from proxyspec_reports.plot import Panel

from .samples import load_run


def _step(name: str, *distribution: tuple[float, int]) -> LoadStep:
    return LoadStep(
        name=name,
        count=sum(count for _, count in distribution),
        failures=0,
        rate=1.0,
        mean_ms=1.0,
        percentiles_ms=dict.fromkeys(("0.5", "0.9", "0.95", "0.99", "1.0"), 1.0),
        distribution=list(distribution),
    )


def _with(**changes: object) -> LoadRun:
    return load_run().model_copy(update=changes)


def _panel(run: LoadRun, words: str) -> Panel:
    (found,) = (panel for panel in panels(run) if words in panel.plot.title)
    return found


def _table(panel: Panel) -> dict[str, str]:
    return {row[0]: row[1] for row in panel.rows}


def test_a_run_of_old_has_nothing_more_to_draw() -> None:
    assert panels(load_run()) == ()


def test_a_distribution_adds_up_to_all() -> None:
    panel = _panel(
        _with(steps=[_step("session", (1.0, 50), (2.0, 45), (9.0, 5)), _step("rcpt", (1.0, 5))]), "within a time"
    )
    (line,) = panel.plot.lines
    assert line.name == "session"
    # The slowest would flatten all others: the table has them.
    assert line.points == ((0.0, 0.0), (1.0, 50.0), (2.0, 95.0))
    assert panel.columns == ("Share", "session, ms")
    assert _table(panel)["50.0%"] == "1"
    assert _table(panel)["95.0%"] == "2"
    assert _table(panel)["99.0%"] == _table(panel)["100.0%"] == "9"


def test_lateness_is_counted_from_the_deadline() -> None:
    deadline = 1000 * load_run().target.header_timeout
    held = _step("held", (deadline - 20, 2), (deadline + 0.5, 10), (deadline + 59, 7), (deadline + 60, 1))
    limit = Threshold(expression=f"p99(held) < {deadline / 1000 + 0.1:g}s", actual=1.0, met=True)
    panel = _panel(_with(steps=[held], thresholds=[limit]), "How late")
    rows = _table(panel)
    assert rows["early"] == "2"
    assert rows["0 to 2"] == "10"
    assert rows["58 to 60"] == "7"
    assert rows["60 to 62"] == "1"
    assert sum(int(count) for count in rows.values()) == 20
    assert panel.remark == "2 came before the deadline, up to 20 ms."
    assert [line.name for line in panel.plot.lines] == ["answers", "limit of p99"]
    assert {x for x, _ in panel.plot.lines[1].points} == {100.0}


def test_all_in_time_is_said() -> None:
    deadline = 1000 * load_run().target.header_timeout
    panel = _panel(_with(steps=[_step("held", (deadline + 1, 4))]), "How late")
    assert panel.remark == "None came before the deadline."
    assert "early" not in _table(panel)


def test_the_knee_is_drawn_and_said() -> None:
    stages = [LoadStage(users=2**n, seconds=4, rate=rate, p95_ms=1) for n, rate in enumerate((100, 200, 201))]
    panel = _panel(_with(stages=stages, knee=2), "more users")
    assert panel.plot.axis == "users"
    assert panel.plot.lines[1].points == ((2.0, 0.0), (2.0, 201.0))
    assert "From 2 users on" in str(panel.remark)
    assert "not saturated" in str(_panel(_with(stages=stages, knee=None), "more users").remark)


def test_both_sides_share_one_axis() -> None:
    samples = [
        LoadSample(at=0, source="process", values={"cpu percent": 0, "memory MiB": 30, "descriptors": 20}),
        LoadSample(at=1, source="process", values={"cpu percent": 80, "memory MiB": 31, "descriptors": 25}),
        LoadSample(at=1.1, source="generator", values={"busiest process, cpu percent": 60, "descriptors": 9}),
        LoadSample(at=1.2, source="haproxy", values={"connections": 4, "queued": 1}),
        LoadSample(at=0, source="server", values={"ended quit": 5, "ended rst-mid-session": 1, "ended idle": 0}),
        LoadSample(at=20, source="server", values={"ended quit": 8, "ended rst-mid-session": 9, "ended idle": 0}),
    ]
    run = _with(samples=samples)
    processor = _panel(run, "Processor")
    assert [line.name for line in processor.plot.lines] == ["server", "generator"]
    assert processor.columns == ("At", "server", "generator")
    assert processor.rows == (("0 s", "0", "–"), ("1 s", "80", "60"))
    assert _panel(run, "of HAProxy").rows == (("1 s", "4", "1"),)
    endings = _panel(run, "Endings")
    # Since the load began, the most frequent first; what never happened is not drawn.
    assert [(line.name, line.points) for line in endings.plot.lines] == [
        ("rst-mid-session", ((0.0, 0.0), (20.0, 8.0))),
        ("quit", ((0.0, 0.0), (20.0, 3.0))),
    ]
    over_time = [panel for panel in panels(run) if panel.plot.until is not None]
    assert {panel.plot.until for panel in over_time} == {20.0}


def test_planned_stands_beside_counted() -> None:
    thresholds = [
        Threshold(expression="counted(connect-rst + <b>) == 7", actual=6, met=False),
        Threshold(expression="errors == 0", actual=0, met=True),
    ]
    (row,) = load_view(_with(thresholds=thresholds), "run-1").counted
    assert (row.plans, row.planned, row.counted, row.standing) == ("connect-rst + <b>", 7, 6, Standing.MISSED)
    html = render_html(view([_with(thresholds=thresholds)]))
    assert "Early ends, planned and counted" in html
    assert "connect-rst + &lt;b&gt;" in html


def test_a_limit_of_the_generator_is_not_overlooked() -> None:
    generator = GeneratorRecord(
        processes=1,
        cpu_percent=97,
        cpu_percent_max=99,
        descriptors=9,
        descriptor_limit=100,
        ports=28232,
        limits=["the generator was busy"],
    )
    html = render_html(view([_with(generator=generator, lost=1, workers=3, notes=["<gone>"])]))
    assert "<li>the generator was busy</li>" in html
    assert "1 of 3 processes ended without their last figures" in html
    assert "&lt;gone&gt;" in html
    assert "28,232" in html


def test_a_limit_of_the_session_is_a_line_where_it_fits() -> None:
    near = Threshold(expression="p95(session) < 200ms", actual=0.1, met=True)
    far = Threshold(expression="p95(session) < 100s", actual=0.1, met=True)
    names = [[line.name for line in load_view(_with(thresholds=[each]), "r").plots[1].lines] for each in (near, far)]
    assert names == [["p99", "p95", "p50", "limit of p95"], ["p99", "p95", "p50"]]


def test_every_panel_is_drawn_with_its_table() -> None:
    samples = [LoadSample(at=at, source="process", values={"memory MiB": 30.0 + at}) for at in range(3)]
    run = _with(steps=[_step("session", (1.0, 50), (2.0, 50))], samples=samples)
    html = render_html(view([run]))
    assert len(panels(run)) == 2
    for panel in panels(run):
        assert f"<summary>{panel.plot.title} as a table</summary>" in html
    assert html.count('aria-labelledby="run-1-panel-') == 2
