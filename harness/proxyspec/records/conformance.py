"""The record of a conformance run: every case with its verdict, outcome and bytes."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from proxyspec.model import Disposition, Ending, EventKind, Level, OutcomeKind, Source, Timing, Verdict, Via
from proxyspec.records.base import Record, TargetRun

__all__ = ["BaselineRecord", "CaseRecord", "ConformanceRun", "EventRecord", "OutcomeRecord", "RuleRecord"]


class EventRecord(Record):
    """One entry of a transcript."""

    at: float = Field(description="seconds since the connection was asked for")
    kind: EventKind
    hex: str = Field(default="", description="the bytes, in hexadecimal")
    note: str = ""


class OutcomeRecord(Record):
    """What happened on the connection."""

    kind: OutcomeKind
    address: str | None = Field(default=None, description="whom the target believed to be talking to")
    port: int | None = None
    code: int | None = Field(default=None, description="code of the reply that refused the connection")
    greeted: bool = Field(default=False, description="a 220 went out although no usable session followed")
    after: float | None = Field(default=None, description="seconds from the case's last byte to the rejection")
    text: str = Field(description="the outcome in words")


class CaseRecord(Record):
    """One case, judged."""

    id: str
    title: str = Field(description="what a conformant receiver does, in one sentence")
    section: str = Field(description="section of the PROXY protocol text, or an RFC")
    level: Level
    via: Via
    source: Source
    timing: Timing
    accepts: list[str] = Field(description="the outcomes that conform, in words")
    control: str | None = Field(description="the case that must be accepted for this one to count")
    premise: str | None = Field(default=None, description="the case whose refusal this one presumes")
    verdict: Verdict
    outcome: OutcomeRecord | None = Field(description="null: the case did not run")
    reason: str = Field(description="why the verdict is what it is, in one sentence")
    ending: Ending = Field(description="how the connection ended")
    duration: float = Field(description="seconds from connection to the last event")
    client: str | None = Field(default=None, description="our end of the connection, ADDRESS or ADDRESS PORT")
    peer: str | None = Field(default=None, description="the TCP peer the target sees")
    sent: str = Field(description="every byte sent, in hexadecimal")
    received: str = Field(description="every byte received, in hexadecimal, up to the transcript's limit")
    dropped: int = Field(default=0, description="received bytes beyond that limit")
    events: list[EventRecord]
    reproduce: str = Field(description="the command that runs this case alone")
    requirements: list[str] = Field(default=[], description="ids of the requirements it tests")
    disposition: Disposition | None = Field(
        default=None, description="whether a baseline expected the verdict; null: it did not have to, or there was none"
    )

    def fails(self, *, strict: bool) -> bool:
        """Tell whether the case counts against the target in a run that takes WARN seriously (`strict`) or does not.

        A failure the baseline describes does not; one that its entry no longer excuses does, whatever the verdict.
        """
        if self.disposition is Disposition.KNOWN:
            return False
        if self.disposition in (Disposition.STALE, Disposition.REGRESSED):
            return True
        return self.verdict in (Verdict.FAIL, Verdict.UNTESTABLE) or (strict and self.verdict is Verdict.WARN)


class BaselineRecord(Record):
    """The baseline a run was measured by."""

    path: str = Field(description="the file, as the command line named it")
    stale: list[str] = Field(description="entries that have outlived their reason, in words")


class RuleRecord(Record):
    """One rule of the text the catalogue knows, in our own words."""

    id: str
    section: str = Field(description="section of the PROXY protocol text, or an RFC with its section")
    level: Level
    sentence: str = Field(description="what a receiver does")
    untested: str | None = Field(default=None, description="why no case can test it; null: cases do")


class ConformanceRun(TargetRun):
    """What `proxyspec run` leaves behind."""

    kind: Literal["conformance"] = "conformance"
    unjudgeable: str | None = Field(default=None, description="why the target could not be judged at all")
    cases: list[CaseRecord]
    baseline: BaselineRecord | None = Field(default=None, description="null: the run had none")
    strict: bool = Field(default=False, description="a WARN counted as a failure")
    rules: list[RuleRecord] = Field(default=[], description="the rules of the catalogue, whether tested here or not")
