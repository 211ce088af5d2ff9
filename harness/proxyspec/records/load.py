"""The record of a load run: steps, time line, errors and thresholds."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from proxyspec.records.base import Record, TargetRun

__all__ = ["LoadError", "LoadPoint", "LoadRun", "LoadStep", "Threshold"]


class LoadStep(Record):
    """Figures of one step of the SMTP session under load."""

    name: str = Field(description="connect, header_to_banner, ehlo, mail, rcpt, …, session: the steps in order")
    count: int
    failures: int
    rate: float = Field(description="per second, over the run")
    mean_ms: float
    percentiles_ms: dict[str, float] = Field(description="keys: 0.5, 0.9, 0.95, 0.99, 1.0")
    min_ms: float | None = Field(default=None, description="the shortest; null: not recorded")


class LoadPoint(Record):
    """One sample of the time line."""

    at: float = Field(description="seconds since the load began")
    users: int
    rate: float = Field(description="sessions per second")
    failure_rate: float = Field(description="failed sessions per second")
    p50_ms: float | None = None
    p95_ms: float | None = None


class LoadError(Record):
    """Errors of one kind."""

    step: str
    error: str
    count: int


class Threshold(Record):
    """One expectation of a load profile, judged."""

    expression: str
    actual: float | None = Field(description="null: nothing was measured")
    met: bool


class LoadRun(TargetRun):
    """What `proxyspec load` leaves behind."""

    kind: Literal["load"] = "load"
    profile: str
    header: str = Field(description="what each connection began with: none, v1, v2, or the road through HAProxy")
    users: int = Field(description="most users at once")
    sessions: int
    failures: int
    rate: float = Field(description="sessions per second, over the run")
    steps: list[LoadStep]
    timeline: list[LoadPoint]
    errors: list[LoadError]
    thresholds: list[Threshold]
    planned: dict[str, int] = Field(default={}, description="connections that ended early as planned, by plan")
    workers: int = Field(default=0, description="processes that shared the load; 0: one did it alone")
    lost: int = Field(default=0, description="of them, how many ended without their last figures")
