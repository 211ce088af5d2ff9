"""The answer to "may I put this server behind HAProxy?" from all runs against one target; that of a scenario run.

A rule broken, or a load threshold missed, is a no. A yes needs a complete run, cases that passed, and no case whose
prerequisite was missing or on which proxyspec itself failed; anything less cannot tell.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from enum import StrEnum

from proxyspec.model import Verdict, Via
from proxyspec.records import CaseRecord, ConformanceRun, JudgedRecord, LoadRun, Run, ScenarioRun
from proxyspec_reports.baseline import told
from proxyspec_reports.load import Standing
from proxyspec_reports.printable import show

__all__ = ["Answer", "NotJudged", "Word", "answer", "answers", "scenario_answer"]

_MAY_I = "May I put this server behind HAProxy?"
_AS_EXPECTED = "Did everything behave as it should?"

_NOT_JUDGED = (Verdict.ERROR, Verdict.UNTESTABLE, Verdict.SKIP)
_SENTENCE_LIMIT = 500


class Word(StrEnum):
    """The answer in one word."""

    YES = "yes"
    NO = "no"
    CANNOT_TELL = "cannot tell"


@dataclass(frozen=True, slots=True)
class NotJudged:
    """Why `count` cases were not judged."""

    verdict: Verdict
    reason: str
    count: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """The answer for one target, or for one run of scenarios; `target` names what was judged.

    `passed`, `failed` and `not_judged` count cases; `warned` and `recorded` the ones that are none of these. `caveats`
    are sentences a reader should know before acting on the answer.
    """

    question: str
    target: str
    word: Word
    sentence: str
    passed: int
    failed: int
    not_judged: int
    warned: int
    recorded: int
    why_not_judged: tuple[NotJudged, ...]
    caveats: tuple[str, ...]

    @property
    def total(self) -> int:
        """All cases, judged or not."""
        return self.passed + self.failed + self.not_judged + self.warned + self.recorded


def answers(runs: Sequence[Run]) -> tuple[Answer, ...]:
    """Answer for each target first, then for each run of scenarios, in the order of the runs."""
    by_target: dict[str, list[ConformanceRun | LoadRun]] = {}
    scenarios: list[ScenarioRun] = []
    for run in runs:
        if isinstance(run, ScenarioRun):
            scenarios.append(run)
        else:
            by_target.setdefault(run.target.name or run.target.url, []).append(run)
    return (*(answer(target, of_target) for target, of_target in by_target.items()), *map(scenario_answer, scenarios))


def scenario_answer(run: ScenarioRun) -> Answer:
    """Answer for one run of scenarios: a failed row is a no, one that could not be judged leaves it open."""
    counts = Counter(row.verdict for row in run.judged)
    name = show(run.subject, _SENTENCE_LIMIT)
    return _answer(
        question=_AS_EXPECTED,
        target=name,
        no=f"{name}: {_count(counts[Verdict.FAIL], 'row')} not as expected." if counts[Verdict.FAIL] else None,
        doubts=list(_scenario_doubts(run, counts)),
        yes=f"{name}: {_count(counts[Verdict.PASS], 'row')} as expected, none otherwise.",
        rows=run.judged,
    )


def _answer(
    *,
    question: str,
    target: str,
    no: str | None,
    doubts: Sequence[str],
    yes: str,
    rows: Sequence[CaseRecord | JudgedRecord],
    measured: str = "",
    remarks: Iterable[str] = (),
) -> Answer:
    """Say `no` if there is one, else the first doubt, else `yes`, then what was `measured`; the rest are caveats."""
    if no is not None:
        word, sentence = Word.NO, no
    elif doubts:
        word, (sentence, *doubts) = Word.CANNOT_TELL, doubts
    else:
        word, sentence = Word.YES, yes
    counts = Counter(row.verdict for row in rows)
    return Answer(
        question=question,
        target=target,
        word=word,
        sentence=f"{sentence} {measured}".rstrip(),
        passed=counts[Verdict.PASS],
        failed=counts[Verdict.FAIL],
        not_judged=sum(counts[verdict] for verdict in _NOT_JUDGED),
        warned=counts[Verdict.WARN],
        recorded=counts[Verdict.INFO],
        why_not_judged=_why_not_judged(rows),
        caveats=(*doubts, *remarks),
    )


def _scenario_doubts(run: ScenarioRun, counts: Counter[Verdict]) -> Iterator[str]:
    if not counts.total():
        yield "Nothing was judged."
    if run.status == "interrupted":
        yield "The run was interrupted, so rows are missing."
    if counts[Verdict.ERROR]:
        yield f"On {_count(counts[Verdict.ERROR], 'row')} proxyspec itself failed."
    if counts[Verdict.UNTESTABLE]:
        yield f"A prerequisite was missing for {_count(counts[Verdict.UNTESTABLE], 'row')}."
    if counts.total() and not counts[Verdict.PASS] + counts[Verdict.INFO] + counts[Verdict.WARN]:
        yield "No row was judged."


def answer(target: str, runs: Sequence[ConformanceRun | LoadRun]) -> Answer:
    """Answer for `target` from every run against it."""
    conformance = [run for run in runs if isinstance(run, ConformanceRun)]
    load = [run for run in runs if isinstance(run, LoadRun)]
    cases = [case for run in conformance for case in run.cases]
    counts = Counter(case.verdict for case in cases)
    standings = Counter(Standing.of(threshold) for run in load for threshold in run.thresholds)
    name = show(target, _SENTENCE_LIMIT)
    faults = list(_faults(counts, standings))
    return _answer(
        question=_MAY_I,
        target=name,
        no=f"{name} {_series(faults)}." if faults else None,
        doubts=list(_doubts(conformance, load, counts, standings)),
        yes=f"{name} {_series(list(_merits(counts, standings)))}.",
        rows=cases,
        measured=_measured(conformance),
        remarks=_remarks(conformance, load, cases),
    )


def _measured(conformance: Sequence[ConformanceRun]) -> str:
    """Say what the baselines made of the cases; empty where there was none, or nothing to tell."""
    measured = [run for run in conformance if run.baseline is not None]
    paths = dict.fromkeys(show(run.baseline.path, 200) for run in measured if run.baseline is not None)
    words = told(case.disposition for run in measured for case in run.cases)
    return f"By the baseline {_series(list(paths))}: {words}." if words else ""


def _faults(counts: Counter[Verdict], standings: Counter[Standing]) -> Iterator[str]:
    """Yield the reasons for a no."""
    if counts[Verdict.FAIL]:
        yield f"broke the rules in {_count(counts[Verdict.FAIL], 'case')}"
    if standings[Standing.MISSED]:
        yield f"missed {_count(standings[Standing.MISSED], 'load threshold')}"


def _merits(counts: Counter[Verdict], standings: Counter[Standing]) -> Iterator[str]:
    """Yield the reasons for a yes."""
    yield f"passed {_count(counts[Verdict.PASS], 'case')}"
    yield "broke no rule"
    if standings[Standing.MET]:
        yield f"met {_count(standings[Standing.MET], 'load threshold')}"


def _doubts(
    conformance: Sequence[ConformanceRun],
    load: Sequence[LoadRun],
    counts: Counter[Verdict],
    standings: Counter[Standing],
) -> Iterator[str]:
    """Yield the reasons against a yes, the weightiest first."""
    for run in conformance:
        if run.unjudgeable is not None:
            yield f"The target could not be judged: {_sentence(run.unjudgeable)}"
    if not conformance:
        yield "No conformance run is part of this report."
    elif not counts.total() and all(run.unjudgeable is None for run in conformance):
        yield "No case was run."
    if any(run.status == "interrupted" for run in (*conformance, *load)):
        yield "A run was interrupted, so cases or figures are missing."
    if counts[Verdict.ERROR]:
        yield f"On {_count(counts[Verdict.ERROR], 'case')} proxyspec itself failed."
    if counts[Verdict.UNTESTABLE]:
        yield f"A prerequisite was missing for {_count(counts[Verdict.UNTESTABLE], 'case')}."
    if counts.total() and not counts[Verdict.PASS]:
        yield "No case passed."
    if standings[Standing.UNMEASURED]:
        yield f"Nothing was measured for {_count(standings[Standing.UNMEASURED], 'load threshold')}."


def _why_not_judged(cases: Iterable[CaseRecord | JudgedRecord]) -> tuple[NotJudged, ...]:
    reasons = Counter(
        (case.verdict, show(case.reason, _SENTENCE_LIMIT)) for case in cases if case.verdict in _NOT_JUDGED
    )
    ranked = sorted(reasons.items(), key=lambda item: (_NOT_JUDGED.index(item[0][0]), -item[1]))
    return tuple(NotJudged(verdict, reason, count) for (verdict, reason), count in ranked)


def _remarks(
    conformance: Sequence[ConformanceRun], load: Sequence[LoadRun], cases: Sequence[CaseRecord]
) -> Iterator[str]:
    """Yield what neither makes nor unmakes the answer."""
    if cases and all(case.via is Via.DIRECT for case in cases):
        yield "No case went through a real HAProxy: all headers were proxyspec's own."
    if any(run.target.oracle == "none" for run in conformance):
        yield "Nothing told whom the server believes to be talking to: cases about addresses are missing coverage."
    warned = sum(case.verdict is Verdict.WARN for case in cases)
    if warned:
        yield f"The server ignored advice of the text in {_count(warned, 'case')}."
    for run in conformance:
        if run.baseline is not None:
            for words in run.baseline.stale:
                yield f"Baseline {show(run.baseline.path, 200)}, {_sentence(words)}"
    failed = sum(run.failures for run in load)
    if failed:
        yield f"{failed:,} of {_count(sum(run.sessions for run in load), 'session')} failed under load."


def _series(parts: Sequence[str]) -> str:
    return " and ".join(filter(None, (", ".join(parts[:-1]), parts[-1])))


def _sentence(text: str) -> str:
    shown = show(text, _SENTENCE_LIMIT)
    return shown if shown.endswith((".", "?", "!")) else f"{shown}."


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"
