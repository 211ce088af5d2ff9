"""The record of a kill matrix: every mutant with the cases that tell it from the sound server, every case's kills."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from proxyspec.records.base import JudgedRecord, ScenarioRun

__all__ = ["CaseTally", "MutantRecord", "MutantsRun"]


class MutantRecord(JudgedRecord):
    """One server: the sound one, one with a seeded defect, or one that differs within what the text allows."""

    kind: Literal["sound", "defect", "variation"]
    origin: str = Field(description="where the defect comes from, or what allows the variation")
    state: Literal["passed", "flagged", "killed", "survived", "unseen", "broken"] = Field(
        description="broken: the server did not start or no run came out; unseen: a stated reason why no case can tell"
    )
    killers: list[str] = Field(description="cases that found it worse than the sound server")
    only_warned: bool = Field(default=False, description="no case gave a FAIL, only WARN")
    died: bool = Field(default=False, description="the server did not survive the run")
    seconds: float = Field(default=0.0, description="processor time of the server and the cases, seconds")


class CaseTally(JudgedRecord):
    """One case: what it kills."""

    chapter: str = Field(description="the beginning of its id")
    kills: int = Field(description="defects it tells from the sound server, those apart where chance decides")
    narrowest: str | None = Field(default=None, description="of those, the one that fewest cases tell")
    narrowest_killers: int = Field(default=0, description="how many cases tell that one")


class MutantsRun(ScenarioRun):
    """What `proxyspec mutants` leaves behind."""

    kind: Literal["mutants"] = "mutants"
    header_timeout: float = Field(description="header deadline of every server, seconds")
    parallel: int = Field(description="mutants at once")
    whole: bool = Field(description="every case and every mutant took part; else no case is blamed for killing nothing")
    mutants: list[MutantRecord]
    cases: list[CaseTally]

    @property
    def judged(self) -> Sequence[JudgedRecord]:
        """Mutants first, then cases."""
        return [*self.mutants, *self.cases]
