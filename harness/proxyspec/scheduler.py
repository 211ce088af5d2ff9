"""Runs many cases side by side, those that wait for the header deadline first, and judges each as soon as it can be.

However many cases wait, all of them wait for the same deadline: a whole catalogue takes about one. Cases that watch the
target's processes run side by side when the busy ones are done, while others still wait: then an idle target is idle.
If it is not, nobody knows whose fault that is, so they run again one by one when nothing else does. So do, in groups at
first, those during which a process of the target crashed.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from proxyspec.crashes import EVERY, Crash, CrashWatch
from proxyspec.culprits import Search
from proxyspec.driver import WATCHED, Aids, CheckWatcher, drive, watch, watch_processor
from proxyspec.judge import judge, outcome_of, spins
from proxyspec.model import (
    ACCEPTED,
    Capability,
    Case,
    Catalogue,
    Ending,
    Event,
    EventKind,
    Judgement,
    Source,
    Target,
    Transcript,
    Verdict,
    Via,
)
from proxyspec.oracle import Oracle
from proxyspec.replies import parse_replies
from proxyspec.wire import Road, TcpWire, Wire

__all__ = ["Judged", "Plan", "Roads", "run_cases", "without"]

#: Connections begun per second: above the rate of a listen queue that is being served, far below a flood.
START_RATE = 400.0
#: So many cases are shown to keep the target's processes busy, each for up to a deadline, and more where they take no
#: longer than this together, in seconds; then it is mended first.
CULPRITS, CULPRITS_PATIENCE = 3, 40.0
#: So many cases are shown to crash the target's processes; then it is mended first.
CRASHERS = 32
#: The log may tell of a crash so much later than the connection ends, and, by two readers' chance, earlier, in seconds.
LATE, EARLY = 1.0, 0.25
#: Of those that crash together all are told of when none was for so long, in seconds.
SETTLED = 0.3
#: Without a case that runs, nothing must crash for so long; a target that has lost a process may need so long to serve
#: again, and is asked so often, in seconds.
QUIET, RECOVERY, ASKED_EVERY = 3.0, 90.0, 1.0

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
    #: A session that any target serves, if it serves at all.
    usual: Case | None = None


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


class _Pace:
    """The moments at which connections begin: one by one.

    Between two of them all that is under way goes on. So a process that cannot keep up begins less, and the target is
    not judged by its slowness.
    """

    def __init__(self) -> None:
        self._door = asyncio.Lock()
        self._due = 0.0

    async def turn(self) -> None:
        """Wait until the next connection may begin."""
        async with self._door:
            self._due = max(self._due + 1 / START_RATE, _now())
            await asyncio.sleep(self._due - _now())


@dataclass(frozen=True, slots=True)
class _Suspect:
    """A case that may have crashed a process of the target's."""

    case: Case
    crashes: Sequence[Crash]
    #: The target took its leave of the session (RFC 5321, section 4.1.1.10), so it lived at its end.
    served: bool


