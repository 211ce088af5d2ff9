from __future__ import annotations

import pytest

from proxyspec.load.stages import STEPS, Stage, held, knee, users_at
from proxyspec.records.load import LoadPoint, LoadStage


def _point(at: float, users: int, rate: float = 100.0, p95: float | None = 5.0) -> LoadPoint:
    return LoadPoint(at=at, users=users, rate=rate, failure_rate=0, p95_ms=p95)


@pytest.mark.parametrize(
    ("elapsed", "users"), [(0, 2), (3.9, 2), (4, 4), (8, 8), (12, 16), (16, 32), (20, 64), (23.9, 64), (24, None)]
)
def test_users_double_until_all_are_there(elapsed: float, users: int | None) -> None:
    assert users_at(STEPS, elapsed, 24, 64) == users


def test_a_stage_has_one_user_at_least() -> None:
    assert users_at((Stage(1, 0.01),), 0, 10, 5) == 1


def test_levels_that_were_held_are_stages_without_their_first_sample() -> None:
    line = [
        _point(1, 2, 10),
        _point(2, 2, 100),
        _point(3, 2, 120),
        _point(4, 3, 200),
        _point(5, 4, 1),
        _point(6, 4, 300),
    ]
    assert held(line) == [
        LoadStage(users=2, seconds=1, rate=110, p95_ms=5),
        LoadStage(users=4, seconds=0, rate=300, p95_ms=5),
    ]


def test_going_down_is_no_stage() -> None:
    assert [
        stage.users for stage in held([_point(at, users) for at, users in enumerate((8, 8, 2, 2, 8, 8, 9, 9))])
    ] == [8, 9]


def test_a_stage_without_sessions_has_no_times() -> None:
    assert held([_point(1, 2, 0, None), _point(2, 2, 0, None)]) == [LoadStage(users=2, seconds=0, rate=0, p95_ms=None)]


@pytest.mark.parametrize(
    ("rates", "found"),
    [
        ((100, 200, 396, 400, 390), 4),
        ((100, 200, 300, 400), None),
        ((100, 100, 100), 1),
        ((100, 100), None),
        ((0, 0, 0), None),
    ],
)
def test_the_knee_is_where_more_users_bring_no_more(rates: tuple[int, ...], found: int | None) -> None:
    stages = [LoadStage(users=2**number, seconds=4, rate=rate, p95_ms=1) for number, rate in enumerate(rates)]
    assert knee(stages) == found
