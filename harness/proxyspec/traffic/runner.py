"""Runs scenarios: servers, HAProxy, clients, script and watch of each, as many side by side as the machine bears."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Final

from proxyspec.errors import HarnessError
from proxyspec.haproxy.front import HERE, free_ports
from proxyspec.haproxy.start import on_free_ports_in_thread
from proxyspec.traffic.clients import Clock, offer
from proxyspec.traffic.journals import deliveries_in, endings_in, sessions_in
from proxyspec.traffic.model import Action, Attempt, Change, Delivery, Evidence, Mark, Scenario, Script
from proxyspec.traffic.servers import ServerProcess
from proxyspec.traffic.watch import Lateness, Watch, wait_checked, wait_empty
from proxyspec_haproxy import (
    Bind,
    Engine,
    HAProxy,
    HAProxyError,
    HostPort,
    Listen,
    Server,
    Settings,
    render_topology,
)
from proxyspec_haproxy import Listener as Section

__all__ = ["Listener", "Outcome", "Pace", "run_scenario", "run_scenarios", "topology"]

#: Scenarios that take the whole rate of the run, and others, at the same time.
LOADED_AT_ONCE: Final = 2
LIGHT_AT_ONCE: Final = 2
#: Seconds HAProxy gets to have checked every server before the traffic begins, and for a reload.
CHECK_PATIENCE: Final = 15.0
RELOAD_PATIENCE: Final = 5.0
#: Seconds a drained server's last sessions may take.
EMPTY_PATIENCE: Final = 20.0
#: Seconds HAProxy's old worker may go on after a reload: longer than any session.
HARD_STOP: Final = 20.0
#: Seconds the watch goes on after the last client, so that HAProxy's log has its lines.
SETTLE: Final = 0.3
#: Least time between two events, and from the last one to the last client, in seconds.
APART: Final = 1.0
#: Seconds HAProxy gets to notice an event.
NOTICE_PATIENCE: Final = 10.0
#: What HAProxy calls a server after an event; one that was drained stays so.
_OPINIONS: Final = {
    Action.KILL: ("DOWN",),
    Action.STOP: ("DOWN",),
    Action.START: ("UP", "DRAIN"),
    Action.READY: ("UP",),
}


@dataclass(frozen=True, slots=True)
class Pace:
    """How much traffic: sessions per second of each scenario under load, and its least duration in seconds."""

    rate: float = 200.0
    seconds: float | None = None

    def duration(self, scenario: Scenario) -> float:
        """Return how long clients arrive; never shorter than the scenario's script wants."""
        if self.seconds is None or not scenario.loaded:
            return scenario.seconds
        return max(scenario.seconds, self.seconds)


def topology(scenario: Scenario, ports: Sequence[int], port: int) -> Listen:
    """Build the HAProxy of a scenario: one listener on `port` before servers on `ports`."""
    pool = scenario.pool
    servers = tuple(
        Server(
            name,
            HostPort(HERE, server_port),
            proxy=pool.proxy,
            inter=pool.inter,
            fall=pool.fall,
            rise=pool.rise,
            maxconn=pool.maxconn,
            weight=pool.weights[number] if pool.weights else None,
        )
        for number, (name, server_port) in enumerate(zip(pool.names, ports, strict=True))
    )
    bind = Bind(HostPort(HERE, port), accept_proxy=scenario.accept_proxy)
    listener = Section(scenario.name, (bind,), servers, pool.check, extra=scenario.directives)
    settings = Settings(timeouts=scenario.timeouts, nbthread=1, hard_stop=HARD_STOP)
    return Listen((listener,), settings)


@contextlib.asynccontextmanager
async def _servers(scenario: Scenario, folder: Path) -> AsyncIterator[list[ServerProcess]]:
    """Start the pool; on leaving, however that happens, none of them runs any more."""
    pool = scenario.pool
    made = [ServerProcess(name, folder / f"{name}.ndjson", pool.arguments) for name in pool.names]
    try:
        await asyncio.gather(*(server.start() for server in made))
        yield made
    finally:
        await asyncio.gather(*(server.kill() for server in made))


