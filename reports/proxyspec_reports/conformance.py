"""One conformance run as a reader sees it: what went wrong by cause first, then the rules, then every case."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import ClassVar

from proxyspec.model import Verdict
from proxyspec.records import ConformanceRun
from proxyspec_reports.baseline import BaselineView, baseline_view, known_last, told
from proxyspec_reports.cases import CaseView, Detail, case_view, prerequisite
from proxyspec_reports.causes import Cause, causes
from proxyspec_reports.coverage import RuleView, rules
from proxyspec_reports.facts import RunFacts, run_facts
from proxyspec_reports.hexdump import Annotate
from proxyspec_reports.printable import show

__all__ = [
    "MEANINGS",
    "PROBLEMS",
    "CaseGroup",
    "ConformanceView",
    "ProblemGroup",
    "Room",
    "Tally",
    "conformance_view",
]

#: What each verdict says, in the order in which reports name them.
MEANINGS: Mapping[Verdict, str] = {
    Verdict.FAIL: "the server broke a rule of the text",
    Verdict.ERROR: "proxyspec itself failed on this case",
    Verdict.WARN: "the server ignored advice (a SHOULD)",
    Verdict.UNTESTABLE: "a prerequisite was missing: nothing is known, so it never counts as passed",
    Verdict.PASS: "the server did what the text asks",
    Verdict.INFO: "the text allows several behaviours: the one seen is recorded, not scored",
    Verdict.SKIP: "the target declares the feature absent",
}

#: The verdicts a reader has to act on, most urgent first.
PROBLEMS = (Verdict.FAIL, Verdict.ERROR, Verdict.WARN, Verdict.UNTESTABLE)


@dataclass(frozen=True, slots=True)
class Tally:
    """How many cases got a verdict; `share` of all cases and the shares `before` it, 0 to 1."""

    verdict: Verdict
    count: int
    share: float
    before: float


@dataclass(frozen=True, slots=True)
class ProblemGroup:
    """The cases of one verdict that call for action."""

    verdict: Verdict
    meaning: str
    causes: tuple[Cause, ...]

    @property
    def count(self) -> int:
        """Cases of this verdict."""
        return sum(len(cause.cases) for cause in self.causes)

    @property
    def told(self) -> str:
        """How many of them a baseline knew; empty where there was none."""
        return told(cause.disposition for cause in self.causes for _ in cause.cases)


@dataclass(frozen=True, slots=True)
class Room:
    """How many cases of one run may show all their evidence, and whether those without a problem may show any."""

    problems: int
    quiet: bool
    #: Whether every case has a row of its own; else the matrix of all runs is where they are listed.
    listed: bool = True


@dataclass(frozen=True, slots=True)
class CaseGroup:
    """All cases whose id begins alike."""

    anchor: str
    name: str
    tallies: tuple[Tally, ...]
    cases: tuple[CaseView, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ConformanceView:
    """A run, its problems and its cases; `unjudgeable` says why the target could not be judged at all."""

    template: ClassVar[str] = "_conformance.html.j2"
    name: ClassVar[str] = "Conformance"
    facts: RunFacts
    baseline: BaselineView | None
    unjudgeable: str | None
    total: int
    tallies: tuple[Tally, ...]
    problems: tuple[ProblemGroup, ...]
    groups: tuple[CaseGroup, ...]
    rules: tuple[RuleView, ...]
    room: Room


def conformance_view(run: ConformanceRun, anchor: str, annotate: Annotate, room: Room) -> ConformanceView:
    """Prepare one run, with as much evidence as there is room for; element ids begin with `anchor`.

    Raises:
        InvalidRun: bytes of a case are not hexadecimal.
    """
    anchored = [(f"{anchor}-case-{number}", record) for number, record in enumerate(run.cases, 1)]
    by_id = {record.id: (name, record) for name, record in anchored}
    details = _details(run, room)
    cases = tuple(
        case_view(
            record,
            anchor=name,
            control=prerequisite(record.control, by_id),
            premise=prerequisite(record.premise, by_id),
            target=run.target,
            annotate=annotate,
            detail=details[record.id],
        )
        for name, record in anchored
    )
    return ConformanceView(
        facts=run_facts(run, anchor),
        baseline=baseline_view(run),
        unjudgeable=None if run.unjudgeable is None else show(run.unjudgeable),
        total=len(cases),
        tallies=_tallies(cases),
        problems=tuple(
            ProblemGroup(verdict, MEANINGS[verdict], causes(chosen))
            for verdict in PROBLEMS
            if (chosen := tuple(case for case in cases if case.verdict is verdict))
        ),
        groups=_groups(cases, anchor),
        rules=rules(run, {record.id: name for name, record in anchored}),
        room=room,
    )


def _details(run: ConformanceRun, room: Room) -> dict[str, Detail]:
    """Share the room out: the most urgent verdicts first, what is known last, in the order of the run."""
    urgent = [record.id for verdict in PROBLEMS for record in known_last(run.cases) if record.verdict is verdict]
    shown = set(urgent[: room.problems])
    details = {record.id: Detail.FULL if room.quiet else Detail.BRIEF for record in run.cases}
    return details | {name: Detail.COMPARED if name in shown else Detail.BRIEF for name in urgent}


def _tallies(cases: Iterable[CaseView]) -> tuple[Tally, ...]:
    counts = Counter(case.verdict for case in cases)
    total = counts.total()
    tallies: list[Tally] = []
    before = 0
    for verdict in MEANINGS:
        if counts[verdict]:
            tallies.append(Tally(verdict, counts[verdict], counts[verdict] / total, before / total))
            before += counts[verdict]
    return tuple(tallies)


def _groups(cases: Iterable[CaseView], anchor: str) -> tuple[CaseGroup, ...]:
    by_name: dict[str, list[CaseView]] = {}
    for case in cases:
        by_name.setdefault(case.group, []).append(case)
    return tuple(
        CaseGroup(f"{anchor}-group-{number}", name, _tallies(members), tuple(members))
        for number, (name, members) in enumerate(by_name.items(), 1)
    )
