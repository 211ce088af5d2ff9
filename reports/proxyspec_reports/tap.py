"""Runs in the Test Anything Protocol, version 14: a line a case or threshold, what failed with its evidence."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from proxyspec.model import Disposition, Verdict
from proxyspec.records import CaseRecord, ConformanceRun, LoadRun, Run, ScenarioRun
from proxyspec_reports.evidence import evidence_lines
from proxyspec_reports.kinds import by_kind
from proxyspec_reports.printable import show

__all__ = ["render_tap"]


def render_tap(runs: Sequence[Run]) -> str:
    """Return the document: version, plan, one test point each; SKIP and known failures carry a directive.

    In TAP, a point that is `not ok` with TODO does not fail the run: that is what a failure a baseline describes is.
    """
    points = [point for run in runs for point in by_kind(run, _conformance, _load, _scenario)]
    lines = ["TAP version 14", f"1..{len(points)}" + ("" if points else " # SKIP nothing was judged")]
    for number, (good, words, extra) in enumerate(points, 1):
        lines.append(f"{'ok' if good else 'not ok'} {number} - {words}")
        lines += extra
    return "\n".join(lines) + "\n"


_Point = tuple[bool, str, list[str]]


def _escape(text: str, limit: int = 1000) -> str:
    """Escape what a parser would take for a directive."""
    return show(text, limit).replace("\\", "\\\\").replace("#", "\\#")


def _yaml(lines: Sequence[str]) -> list[str]:
    """Return a diagnostic block whose one value is literal text."""
    return ["  ---", "  evidence: |", *(f"    {line}" for line in lines), "  ..."]


def _conformance(run: ConformanceRun) -> Iterator[_Point]:
    if run.unjudgeable is not None:
        yield False, f"the target can be judged: {_escape(run.unjudgeable)}", []
    for record in run.cases:
        yield _case(record, run)
    for words in run.baseline.stale if run.baseline is not None else ():
        yield False, f"baseline: {_escape(words)}", []


def _case(record: CaseRecord, run: ConformanceRun) -> _Point:
    name, reason = _escape(record.id, 200), _escape(record.reason)
    if record.verdict is Verdict.SKIP:
        return True, f"{name} # SKIP {reason}", []
    if record.disposition is Disposition.KNOWN:
        return False, f"{name} # TODO known {record.verdict}: {reason}", []
    if record.verdict is Verdict.ERROR or record.fails(strict=run.strict):
        return False, f"{name}: {record.verdict}: {reason}", _yaml(evidence_lines(record, run.target))
    return True, name if record.verdict is Verdict.PASS else f"{name}: {record.verdict}: {reason}", []


def _load(run: LoadRun) -> Iterator[_Point]:
    for threshold in run.thresholds:
        actual = "nothing was measured" if threshold.actual is None else f"{threshold.actual:g}"
        yield threshold.met, f"load {_escape(run.profile, 100)}: {_escape(threshold.expression)}: {actual}", []


def _scenario(run: ScenarioRun) -> Iterator[_Point]:
    for row in run.judged:
        words = f"{_escape(row.id, 200)}: {row.verdict}: {_escape(row.reason)}"
        if row.verdict is Verdict.SKIP:
            yield True, f"{_escape(row.id, 200)} # SKIP {_escape(row.reason)}", []
        else:
            yield row.verdict in (Verdict.PASS, Verdict.INFO, Verdict.WARN), words, []
