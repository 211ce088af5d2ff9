"""The search: sends frames side by side with controls in between, and pursues what behaves unlike its class."""

from __future__ import annotations

import asyncio
import contextlib
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

from proxyspec.conformance import Preflight, direct_roads, preflight
from proxyspec.fuzz.frames import Frame, frame
from proxyspec.fuzz.rules import Class, Expectation
from proxyspec.fuzz.shrink import fewer_bytes, fewer_malformations, fewer_tlvs
from proxyspec.fuzz.trials import Prober, Trial
from proxyspec.interruption import run_interruptible
from proxyspec.malform import malformed
from proxyspec.model import Outcome, OutcomeKind, Source, Target
from proxyspec.oracle import ORACLES

__all__ = ["Finding", "Listener", "Results", "Search", "Stray", "search"]

#: Seconds between two controls.
CONTROL_EVERY = 0.5
#: A target that fails this many controls in a row is gone.
FAILURES = 3
#: Frames that contradict the text in the same way are pursued this many times, all others are only counted.
EXAMPLES = 2
#: Ways to contradict the text that are pursued; a target with more of them speaks another protocol.
MOST_FINDINGS = 100
#: Faults pursued at once.
PURSUERS = 8
#: How long one fault is made smaller, in seconds and in tries, before it is confirmed.
SHRINK_SECONDS = 15.0
SHRINK_TRIES = 250
#: Frames under way when the time is up have this long to come to their end, in seconds.
LINGER = 3.0
#: Frames kept for the case that the target dies of one.
SUSPECTS = 2048


@dataclass(frozen=True, slots=True)
class Search:
    """What to search, and how far."""

    target: Target
    seed: str
    #: Seconds in which new frames are begun.
    seconds: float
    #: Most frames to send; None: as many as there is time for.
    frames: int | None = None
    #: Connections at once.
    parallel: int = 64


@dataclass(frozen=True, slots=True)
class Finding:
    """A fault seen at least twice on its own, with the control accepted before and after."""

    #: Number of the frame that showed it first.
    index: int
    found: Frame
    #: The malformations that are left of the frame's, before bytes were cut out.
    chain: str
    trial: Trial
    fin: bool
    outcome: Outcome
    #: Frames of this search that contradicted the text alike.
    alike: int = 1


@dataclass(frozen=True, slots=True)
class Stray:
    """A frame that contradicted the text once, in company, and not again on its own."""

    index: int
    found: Frame
    reason: str
    outcome: str


@dataclass(slots=True)
class Results:
    """What a search has found so far."""

    oracle: str = "none"
    unjudgeable: str | None = None
    interrupted: bool = False
    #: Seconds in which frames were begun.
    elapsed: float = 0.0
    sent: Counter[Class] = field(default_factory=Counter)
    as_expected: Counter[Class] = field(default_factory=Counter)
    contradictions: Counter[Class] = field(default_factory=Counter)
    #: Served, but nothing showed whose session it was; or no connection could be made.
    undecided: Counter[Class] = field(default_factory=Counter)
    unfinished: int = 0
    controls: int = 0
    findings: list[Finding] = field(default_factory=list)
    strays: list[Stray] = field(default_factory=list)
    #: Frames sent since the last control that was accepted, if the target died; each with what it might have done.
    suspects: list[tuple[int, Frame, Expectation]] = field(default_factory=list)

    @property
    def frames(self) -> int:
        """Frames judged."""
        return self.sent.total()


class Listener:
    """What a search tells while it goes on; the base class keeps silent."""

    def began(self, found: Preflight) -> None:
        """The target can be judged, or not."""

    def progress(self, results: Results) -> None:
        """Another control came back."""

    def finding(self, found: Finding, number: int) -> None:
        """A fault is confirmed; `number` counts from 1."""


_Signature = tuple[Class, str, OutcomeKind]


