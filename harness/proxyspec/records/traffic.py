"""The record of a traffic run: what became of every message while servers died, drained and returned."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from proxyspec.model import Verdict
from proxyspec.records.base import JudgedRecord, Record, ScenarioRun

__all__ = ["TrafficError", "TrafficEvent", "TrafficFinding", "TrafficPoint", "TrafficRecord", "TrafficRun"]


class TrafficFinding(Record):
    """What one expectation of a scenario came to."""

    verdict: Verdict
    text: str


class TrafficError(Record):
    """Sessions that failed alike."""

    step: str = Field(description="connect, banner, ehlo, mail, rcpt, data, end of data, quit")
    error: str = Field(description="a reply code, closed, reset, refused, timeout")
    count: int


class TrafficEvent(Record):
    """Something happened to a server or to HAProxy, or HAProxy changed its mind about a server."""

    at: float = Field(description="seconds since the traffic began")
    text: str
    planned: bool = Field(description="true: the scenario did it; false: HAProxy noticed something")


class TrafficPoint(Record):
    """One sample of the time line, half a second wide."""

    at: float = Field(description="middle of the sample, seconds since the traffic began")
    delivered: dict[str, float] = Field(description="messages per second by server")
    failed: float = Field(description="sessions that failed, per second")


class TrafficRecord(JudgedRecord):
    """One scenario on one HAProxy; counts are of messages unless they say otherwise."""

    scenario: str
    haproxy: str = Field(description="release of HAProxy")
    seconds: float = Field(description="from the first client to the last")
    rate: float | None = Field(description="sessions per second that clients began; null: they came all at once")
    late: float = Field(description="how much later than meant something of the harness took place at worst, seconds")
    messages: int
    sessions: int = Field(description="attempts to hand over a message")
    sent: int = Field(description="went out whole at least once")
    acknowledged: int = Field(description="answered with 250 after the final dot")
    delivered: int = Field(description="found in a server's journal")
    lost: int = Field(description="acknowledged and not delivered")
    duplicated: int = Field(description="delivered more than once")
    in_doubt: int = Field(description="the final dot was never answered")
    in_doubt_delivered: int = Field(description="of those, delivered")
    refused: int = Field(description="neither acknowledged nor in doubt after every attempt")
    misattributed: int = Field(description="deliveries under another client than the one that sent the message")
    redispatched: int = Field(description="sessions HAProxy gave to another server than the one it had chosen")
    retried: int = Field(description="connections HAProxy tried again")
    queue_max: int = Field(description="most sessions in HAProxy's queue")
    times_to_down: list[float] = Field(description="seconds from each end of a server until HAProxy called it DOWN")
    findings: list[TrafficFinding]
    errors: list[TrafficError]
    events: list[TrafficEvent]
    timeline: list[TrafficPoint]
    servers: dict[str, int] = Field(description="messages by server")
    terminations: dict[str, int] = Field(description="HAProxy's sessions by its two-letter termination state")
    endings: dict[str, int] = Field(description="the servers' connections by how they ended, health checks included")
    evidence: str = Field(description="folder of haproxy.cfg, haproxy.log and journals, relative to the run directory")


class TrafficRun(ScenarioRun):
    """What `proxyspec haproxy traffic` leaves behind."""

    kind: Literal["traffic"] = "traffic"
    rate: float = Field(description="sessions per second asked for, of each scenario under load")
    processors: int = Field(description="of this machine; clients, HAProxy and servers share them")
    rows: list[TrafficRecord]

    @property
    def judged(self) -> Sequence[TrafficRecord]:
        """Every scenario, HAProxy by HAProxy."""
        return self.rows
