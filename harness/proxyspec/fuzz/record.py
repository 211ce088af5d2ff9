"""What a search leaves behind: `fuzz.json`, and a case file for every fault it found."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime
from typing import Literal

from pydantic import Field

from proxyspec.casefile import CaseEntry, CaseFile, entry_of
from proxyspec.errors import ExitCode
from proxyspec.fuzz.frames import Frame
from proxyspec.fuzz.rules import Class, Expectation
from proxyspec.fuzz.search import Finding, Results, Search
from proxyspec.fuzz.trials import case_of, control_of
from proxyspec.records.base import Record
from proxyspec.rundir import RunDirectory

__all__ = ["FuzzRun", "exit_code_of", "fuzz_run", "write_finding", "write_suspects"]


class ClassRecord(Record):
    """Figures of one class of frames."""

    verdict: Class
    frames: int = Field(description="frames judged")
    as_expected: int
    contradicted: int = Field(description="frames treated as no reading of the text allows")
    undecided: int = Field(description="frames served while nothing showed whose session it was, or not connected")


class FindingRecord(Record):
    """One fault, confirmed on its own between two accepted controls."""

    file: str = Field(description="its case file, relative to the run directory")
    verdict: Class
    reason: str = Field(description="the rule that decides")
    section: str
    outcome: str = Field(description="what the target did")
    frame: str = Field(description="the bytes, in hexadecimal")
    original: str = Field(description="the bytes that showed it first")
    made: str = Field(description="how they were made")
    index: int = Field(description="number of the frame in the series of the seed")
    alike: int = Field(description="frames of this search that were mistreated alike")


class StrayRecord(Record):
    """A frame that was mistreated once, among others, and not again on its own."""

    index: int
    frame: str
    made: str
    reason: str
    outcome: str


class FuzzRun(Record):
    """The record of one search."""

    schema_version: Literal[1] = 1
    kind: Literal["fuzz"] = "fuzz"
    id: str
    started: datetime
    duration: float = Field(description="wall time, seconds")
    status: Literal["complete", "interrupted"]
    command: list[str]
    target: str
    versions: list[int]
    oracle: str
    seed: str
    frames: int
    rate: float = Field(description="frames per second while frames were sent")
    controls: int = Field(description="plain headers sent in between")
    unfinished: int = Field(description="frames without an end when the time was up")
    classes: list[ClassRecord]
    findings: list[FindingRecord]
    strays: list[StrayRecord]
    unjudgeable: str | None
    exit_code: int


def _slug(text: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")[:60].rstrip("-")


def _name(found: Finding, number: int) -> str:
    return f"findings/{number:03}-{_slug(found.trial.expectation.reason)}.json"


def write_finding(out: RunDirectory, search: Search, found: Finding, number: int) -> CaseEntry:
    """Write the case file of a fault.

    Raises:
        HarnessError: it cannot be written.
    """
    control = control_of(found.trial.data, search.target.versions)
    case = case_of(
        f"fuzz/{number:03}-{_slug(found.trial.expectation.reason)}",
        found.trial.data,
        found.trial.expectation,
        control=control.id,
        fin=found.fin,
    )
    made = f"frame {found.index} of seed {search.seed}; {found.chain}"
    entry = entry_of(case, control, made=made, seen=str(found.outcome))
    out.write(_name(found, number), CaseFile(cases=[entry]).model_dump_json(indent=1) + "\n")
    return entry


def write_suspects(out: RunDirectory, search: Search, suspects: Iterable[tuple[int, Frame, Expectation]]) -> str:
    """Write the frames of which one may have been the target's death into one case file; return its name."""
    entries = []
    for index, made, expectation in suspects:
        control = control_of(made.data, search.target.versions)
        case = case_of(f"fuzz/suspect-{index}", made.data, expectation, control=control.id)
        entries.append(entry_of(case, control, made=made.describe(), seen="sent shortly before the target died"))
    name = "findings/suspects.json"
    out.write(name, CaseFile(cases=entries).model_dump_json(indent=1) + "\n")
    return name


def exit_code_of(results: Results) -> ExitCode:
    """Return the first exit code that applies."""
    if results.interrupted:
        return ExitCode.INTERRUPTED
    if results.unjudgeable is not None:
        return ExitCode.UNJUDGEABLE
    if not results.frames:
        return ExitCode.NOTHING
    return ExitCode.FAILED if results.findings else ExitCode.OK


def fuzz_run(
    out: RunDirectory, search: Search, results: Results, *, started: datetime, duration: float, command: list[str]
) -> FuzzRun:
    """Put what was found into the words of the record."""
    return FuzzRun(
        id=out.id,
        started=started,
        duration=round(duration, 3),
        status="interrupted" if results.interrupted else "complete",
        command=command,
        target=search.target.url,
        versions=sorted(search.target.versions),
        oracle=results.oracle,
        seed=search.seed,
        frames=results.frames,
        rate=round(results.frames / results.elapsed, 1) if results.elapsed else 0.0,
        controls=results.controls,
        unfinished=results.unfinished,
        classes=[
            ClassRecord(
                verdict=verdict,
                frames=results.sent[verdict],
                as_expected=results.as_expected[verdict],
                contradicted=results.contradictions[verdict],
                undecided=results.undecided[verdict],
            )
            for verdict in Class
        ],
        findings=[
            FindingRecord(
                file=_name(found, number),
                verdict=found.trial.expectation.verdict,
                reason=found.trial.expectation.reason,
                section=found.trial.expectation.section,
                outcome=str(found.outcome),
                frame=found.trial.data.hex(),
                original=found.found.data.hex(),
                made=found.chain,
                index=found.index,
                alike=found.alike,
            )
            for number, found in enumerate(results.findings, 1)
        ],
        strays=[
            StrayRecord(
                index=stray.index,
                frame=stray.found.data.hex(),
                made=stray.found.describe(),
                reason=stray.reason,
                outcome=stray.outcome,
            )
            for stray in results.strays
        ],
        unjudgeable=results.unjudgeable,
        exit_code=exit_code_of(results),
    )
