"""The kill matrix as pure functions: what the cases found on each mutant, and what that says of mutants and cases."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum

from proxyspec.model import Capability, Case, Verdict
from proxyspec.records import CaseTally, MutantRecord

__all__ = [
    "SOUND",
    "Finding",
    "Kind",
    "Mutant",
    "MutantOutcome",
    "best_of",
    "doubtful",
    "judge_mutant",
    "tallies",
    "worst_of",
]


class Kind(StrEnum):
    """What a mutant is."""

    SOUND = "sound"
    DEFECT = "defect"
    #: An inverted control: it differs from the sound server within what the text allows, and no case may flag it.
    VARIATION = "variation"


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutant:
    """A server to run: what is different about it, the options that make it so, and what is claimed of it."""

    name: str
    description: str
    origin: str
    arguments: tuple[str, ...]
    kind: Kind = Kind.DEFECT
    #: Header versions a target profile declares of it.
    versions: frozenset[int] = frozenset({1, 2})
    #: Capabilities a target profile declares absent.
    lacks: frozenset[Capability] = frozenset()
    #: Cases that are claimed to kill it.
    killed_by: tuple[str, ...] = ()
    #: Why no case can kill it.
    unseen: str = ""
    #: It harms whatever connection comes next: which cases notice is chance.
    spreads: bool = False
    #: Cases that may warn of this variation, since the text advises against it.
    warned: tuple[str, ...] = ()


#: What every other is compared with.
SOUND = Mutant(name="sound", description="The reference server as it is.", origin="", arguments=(), kind=Kind.SOUND)


@dataclass(frozen=True, slots=True)
class Finding:
    """The verdict of one case on one mutant."""

    case: str
    verdict: Verdict
    reason: str


@dataclass(frozen=True, slots=True)
class MutantOutcome:
    """What one run found on one mutant."""

    mutant: Mutant
    findings: tuple[Finding, ...] = ()
    #: Why it could not be judged at all, or not to the end.
    unjudgeable: str | None = None
    #: It greeted after a valid header before the cases began, and did no more when they were done.
    died: bool = False
    #: Why there was no run.
    broken: str = ""
    #: Processor time of the server and of the cases, in seconds.
    seconds: float = 0.0

    def flags(self) -> dict[str, Verdict]:
        """Return the cases that the mutant does not pass, with their verdicts."""
        return {finding.case: finding.verdict for finding in self.findings if finding.verdict in _BAD}


#: By how bad they are. A prerequisite that is missing tells nothing of the mutant, but no variation may lack one.
_BAD = {Verdict.WARN: 1, Verdict.FAIL: 2}
_FLAGS = {Verdict.UNTESTABLE: 1, Verdict.WARN: 2, Verdict.FAIL: 3, Verdict.ERROR: 4}


def _combined(first: MutantOutcome, second: MutantOutcome, *, worst: bool) -> MutantOutcome:
    if first.broken or not first.findings:
        return second
    if second.broken or not second.findings:
        return first
    choose = max if worst else min
    others = {finding.case: finding for finding in second.findings}
    findings = tuple(
        choose((one, others.get(one.case, one)), key=lambda finding: _FLAGS.get(finding.verdict, 0))
        for one in first.findings
    )
    return replace(second, findings=findings, died=first.died or second.died)


def worst_of(first: MutantOutcome, second: MutantOutcome) -> MutantOutcome:
    """Join two runs of one mutant: what either noticed counts."""
    return _combined(first, second, worst=True)


def best_of(first: MutantOutcome, second: MutantOutcome) -> MutantOutcome:
    """Join two runs of one mutant: only what both noticed counts."""
    return _combined(first, second, worst=False)


def _objections(outcome: MutantOutcome) -> list[Finding]:
    """What speaks against a server that is sound, or varied within what is allowed."""
    return [
        finding
        for finding in outcome.findings
        if finding.verdict in _FLAGS and not (finding.verdict is Verdict.WARN and finding.case in outcome.mutant.warned)
    ]


def _unclaimed(outcome: MutantOutcome, killers: Iterable[str], judged: Iterable[str]) -> list[str]:
    """Return the cases that are claimed to kill a defect, took part, and did not."""
    if outcome.mutant.spreads:
        return []
    return sorted(set(outcome.mutant.killed_by) & set(judged) - set(killers))


def _killers(outcome: MutantOutcome, sound: MutantOutcome) -> dict[str, Verdict]:
    before = {case: _BAD[verdict] for case, verdict in sound.flags().items()}
    return {case: verdict for case, verdict in outcome.flags().items() if _BAD[verdict] > before.get(case, 0)}


def judge_mutant(outcome: MutantOutcome, sound: MutantOutcome) -> MutantRecord:
    """Say what became of a mutant: a defect has to be killed, and the sound server and its variations have to pass."""
    mutant = outcome.mutant
    if outcome.broken:
        return _record(outcome, "broken", Verdict.ERROR, outcome.broken, {})
    if mutant.kind is not Kind.DEFECT:
        objections = _objections(outcome)
        flagged = {finding.case: finding.verdict for finding in objections}
        if outcome.unjudgeable is not None:
            return _record(outcome, "flagged", Verdict.FAIL, f"it cannot be judged: {outcome.unjudgeable}", flagged)
        if objections:
            first = objections[0]
            reason = f"{_count(len(objections), 'case')} not passed, {first.case} first: {first.reason}"
            return _record(outcome, "flagged", Verdict.FAIL, reason, flagged)
        return _record(outcome, "passed", Verdict.PASS, "no case objects", {})
    if outcome.unjudgeable is not None:
        # Which cases met the server while it was there is chance.
        return _record(outcome, "killed", Verdict.PASS, outcome.unjudgeable, {})
    killers = _killers(outcome, sound)
    if killers:
        missing = _unclaimed(outcome, killers, [finding.case for finding in sound.findings])
        if missing:
            reason = f"killed, but not by {', '.join(missing)}, as is claimed of it"
            return _record(outcome, "killed", Verdict.FAIL, reason, killers)
        return _record(outcome, "killed", Verdict.PASS, f"killed by {_count(len(killers), 'case')}", killers)
    if mutant.unseen:
        return _record(outcome, "unseen", Verdict.INFO, f"not seen: {mutant.unseen}", {})
    return _record(outcome, "survived", Verdict.FAIL, "no case tells it from the sound server", {})


def _record(
    outcome: MutantOutcome, state: str, verdict: Verdict, reason: str, killers: Mapping[str, Verdict]
) -> MutantRecord:
    mutant = outcome.mutant
    return MutantRecord.model_validate(
        {
            "id": mutant.name,
            "title": mutant.description,
            "verdict": verdict,
            "reason": reason,
            "kind": mutant.kind.value,
            "origin": mutant.origin,
            "state": state,
            "killers": list(killers),
            "only_warned": bool(killers) and Verdict.FAIL not in killers.values(),
            "died": outcome.died,
            "seconds": round(outcome.seconds, 3),
        }
    )


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def doubtful(record: MutantRecord) -> bool:
    """Tell whether a second run may change what is said of a mutant: a busy machine makes late what is not."""
    return record.verdict in (Verdict.FAIL, Verdict.ERROR)


def _noticed(mutant: Mutant, record: MutantRecord, cases: Mapping[str, Case]) -> set[str]:
    """Return the cases whose kill of this mutant is their own doing.

    A defect that spreads is noticed by chance, except by those cases that look at other connections than their own.
    """
    if not mutant.spreads:
        return set(record.killers)
    return {
        name
        for name in record.killers
        if cases[name].then is not None or cases[name].beside is not None or cases[name].crowd is not None
    }


def tallies(
    cases: Sequence[Case],
    outcomes: Sequence[MutantOutcome],
    records: Sequence[MutantRecord],
    reasons: Mapping[str, str],
    *,
    whole: bool,
) -> list[CaseTally]:
    """Count each case's kills, the fewest first; `reasons` says of some cases why they kill nothing.

    Where not every mutant took part (`whole` is false), no case is blamed.
    """
    by_id = {case.id: case for case in cases}
    defects = [
        (record, _noticed(outcome.mutant, record, by_id))
        for outcome, record in zip(outcomes, records, strict=True)
        if outcome.mutant.kind is Kind.DEFECT
    ]
    kills = Counter(name for _, noticed in defects for name in noticed)
    narrowest: dict[str, MutantRecord] = {}
    for record, noticed in sorted(defects, key=lambda pair: (len(pair[0].killers), pair[0].id)):
        for name in noticed:
            narrowest.setdefault(name, record)
    rows = [_tally(case, kills[case.id], narrowest.get(case.id), reasons.get(case.id), whole=whole) for case in cases]
    return sorted(rows, key=lambda row: (row.kills, -row.narrowest_killers, row.id))


def _tally(case: Case, kills: int, narrowest: MutantRecord | None, excuse: str | None, *, whole: bool) -> CaseTally:
    verdict, reason = Verdict.PASS, f"kills {kills}"
    if kills == 0 and excuse is not None:
        verdict, reason = Verdict.INFO, excuse
    elif kills == 0 and whole:
        verdict, reason = Verdict.FAIL, "it kills no defect, and no reason is stated"
    elif kills == 0:
        verdict, reason = Verdict.INFO, "it kills none of the defects that took part"
    return CaseTally(
        id=case.id,
        title=case.title,
        verdict=verdict,
        reason=reason,
        chapter=case.id.partition("/")[0],
        kills=kills,
        narrowest=narrowest.id if narrowest is not None else None,
        narrowest_killers=len(narrowest.killers) if narrowest is not None else 0,
    )
