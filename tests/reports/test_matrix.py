"""Runs side by side: who did other than most, who agrees with whom, who believes whom."""

from __future__ import annotations

from proxyspec.model import OutcomeKind, Verdict
from proxyspec.records import CaseRecord, ConformanceRun, LoadRun
from proxyspec_reports import render_html, view
from proxyspec_reports.causes import causes
from proxyspec_reports.changes import Direction, changes, load_comparisons
from proxyspec_reports.conformance import ConformanceView
from proxyspec_reports.matrix import Matrix, matrix

from .samples import SILENT, case, conformance_run, load_run, outcome


def proxied(name: str, address: str) -> CaseRecord:
    return case(name).model_copy(update={"outcome": outcome(OutcomeKind.ACCEPTED_PROXIED, address)})


def refused(name: str, verdict: Verdict = Verdict.PASS) -> CaseRecord:
    return case(name, verdict).model_copy(update={"outcome": SILENT})


def run(number: int, *cases: CaseRecord) -> ConformanceRun:
    return conformance_run(list(cases), run_id=f"r{number}", url=f"smtp://127.0.0.1:{2525 + number}")


def of(*runs: ConformanceRun) -> Matrix:
    named = [(f"run-{number}", each) for number, each in enumerate(runs, 1)]
    found = matrix(named, [frozenset(record.id for record in each.cases) for each in runs])
    assert found is not None
    return found


def test_one_run_needs_no_matrix() -> None:
    assert matrix([("run-1", run(1, case("v1/a")))], [frozenset()]) is None


def test_the_odd_one_out_is_marked_and_counted() -> None:
    found = of(
        run(1, proxied("v1/a", "192.0.2.1"), refused("v1/b")),
        run(2, proxied("v1/a", "192.0.2.1"), refused("v1/b")),
        run(3, proxied("v1/a", "192.0.2.9"), refused("v1/b")),
    )
    row = found.groups[0].rows[0]
    assert row.differs
    assert [cell is not None and cell.odd for cell in row.cells] == [False, False, True]
    assert [column.alone for column in found.columns] == [0, 0, 1]
    assert not found.groups[0].rows[1].differs
    assert found.agreement[0] == (1.0, 1.0, 0.5)
    assert [(d.id, d.beliefs) for d in found.differentials] == [("v1/a", ("192.0.2.1", "192.0.2.1", "192.0.2.9"))]


def test_two_that_disagree_are_both_odd_and_a_case_not_run_is_no_opinion() -> None:
    found = of(run(1, proxied("v1/a", "192.0.2.1")), run(2, refused("v1/a", Verdict.FAIL)), run(3, case("v2/b")))
    rows = {row.id: row for group in found.groups for row in group.rows}
    assert [cell is not None and cell.odd for cell in rows["v1/a"].cells] == [True, True, False]
    assert rows["v1/a"].cells[2] is None
    assert not rows["v2/b"].differs
    assert found.agreement[0][2] is None
    assert found.differentials == (), "one that refuses believes nobody"


def test_a_refusal_is_one_act_however_it_is_worded() -> None:
    worded = case("v1/a").model_copy(update={"outcome": outcome(OutcomeKind.REJECTED_REPLY, code=421)})
    assert not of(run(1, refused("v1/a")), run(2, worded)).groups[0].rows[0].differs


def test_the_page_leads_from_each_cell_to_its_evidence() -> None:
    page = render_html(view([run(1, refused("v1/a", Verdict.FAIL)), run(2, proxied("v1/a", "192.0.2.1"))]))
    assert '<a href="#run-1-case-1" title="rejected-silent">F</a>' in page
    assert 'id="run-1-case-1"' in page
    assert 'id="run-2-case-1"' in page


def test_changes_are_sorted_worst_first() -> None:
    before = run(1, case("v1/a"), case("v1/b", Verdict.FAIL), case("v1/c"), case("v1/gone"))
    after = run(1, refused("v1/a", Verdict.FAIL), case("v1/b"), case("v1/c"), case("v1/new"))
    (found,) = changes([before, after.model_copy(update={"id": "later"})])
    assert [(change.id, change.direction) for change in found.changes] == [
        ("v1/a", Direction.REGRESSED),
        ("v1/b", Direction.FIXED),
        ("v1/new", Direction.ADDED),
        ("v1/gone", Direction.GONE),
    ]
    assert found.same == 1
    assert found.count(Direction.REGRESSED) == 1


def test_runs_against_different_targets_are_not_compared() -> None:
    assert changes([run(1, case("v1/a")), run(2, case("v1/a"))]) == ()


def test_load_runs_of_one_profile_are_compared_by_road_with_ranges() -> None:
    def made(header: str, rate: float) -> LoadRun:
        return load_run().model_copy(update={"header": header, "rate": rate})

    (found,) = load_comparisons([made("none", 100.0), made("none", 120.0), made("v2", 88.0)])
    assert found.runs == (2, 1)
    figures = dict(found.figures)
    base, loaded = figures["sessions per second"]
    assert base is not None
    assert loaded is not None
    assert (base.median, base.least, base.most) == (110.0, 100.0, 120.0)
    assert loaded.ratio == 0.8


def test_compared_times_of_half_a_minute_are_written_out() -> None:
    def made(header: str, p99: float) -> LoadRun:
        run = load_run()
        held = run.steps[0].model_copy(update={"name": "held", "percentiles_ms": {"0.5": 30005.8, "0.99": p99}})
        return run.model_copy(update={"header": header, "steps": [held]})

    page = render_html(view([made("v1", 30029.4), made("v2", 30530.1)]))

    assert "30,006" in page
    assert "30,530" in page
    assert "e+04" not in page


def test_load_runs_of_servers_with_names_are_compared_wherever_each_listened() -> None:
    def made(name: str, port: int) -> LoadRun:
        run = load_run(url=f"smtp://127.0.0.1:{port}")
        return run.model_copy(update={"target": run.target.model_copy(update={"name": name})})

    (found,) = load_comparisons([made("one 1.0", 1001), made("two 2.0", 1002), made("one 1.0", 1003)])
    assert [road.partition(", ")[2].partition(", ")[0] for road in found.roads] == ["one 1.0", "two 2.0"]
    assert found.runs == (2, 1)


def test_one_load_run_is_compared_with_nothing() -> None:
    assert load_comparisons([load_run()]) == ()


def test_problems_of_one_cause_are_one_group_led_by_the_shortest() -> None:
    records = [refused(f"v1/port/{name}", Verdict.FAIL) for name in ("a", "b", "c")] + [case("v1/x", Verdict.FAIL)]
    section = view([run(1, *records)]).sections[0]
    assert isinstance(section, ConformanceView)
    found = causes(record for cause in section.problems[0].causes for record in cause.cases)
    assert [(cause.chapter, len(cause.cases)) for cause in found] == [("v1/port", 3), ("v1", 1)]


def test_a_thousand_cases_on_twenty_servers_stay_below_ten_megabytes() -> None:
    """Three in ten fail: worse than any server we know of."""
    cases = [
        refused(f"v1/chapter-{n // 40}/case-{n}", Verdict.FAIL)
        if n % 10 < 3
        else case(f"v1/chapter-{n // 40}/case-{n}")
        for n in range(1000)
    ]
    report = view([run(number, *cases) for number in range(20)])
    page = render_html(report)
    assert report.long
    assert '<main id="content" class="long">' in page
    assert 1_000_000 < len(page.encode()) < 10_000_000
    assert page.count('class="case case-fail"') >= 400, "still with evidence"
