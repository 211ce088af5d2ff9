"""Runs many cases side by side, those that wait for the header deadline first, and judges each as soon as it can be.

However many cases wait, all of them wait for the same deadline: a whole catalogue takes about one. Cases that watch the
target's processes run side by side when the busy ones are done, while others still wait: then an idle target is idle.
If it is not, nobody knows whose fault that is, so they run again one by one when nothing else does.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from proxyspec.driver import WATCHED, Aids, CheckWatcher, drive, watch, watch_processor
from proxyspec.judge import judge, spins
from proxyspec.model import (
    Capability,
    Case,
    Catalogue,
    EventKind,
    Judgement,
    Source,
    Target,
    Transcript,
    Verdict,
    Via,
)
from proxyspec.oracle import Oracle
from proxyspec.wire import Road, TcpWire, Wire

__all__ = ["Judged", "Plan", "Roads", "run_cases", "without"]

#: Connections begun per second: above the rate of a listen queue that is being served, far below a flood.
START_RATE = 400.0
#: So many cases are shown to keep the target's processes busy, each for up to a deadline, and more where they take no
#: longer than this together, in seconds; then it is mended first.
CULPRITS, CULPRITS_PATIENCE = 3, 40.0

Tasks = Sequence[asyncio.Task[None]]


@dataclass(frozen=True, slots=True)
class Roads:
    """Where each kind of connection goes; a road that is missing makes its cases SKIP with `missing`'s reason."""

    direct: Mapping[Source, Road]
    via: Mapping[Via, Road]
    watcher: CheckWatcher | None = None
    #: To the port whose connections begin with TLS.
    tls: Road | None = None

    def of(self, case: Case) -> Road | None:
        """Return the road of `case`, or None if there is none."""
        if Capability.IMPLICIT_TLS in case.needs:
            return self.tls
        return self.direct.get(case.source) if case.via is Via.DIRECT else self.via.get(case.via)


@dataclass(frozen=True, slots=True)
class Plan:
    """All a wave of cases needs."""

    catalogue: Catalogue
    cases: tuple[Case, ...]
    target: Target
    roads: Roads
    oracle: Oracle
    #: Connections at once; a case with more of them (a crowd's) than that runs alone.
    parallel: int = 1024
    connect: Callable[[Road], Wire] = TcpWire
    #: What cases may use beside their own connection; its wires are made by `connect` too.
    aids: Aids = field(default_factory=Aids)
    #: Told, in a sentence, why the run takes longer than one deadline.
    remark: Callable[[str], None] = lambda words: None


@dataclass(frozen=True, slots=True)
class Judged:
    """A case with its transcript (None if it did not run) and its verdict."""

    case: Case
    transcript: Transcript | None
    judgement: Judgement


def without(lacking: frozenset[Capability], target: Target) -> Judgement:
    """Return the verdict on a case that needs what `target` lacks."""
    how = " (by refusing a header for its wrong CRC32C)" if Capability.CRC32C in lacking - target.lacks else ""
    names = ", ".join(sorted(lacking))
    return Judgement(Verdict.SKIP, None, f"the target neither declares nor shows this capability{how}: {names}")


def _not_run(case: Case, plan: Plan) -> Judgement | None:
    """Say why `case` does not apply, or None if it does."""
    if not case.versions <= plan.target.versions:
        missing = ", ".join(str(version) for version in sorted(case.versions - plan.target.versions))
        return Judgement(Verdict.SKIP, None, f"the target declares that it does not speak version {missing}")
    lacking = plan.target.missing(case.needs)
    if lacking == {Capability.ANONYMOUS_MAIL}:
        reason = "the target takes mail only after a login, and its profile gives none, nor this capability"
        return Judgement(Verdict.SKIP, None, f"{reason}: {Capability.ANONYMOUS_MAIL}")
    if lacking:
        return without(lacking, plan.target)
    if case.via is Via.CHECK:
        if plan.roads.watcher is None:
            return Judgement(Verdict.SKIP, None, "no HAProxy stands in front of the target in this run")
    elif plan.roads.of(case) is None:
        if case.via is Via.PACKETS:
            return Judgement(Verdict.SKIP, None, "segments are made for a server that `proxyspec tcp` starts itself")
        if case.source is not Source.TRUSTED:
            return Judgement(Verdict.SKIP, None, "no address is declared that the target does not trust")
        return Judgement(Verdict.SKIP, None, "no HAProxy stands in front of the target in this run")
    return None


class _Room:
    """So many connections at once; who needs more than there are gets all of them. In the order of asking."""

    def __init__(self, connections: int) -> None:
        self._connections = connections
        self._free = asyncio.Semaphore(connections)
        self._door = asyncio.Lock()

    @contextlib.asynccontextmanager
    async def of(self, connections: int) -> AsyncIterator[None]:
        """Hold room for `connections` for the time of the context."""
        held = 0
        try:
            async with self._door:
                while held < min(connections, self._connections):
                    await self._free.acquire()
                    held += 1
            yield
        finally:
            for _ in range(held):
                self._free.release()


