"""An old run judged again from its transcripts, by the catalogue and the judge of today; nobody is connected to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from proxyspec.baseline import Expectations
from proxyspec.conformance import case_record, exit_code_of
from proxyspec.judge import judge
from proxyspec.model import (
    Capability,
    Case,
    Catalogue,
    EventKind,
    Level,
    Pause,
    Send,
    Target,
    Transcript,
    Verdict,
)
from proxyspec.oracle import ORACLES
from proxyspec.records import BaselineRecord, CaseRecord, ConformanceRun
from proxyspec.scheduler import Judged, without
from proxyspec.transcripts import target_of, transcript_of

__all__ = ["Rejudged", "rejudge"]

_CRC32C: Final = frozenset({Capability.CRC32C})


@dataclass(frozen=True, slots=True)
class Rejudged:
    """The run with its new verdicts, and the cases that kept the old one, each with the reason."""

    run: ConformanceRun
    kept: tuple[tuple[str, str], ...]


def _sent_otherwise(case: Case, transcript: Transcript) -> bool:
    """Tell whether the case sends other bytes today than it did then, so that its transcript proves nothing."""
    own: list[bytes] = []
    done = False
    for event in transcript.events:
        if event.kind is EventKind.STEPS_DONE:
            done = True
            break
        if event.kind is EventKind.SENT:
            own.append(event.data)
    if done and all(isinstance(step, Send | Pause) for step in case.steps):
        return b"".join(own) != case.header
    # A connection may have ended, or become a session, before everything was sent.
    return not case.header.startswith(b"".join(own))


def _why_kept(record: CaseRecord, catalogue: Catalogue, transcript: Transcript) -> str | None:
    """Say why a case cannot be judged again, or None if it can."""
    if record.id not in catalogue:
        return "the catalogue no longer has it"
    if not transcript.events:
        return "it did not run"
    if _sent_otherwise(catalogue[record.id], transcript):
        return "it sends other bytes today: run it again"
    return None


def _shows_crc32c(judged: Judged) -> bool:
    """Tell whether a header was refused for its CRC32C alone (section 2.2.3)."""
    case, verdict = judged.case, judged.judgement.verdict
    return case.needs == _CRC32C and case.level is Level.MUST and verdict in (Verdict.PASS, Verdict.WARN)


def _without_crc32c(judged: Judged, target: Target) -> Judged:
    """Skip a case that needs CRC32C: older runs took it for granted."""
    lacking = target.missing(judged.case.needs & _CRC32C)
    return replace(judged, judgement=without(lacking, target)) if lacking else judged


def rejudge(run: ConformanceRun, catalogue: Catalogue, expectations: Expectations) -> Rejudged:
    """Judge every case of `run` that has a transcript, with the oracle the run had.

    Raises:
        InvalidRun: the record's bytes or addresses are none.
        UsageError: the record's target is none.
    """
    oracle = ORACLES.get(run.target.oracle, ORACLES["none"])
    transcripts = {record.id: transcript_of(record) for record in run.cases}
    kept = {
        record.id: reason
        for record in run.cases
        if (reason := _why_kept(record, catalogue, transcripts[record.id])) is not None
    }

    target = target_of(run.target)
    usable = {name: transcript for name, transcript in transcripts.items() if name not in kept}

    def again(record: CaseRecord) -> Judged:
        case, transcript = catalogue[record.id], transcripts[record.id]
        judgement = judge(
            case,
            transcript,
            usable.get(case.control or ""),
            catalogue[case.control] if case.control is not None else None,
            target,
            oracle,
            premise=usable.get(case.premise or ""),
            premise_case=catalogue[case.premise] if case.premise is not None else None,
        )
        return Judged(case, transcript, judgement)

    judged = {record.id: again(record) for record in run.cases if record.id not in kept}
    if target.missing(_CRC32C) and not any(map(_shows_crc32c, judged.values())):
        judged = {name: _without_crc32c(one, target) for name, one in judged.items()}
    records = [
        record if record.id in kept else case_record(judged[record.id], record.reproduce) for record in run.cases
    ]
    records = [record.model_copy(update={"disposition": expectations.disposition(record)}) for record in records]
    return Rejudged(_with(run, records, expectations), tuple(kept.items()))


def _with(run: ConformanceRun, records: Sequence[CaseRecord], expectations: Expectations) -> ConformanceRun:
    stale = expectations.stale(records)
    code = exit_code_of(
        [record.verdict for record in records],
        failed=bool(stale) or any(record.fails(strict=expectations.strict) for record in records),
        unjudgeable=run.unjudgeable is not None,
        interrupted=run.status == "interrupted",
    )
    baseline = (
        None if expectations.baseline is None else BaselineRecord(path=expectations.baseline.path, stale=list(stale))
    )
    return run.model_copy(
        update={"cases": list(records), "exit_code": int(code), "baseline": baseline, "strict": expectations.strict}
    )
