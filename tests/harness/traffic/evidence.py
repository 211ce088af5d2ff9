"""Literal evidence for tests: attempts, deliveries and whole runs with one thing changed at a time."""

from __future__ import annotations

from proxyspec.traffic.expectations import Intact
from proxyspec.traffic.model import (
    Action,
    Attempt,
    Change,
    Counters,
    Delivery,
    Ended,
    Evidence,
    Fault,
    Mark,
    Pool,
    Scenario,
    Step,
)

CLIENT = "127.0.1.1:4000"


def attempt(
    message: str,
    *,
    at: float = 0.0,
    seconds: float = 0.1,
    fault: Fault | None = None,
    dot_sent: bool = True,
    acknowledged: bool | None = None,
    client: str = CLIENT,
    ended: Ended = Ended.FIN,
) -> Attempt:
    return Attempt(
        message=message,
        client=client,
        started=at,
        finished=at + seconds,
        dot_sent=dot_sent,
        acknowledged=fault is None if acknowledged is None else acknowledged,
        fault=fault,
        ended=ended,
    )


def broken(message: str, step: Step, what: str, *, at: float = 0.0, seconds: float = 0.1) -> Attempt:
    return attempt(message, at=at, seconds=seconds, fault=Fault(step, what), dot_sent=step is Step.END_OF_DATA)


def delivery(message: str, server: str = "s1", at: float = 0.1, client: str = CLIENT) -> Delivery:
    return Delivery(message, at, server, client)


def evidence(
    attempts: list[Attempt] | None = None,
    deliveries: list[Delivery] | None = None,
    *,
    scenario: Scenario | None = None,
    marks: list[Mark] | None = None,
    changes: list[Change] | None = None,
    counters: Counters | None = None,
    seconds: float = 2.0,
    rate: float = 10.0,
    late: float = 0.0,
) -> Evidence:
    return Evidence(
        scenario=scenario or SCENARIO,
        seconds=seconds,
        attempts=tuple(attempts or ()),
        deliveries=tuple(deliveries or ()),
        marks=tuple(marks or ()),
        changes=tuple(changes or ()),
        counters=counters or Counters(),
        rate=rate,
        late=late,
    )


SCENARIO = Scenario(name="calm", title="Nothing happens", seconds=1.0, expects=(Intact(),), pool=Pool(count=2))
KILLED = Mark(1.0, Action.KILL, "s1")
