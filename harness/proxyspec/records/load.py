"""The record of a load run: steps, time line, errors, thresholds, and what the machines did meanwhile."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from proxyspec.records.base import Record, TargetRun

__all__ = ["GeneratorRecord", "LoadError", "LoadPoint", "LoadRun", "LoadSample", "LoadStage", "LoadStep", "Threshold"]


class LoadStep(Record):
    """Figures of one step of the SMTP session under load."""

    name: str = Field(description="connect, header_to_banner, ehlo, mail, rcpt, …, session: the steps in order")
    count: int
    failures: int
    rate: float = Field(description="per second, over the run")
    mean_ms: float
    percentiles_ms: dict[str, float] = Field(description="keys: 0.5, 0.9, 0.95, 0.99, 1.0")
    min_ms: float | None = Field(default=None, description="the shortest; null: not recorded")
    distribution: list[tuple[float, int]] = Field(
        default=[], description="how many took about so many milliseconds, ascending; empty: not recorded"
    )


class LoadPoint(Record):
    """One sample of the time line."""

    at: float = Field(description="seconds since the load began")
    users: int
    rate: float = Field(description="sessions per second")
    failure_rate: float = Field(description="failed sessions per second")
    p50_ms: float | None = None
    p90_ms: float | None = None
    p95_ms: float | None = None
    p99_ms: float | None = None
    max_ms: float | None = None


class LoadSample(Record):
    """What one side of the load said of itself at one moment; figures it does not know are left out."""

    at: float = Field(description="seconds since the load began")
    source: Literal["process", "server", "haproxy", "generator"] = Field(
        description="the operating system about the target's process, the reference server's counters, HAProxy's "
        "runtime API, or the load generator about itself"
    )
    values: dict[str, float] = Field(description="by name; the unit is the name's last word where it has one")


class LoadStage(Record):
    """A time in which the number of users stood still."""

    users: int
    seconds: float
    rate: float = Field(description="sessions per second, median of its samples")
    p95_ms: float | None = Field(description="of a session, median of its samples; null: none ended")


class GeneratorRecord(Record):
    """How near the generator came to its own limits: where it reached one, the figures are not the server's."""

    processes: int = Field(description="that made connections")
    cpu_percent: float = Field(description="of one processor, of the busiest process, median over the run")
    cpu_percent_max: float
    descriptors: int = Field(description="open at once in one process, at most")
    descriptor_limit: int
    ports: int = Field(description="local ports that one address has for connections to one other")
    limits: list[str] = Field(description="sentences: the limits it reached")


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
    samples: list[LoadSample] = Field(default=[], description="on the time axis of the time line")
    stages: list[LoadStage] = Field(default=[], description="the levels of users that were held, ascending")
    knee: int | None = Field(
        default=None,
        description="fewest users with nearly the best rate; null: it grew to the last, or stages are few",
    )
    generator: GeneratorRecord | None = Field(default=None, description="null: not watched")
    notes: list[str] = Field(default=[], description="what a reader should know of the samples and the generator")
