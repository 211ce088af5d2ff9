"""A judged scenario in the words of the run record. Pure."""

from __future__ import annotations

from collections import Counter

from proxyspec.model import Verdict
from proxyspec.records.traffic import TrafficError, TrafficEvent, TrafficFinding, TrafficPoint, TrafficRecord
from proxyspec.traffic.accounting import account, begun_rate, per_second, time_to
from proxyspec.traffic.expectations import Judgement
from proxyspec.traffic.model import Action, Evidence, Scenario

__all__ = ["broken_record", "traffic_record"]


def _events(evidence: Evidence) -> list[TrafficEvent]:
    events = [TrafficEvent(at=mark.at, text=str(mark), planned=True) for mark in evidence.marks]
    first: set[str] = set()
    for change in evidence.changes:
        # What a server was at the beginning is no change.
        if change.server in first:
            said = f" ({change.check})" if change.check else ""
            events.append(TrafficEvent(at=change.at, text=f"{change.server} {change.state}{said}", planned=False))
        first.add(change.server)
    return sorted(events, key=lambda event: event.at)


def _timeline(evidence: Evidence) -> list[TrafficPoint]:
    until = evidence.seconds
    by_server = {
        name: per_second([one.at for one in evidence.deliveries if one.server == name], until)
        for name in evidence.scenario.pool.names
    }
    failed = per_second([one.finished for one in evidence.attempts if one.fault is not None], until)
    return [
        TrafficPoint(
            at=at,
            delivered={name: points[place][1] for name, points in by_server.items() if place < len(points)},
            failed=rate,
        )
        for place, (at, rate) in enumerate(failed)
    ]


def traffic_record(evidence: Evidence, judgement: Judgement, haproxy: str, label: str, folder: str) -> TrafficRecord:
    """Put a judged scenario into the words of the record.

    `haproxy` is the release, `label` what tells this HAProxy from the others of the run, `folder` the evidence's.
    """
    scenario, sums, counters = evidence.scenario, judgement.account, evidence.counters
    ends = [mark for mark in evidence.marks if mark.action in (Action.KILL, Action.STOP)]
    times = [time_to("DOWN", mark, evidence) for mark in ends]
    servers = Counter(delivery.server for delivery in evidence.deliveries)
    return TrafficRecord(
        id=f"traffic/{scenario.name}@{label}",
        title=scenario.title,
        verdict=judgement.verdict,
        reason=judgement.reason,
        scenario=scenario.name,
        haproxy=haproxy,
        seconds=evidence.seconds,
        rate=begun_rate(evidence.attempts),
        late=evidence.late,
        messages=sums.messages,
        sessions=sums.sessions,
        sent=sums.sent,
        acknowledged=sums.acknowledged,
        delivered=sums.delivered,
        lost=len(sums.lost),
        duplicated=len(sums.duplicated),
        in_doubt=sums.in_doubt,
        in_doubt_delivered=sums.in_doubt_delivered,
        refused=sums.refused,
        misattributed=len(sums.misattributed),
        redispatched=counters.redispatched,
        retried=counters.retried,
        queue_max=counters.queue_max,
        times_to_down=[round(time, 3) for time in times if time is not None],
        findings=[TrafficFinding(verdict=one.verdict, text=one.text) for one in judgement.findings],
        errors=[
            TrafficError(step=str(fault.step), error=fault.what, count=count) for fault, count in sums.errors.items()
        ],
        events=_events(evidence),
        timeline=_timeline(evidence),
        servers={name: servers[name] for name in scenario.pool.names},
        terminations=dict(counters.terminations),
        endings=dict(evidence.endings),
        evidence=folder,
    )


def broken_record(scenario: Scenario, error: str, haproxy: str, label: str, folder: str) -> TrafficRecord:
    """Record a scenario on which the harness itself failed."""
    nothing = Evidence(scenario=scenario, seconds=0.0, attempts=(), deliveries=())
    judgement = Judgement(Verdict.ERROR, error, (), account((), ()))
    return traffic_record(nothing, judgement, haproxy, label, folder)