class _Wave:
    def __init__(self, plan: Plan, report: Callable[[Judged], None]) -> None:
        self._plan = plan
        self._report = report
        self._transcripts: dict[str, Transcript] = {}
        self._waiting_for: dict[str, list[Case]] = {}
        self._running: frozenset[str] = frozenset()
        self._broken: set[str] = set()
        self._room = _Room(plan.parallel)
        self._aids = replace(plan.aids, another=plan.connect)

    async def _transcribe(self, case: Case) -> Transcript:
        if case.via is Via.CHECK:
            assert self._plan.roads.watcher is not None
            return await watch(case, self._plan.roads.watcher)
        road = self._plan.roads.of(case)
        assert road is not None
        return await drive(case, self._plan.target, road, self._plan.connect(road), self._aids)

    async def _try(self, case: Case) -> None:
        """Obtain the transcript of `case`, or report what broke."""
        async with self._room.of(case.connections):
            try:
                self._transcripts[case.id] = await self._transcribe(case)
                if case.crowd is not None and case.connections >= self._plan.parallel and self._aids.processor:
                    # What a crowd has left behind may keep the target from serving the next ones.
                    await self._idles()
            except Exception as error:  # noqa: BLE001 - our own fault in one case must not take the others with it
                self._transcripts.pop(case.id, None)
                self._broken.add(case.id)
                reason = f"the harness failed: {type(error).__name__}: {error}"
                self._report(Judged(case, None, Judgement(Verdict.ERROR, None, reason)))

    async def _run(self, case: Case, delay: float) -> None:
        await asyncio.sleep(delay)
        await self._try(case)
        self._conclude(case)

    def _conclude(self, case: Case) -> None:
        """Judge `case`, unless it broke, and those that waited for it as their control."""
        if case.id not in self._broken:
            self._settle(case)
        for dependent in self._waiting_for.pop(case.id, ()):
            self._settle(dependent)

    def _settle(self, case: Case) -> None:
        """Judge `case` if its control is there too, or leave it to the control's end."""
        plan = self._plan
        control = plan.catalogue[case.control] if case.control is not None else None
        if control is not None and control.id in self._running - self._transcripts.keys() - self._broken:
            self._waiting_for.setdefault(control.id, []).append(case)
            return
        beside = self._transcripts.get(control.id) if control is not None else None
        judgement = judge(case, self._transcripts[case.id], beside, control, plan.target, plan.oracle)
        self._report(Judged(case, self._transcripts[case.id], judgement))

    async def _spins(self) -> bool:
        assert self._aids.processor is not None
        return spins(await watch_processor(self._aids.processor))

    async def _idles(self) -> bool:
        """Wait until the target's processes idle; False: they did not within the time any connection may last."""
        for _ in range(1 + int(self._plan.target.give_up / WATCHED)):
            if not await self._spins():
                return True
        return False

    def _spun(self, case: Case) -> bool:
        """Tell whether the target's processes were busy in this case, whoever made them so."""
        transcript = self._transcripts.get(case.id)
        noted = transcript.first(EventKind.PROCESSOR) if transcript is not None else None
        return noted is not None and spins(noted.note)

    async def _watch(self, cases: Sequence[Case], busy: Tasks, waiting: Tasks) -> None:
        """Run the cases that watch the target's processes, so that none of them answers for another's doing."""
        await _ended(busy)
        while await self._spins():
            if all(task.done() for task in waiting):
                break
        async with asyncio.TaskGroup() as group:
            for case in cases:
                group.create_task(self._try(case))
        suspects = [case for case in cases if self._spun(case)]
        for case in cases:
            if case not in suspects:
                self._conclude(case)
        if suspects:
            self._plan.remark(
                f"the target's processes are busy with nothing to do: {len(suspects)} cases that watch them run again, "
                "one by one, when no other case waits"
            )
            await _ended(waiting)
            await self._single_out(suspects)

    async def _single_out(self, suspects: Sequence[Case]) -> None:
        """Run each case alone on an idle target; where that cannot be had, what was seen is nobody's fault."""
        culprits: list[str] = []
        # Counted, not timed: the same ones are told every time.
        most = max(CULPRITS, int(CULPRITS_PATIENCE / self._plan.target.give_up))
        idle = True
        for case in suspects:
            idle = idle and len(culprits) < most and await self._idles()
            if idle:
                await self._try(case)
                if self._spun(case):
                    culprits.append(case.id)
            else:
                self._excuse(case, culprits)
            self._conclude(case)

    def _excuse(self, case: Case, culprits: Sequence[str]) -> None:
        transcript = self._transcripts[case.id]
        since = f"kept busy by {', '.join(culprits)}" if culprits else "busy before the cases that watch them ran alone"
        events = (
            replace(event, note=f"{event.note} {since}") if event.kind is EventKind.PROCESSOR else event
            for event in transcript.events
        )
        self._transcripts[case.id] = replace(transcript, events=tuple(events))

    async def run(self) -> None:
        """Start every case that applies, waiting ones first, paced; return when all are judged."""
        runnable = []
        for case in sorted(self._plan.cases, key=lambda case: not case.waits):
            reason = _not_run(case, self._plan)
            if reason is not None:
                self._report(Judged(case, None, reason))
            else:
                runnable.append(case)
        self._running = frozenset(case.id for case in runnable)
        watched = [case for case in runnable if case.then is not None and not case.waits and self._aids.processor]
        async with asyncio.TaskGroup() as group:
            tasks = {
                case.id: group.create_task(self._run(case, place / START_RATE))
                for place, case in enumerate(case for case in runnable if case not in watched)
            }
            if watched:
                waits = {case.id for case in runnable if case.waits}
                busy = [task for name, task in tasks.items() if name not in waits]
                group.create_task(self._watch(watched, busy, [tasks[name] for name in waits]))


async def _ended(tasks: Tasks) -> None:
    if tasks:
        await asyncio.wait(tasks)


async def run_cases(plan: Plan, report: Callable[[Judged], None]) -> None:
    """Run every case of `plan` and call `report` once for each, as verdicts come in.

    If cancelled, every connection is closed before the cancellation goes on; cases without a verdict are not reported.
    """
    await _Wave(plan, report).run()
