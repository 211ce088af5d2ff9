from __future__ import annotations

import json
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxyspec.load.histogram import Histogram, bucket, bucket_milliseconds

#: A day in nanoseconds.
TIMES = st.integers(0, 86_400_000_000_000)
LISTS = st.lists(TIMES, max_size=60)


def _of(times: list[int]) -> Histogram:
    histogram = Histogram()
    for time in times:
        histogram.add(time)
    return histogram


@given(TIMES)
def test_a_bucket_is_within_one_percent_and_half_a_millisecond(time: int) -> None:
    error = abs(bucket(time) - time)
    assert error <= time / 100
    assert error <= 500_000


@given(st.integers(29_000_000_000, 31_000_000_000))
def test_thirty_seconds_are_exact_within_a_millisecond(time: int) -> None:
    assert _of([0, time, time + 10**12]).percentiles(0.5) == [pytest.approx(time / 1e6, abs=1.0)]
    assert bucket_milliseconds(time / 1e6) == pytest.approx(time / 1e6, abs=1.0)


@given(TIMES)
def test_the_middle_of_a_bucket_is_in_it(time: int) -> None:
    assert bucket(bucket(time)) == bucket(time)


@given(TIMES, TIMES)
def test_buckets_keep_the_order(one: int, other: int) -> None:
    if one <= other:
        assert bucket(one) <= bucket(other)


@given(TIMES)
def test_what_is_added_is_in_its_bucket(time: int) -> None:
    assert _of([time]).buckets == {bucket(time): 1}


def test_small_buckets_by_value() -> None:
    assert [bucket(time) for time in (0, 1, 255, 256, 257, 258, 1_000, 1_000_000)] == [
        *(0, 1, 255, 257, 257, 259),
        1002,
        1_001_472,
    ]


@given(LISTS, LISTS)
def test_merged_is_as_if_taken_together(ones: list[int], others: list[int]) -> None:
    merged = _of(ones)
    merged.merge(_of(others))
    assert merged == _of(ones + others)


@given(LISTS.filter(bool), st.lists(st.floats(0.001, 1.0), min_size=1, max_size=5).map(sorted))
def test_percentiles_are_the_nearest_rank_of_the_bucketed_times(times: list[int], shares: list[float]) -> None:
    ordered = sorted(times)
    for share, found in zip(shares, _of(times).percentiles(*shares), strict=True):
        exact = next(time for number, time in enumerate(ordered, 1) if number >= share * len(ordered))
        assert found == pytest.approx(exact / 1e6, rel=0.01, abs=1e-6)
        assert ordered[0] <= round(found * 1e6) <= ordered[-1]


def test_percentiles_by_value_and_the_maximum_is_exact() -> None:
    histogram = _of([10, 20, 30, 123_456_789])
    assert histogram.percentiles(0.25, 0.5, 0.75, 1.0) == [1e-5, 2e-5, 3e-5, 123.456789]
    assert (histogram.count, histogram.total, histogram.least, histogram.most) == (4, 123_456_849, 10, 123_456_789)
    with pytest.raises(ValueError, match="empty"):
        Histogram().percentiles(0.5)


@given(LISTS)
def test_it_survives_a_message(times: list[int]) -> None:
    histogram = _of(times)
    assert Histogram.unpacked(json.loads(json.dumps(histogram.packed()))) == histogram


@pytest.mark.parametrize(
    "change", [{"middles": [1]}, {"counts": "x"}, {"total": -1}, {"most": "1"}, {"middles": [1.5], "counts": [1]}]
)
def test_a_broken_message_is_refused(change: dict[str, object]) -> None:
    with pytest.raises(ValueError, match="histogram"):
        Histogram.unpacked(Histogram().packed() | change)


def test_a_million_times_take_few_buckets() -> None:
    draw = random.Random(1)
    histogram = _of([round(draw.expovariate(1 / 5e6)) for _ in range(20_000)])
    assert len(histogram.buckets) < 2000