@contextlib.asynccontextmanager
async def _haproxy(engine: Engine, scenario: Scenario, ports: Sequence[int]) -> AsyncIterator[tuple[HAProxy, int]]:
    """Start HAProxy; yields it with the port of its listener, and kills it on leaving.

    Raises:
        HAProxyError: HAProxy refuses the configuration or does not start.
    """
    port = 0

    def start() -> HAProxy:
        nonlocal port
        (port,) = free_ports(1)
        return engine.start(render_topology(topology(scenario, ports, port), engine.version()))

    running = await on_free_ports_in_thread(start)
    try:
        yield running, port
    finally:
        await asyncio.to_thread(running.kill)


async def _act(entry: Script, scenario: Scenario, servers: Sequence[ServerProcess], haproxy: HAProxy) -> None:
    if entry.server is None:
        done = await asyncio.to_thread(haproxy.reload, haproxy.config_text, timeout=RELOAD_PATIENCE)
        if not done.ok:
            raise HarnessError(f"HAProxy did not reload in {scenario.name}: {done.log}")
        return
    server = servers[entry.server]
    match entry.action:
        case Action.KILL:
            await server.kill()
        case Action.STOP:
            await server.stop()
        case Action.START:
            await server.start()
        case Action.DRAIN:
            await asyncio.to_thread(haproxy.runtime.drain, scenario.name, server.name)
        case Action.EMPTY:
            await wait_empty(haproxy.runtime, scenario.name, server.name, EMPTY_PATIENCE)
        case _:
            await asyncio.to_thread(haproxy.runtime.enable, scenario.name, server.name)


async def _noticed(entry: Script, server: str, watch: Watch) -> None:
    """Wait until HAProxy's opinion of the server is what the event makes it; a while at most, for the judge to tell."""
    expected = _OPINIONS.get(entry.action)
    if expected is None:
        return
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(NOTICE_PATIENCE):
            await watch.until(server, expected)


async def _play(
    scenario: Scenario,
    servers: Sequence[ServerProcess],
    haproxy: HAProxy,
    watch: Watch,
    clock: Clock,
    marks: list[Mark],
) -> None:
    """Do what the script says, when it says so but not before HAProxy has noticed the last event for `APART`.

    An event is dated when it begins, but a start, a drain and an emptiness when they are there. Returns `APART` after
    the last one.
    """
    earliest = 0.0
    for entry in scenario.script:
        await asyncio.sleep(max(entry.at, earliest) - clock())
        begun = clock()
        await _act(entry, scenario, servers, haproxy)
        at = clock() if entry.action in (Action.START, Action.DRAIN, Action.EMPTY) else begun
        name = None if entry.server is None else servers[entry.server].name
        marks.append(Mark(round(at, 3), entry.action, name))
        if name is not None:
            await _noticed(entry, name, watch)
        earliest = clock() + APART
    await asyncio.sleep(earliest - clock())


async def _carry_traffic(
    scenario: Scenario,
    servers: Sequence[ServerProcess],
    haproxy: HAProxy,
    port: int,
    pace: Pace,
    seen: _Seen,
) -> None:
    """Let clients come and the script happen, until every client is done; `seen` fills up meanwhile."""
    seen.began, zero = time.time(), time.monotonic()

    def clock() -> float:
        return time.monotonic() - zero

    watch = Watch(haproxy.runtime, scenario.name, clock)
    await watch.look()
    lateness = Lateness()
    watching = [asyncio.create_task(watch.run()), asyncio.create_task(lateness.run())]
    try:
        async with asyncio.TaskGroup() as group:
            script = group.create_task(_play(scenario, servers, haproxy, watch, clock, seen.marks))

            def over() -> bool:
                return script.done() and clock() >= pace.duration(scenario)

            for number, clients in enumerate(scenario.clients):
                name = f"{scenario.name}-{number}"
                group.create_task(offer(clients, pace.rate, (HERE, port), name, clock, over, seen.note))
        await asyncio.sleep(SETTLE)
    except BaseExceptionGroup as several:
        # One thing went wrong first; the group cancelled the rest for it.
        raise several.exceptions[0] from None
    finally:
        for task in watching:
            task.cancel()
        await asyncio.wait(watching)
        seen.changes, seen.queue_max = watch.changes, watch.queue_max
        seen.seconds, seen.late = clock(), lateness.worst


