"""Runs scenarios on several HAProxies: each part of a version in one process, versions as the cores allow."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import os
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, Protocol

from proxyspec.checks.judging import Finding, judge
from proxyspec.checks.layout import INTER, JUDGED, Places, backend_name, layout, needs_witness, same_process
from proxyspec.checks.model import Behind, Observation, Sample, Scenario, expected_of
from proxyspec.checks.references import References, references
from proxyspec.checks.responders import Responder, responders
from proxyspec.haproxy.front import free_ports
from proxyspec.haproxy.start import on_free_ports_in_thread
from proxyspec.interruption import until_interrupted
from proxyspec.model import Verdict

if TYPE_CHECKING:
    from proxyspec_haproxy import Choice, Engine, HAProxy, HAProxyVersion, StatRow

__all__ = ["CHECKS", "SECONDS", "Judged", "Listener", "Watched", "run_checks"]

#: How long checks are watched, in seconds: what a hundred of them take, and the documented listener's 10 s interval.
SECONDS: Final = 12.0
#: Checks counted of each server.
CHECKS: Final = 100
#: Looks at `show stat`, in seconds between two: often at first, for the time to the first result.
_QUICK, _QUICK_FOR, _SLOW = 0.025, 1.5, 0.25
#: Pause between two checks when what deviated is looked at again, in seconds.
_AGAIN_INTER: Final = 0.25
_FIELDS: Final = (
    "status",
    "check_status",
    "check_code",
    "check_duration",
    "last_chk",
    "check_desc",
    "check_rise",
    "check_fall",
    "chkfail",
    "chkdown",
    "lastchg",
    "downtime",
)
_LOG_LINES: Final = 6
#: How often at most a scenario is looked at, and the verdicts that a busy machine can cause.
_LOOKS: Final = 3
_AGAIN: Final = frozenset({Verdict.FAIL, Verdict.UNTESTABLE})
#: HAProxies watched at once for each core: the servers of one take about a third of it.
_PER_CORE: Final = 1.5


@dataclass(frozen=True, slots=True)
class Judged:
    """One scenario on one HAProxy; `seen` is None where HAProxy itself could not be run.

    `attempts` is more than 1 where the first look deviated and it was looked at again.
    """

    scenario: Scenario
    finding: Finding
    seen: Observation | None
    attempts: int = 1


@dataclass(frozen=True, slots=True)
class Watched:
    """One HAProxy: everything judged on it, and its configurations and logs, one per process."""

    choice: Choice
    rows: tuple[Judged, ...]
    configs: tuple[str, ...]
    logs: tuple[str, ...]


class Listener(Protocol):
    """Is told how the run goes."""

    def began(self, choice: Choice) -> None:
        """Checks of one HAProxy begin."""

    def ended(self, watched: Watched) -> None:
        """One HAProxy is done."""


def run_checks(
    scenarios: Sequence[Scenario], choices: Sequence[Choice], listener: Listener, *, seconds: float = SECONDS
) -> None:
    """Run every scenario on every HAProxy; `listener` gets each HAProxy's results when they are there.

    `seconds` is how long the checks of each are watched. What deviates is looked at again, alone and at a slower pace,
    as a check that a busy machine delays beyond its time deviates too; the last look counts. An HAProxy that does not
    start makes its rows ERROR, the others go on.

    Raises:
        HarnessError: the reference server does not start.
        KeyboardInterrupt: it was interrupted; whatever was started is gone.
    """
    wants = [s.wants_header for s in scenarios if s.behind is Behind.REFERENCE for _ in range(s.servers)]
    with references(wants.count(True) * len(choices), wants.count(False) * len(choices)) as servers:
        until_interrupted(_run_all(scenarios, choices, listener, servers, seconds))


async def _run_all(
    scenarios: Sequence[Scenario],
    choices: Sequence[Choice],
    listener: Listener,
    servers: References,
    seconds: float,
) -> None:
    at_once = asyncio.Semaphore(max(1, round(_PER_CORE * (os.cpu_count() or 1))))

    async def one(choice: Choice) -> None:
        async with at_once:
            listener.began(choice)
            ports = {scenario.id: _reference_ports(scenario, servers) for scenario in scenarios}

            async def watch(some: Sequence[Scenario], inter: float) -> list[_Part]:
                return await asyncio.gather(
                    *(_run_part(part, inter, choice.engine, servers, ports, seconds) for part in same_process(some))
                )

            parts = await watch(scenarios, INTER)
            rows = {row.scenario.id: row for part in parts for row in part.rows}
            for attempt in range(2, _LOOKS + 1):
                deviant = [row.scenario for row in rows.values() if row.finding.verdict in _AGAIN]
                if deviant:
                    again = await watch(deviant, _AGAIN_INTER)
                    rows |= {row.scenario.id: replace(row, attempts=attempt) for part in again for row in part.rows}
                    parts += again
            listener.ended(
                Watched(
                    choice,
                    tuple(rows[scenario.id] for scenario in scenarios),
                    tuple(part.config for part in parts),
                    tuple(part.log for part in parts),
                )
            )

    tasks = [asyncio.create_task(one(choice)) for choice in choices]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@dataclass(frozen=True, slots=True)
class _Part:
    rows: tuple[Judged, ...]
    config: str
    log: str


async def _run_part(
    scenarios: Sequence[Scenario],
    inter: float,
    engine: Engine,
    servers: References,
    ports: Mapping[str, tuple[int, ...]],
    seconds: float,
) -> _Part:
    from proxyspec_haproxy import HAProxyError

    version = engine.version()
    scripted: dict[str, list[Responder]] = {}
    for scenario in scenarios:
        behind = Behind.ORDINARY if needs_witness(scenario) else scenario.behind
        count = 1 if needs_witness(scenario) else scenario.servers
        scripted[scenario.id] = [Responder(behind, wants_header=scenario.wants_header) for _ in range(count)]
    async with responders(itertools.chain.from_iterable(scripted.values())):
        places = {scenario.id: _places(scenario, scripted[scenario.id], ports[scenario.id]) for scenario in scenarios}
        began = time.time()
        try:
            async with _running(engine, scenarios, places, inter) as haproxy:
                ready = time.time()
                samples = await _watch(haproxy, scenarios, seconds)
                contacts = await asyncio.to_thread(servers.contacts)
                # Before HAProxy stops, which ends checks in ways of its own.
                witnessed = {key: [each for one in found for each in one.contacts] for key, found in scripted.items()}
                log, config = haproxy.log_lines, haproxy.config_text
        except HAProxyError as error:
            return _Part(tuple(_failed(scenario, str(error)) for scenario in scenarios), "", str(error))
    rows = []
    for scenario in scenarios:
        of_it = witnessed[scenario.id]
        counted = [
            [contact for contact in contacts.get(port, []) if contact.at >= began][:CHECKS]
            for port in places[scenario.id].servers
        ]
        seen = Observation(
            ready,
            tuple(samples[backend_name(scenario)]),
            tuple(itertools.chain.from_iterable(counted)) if needs_witness(scenario) else tuple(of_it[:CHECKS]),
            tuple(of_it[:CHECKS]),
            # HAProxy says the same once more with a level in brackets.
            tuple(line for line in log if f" {backend_name(scenario)}/" in line and line[:1] != "[")[:_LOG_LINES],
        )
        rows.append(Judged(scenario, judge(scenario, expected_of(scenario, _release(version)), seen), seen))
    return _Part(tuple(rows), config, "\n".join(log) + "\n")


def _release(version: HAProxyVersion) -> tuple[int, int, int]:
    return version.major, version.minor, version.patch


def _failed(scenario: Scenario, reason: str) -> Judged:
    return Judged(scenario, Finding(Verdict.ERROR, f"HAProxy did not run: {reason}", None, None, (), None, 0, 0), None)


def _reference_ports(scenario: Scenario, servers: References) -> tuple[int, ...]:
    if scenario.behind is not Behind.REFERENCE:
        return ()
    return tuple(servers.take(wants_header=scenario.wants_header) for _ in range(scenario.servers))


def _places(scenario: Scenario, scripted: Sequence[Responder], reference: tuple[int, ...]) -> Places:
    """Say where its servers are; the port of its bind is found when HAProxy starts."""
    ports = tuple(responder.port for responder in scripted)
    return Places(reference, ports[0], None) if needs_witness(scenario) else Places(ports, None, None)


@contextlib.asynccontextmanager
async def _running(
    engine: Engine, scenarios: Sequence[Scenario], places: Mapping[str, Places], inter: float
) -> AsyncIterator[HAProxy]:
    """Run HAProxy for the time of the context; gone afterwards, whatever happens while it starts."""
    from proxyspec_haproxy import render_topology

    def start() -> HAProxy:
        binds = iter(free_ports(sum(scenario.documented for scenario in scenarios)))
        bound = {
            scenario.id: replace(places[scenario.id], bind=next(binds) if scenario.documented else None)
            for scenario in scenarios
        }
        return engine.start(render_topology(layout(scenarios, bound, inter=inter), engine.version()))

    haproxy = await on_free_ports_in_thread(start)
    try:
        yield haproxy
    finally:
        await asyncio.shield(asyncio.to_thread(haproxy.stop))


async def _watch(haproxy: HAProxy, scenarios: Sequence[Scenario], seconds: float) -> dict[str, list[Sample]]:
    """Look at `show stat` again and again; returns the finished checks it showed, by backend."""
    from proxyspec_haproxy import RuntimeUnavailable

    samples: dict[str, list[Sample]] = {backend_name(scenario): [] for scenario in scenarios}
    began = time.monotonic()
    while (passed := time.monotonic() - began) < seconds:
        at = time.time()
        with contextlib.suppress(RuntimeUnavailable):  # a busy machine: the next look will tell
            for row in await asyncio.to_thread(haproxy.runtime.stat):
                sample = _sample(row, at)
                if sample is not None and row.proxy in samples:
                    samples[row.proxy].append(sample)
        await asyncio.sleep(_QUICK if passed < _QUICK_FOR else _SLOW)
    return samples


def _sample(row: StatRow, at: float) -> Sample | None:
    check = row.check
    if check is None or not check.finished or not row.name.startswith(JUDGED):
        return None
    result = f"{check.status}/{check.code}" if check.code else check.status
    fields = {name: row.raw[name] for name in _FIELDS if row.raw.get(name)}
    return Sample(at, row.name, row.up, result, check.last, check.duration_ms, fields)
