"""The order of a kill matrix: the sound server alone, then every mutant, then once more what is in doubt."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from proxyspec.errors import HarnessError
from proxyspec.interruption import interrupting
from proxyspec.model import Verdict
from proxyspec.mutants.matrix import (
    SOUND,
    Kind,
    Mutant,
    MutantOutcome,
    best_of,
    doubtful,
    judge_mutant,
    tallies,
    worst_of,
)
from proxyspec.mutants.nursery import Bench, judge_mutants
from proxyspec.records import CaseTally, MutantRecord

__all__ = ["Matrix", "kill_matrix"]


@dataclass(frozen=True, slots=True)
class Matrix:
    """What is known of every mutant that was judged, the sound server first, and of every case."""

    mutants: tuple[MutantRecord, ...]
    cases: tuple[CaseTally, ...]
    interrupted: bool = False

    @property
    def verdicts(self) -> tuple[Verdict, ...]:
        """Those on mutants, then those on cases."""
        return tuple(row.verdict for row in (*self.mutants, *self.cases))


class _Trial:
    def __init__(self, bench: Bench, report: Callable[[MutantRecord], None]) -> None:
        self._bench = bench
        self._report = report
        self._sound = MutantOutcome(SOUND)
        self.outcomes: dict[str, MutantOutcome] = {}
        self.records: dict[str, MutantRecord] = {}

    def _keep(self, outcome: MutantOutcome) -> MutantRecord:
        name = outcome.mutant.name
        self.outcomes[name] = outcome
        self.records[name] = judge_mutant(outcome, self._sound)
        return self.records[name]

    def sound(self) -> None:
        """Judge the sound server, alone.

        Raises:
            HarnessError: it does not start.
        """
        for _ in range(2):
            (outcome,) = judge_mutants(self._bench, [SOUND], parallel=1)
            if outcome.broken:
                raise HarnessError(f"the reference server cannot be judged: {outcome.broken}")
            known = self.outcomes.get(SOUND.name)
            self._sound = outcome if known is None else best_of(known, outcome)
            if not doubtful(self._keep(self._sound)):
                break
        self._report(self.records[SOUND.name])

    def all(self, mutants: Sequence[Mutant], parallel: int) -> None:
        """Judge every mutant; what would count against it waits for its second run before it is reported."""
        doubts = []
        for outcome in judge_mutants(self._bench, mutants, parallel=parallel):
            record = self._keep(outcome)
            if doubtful(record):
                doubts.append(outcome.mutant)
            else:
                self._report(record)
        for again in judge_mutants(self._bench, doubts, parallel=1):
            first = self.outcomes[again.mutant.name]
            join = worst_of if again.mutant.kind is Kind.DEFECT else best_of
            self._report(self._keep(join(first, again)))


def kill_matrix(
    bench: Bench,
    mutants: Sequence[Mutant],
    report: Callable[[MutantRecord], None],
    *,
    parallel: int,
    reasons: Mapping[str, str],
    whole: bool,
) -> Matrix:
    """Judge the sound server and every mutant, `parallel` at a time; an interruption keeps what there is.

    A verdict against a mutant, or against the sound server, is confirmed by a second run that has the machine to
    itself. `reasons` says of some cases why they kill nothing; `whole`: every case and every defect takes part.

    Raises:
        HarnessError: the sound server cannot be run.
    """
    trial, interrupted = _Trial(bench, report), False
    try:
        with interrupting():
            trial.sound()
            trial.all(mutants, parallel)
    except KeyboardInterrupt:
        interrupted = True
    order = [name for name in (SOUND.name, *(mutant.name for mutant in mutants)) if name in trial.records]
    records = [trial.records[name] for name in order]
    outcomes = [trial.outcomes[name] for name in order]
    # Cases that did not apply, even to the sound server, had nothing to tell.
    applied = {one.case for one in outcomes[0].findings if one.verdict is not Verdict.SKIP} if outcomes else set()
    cases = [case for case in bench.cases if case.id in applied]
    rows = tallies(cases, outcomes, records, reasons, whole=whole and not interrupted)
    return Matrix(tuple(records), tuple(rows), interrupted)