@dataclass(slots=True)
class _Seen:
    """What one run of a scenario has shown so far."""

    report: Callable[[Attempt], None]
    began: float = 0.0
    seconds: float = 0.0
    late: float = 0.0
    queue_max: int = 0
    attempts: list[Attempt] = field(default_factory=list)
    marks: list[Mark] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
    log: tuple[str, ...] = ()

    def note(self, attempt: Attempt) -> None:
        self.attempts.append(attempt)
        self.report(attempt)

    def evidence(self, scenario: Scenario, folder: Path, rate: float) -> Evidence:
        """Put it together with what the servers' journals say."""
        deliveries: list[Delivery] = []
        endings: Counter[str] = Counter()
        for name in scenario.pool.names:
            lines = (folder / f"{name}.ndjson").read_text(encoding="ascii", errors="replace").splitlines()
            deliveries += deliveries_in(lines, name, self.began)
            endings += endings_in(lines)
        return Evidence(
            scenario=scenario,
            seconds=round(self.seconds, 3),
            attempts=tuple(sorted(self.attempts, key=lambda one: one.started)),
            deliveries=tuple(sorted(deliveries, key=lambda one: one.at)),
            marks=tuple(self.marks),
            changes=tuple(self.changes),
            counters=replace(sessions_in(self.log, scenario.name), queue_max=self.queue_max),
            endings=dict(endings),
            rate=rate,
            late=round(self.late, 3),
        )


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


async def run_scenario(
    scenario: Scenario, engine: Engine, folder: Path, pace: Pace, report: Callable[[Attempt], None] = lambda _: None
) -> Evidence:
    """Run one scenario on an HAProxy of its own; configuration, logs and journals stay in `folder`.

    Raises:
        HarnessError: HAProxy or a server does not start, or an event cannot be made to happen.
    """
    seen = _Seen(report)
    try:
        _write(folder / "haproxy.cfg", "")
        async with contextlib.AsyncExitStack() as stack:
            servers = await stack.enter_async_context(_servers(scenario, folder))
            ports = [server.port for server in servers]
            haproxy, port = await stack.enter_async_context(_haproxy(engine, scenario, ports))
            _write(folder / "haproxy.cfg", haproxy.config_text)
            try:
                await wait_checked(haproxy.runtime, scenario.name, CHECK_PATIENCE)
                await _carry_traffic(scenario, servers, haproxy, port, pace, seen)
            finally:
                seen.log = haproxy.log_lines
                _write(folder / "haproxy.log", "\n".join(seen.log) + "\n")
        return seen.evidence(scenario, folder, pace.rate)
    except HAProxyError as error:
        raise HarnessError(f"HAProxy fails in {scenario.name}: {error}") from error
    except TimeoutError as error:
        raise HarnessError(f"HAProxy did not check the servers of {scenario.name}: {error}") from error
    except OSError as error:
        raise HarnessError(f"{error.filename or folder}: {error.strerror or error}, in {scenario.name}") from error


@dataclass(frozen=True, slots=True)
class Outcome:
    """What running a scenario came to: evidence, or the harness's own failure."""

    scenario: Scenario
    evidence: Evidence | None
    error: str = ""


class Listener:
    """What a run tells while it goes on; the base class keeps silent."""

    def began(self, scenario: Scenario) -> None:
        """A scenario starts its servers."""

    def attempted(self, scenario: Scenario, attempt: Attempt) -> None:
        """One more session is over."""

    def ended(self, outcome: Outcome) -> None:
        """A scenario is over."""


async def run_scenarios(
    scenarios: Sequence[Scenario], engine: Engine, folder: Path, pace: Pace, listener: Listener
) -> None:
    """Run scenarios side by side, those under load a few at a time; `listener` hears of every outcome.

    Each has a folder of its name below `folder`. One that fails for a reason of the harness leaves the others alone.
    """
    loaded, light = asyncio.Semaphore(LOADED_AT_ONCE), asyncio.Semaphore(LIGHT_AT_ONCE)

    async def one(scenario: Scenario) -> None:
        async with loaded if scenario.loaded else light:
            listener.began(scenario)
            heard = partial(listener.attempted, scenario)
            try:
                found = await run_scenario(scenario, engine, folder / scenario.name, pace, heard)
            except HarnessError as error:
                listener.ended(Outcome(scenario, None, str(error)))
            else:
                listener.ended(Outcome(scenario, found))

    async with asyncio.TaskGroup() as group:
        for scenario in scenarios:
            group.create_task(one(scenario))
