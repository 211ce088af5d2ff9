"""The search for culprits: all of them and nobody else, in few trials, whatever is told late."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from proxyspec.culprits import GROUP, Search


class Trials:
    """Tells whether one of the guilty was in the group; with `late`, of the trial before where that was not told."""

    def __init__(self, guilty: set[int], *, late: frozenset[int] = frozenset()) -> None:
        self.guilty = guilty
        self.late = late
        self.groups: list[tuple[int, ...]] = []
        self._owed = False

    async def __call__(self, group: Sequence[int]) -> bool:
        owed, self._owed = self._owed, False
        number = len(self.groups)
        self.groups.append(tuple(group))
        happened = not self.guilty.isdisjoint(group)
        if happened and number in self.late:
            self._owed, happened = True, False
        return happened or owed


def searched(trials: Trials, suspects: int, most: int = 1000) -> Search[int]:
    search = Search[int](trials, most)
    asyncio.run(search.among(range(suspects)))
    return search


@given(st.integers(0, 150).flatmap(lambda n: st.tuples(st.just(n), st.sets(st.integers(0, max(0, n - 1)), max_size=9))))
def test_all_the_guilty_are_found_and_nobody_else(drawn: tuple[int, set[int]]) -> None:
    suspects, guilty = drawn
    guilty &= set(range(suspects))
    trials = Trials(guilty)
    search = searched(trials, suspects)
    assert search.found == sorted(guilty)
    assert search.untried == []
    assert {one for group in trials.groups for one in group} == set(range(suspects))
    assert all(trials.groups.count((one,)) >= 2 for one in guilty), "one trial alone proves nothing"
    assert len(trials.groups) <= -(-suspects // GROUP) + 13 * len(guilty)


@given(st.sets(st.integers(0, 63), min_size=1, max_size=5), st.frozensets(st.integers(0, 40), max_size=8))
def test_what_is_told_late_makes_nobody_guilty(guilty: set[int], late: frozenset[int]) -> None:
    # Two late in a row would be needed to blame an innocent; a log that is always late is no log.
    late = frozenset(number for number in late if number - 1 not in late)
    assert set(searched(Trials(guilty, late=late), 64).found) <= guilty


def test_it_ends_when_enough_are_found() -> None:
    trials = Trials(set(range(100)))
    search = searched(trials, 100, most=3)
    assert search.found == [0, 1, 2]
    assert sorted(search.untried) == list(range(3, 100))
    assert len(trials.groups) < 30
