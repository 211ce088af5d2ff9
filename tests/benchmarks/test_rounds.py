"""Interleaving, figures and tables of the benchmarks; nothing here looks at a clock."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from benchmarks.rounds import Bound, Finding, Goal, Report, Sample, Spread, cpu, interleaved, quotients, wall


def recorder(log: list[str], name: str) -> Callable[[], Sample]:
    def measure() -> Sample:
        log.append(name)
        return Sample(float(len(log)), 1.0)

    return measure


def test_every_contender_is_measured_once_a_round_in_a_turning_order() -> None:
    log: list[str] = []
    samples = interleaved({name: recorder(log, name) for name in "abc"}, 3)
    assert "".join(log) == "abc" + "abc" + "bca" + "cab"
    # The first three were the warm-up.
    assert cpu(samples["a"]) == [4.0, 9.0, 11.0]
    assert wall(samples["b"]) == [1.0, 1.0, 1.0]


def test_no_rounds_are_refused() -> None:
    with pytest.raises(ValueError, match="0 rounds measure nothing; take 5 or more"):
        interleaved({}, 0)


def test_a_failing_contender_is_not_passed_over() -> None:
    def fail() -> Sample:
        raise RuntimeError("the client ended with 1")

    with pytest.raises(RuntimeError, match="ended with 1"):
        interleaved({"a": fail}, 1)


def test_spread() -> None:
    assert Spread.of([3.0, 1.0, 2.0]) == Spread(2.0, 1.0, 3.0)
    assert Spread.of([3.0, 1.0]).middle == 2.0
    assert Spread(2.0, 1.0, 3.0).show(1) == "2.0 (1.0 to 3.0)"
    with pytest.raises(ValueError, match="no figures"):
        Spread.of([])


def test_quotients_are_taken_round_by_round() -> None:
    assert quotients([2.0, 40.0, 3.0], [1.0, 10.0, 1.0]) == Spread(3.0, 2.0, 4.0)
    with pytest.raises(ValueError, match="shorter"):
        quotients([1.0, 2.0], [1.0])


@pytest.mark.parametrize(
    ("bound", "limit", "met"),
    [
        (Bound.AT_MOST, 1.0, True),
        (Bound.AT_MOST, 0.99, False),
        (Bound.AT_LEAST, 1.0, True),
        (Bound.AT_LEAST, 1.01, False),
    ],
)
def test_the_middle_decides(bound: Bound, limit: float, met: bool) -> None:
    assert Goal("S1", "", bound, limit).met(Spread(1.0, 0.0, 9.0)) is met


@pytest.fixture
def report() -> Report:
    samples = {"fresh": {"ours": [Sample(1e-6, 2e-6)], "theirs": [Sample(3e-6, 4e-6)]}}
    goals = [
        Finding(Goal("S1", "ours over theirs", Bound.AT_MOST, 1.0), Spread(0.5, 0.4, 0.6)),
        Finding(Goal("S2", "theirs over ours", Bound.AT_LEAST, 5.0), Spread(2.0, 1.0, 3.0)),
    ]
    return Report("title", 1, samples, goals)


def test_the_table_has_every_goal_beside_its_figure(report: Report) -> None:
    lines = [" ".join(line.split()) for line in report.table().splitlines()]
    assert lines[0].startswith("title: median (range) of 1 interleaved rounds")
    assert "fresh ours 1.00 (1.00 to 1.00) 2.00 (2.00 to 2.00)" in lines
    assert "S1 ours over theirs ≤ 1 0.50 (0.40 to 0.60) met" in lines
    assert "S2 theirs over ours ≥ 5 2.00 (1.00 to 3.00) NOT MET" in lines


def test_the_json_has_every_sample(report: Report, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "figures.json"
    report.publish(path)
    figures = json.loads(path.read_text())
    assert figures["samples"]["fresh"]["theirs"] == {"cpu": [3e-6], "wall": [4e-6]}
    assert [(goal["id"], goal["median"], goal["met"]) for goal in figures["goals"]] == [
        ("S1", 0.5, True),
        ("S2", 2.0, False),
    ]
    assert capsys.readouterr().out == report.table() + "\n"
