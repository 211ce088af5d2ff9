"""Several conformance runs side by side: every case against every run, and who differs from the others."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from proxyspec.model import ACCEPTED, REJECTED, Disposition, Verdict
from proxyspec.records import CaseRecord, ConformanceRun, OutcomeRecord
from proxyspec_reports.printable import show

__all__ = ["LETTERS", "Cell", "Column", "Differential", "Matrix", "MatrixGroup", "Row", "matrix"]

#: A verdict in a cell: one letter, for rows of twenty.
LETTERS: Mapping[Verdict, str] = {
    Verdict.PASS: "P",
    Verdict.FAIL: "F",
    Verdict.WARN: "W",
    Verdict.INFO: "I",
    Verdict.UNTESTABLE: "U",
    Verdict.SKIP: "–",
    Verdict.ERROR: "E",
}
_NOT_SEEN = (Verdict.SKIP, Verdict.UNTESTABLE, Verdict.ERROR)
_LIMIT = 200


@dataclass(frozen=True, slots=True)
class Column:
    """One run: its place in the page, the server, what stood in front, and how many cases got each verdict.

    `alone` counts cases on which it did what none of the others did.
    """

    anchor: str
    target: str
    haproxy: str
    counts: tuple[tuple[Verdict, int], ...]
    alone: int


@dataclass(frozen=True, slots=True)
class Cell:
    """One case in one run; `anchor` leads to its evidence, None where the page has no room for it."""

    verdict: Verdict
    got: str
    anchor: str | None
    odd: bool
    disposition: Disposition | None


@dataclass(frozen=True, slots=True)
class Row:
    """One case in every run, None where it was not part of one; `differs`: the runs did not all do the same."""

    id: str
    title: str
    cells: tuple[Cell | None, ...]
    differs: bool


@dataclass(frozen=True, slots=True)
class MatrixGroup:
    """The rows of one chapter."""

    name: str
    rows: tuple[Row, ...]

    @property
    def differing(self) -> int:
        """Rows on which the runs differ."""
        return sum(row.differs for row in self.rows)


@dataclass(frozen=True, slots=True)
class Differential:
    """The same bytes, and whom each run took for the client; empty where nothing was accepted or seen."""

    id: str
    sent: str
    beliefs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Matrix:
    """All runs; `agreement` is, for each pair, the share of cases seen by both on which both did the same."""

    columns: tuple[Column, ...]
    groups: tuple[MatrixGroup, ...]
    agreement: tuple[tuple[float | None, ...], ...]
    differentials: tuple[Differential, ...]


def matrix(runs: Sequence[tuple[str, ConformanceRun]], shown: Sequence[frozenset[str]]) -> Matrix | None:
    """Set runs side by side, given with their anchors, or return None if there are fewer than two.

    `shown` holds, for each run, the ids of the cases whose evidence the page has.
    """
    if len(runs) < 2:
        return None
    by_run = [
        {case.id: (f"{anchor}-case-{number}", case) for number, case in enumerate(run.cases, 1)} for anchor, run in runs
    ]
    # Chapters stay together however the runs were selected.
    order = sorted(dict.fromkeys(name for cases in by_run for name in cases), key=lambda name: name.partition("/")[0])
    alone: Counter[int] = Counter()
    groups: dict[str, list[Row]] = {}
    for name in order:
        found = [cases.get(name) for cases in by_run]
        odd = _odd([None if entry is None else entry[1] for entry in found])
        if len(odd) == 1:
            alone.update(odd)
        cells = tuple(
            None
            if entry is None
            else Cell(
                entry[1].verdict,
                _got(entry[1]),
                entry[0] if name in shown[column] else None,
                column in odd,
                entry[1].disposition,
            )
            for column, entry in enumerate(found)
        )
        title = next(entry[1].title for entry in found if entry is not None)
        row = Row(show(name, _LIMIT), show(title, 500), cells, bool(odd))
        groups.setdefault(name.partition("/")[0], []).append(row)
    return Matrix(
        columns=tuple(_column(anchor, run, alone[number]) for number, (anchor, run) in enumerate(runs)),
        groups=tuple(MatrixGroup(show(name, _LIMIT), tuple(rows)) for name, rows in groups.items()),
        agreement=_agreement([{name: case for name, (_, case) in cases.items()} for cases in by_run]),
        differentials=_differentials(order, [{name: case for name, (_, case) in cases.items()} for cases in by_run]),
    )


def _column(anchor: str, run: ConformanceRun, alone: int) -> Column:
    counts = Counter(case.verdict for case in run.cases)
    haproxy = run.environment.haproxy
    return Column(
        anchor,
        show(run.target.name or run.target.url, _LIMIT),
        "" if haproxy is None else show(haproxy.version, 80),
        tuple((verdict, counts[verdict]) for verdict in LETTERS if counts[verdict]),
        alone,
    )


def _got(case: CaseRecord) -> str:
    return show(case.outcome.text, _LIMIT) if case.outcome else "did not run"


def _act(case: CaseRecord) -> str | None:
    """Reduce what was seen to what servers can agree on; None: nothing was seen."""
    if case.outcome is None or case.verdict in _NOT_SEEN:
        return None
    if case.outcome.kind in REJECTED:
        return "rejected"
    return f"{case.outcome.kind} {_belief(case.outcome)}"


def _belief(outcome: OutcomeRecord) -> str:
    # A TCP peer's own port says nothing about the parser.
    if outcome.kind not in ACCEPTED:
        return ""
    return (outcome.address or "") if outcome.kind == "accepted-proxied" else str(outcome.kind)


def _odd(cases: Sequence[CaseRecord | None]) -> frozenset[int]:
    """Return the columns that did other than most; none where all agree, all of them where there is no most."""
    acts = {column: act for column, case in enumerate(cases) if case is not None and (act := _act(case)) is not None}
    ranked = Counter(acts.values()).most_common(2)
    if len(ranked) < 2:
        return frozenset()
    if ranked[0][1] == ranked[1][1]:
        return frozenset(acts)
    return frozenset(column for column, act in acts.items() if act != ranked[0][0])


def _agreement(by_run: Sequence[Mapping[str, CaseRecord]]) -> tuple[tuple[float | None, ...], ...]:
    acts = [{name: act for name, case in cases.items() if (act := _act(case)) is not None} for cases in by_run]

    def share(one: Mapping[str, str], other: Mapping[str, str]) -> float | None:
        both = one.keys() & other.keys()
        return sum(one[name] == other[name] for name in both) / len(both) if both else None

    return tuple(tuple(share(one, other) for other in acts) for one in acts)


def _differentials(order: Sequence[str], by_run: Sequence[Mapping[str, CaseRecord]]) -> tuple[Differential, ...]:
    """Find the bytes for which servers that let the client in disagree on who it is."""
    found = []
    for name in order:
        beliefs = tuple(
            _belief(case.outcome) if (case := cases.get(name)) is not None and case.outcome is not None else ""
            for cases in by_run
        )
        told = {belief for belief in beliefs if belief and belief != "accepted-unseen"}
        if len(told) > 1:
            sent = next(cases[name].sent for cases in by_run if name in cases)
            found.append(Differential(show(name, _LIMIT), sent[:128], tuple(show(b, 100) for b in beliefs)))
    return tuple(found)
