"""A kill matrix as a reader sees it: what is wrong first, then the weakest cases, then who kills whom by chapter."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from proxyspec.model import Verdict
from proxyspec.records import CaseTally, MutantRecord, MutantsRun
from proxyspec_reports.facts import RunFacts, run_facts
from proxyspec_reports.printable import show

__all__ = ["CaseView", "ChapterView", "MutantView", "MutantsView", "mutants_view"]

_LIMIT = 500
#: Rows of the table of weakest cases.
_WEAKEST = 20
#: Names of defects shown beside a case; the rest is counted.
_NAMED = 12

_WRONG = frozenset({Verdict.FAIL, Verdict.ERROR})


@dataclass(frozen=True, slots=True)
class MutantView:
    """One server; `by_chapter` counts the cases that tell it from the sound one, in the order of the chapters."""

    id: str
    title: str
    verdict: Verdict
    state: str
    reason: str
    origin: str
    killers: int
    by_chapter: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class CaseView:
    """One case and the defects it kills, the narrowest first; `more` are not named."""

    id: str
    title: str
    verdict: Verdict
    reason: str
    kills: int
    narrowest: str
    narrowest_killers: int
    killed: tuple[str, ...]
    more: int


@dataclass(frozen=True, slots=True)
class ChapterView:
    """The cases of one chapter, the weakest first."""

    anchor: str
    name: str
    cases: tuple[CaseView, ...]
    kills: int
    wrong: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MutantsView:
    """A kill matrix; `seconds` of processor time for each server and the cases on it."""

    template: ClassVar[str] = "_mutants.html.j2"
    name: ClassVar[str] = "Mutants"
    facts: RunFacts
    defects: int
    killed: int
    unseen: int
    sound: int
    passed: int
    cases: int
    busy: int
    kills: int
    seconds: float
    wrong: tuple[MutantView, ...]
    weakest: tuple[CaseView, ...]
    chapters: tuple[ChapterView, ...]
    defect_rows: tuple[MutantView, ...]
    sound_rows: tuple[MutantView, ...]


def mutants_view(run: MutantsRun, anchor: str) -> MutantsView:
    """Prepare one run; element ids begin with `anchor`."""
    defects = [mutant for mutant in run.mutants if mutant.kind == "defect"]
    sound = [mutant for mutant in run.mutants if mutant.kind != "defect"]
    names = sorted({case.chapter for case in run.cases})
    chapters = {case.id: names.index(case.chapter) for case in run.cases}
    killed: dict[str, list[MutantRecord]] = defaultdict(list)
    for mutant in sorted(defects, key=lambda mutant: len(mutant.killers)):
        for case_id in mutant.killers:
            killed[case_id].append(mutant)
    cases = [_case(case, killed[case.id]) for case in run.cases]
    rows = {mutant.id: _mutant(mutant, chapters, len(names)) for mutant in run.mutants}
    # A server that died credits no case, which makes it no weak one.
    weak_first = sorted(
        defects, key=lambda mutant: (mutant.verdict not in _WRONG, mutant.died, len(mutant.killers), mutant.id)
    )
    return MutantsView(
        facts=run_facts(run, anchor),
        defects=len(defects),
        killed=sum(mutant.state == "killed" for mutant in defects),
        unseen=sum(mutant.state == "unseen" for mutant in defects),
        sound=len(sound),
        passed=sum(mutant.state == "passed" for mutant in sound),
        cases=len(run.cases),
        busy=sum(case.kills > 0 for case in run.cases),
        kills=sum(len(mutant.killers) for mutant in defects),
        seconds=sum(mutant.seconds for mutant in run.mutants) / max(1, len(run.mutants)),
        wrong=tuple(rows[mutant.id] for mutant in run.mutants if mutant.verdict in _WRONG),
        weakest=tuple(cases[:_WEAKEST]),
        chapters=_chapters(names, run.cases, cases, anchor),
        defect_rows=tuple(rows[mutant.id] for mutant in weak_first),
        sound_rows=tuple(rows[mutant.id] for mutant in sound),
    )


def _chapters(
    names: Sequence[str], records: Sequence[CaseTally], cases: Sequence[CaseView], anchor: str
) -> tuple[ChapterView, ...]:
    found = []
    for number, name in enumerate(names, 1):
        own = tuple(view for record, view in zip(records, cases, strict=True) if record.chapter == name)
        wrong = sum(view.verdict in _WRONG for view in own)
        kills = sum(view.kills for view in own)
        found.append(ChapterView(f"{anchor}-chapter-{number}", show(name, _LIMIT), own, kills, wrong))
    return tuple(found)


def _case(case: CaseTally, killed: Sequence[MutantRecord]) -> CaseView:
    return CaseView(
        id=show(case.id, _LIMIT),
        title=show(case.title, _LIMIT),
        verdict=case.verdict,
        reason=show(case.reason, _LIMIT),
        kills=case.kills,
        narrowest=show(case.narrowest or "", _LIMIT),
        narrowest_killers=case.narrowest_killers,
        killed=tuple(show(mutant.id, _LIMIT) for mutant in killed[:_NAMED]),
        more=max(0, len(killed) - _NAMED),
    )


def _mutant(mutant: MutantRecord, chapters: dict[str, int], width: int) -> MutantView:
    counts = Counter(chapters[case_id] for case_id in mutant.killers if case_id in chapters)
    return MutantView(
        id=show(mutant.id, _LIMIT),
        title=show(mutant.title, _LIMIT),
        verdict=mutant.verdict,
        state=mutant.state,
        reason=show(mutant.reason, _LIMIT),
        origin=show(mutant.origin, _LIMIT),
        killers=len(mutant.killers),
        by_chapter=tuple(counts[number] for number in range(width)),
    )
