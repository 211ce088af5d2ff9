from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxyspec.load.figures import MAX_ERRORS, Figures, percentile
from proxyspec.records import LoadError


def test_percentiles_are_by_nearest_rank() -> None:
    ordered = [10.0, 20.0, 30.0, 40.0]
    assert [percentile(ordered, share) for share in (0.01, 0.5, 0.51, 0.75, 0.76, 1.0)] == [10, 20, 30, 30, 40, 40]


@given(st.lists(st.floats(0, 1e6), min_size=1, max_size=200), st.floats(0.01, 1.0))
def test_a_percentile_is_the_least_value_that_enough_do_not_exceed(values: list[float], share: float) -> None:
    ordered = sorted(values)
    found = percentile(ordered, share)
    assert sum(value <= found for value in ordered) >= share * len(ordered)
    assert found == ordered[0] or sum(value < found for value in ordered) < share * len(ordered)


def test_steps_come_in_the_order_of_a_session_with_real_times() -> None:
    figures = Figures()
    for step, time, error in [
        ("session", 12.345, None),
        ("quit", 1.0, None),
        ("connect", 0.25, None),
        ("connect", 30_000.125, "timeout at connect"),
        ("session", 30_000.25, "timeout at connect"),
    ]:
        figures.add(step, time, error)
    connect, quit_, session = figures.steps(10.0)
    assert (connect.name, quit_.name, session.name) == ("connect", "quit", "session")
    assert (session.count, session.failures, session.rate, session.mean_ms) == (2, 1, 0.2, 15006.298)
    assert session.percentiles_ms == {
        "0.5": 12.345,
        "0.9": 30000.25,
        "0.95": 30000.25,
        "0.99": 30000.25,
        "1.0": 30000.25,
    }
    assert (figures.sessions, figures.failures) == (2, 1)


def test_errors_are_counted_once_and_the_most_frequent_comes_first() -> None:
    figures = Figures()
    for error in ("421 at banner", "reset at banner", "421 at banner"):
        figures.add("header_to_banner", 1.0, error)
        figures.add("session", 1.0, error)
    assert figures.errors() == [
        LoadError(step="header_to_banner", error="421 at banner", count=2),
        LoadError(step="header_to_banner", error="reset at banner", count=1),
    ]


def test_kinds_of_errors_are_bounded() -> None:
    figures = Figures()
    for number in range(MAX_ERRORS + 50):
        figures.add("ehlo", 1.0, f"error {number}")
    errors = figures.errors()
    assert len(errors) == MAX_ERRORS + 1
    assert errors[0] == LoadError(step="ehlo", error="other errors", count=50)


def test_beyond_the_limit_times_are_a_fair_sample_and_the_maximum_is_exact() -> None:
    figures = Figures(limit=500)
    figures.add("session", 99_999.0, None)
    for number in range(20_000):
        figures.add("session", float(number % 1000), None)
    (session,) = figures.steps(1.0)
    assert session.count == 20_001
    assert session.percentiles_ms["1.0"] == 99_999.0
    assert session.percentiles_ms["0.5"] == pytest.approx(500, abs=150)


def test_a_point_holds_its_own_second_alone() -> None:
    figures = Figures()
    for time, error in ((10.0, None), (20.0, None), (30.0, "421 at banner")):
        figures.add("session", time, error)
    first, second = figures.point(0.5, 7, 0.5), figures.point(1.5, 8, 1.0)
    assert (first.at, first.users, first.rate, first.failure_rate) == (0.5, 7, 6.0, 2.0)
    assert (first.p50_ms, first.p95_ms) == (20.0, 30.0)
    assert (second.users, second.rate, second.failure_rate, second.p50_ms) == (8, 0.0, 0.0, None)
