"""A traffic run from beginning to end: every scenario on every HAProxy, judged, in one record."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import PurePath

from proxyspec.conformance import exit_code_of
from proxyspec.haproxy.engines import haproxy_record
from proxyspec.interruption import run_interruptible
from proxyspec.model import Verdict
from proxyspec.records import HAProxyRecord
from proxyspec.records.traffic import TrafficRecord, TrafficRun
from proxyspec.rundir import RunDirectory
from proxyspec.runhead import Begun
from proxyspec.traffic.expectations import judge
from proxyspec.traffic.model import Attempt, Scenario
from proxyspec.traffic.record import broken_record, traffic_record
from proxyspec.traffic.runner import Listener, Outcome, Pace, run_scenarios
from proxyspec_haproxy import Choice

__all__ = ["RunListener", "traffic_run"]


class RunListener:
    """What a run tells while it goes on; the base class keeps silent."""

    def haproxy(self, choice: Choice, release: str) -> None:
        """The scenarios begin on this HAProxy."""

    def began(self, scenario: Scenario) -> None:
        """A scenario starts its servers."""

    def attempted(self, attempt: Attempt) -> None:
        """One more session is over."""

    def judged(self, record: TrafficRecord) -> None:
        """One more verdict."""


@dataclass(frozen=True, slots=True)
class _Named:
    """An HAProxy of the run; `label` tells it from the others."""

    choice: Choice
    release: str
    label: str

    @property
    def folder(self) -> PurePath:
        """Where its scenarios leave their evidence, below the run directory."""
        return PurePath("evidence") / self.label

    def record(self) -> HAProxyRecord:
        files = self.folder / "SCENARIO"
        return haproxy_record(self.choice, str(files / "haproxy.cfg"), str(files / "haproxy.log"))


def _named(choices: Sequence[Choice]) -> list[_Named]:
    releases = [choice.engine.version().release for choice in choices]
    times = Counter(releases)
    return [
        _Named(choice, release, release if times[release] == 1 else f"{release}-{number}")
        for number, (choice, release) in enumerate(zip(choices, releases, strict=True), 1)
    ]


@dataclass(slots=True)
class _Notes(Listener):
    """Judges each outcome on one HAProxy as it comes."""

    named: _Named
    out: RunDirectory
    listener: RunListener
    rows: list[TrafficRecord] = field(default_factory=list)

    def began(self, scenario: Scenario) -> None:
        self.listener.began(scenario)

    def attempted(self, scenario: Scenario, attempt: Attempt) -> None:
        del scenario
        self.listener.attempted(attempt)

    def ended(self, outcome: Outcome) -> None:
        about = (self.named.release, self.named.label, str(self.named.folder / outcome.scenario.name))
        if outcome.evidence is None:
            row = broken_record(outcome.scenario, outcome.error, *about)
        else:
            row = traffic_record(outcome.evidence, judge(outcome.evidence), *about)
        self.rows.append(row)
        self.out.event("scenario-judged", row)
        self.listener.judged(row)


async def _run(scenarios: Sequence[Scenario], haproxies: Sequence[_Notes], pace: Pace, listener: RunListener) -> None:
    for notes in haproxies:
        listener.haproxy(notes.named.choice, notes.named.release)
        await run_scenarios(scenarios, notes.named.choice.engine, notes.out.path / notes.named.folder, pace, notes)


def _subject(releases: Sequence[str]) -> str:
    *most, last = releases
    return f"Traffic through HAProxy {', '.join(most)} and {last}" if most else f"Traffic through HAProxy {last}"


def traffic_run(
    scenarios: Sequence[Scenario],
    choices: Sequence[Choice],
    pace: Pace,
    out: RunDirectory,
    listener: RunListener,
    *,
    command: Sequence[str] | None = None,
) -> TrafficRun:
    """Run every scenario on every HAProxy, one HAProxy after the other, and write the record into `out`.

    An interruption (Ctrl-C, SIGTERM) ends the run early; the scenarios judged by then are recorded.

    Raises:
        HarnessError: the run directory cannot be written.
    """
    begun = Begun(out.id)
    named = _named(choices)
    haproxies = [_Notes(one, out, listener) for one in named]
    names = [scenario.name for scenario in scenarios]
    out.event("run-started", {"id": out.id, "kind": "traffic", "scenarios": names})
    interrupted = run_interruptible(_run(scenarios, haproxies, pace, listener))
    rows = [row for notes in haproxies for row in sorted(notes.rows, key=lambda row: names.index(row.scenario))]
    verdicts = [row.verdict for row in rows]
    code = exit_code_of(
        verdicts,
        failed=any(verdict in (Verdict.FAIL, Verdict.UNTESTABLE) for verdict in verdicts),
        unjudgeable=False,
        interrupted=interrupted,
    )
    run = TrafficRun(
        **begun.head(interrupted=interrupted, command=command),
        exit_code=code,
        subject=_subject([one.release for one in named]),
        haproxies=[one.record() for one in named],
        rate=pace.rate,
        processors=os.cpu_count() or 1,
        rows=rows,
    )
    out.record(run)
    out.event("run-finished", {"exit_code": int(code), "status": run.status, "duration": run.duration})
    return run
