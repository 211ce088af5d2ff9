"""Counts what the users of one process do, and brings Locust's statistics up to date twice a second.

Locust's rows are filled from our histograms: an event for each step would cost as much as the session. A `request`
event tells of a session that failed, and of every session where somebody beside Locust itself listens. Importing this
module patches the interpreter.
"""

from __future__ import annotations

import time
from typing import Any, Final

import locust.stats
from locust.stats import StatsEntry, StatsError

from proxyspec.load.dialogue import Dialogue, Script, Step, StepFailed
from proxyspec.load.engine import Line, clock
from proxyspec.load.figures import Figures, StepFigures
from proxyspec.load.histogram import NANOSECONDS, bucket_milliseconds

__all__ = ["REQUEST_TYPE", "Meter", "meter_of"]

#: The type of every row of ours in Locust's tables; its name is the step.
REQUEST_TYPE: Final = "SMTP"

#: Nanoseconds between two fillings of Locust's rows.
_INTERVAL: Final = 500_000_000

# Locust rounds 30.4 s to 30 s, which is no way to judge a deadline. Its own hook for finer buckets:
locust.stats.bucket_response_time = bucket_milliseconds
# Those of our own record, in the web interface too.
locust.stats.PERCENTILES_TO_CHART = [0.5, 0.95, 0.99]
locust.stats.PERCENTILES_TO_STATISTICS = [0.9, 0.95, 0.99]


class Meter:
    """The figures of this process's users; `total` since the last reset, `fresh` since somebody took them."""

    def __init__(self, environment: Any) -> None:
        self.total = Figures()
        self._fresh = Figures()
        self._pending = Figures()
        #: What sessions took that went well, step by step and as a whole, by their script: counted together later.
        self._well: dict[Script, list[tuple[int, ...]]] = {}
        #: The times of those sessions that Locust has to count still, and the bytes they received.
        self._untold: list[int] = []
        self._received = 0
        self._environment = environment
        self._due = clock() + _INTERVAL

    def reset(self) -> None:
        """Forget everything, as Locust does when a load begins or its user asks for it."""
        self.total, self._fresh, self._pending, self._well = Figures(), Figures(), Figures(), {}
        self._untold, self._received = [], 0

    def add(self, line: Line, plan: str | None = None, foreseen: frozenset[str] = frozenset()) -> None:
        """Take a line that is over; `plan` names the early end it was for, if it was for one.

        A failure of a class in `foreseen` is none, but a planned end of that name.
        """
        dialogue, failure = line.dialogue, line.failure
        whole = line.ended - dialogue.begun
        error = None
        if failure is None:
            well = self._well.get(dialogue.script)
            if well is None:
                well = self._well[dialogue.script] = []
            well.append((*dialogue.taken, whole))
            if plan is not None:
                self._pending.planned[plan] += 1
        else:
            error = self._add_failed(dialogue, failure, line.ended, foreseen)
        # Locust's runner listens too.
        if error is not None or len(self._environment.events.request._handlers) > 1:
            self._fire(whole, dialogue.heard_bytes, failure if error is not None else None)
        else:
            self._untold.append(whole)
            self._received += dialogue.heard_bytes
        if line.ended >= self._due:
            self.settle()

    def _add_failed(self, dialogue: Dialogue, failure: StepFailed, ended: int, foreseen: frozenset[str]) -> str | None:
        """Take a session that broke off; return the class of its failure, unless that was foreseen."""
        pending = self._pending
        for step, taken in zip(dialogue.script.steps, dialogue.taken, strict=False):
            pending.add(step, taken)
        error: str | None = str(failure)
        if error in foreseen:
            pending.planned[error] += 1
            error = None
        pending.add(failure.step, ended - dialogue.since, error)
        pending.add(Step.SESSION, ended - dialogue.begun, error)
        return error

    def _fire(self, nanoseconds: int, received: int, failure: StepFailed | None) -> None:
        self._environment.events.request.fire(
            request_type=REQUEST_TYPE,
            name=Step.SESSION.value,
            response_time=nanoseconds / NANOSECONDS,
            response_length=received,
            exception=failure,
            context={},
            start_time=time.time() - nanoseconds / 1e9,
        )

    def settle(self) -> None:
        """Bring Locust's rows and our totals up to date."""
        self._due = clock() + _INTERVAL
        pending, self._pending = self._pending, Figures()
        well, self._well = self._well, {}
        for script, sessions in well.items():
            pending.add_all((*script.steps, Step.SESSION), sessions)
        if not pending.by_step:
            return
        self.total.merge(pending)
        self._fresh.merge(pending)
        untold = StepFigures()
        untold.times.add_all(self._untold)
        received, self._untold, self._received = self._received, [], 0
        stats = self._environment.stats
        # Of the sessions Locust has counted some by itself.
        for name, found in {**pending.by_step, Step.SESSION: untold}.items():
            if found.times.count:
                entry = _entry(stats, name, found)
                if found is untold:
                    entry.total_content_length = received
                stats.entries[name, REQUEST_TYPE].extend(entry)
                stats.total.extend(entry)
        for (step, error), count in pending.mishaps.items():
            key = StatsError.create_key(REQUEST_TYPE, step, error)
            known = stats.errors.get(key)
            if known is None:
                known = stats.errors[key] = StatsError(REQUEST_TYPE, step, error)
            known.occurred()
            known.occurrences += count - 1

    def take(self) -> Figures:
        """Return the figures since the last call."""
        self.settle()
        taken, self._fresh = self._fresh, Figures()
        return taken


def _entry(stats: Any, name: str, found: StepFigures) -> Any:
    """Return what Locust would have counted for this step by now."""
    times, now = found.times, time.time()
    entry = StatsEntry(stats, name, REQUEST_TYPE)
    entry.num_requests = times.count
    entry.num_failures = found.failures
    entry.total_response_time = times.total / NANOSECONDS
    entry.min_response_time = times.least / NANOSECONDS
    entry.max_response_time = times.most / NANOSECONDS
    entry.response_times = {middle / NANOSECONDS: count for middle, count in times.buckets.items()}
    entry.num_reqs_per_sec = {int(now): times.count}
    entry.num_fail_per_sec = {int(now): found.failures} if found.failures else {}
    entry.last_request_timestamp = now
    return entry


def meter_of(environment: Any) -> Meter:
    """Return the one meter of this Locust environment."""
    found: Meter | None = getattr(environment, "proxyspec_meter", None)
    if found is None:
        found = environment.proxyspec_meter = Meter(environment)
    return found