class _Wave:
    def __init__(self, plan: Plan, report: Callable[[Judged], None]) -> None:
        self._plan = plan
        self._report = report
        self._transcripts: dict[str, Transcript] = {}
        self._waiting_for: dict[str, list[Case]] = {}
        self._running: frozenset[str] = frozenset()
        self._broken: set[str] = set()
        self._room = _Room(plan.parallel)
        self._pace = _Pace()
        self._aids = replace(plan.aids, another=plan.connect)
        self._crashes = None if plan.aids.crashes is None else CrashWatch(plan.aids.crashes)
        self._concluded: set[str] = set()
        #: When the connection of a case could have brought a crash about.
        self._lived: dict[str, tuple[float, float]] = {}
        self._suspects: list[_Suspect] = []
        #: The crash of the last time a case ran alone.
        self._alone: dict[str, Crash] = {}

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
            await self._pace.turn()
            begun = _now()
            try:
                self._transcripts[case.id] = transcript = await self._transcribe(case)
                if case.via is not Via.CHECK:
                    # A case that waits for a deadline does nothing before it.
                    self._lived[case.id] = begun + (_end(transcript) if case.waits else 0.0), _now()
                if case.crowd is not None and case.connections >= self._plan.parallel and self._aids.processor:
                    # What a crowd has left behind may keep the target from serving the next ones.
                    await self._idles()
            except Exception as error:  # noqa: BLE001 - our own fault in one case must not take the others with it
                self._transcripts.pop(case.id, None)
                self._broken.add(case.id)
                reason = f"the harness failed: {type(error).__name__}: {error}"
                self._report(Judged(case, None, Judgement(Verdict.ERROR, None, reason)))

    async def _run(self, case: Case) -> None:
        await self._try(case)
        await self._finish(case)

    async def _finish(self, case: Case) -> None:
        """Judge `case`, unless it runs again because a process of the target may have crashed of it."""
        if self._crashes is not None and case.id in self._lived.keys() - self._broken:
            since, until = self._lived[case.id]
            await asyncio.sleep(until + LATE - _now())
            self._crashes.look()
            transcript = self._transcripts[case.id]
            # Once a process has died, nobody may be there to serve, for a while.
            lost = transcript.ending in (Ending.OPEN, Ending.NEVER)
            crashes = self._crashes.between(0.0 if lost else since - EARLY, until + LATE)
            if crashes:
                self._suspects.append(_Suspect(case, crashes, _left_in_peace(transcript)))
                return
        self._conclude(case)

    def _conclude(self, case: Case) -> None:
        """Judge `case`, unless it broke, and those that rest on it and waited."""
        self._concluded.add(case.id)
        if case.id not in self._broken:
            self._settle(case)
        for dependent in self._waiting_for.pop(case.id, ()):
            self._settle(dependent)

    def _settle(self, case: Case) -> None:
        """Judge `case` if what it rests on is there too, or leave it to the end of that."""
        plan = self._plan
        for name in case.prerequisites:
            if name in self._running and name not in self._concluded and name not in self._broken:
                self._waiting_for.setdefault(name, []).append(case)
                return
        judgement = judge(
            case,
            self._transcripts[case.id],
            self._transcripts.get(case.control or ""),
            plan.catalogue[case.control] if case.control is not None else None,
            plan.target,
            plan.oracle,
            premise=self._transcripts.get(case.premise or ""),
            premise_case=plan.catalogue[case.premise] if case.premise is not None else None,
        )
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
                await self._finish(case)
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
            await self._finish(case)

    def _excuse(self, case: Case, culprits: Sequence[str]) -> None:
        transcript = self._transcripts[case.id]
        since = f"kept busy by {', '.join(culprits)}" if culprits else "busy before the cases that watch them ran alone"
        events = (
            replace(event, note=f"{event.note} {since}") if event.kind is EventKind.PROCESSOR else event
            for event in transcript.events
        )
        self._transcripts[case.id] = replace(transcript, events=tuple(events))

    async def _find_crashers(self, crashes: CrashWatch) -> None:
        """Run those again during which a process crashed, and judge each by what it does by itself."""
        suspects = sorted(self._suspects, key=lambda suspect: suspect.case.waits)
        self._plan.remark(
            f"processes of the target crash, says its log: {len(suspects)} cases that ran then run again, by themselves"
        )
        before = len(crashes.told)
        await asyncio.sleep(QUIET)
        crashes.look()
        search = Search[Case](lambda cases: self._crash(cases, crashes), CRASHERS)
        unexplained = "one also crashed when no case ran"
        if len(crashes.told) == before:
            unexplained = "none crashed when the cases of that time ran again"
            await search.among([suspect.case for suspect in suspects])
        known = {crash for suspect in suspects if suspect.case in search.found for crash in suspect.crashes}
        for suspect in suspects:
            case = suspect.case
            if case in search.found:
                self._note_crash(case, self._alone[case.id])
            elif case in search.untried:
                why = f"{len(search.found)} other cases make one crash, so this one was not tried by itself"
                self._note_crash(case, suspect.crashes[0], why)
            elif not suspect.served and known.isdisjoint(suspect.crashes):
                self._note_crash(case, suspect.crashes[0], unexplained)
            self._conclude(case)

    async def _crash(self, cases: Sequence[Case], crashes: CrashWatch) -> bool:
        """Run these cases again and tell whether a process of the target crashes."""
        await self._recovers()
        crashes.look()
        before = len(crashes.told)
        async with asyncio.TaskGroup() as group:
            for case in cases:
                group.create_task(self._again(case))
        until = _now() + LATE
        crashes.look()
        while len(crashes.told) == before and _now() < until:
            await asyncio.sleep(EVERY)
            crashes.look()
        crashed = len(crashes.told) > before
        if crashed and len(cases) == 1:
            self._alone[cases[0].id] = crashes.told[before]
        # What else these have done may be told a moment later, and must not be laid at the door of the next.
        while crashed and _now() - crashes.told[-1].at < SETTLED:
            await asyncio.sleep(EVERY)
            crashes.look()
        return crashed

    async def _again(self, case: Case) -> None:
        if case.id in self._broken:
            return
        before = self._transcripts[case.id]
        await self._try(case)
        if self._spun(case):
            # Others may have kept the target busy; where that matters, it was found out before.
            self._transcripts[case.id] = before

    async def _recovers(self) -> None:
        """Wait until the target serves, which it may not do at once when it has lost a process."""
        plan, until = self._plan, _now() + RECOVERY
        while plan.usual is not None and _now() < until:
            road = plan.roads.direct[Source.TRUSTED]
            transcript = await drive(plan.usual, plan.target, road, plan.connect(road))
            if outcome_of(plan.usual, transcript, plan.oracle).kind in ACCEPTED:
                return
            await asyncio.sleep(ASKED_EVERY)

    def _note_crash(self, case: Case, crash: Crash, why: str = "") -> None:
        if case.id not in self._broken:
            transcript = self._transcripts[case.id]
            event = Event(transcript.duration, EventKind.CRASHED, crash.line.encode(errors="replace"), why)
            self._transcripts[case.id] = replace(transcript, events=(*transcript.events, event))

    async def run(self) -> None:
        """Start every case that applies, waiting ones first, paced; return when all are judged."""
        if self._crashes is None:
            await self._run_all()
            return
        following = asyncio.create_task(self._crashes.follow())
        try:
            await self._run_all()
            if self._suspects:
                await self._find_crashers(self._crashes)
        finally:
            following.cancel()

    async def _run_all(self) -> None:
        runnable = []
        for case in sorted(self._plan.cases, key=lambda case: not case.waits):
            reason = _not_run(case, self._plan)
            if reason is not None:
                self._report(Judged(case, None, reason))
            else:
                runnable.append(case)
        self._running = frozenset(case.id for case in runnable)
        watched = [case for case in runnable if case.then is not None and not case.waits and self._aids.processor]
        # By id: cases compare field by field.
        alone = {case.id for case in watched}
        async with asyncio.TaskGroup() as group:
            tasks = {case.id: group.create_task(self._run(case)) for case in runnable if case.id not in alone}
            if watched:
                waits = {case.id for case in runnable if case.waits}
                busy = [task for name, task in tasks.items() if name not in waits]
                group.create_task(self._watch(watched, busy, [tasks[name] for name in waits]))


def _now() -> float:
    return asyncio.get_running_loop().time()


def _end(transcript: Transcript) -> float:
    """When the connection ended, in seconds since it began."""
    end = transcript.first(EventKind.SERVER_FIN, EventKind.SERVER_RST, EventKind.GAVE_UP, EventKind.CLIENT_RST)
    return end.at if end is not None else 0.0


def _left_in_peace(transcript: Transcript) -> bool:
    received = ((event.at, event.data) for event in transcript.events if event.kind is EventKind.RECEIVED)
    return any(reply.code == 221 for reply in parse_replies(received))


async def _ended(tasks: Tasks) -> None:
    if tasks:
        await asyncio.wait(tasks)


async def run_cases(plan: Plan, report: Callable[[Judged], None]) -> None:
    """Run every case of `plan` and call `report` once for each, as verdicts come in.

    If cancelled, every connection is closed before the cancellation goes on; cases without a verdict are not reported.
    """
    await _Wave(plan, report).run()
