from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxyspec.load.figures import MAX_ERRORS, Figures
from proxyspec.records import LoadError

EVENTS = st.lists(
    st.tuples(
        st.sampled_from(["connect", "ehlo", "session"]),
        st.integers(0, 10**11),
        st.sampled_from([None, "421 at banner", "reset at ehlo"]),
    ),
    max_size=30,
)


def _of(events: list[tuple[str, int, str | None]]) -> Figures:
    figures = Figures()
    for step, time, error in events:
        figures.add(step, time, error)
    return figures


def test_steps_come_in_the_order_of_a_session_with_real_times() -> None:
    figures = _of(
        [
            ("session", 12_345_000, None),
            ("quit", 1_000_000, None),
            ("connect", 250_000, None),
            ("connect", 30_000_125_000, "timeout at connect"),
            ("session", 30_000_250_000, "timeout at connect"),
        ]
    )
    connect, quit_, session = figures.steps(10.0)
    assert (connect.name, quit_.name, session.name) == ("connect", "quit", "session")
    assert (session.count, session.failures, session.rate, session.mean_ms) == (2, 1, 0.2, 15006.298)
    assert session.min_ms == 12.345
    assert session.percentiles_ms["0.5"] == pytest.approx(12.345, rel=0.01)
    assert {key: value for key, value in session.percentiles_ms.items() if key != "0.5"} == dict.fromkeys(
        ("0.9", "0.95", "0.99", "1.0"), 30000.25
    )
    assert (figures.sessions, figures.failures) == (2, 1)


def test_errors_are_counted_once_and_the_most_frequent_comes_first() -> None:
    figures = Figures()
    for error in ("421 at banner", "reset at banner", "421 at banner"):
        figures.add("header_to_banner", 1, error)
        figures.add("session", 1, error)
    assert figures.errors() == [
        LoadError(step="header_to_banner", error="421 at banner", count=2),
        LoadError(step="header_to_banner", error="reset at banner", count=1),
    ]


def test_kinds_of_errors_are_bounded() -> None:
    figures, other = Figures(), Figures()
    for number in range(MAX_ERRORS + 50):
        (figures if number < MAX_ERRORS else other).add("ehlo", 1, f"error {number}")
    figures.merge(other)
    errors = figures.errors()
    assert len(errors) == MAX_ERRORS + 1
    assert errors[0] == LoadError(step="ehlo", error="other errors", count=50)


@given(EVENTS, EVENTS, EVENTS)
def test_parts_make_the_same_whole_in_any_order(
    ones: list[tuple[str, int, str | None]],
    twos: list[tuple[str, int, str | None]],
    threes: list[tuple[str, int, str | None]],
) -> None:
    whole = _of(ones + twos + threes)
    merged = Figures()
    for part in (threes, ones, twos):
        merged.merge(Figures.unpacked(json.loads(json.dumps(_of(part).packed()))))
    assert merged == whole


def test_planned_ends_add_up_and_travel() -> None:
    one, other = Figures(), Figures()
    one.planned.update({"banner-rst": 2})
    other.planned.update({"banner-rst": 1, "connect-fin": 4})
    one.merge(Figures.unpacked(json.loads(json.dumps(other.packed()))))
    assert one.planned == {"banner-rst": 3, "connect-fin": 4}


@pytest.mark.parametrize(
    "data",
    [
        None,
        {},
        {"steps": {"ehlo": [1]}, "errors": [], "planned": {}},
        {"steps": {"ehlo": [1, {}]}, "errors": [], "planned": {}},
        {"steps": {}, "errors": [["ehlo", "x"]], "planned": {}},
        {"steps": {}, "errors": [], "planned": {"x": "many"}},
    ],
)
def test_nonsense_from_a_worker_is_refused(data: object) -> None:
    with pytest.raises(ValueError, match=r"^(no |a histogram)"):
        Figures.unpacked(data)


def test_a_point_tells_what_it_holds() -> None:
    figures = _of([("session", 10_000_000, None), ("session", 20_000_000, None), ("session", 30_000_000, "x")])
    point = figures.point(0.5, 7, 0.5)
    assert (point.at, point.users, point.rate, point.failure_rate) == (0.5, 7, 6.0, 2.0)
    assert point.p50_ms == pytest.approx(20.0, rel=0.01)
    assert point.p95_ms == 30.0
    empty = Figures().point(1.5, 8, 1.0)
    assert (empty.users, empty.rate, empty.failure_rate, empty.p50_ms) == (8, 0.0, 0.0, None)
