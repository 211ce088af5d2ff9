"""Two runs side by side."""

from __future__ import annotations

import pytest

from proxyspec.compare import Difference, compare
from proxyspec.model import Ending, OutcomeKind, Verdict
from proxyspec.records import OutcomeRecord
from tests.harness.test_baseline import record

V, K = Verdict, OutcomeKind


def test_equal_runs_have_no_changes() -> None:
    cases = [record("v1/a", V.PASS), record("v1/b", V.FAIL)]
    found = compare(cases, cases)
    assert found.changes == ()
    assert found.common == 2


@pytest.mark.parametrize(
    ("before", "after", "regression", "improvement"),
    [
        (V.PASS, V.FAIL, True, False),
        (V.PASS, V.WARN, True, False),
        (V.PASS, V.SKIP, True, False),
        (V.INFO, V.UNTESTABLE, True, False),
        (V.UNTESTABLE, V.FAIL, True, False),
        (V.FAIL, V.ERROR, True, False),
        (V.PASS, V.INFO, False, False),
        (V.FAIL, V.UNTESTABLE, False, False),
        (V.UNTESTABLE, V.PASS, False, True),
        (V.FAIL, V.PASS, False, True),
    ],
)
def test_a_worse_verdict_is_a_regression(before: Verdict, after: Verdict, regression: bool, improvement: bool) -> None:
    (change,) = compare([record("v1/a", before)], [record("v1/a", after)]).changes
    assert (change.regression, change.improvement) == (regression, improvement)
    assert Difference.VERDICT in change.differences


def test_outcomes_endings_and_times_are_news_but_no_fault() -> None:
    old = record("v1/a", V.PASS, K.REJECTED_SILENT)
    reply = OutcomeRecord(kind=K.REJECTED_REPLY, code=421, text="rejected-reply 421")
    new = old.model_copy(update={"outcome": reply, "ending": Ending.RST, "duration": 1.0})
    found = compare([old], [new])
    (change,) = found.changes
    assert change.differences == (Difference.OUTCOME, Difference.ENDING, Difference.TIME)
    assert found.regressions == ()


@pytest.mark.parametrize(
    ("before", "after", "changed"), [(0.001, 0.2, False), (2.0, 2.3, False), (0.1, 0.4, True), (3.0, 1.0, True)]
)
def test_noise_is_no_change_of_time(before: float, after: float, changed: bool) -> None:
    old = record("v1/a", V.PASS)
    found = compare([old.model_copy(update={"duration": before})], [old.model_copy(update={"duration": after})]).changes
    assert [change.differences for change in found] == ([(Difference.TIME,)] if changed else [])


def test_the_moment_of_an_outcome_and_its_port_are_not_compared() -> None:
    old = OutcomeRecord(kind=K.ACCEPTED_PROXIED, address="192.0.2.1", port=5, after=0.1, text="x")
    new = OutcomeRecord(kind=K.ACCEPTED_PROXIED, address="192.0.2.1", port=6, after=0.2, text="y")
    case = record("v1/a", V.PASS)
    assert not compare([case.model_copy(update={"outcome": old})], [case.model_copy(update={"outcome": new})]).changes


def test_regressions_come_first_and_one_sided_cases_are_named() -> None:
    before = [record("a", V.FAIL), record("b", V.PASS), record("gone", V.PASS)]
    after = [record("a", V.PASS), record("b", V.FAIL), record("new", V.FAIL)]
    found = compare(before, after)
    assert [change.after.id for change in found.changes] == ["b", "a"]
    assert [change.after.id for change in found.regressions] == ["b"]
    assert (found.only_before, found.only_after, found.common) == (("gone",), ("new",), 2)