class _Run:
    def __init__(self, search: Search, prober: Prober, results: Results, listener: Listener) -> None:
        self._search = search
        self._prober = prober
        self._results = results
        self._listener = listener
        self._numbers: Iterator[int] = iter(range(search.frames) if search.frames is not None else _count())
        self._seen: Counter[_Signature] = Counter()
        self._pursued: Counter[_Signature] = Counter()
        self._shown: set[tuple[bytes, OutcomeKind]] = set()
        self._leads: asyncio.Queue[tuple[int, Frame, Trial]] = asyncio.Queue()
        self._recent: dict[int, Frame] = {}
        self._dead = asyncio.Event()
        self._ends = 0.0

    @property
    def _now(self) -> float:
        return asyncio.get_running_loop().time()

    async def run(self) -> None:
        """Send frames until the time is up, and pursue what they showed."""
        began = self._now
        self._ends = began + self._search.seconds
        pursuers = [asyncio.create_task(self._pursue()) for _ in range(PURSUERS)]
        watch = asyncio.create_task(self._watch())
        try:
            await self._send_all()
            self._results.elapsed = self._now - began
            if not self._dead.is_set():
                grace = SHRINK_SECONDS + 4 * self._prober.target.give_up
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(grace):
                        await self._leads.join()
        finally:
            self._results.elapsed = self._results.elapsed or self._now - began
            for task in (watch, *pursuers):
                task.cancel()
            await asyncio.gather(watch, *pursuers, return_exceptions=True)
            self._results.findings = [
                replace(found, alike=max(1, self._seen[found.trial.signature])) for found in self._results.findings
            ]

    # Frames

    async def _send_all(self) -> None:
        workers = {asyncio.create_task(self._work()) for _ in range(self._search.parallel)}
        dead = asyncio.create_task(self._dead.wait())
        try:
            left = self._search.seconds + min(LINGER, self._prober.target.give_up)
            pending: set[asyncio.Task[object]] = {*workers}
            until = self._now + left
            while pending and not self._dead.is_set() and self._now < until:
                done, _ = await asyncio.wait(
                    {*pending, dead}, timeout=until - self._now, return_when=asyncio.FIRST_COMPLETED
                )
                for task in done - {dead}:
                    task.result()
                pending -= done
            self._results.unfinished = len(pending)
        finally:
            for task in (*workers, dead):
                task.cancel()
            await asyncio.gather(*workers, dead, return_exceptions=True)

    async def _work(self) -> None:
        for index in self._numbers:
            if self._now >= self._ends:
                return
            made = frame(self._search.seed, index, self._prober.target.versions)
            if not made.data:
                continue
            if len(self._recent) < SUSPECTS:
                self._recent[index] = made
            self._note(index, made, await self._prober.screen(made.data))
            # The event loop has others to serve between two frames that end without a wait.
            await asyncio.sleep(0)

    def _note(self, index: int, made: Frame, trial: Trial) -> None:
        results, verdict = self._results, trial.expectation.verdict
        results.sent[verdict] += 1
        if trial.judgement.verdict == "UNTESTABLE":
            results.undecided[verdict] += 1
        elif not trial.contradicts:
            results.as_expected[verdict] += 1
        else:
            results.contradictions[verdict] += 1
            self._seen[trial.signature] += 1
            known = trial.signature in self._pursued
            if self._pursued[trial.signature] < EXAMPLES and (known or len(self._pursued) < MOST_FINDINGS):
                self._pursued[trial.signature] += 1
                self._leads.put_nowait((index, made, trial))

    # Controls

    async def _watch(self) -> None:
        failures = 0
        while failures < FAILURES:
            await asyncio.sleep(CONTROL_EVERY)
            before = set(self._recent)
            fine = [await self._prober.controlled(data) for data in (b"P", b"\r")]
            self._results.controls += len(fine)
            if all(fine):
                failures = 0
                # What began before these controls did the target no harm.
                for index in before:
                    self._recent.pop(index, None)
            else:
                failures += 1
            self._listener.progress(self._results)
        self._results.suspects = [
            (index, made, self._prober.expectation(made.data)) for index, made in sorted(self._recent.items())
        ]
        self._results.unjudgeable = (
            f"the target serves no plain header any more ({FAILURES} controls in a row were not accepted) after "
            f"{self._results.frames} frames"
        )
        self._dead.set()

    # Faults

    async def _pursue(self) -> None:
        while True:
            index, made, trial = await self._leads.get()
            try:
                found = await self._confirmed(index, made, trial)
                if found is None:
                    reason = f"{trial.expectation.verdict}: {trial.expectation.reason}"
                    self._results.strays.append(Stray(index, made, reason, str(trial.judgement.outcome)))
                elif (key := (found.trial.data, found.trial.outcome)) not in self._shown:
                    self._shown.add(key)
                    self._results.findings.append(found)
                    self._listener.finding(found, len(self._results.findings))
            finally:
                self._leads.task_done()

    async def _confirmed(self, index: int, made: Frame, first: Trial) -> Finding | None:
        """Make the frame smaller, then see it fail twice on its own between two accepted controls."""

        async def shows(data: bytes) -> bool:
            trial = await self._prober.screen(data)
            return trial.contradicts and trial.signature == first.signature

        chain, data = made.chain, made.data
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(SHRINK_SECONDS):
                chain = await fewer_malformations(made.base, made.chain, shows)
                data = malformed(made.base, *chain)
                data = await fewer_tlvs(data, shows)
                data = await fewer_bytes(data, shows, SHRINK_TRIES)
        for candidate in dict.fromkeys((data, made.data)):
            found = await self._again(candidate)
            if found is not None:
                trial, fin = found
                assert trial.judgement.outcome is not None
                left = Frame(made.base_name, made.base, chain).describe() if candidate == data else made.describe()
                return Finding(index, made, left, trial, fin, trial.judgement.outcome)
        return None

    async def _again(self, data: bytes) -> tuple[Trial, bool] | None:
        if not await self._prober.controlled(data):
            return None
        ways = (False, False, True, True)
        trials = await asyncio.gather(*(self._prober.examine(data, fin=fin) for fin in ways))
        if not await self._prober.controlled(data):
            return None
        for pair, fin in ((trials[:2], False), (trials[2:], True)):
            if all(trial.contradicts for trial in pair) and pair[0].outcome is pair[1].outcome:
                return pair[0], fin
        return None


def _count() -> Iterator[int]:
    number = 0
    while True:
        yield number
        number += 1


async def _whole(search: Search, results: Results, listener: Listener) -> None:
    before = await preflight(search.target)
    results.oracle, results.unjudgeable = before.oracle, before.unjudgeable
    listener.began(before)
    if before.unjudgeable is None:
        road = direct_roads(search.target)[Source.TRUSTED]
        able = replace(search.target, capabilities=search.target.capabilities | before.capabilities)
        await _Run(search, Prober(able, road, ORACLES[before.oracle]), results, listener).run()


def search(plan: Search, listener: Listener) -> Results:
    """Search for frames that the target treats as no reading of the text allows.

    Ends when the time is up, the frames are sent, or the target is gone; an interruption (Ctrl-C, SIGTERM) keeps
    what was confirmed by then.
    """
    results = Results()
    results.interrupted = run_interruptible(_whole(plan, results, listener))
    return results
