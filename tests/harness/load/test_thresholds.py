from __future__ import annotations

import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxyspec.errors import UsageError
from proxyspec.load.thresholds import judge, merge, parse_expectation
from proxyspec.records import LoadStep

TIMES = {"0.5": 10.0, "0.9": 20.0, "0.95": 30.0, "0.99": 40.0, "1.0": 1500.0}
STEPS = [
    LoadStep(name="ehlo", count=1000, failures=0, rate=200.0, mean_ms=1.0, percentiles_ms=dict.fromkeys(TIMES, 1.0)),
    LoadStep(name="session", count=1000, failures=2, rate=100.0, mean_ms=12.0, percentiles_ms=TIMES, min_ms=2.5),
]


@pytest.mark.parametrize(
    ("text", "actual", "met"),
    [
        ("p50(session) < 10ms", 10.0, False),
        ("p50(session) <= 10ms", 10.0, True),
        ("p90(session) < 21", 20.0, True),
        ("p95( session )<0.1s", 0.03, True),
        ("p99(session) > 39.5 ms", 40.0, True),
        ("max(session) < 1s", 1.5, False),
        ("mean(session) == 12ms", 12.0, True),
        ("min(session) >= 2ms", 2.5, True),
        ("min(ehlo) > 0s", None, False),
        ("p99(ehlo) < 2ms", 1.0, True),
        ("errors < 0.1%", 0.2, False),
        ("errors < 0.3 %", 0.2, True),
        ("errors == 2", 2.0, True),
        ("errors(ehlo) == 0", 0.0, True),
        ("rate > 99.9/s", 100.0, True),
        ("rate(ehlo) >= 201", 200.0, False),
        ("p95(quit) < 1s", None, False),
        ("errors(quit) == 0", None, False),
    ],
)
def test_expectations_are_judged_in_their_own_unit(text: str, actual: float | None, met: bool) -> None:
    (verdict,) = judge([parse_expectation(text)], STEPS)
    assert (verdict.expression, verdict.actual, verdict.met) == (text, actual, met)


@pytest.mark.parametrize(
    ("text", "word"),
    [
        ("", "cannot be read"),
        ("p95(session)", "cannot be read"),
        ("p95(session) < fast", "cannot be read"),
        ("p95(session) << 3", "cannot be read"),
        ("p95(session) < 3 ms extra", "cannot be read"),
        ("p95(session) < -3", "cannot be read"),
        ("p95(session) < nan", "cannot be read"),
        ("p95 < 3ms", "names no step"),
        ("p95(lunch) < 3ms", "'lunch'"),
        ("p42(session) < 3ms", "'p42'"),
        ("p95(session) < 3%", "'%'"),
        ("errors < 3ms", "'ms'"),
        ("rate > 3%", "'%'"),
    ],
)
def test_a_bad_expression_is_named_with_what_is_allowed(text: str, word: str) -> None:
    with pytest.raises(UsageError) as caught:
        parse_expectation(text)
    assert repr(text) in str(caught.value)
    assert word in str(caught.value)


@given(st.text(alphabet="p95(sesion) <>=0123456789.ms%/raterorsmax", max_size=40))
def test_whatever_is_written_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(UsageError):
        assert judge([parse_expectation(text)], STEPS)[0].expression == text.strip()


def test_an_own_limit_replaces_the_profiles_of_the_same_measure() -> None:
    profile = [parse_expectation(text) for text in ("errors < 0.1%", "p95(session) < 1s")]
    user = [parse_expectation(text) for text in ("p95(session) < 50ms", "errors < 3")]
    assert [each.text for each in merge(profile, user)] == ["errors < 0.1%", "p95(session) < 50ms", "errors < 3"]
