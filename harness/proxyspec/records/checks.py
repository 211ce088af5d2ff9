"""The record of a health-check run: every check on every HAProxy, with what was reported and what the server saw."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from proxyspec.records.base import JudgedRecord, Record, ScenarioRun
from proxyspec.records.conformance import EventRecord

__all__ = ["CheckRecord", "ChecksRun", "ExpectedCheck"]


class ExpectedCheck(Record):
    """What a check was expected to do on this release of HAProxy."""

    up: bool | None = Field(description="whether HAProxy reports the server UP; null: recorded")
    results: list[str] = Field(description="words of `show stat` with the reply code, any of them; empty: recorded")
    opening: str = Field(description="the header it begins with, in words")
    resets: str = Field(description="never, every check, or recorded")


class CheckRecord(JudgedRecord):
    """One check on one HAProxy."""

    check: str = Field(description="which check; with `proxy` the row of the table")
    proxy: str = Field(description="the header of the traffic: none, v1, v2, v2-ssl")
    haproxy: str = Field(description="which HAProxy, the column of the table")
    server: str = Field(description="the server behind: reference, or the manner of a scripted one")
    directives: list[str] = Field(description="the section of its configuration")
    expected: ExpectedCheck
    up: bool | None = Field(description="whether HAProxy reported the server UP, mostly; null: nothing was reported")
    result: str | None = Field(description="what it reported mostly: check_status and code, like L7OK/221")
    also: list[str] = Field(default=[], description="what it reported besides, in words")
    seconds: float | None = Field(
        description="from the first check the server saw (else from HAProxy's readiness) to the first result"
    )
    checks: int = Field(description="checks the server saw, up to 100 of each server")
    resets: int = Field(description="those of them that ended with a reset")
    endings: dict[str, int] = Field(description="how they ended, in the server's words")
    attempts: int = Field(default=1, description="more than 1: earlier looks deviated, this is the last")
    fields: dict[str, str] = Field(description="of the last look at `show stat`")
    log: list[str] = Field(description="HAProxy's own lines about it, the first ones")
    events: list[EventRecord] = Field(
        description="one check in full, as a server that records bytes saw it: sent is what the server said"
    )

    @property
    def per_hundred(self) -> float | None:
        """Resets per 100 checks; None where the server saw fewer than 5."""
        return 100 * self.resets / self.checks if self.checks >= 5 else None


class ChecksRun(ScenarioRun):
    """What `proxyspec haproxy checks` leaves behind."""

    kind: Literal["checks"] = "checks"
    skipped: list[str] = Field(default=[], description="HAProxies that were asked for and could not take part, and why")
    rows: list[CheckRecord]

    @property
    def judged(self) -> Sequence[JudgedRecord]:
        """Every row, HAProxy by HAProxy in the order of the table."""
        return self.rows
