"""Two runs side by side: which verdicts, outcomes, endings and times changed, and whether any got worse."""

from __future__ import annotations

import enum
from collections.abc import Iterable
from dataclasses import dataclass

from proxyspec.model import Verdict
from proxyspec.records import CaseRecord

__all__ = ["SLOWER", "SLOWER_SECONDS", "Change", "Comparison", "Difference", "compare"]

#: A connection counts as slower, or faster, by this factor at least …
SLOWER = 1.5
#: … and by as many seconds, so that noise of a few milliseconds is none.
SLOWER_SECONDS = 0.25

#: How bad a verdict is; what cannot be judged is worse than what passes, and better than what fails.
_RANK = {
    Verdict.PASS: 0,
    Verdict.INFO: 0,
    Verdict.SKIP: 1,
    Verdict.WARN: 2,
    Verdict.UNTESTABLE: 3,
    Verdict.FAIL: 4,
    Verdict.ERROR: 5,
}


class Difference(enum.StrEnum):
    """What changed about a case."""

    VERDICT = "verdict"
    OUTCOME = "outcome"
    ENDING = "ending"
    TIME = "time"


@dataclass(frozen=True, slots=True)
class Change:
    """One case that is not what it was."""

    before: CaseRecord
    after: CaseRecord
    differences: tuple[Difference, ...]

    @property
    def regression(self) -> bool:
        """Whether the verdict got worse; other differences alone are news, not faults."""
        return _RANK[self.after.verdict] > _RANK[self.before.verdict]

    @property
    def improvement(self) -> bool:
        """Whether the verdict got better; a fault that could not be looked for again is not gone."""
        return _RANK[self.after.verdict] < _RANK[self.before.verdict] and self.after.verdict is not Verdict.UNTESTABLE


@dataclass(frozen=True, slots=True)
class Comparison:
    """All changes, regressions first; the cases only one run has, by id; how many both have."""

    changes: tuple[Change, ...]
    only_before: tuple[str, ...]
    only_after: tuple[str, ...]
    common: int

    @property
    def regressions(self) -> tuple[Change, ...]:
        """The cases that got worse."""
        return tuple(change for change in self.changes if change.regression)


def _differences(before: CaseRecord, after: CaseRecord) -> tuple[Difference, ...]:
    found = []
    if before.verdict is not after.verdict:
        found.append(Difference.VERDICT)
    if _outcome(before) != _outcome(after):
        found.append(Difference.OUTCOME)
    if before.ending is not after.ending:
        found.append(Difference.ENDING)
    short, long = sorted((before.duration, after.duration))
    if long - short > SLOWER_SECONDS and long > SLOWER * short:
        found.append(Difference.TIME)
    return tuple(found)


def _outcome(record: CaseRecord) -> tuple[object, ...] | None:
    """Return what two runs against one target have in common: not the port, nor the moment."""
    outcome = record.outcome
    return None if outcome is None else (outcome.kind, outcome.address, outcome.code, outcome.greeted)


def compare(before: Iterable[CaseRecord], after: Iterable[CaseRecord]) -> Comparison:
    """Compare the cases of two runs by their ids."""
    old = {record.id: record for record in before}
    new = {record.id: record for record in after}
    changes = [
        Change(old[case_id], record, differences)
        for case_id, record in new.items()
        if case_id in old and (differences := _differences(old[case_id], record))
    ]
    changes.sort(key=lambda change: (not change.regression, not change.improvement))
    return Comparison(
        changes=tuple(changes),
        only_before=tuple(case_id for case_id in old if case_id not in new),
        only_after=tuple(case_id for case_id in new if case_id not in old),
        common=len(old.keys() & new.keys()),
    )
