"""Counts what the users of one process do, into our figures at once and into Locust's statistics now and then.

Of every session Locust hears one `request` event. Its rows for the single steps are filled from our histograms twice a
second: an event for each step would cost as much as the session. Importing this module patches the interpreter.
"""

from __future__ import annotations

import time
from typing import Any, Final

import locust.stats
from locust.stats import StatsEntry, StatsError

from proxyspec.load.dialogue import Script, Step, StepFailed
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
        #: What sessions took that went well, by their script: counted together later.
        self._well: dict[Script, list[list[int]]] = {}
        self._environment = environment
        self._due = clock() + _INTERVAL

    def reset(self) -> None:
        """Forget everything, as Locust does when a load begins or its user asks for it."""
        self.total, self._fresh, self._pending, self._well = Figures(), Figures(), Figures(), {}

    def add(self, line: Line, plan: str | None = None, foreseen: frozenset[str] = frozenset()) -> None:
        """Take a line that is over; `plan` names the early end it was for, if it was for one.

        A failure of a class in `foreseen` is none, but a planned end of that name.
        """
        dialogue, failure = line.dialogue, line.failure
        pending = self._pending
        error = None
        if failure is None:
            self._well.setdefault(dialogue.script, []).append(dialogue.taken)
            if plan is not None:
                pending.planned[plan] += 1
        else:
            for step, taken in zip(dialogue.script.steps, dialogue.taken, strict=False):
                pending.add(step, taken)
            error = str(failure)
            if error in foreseen:
                pending.planned[error] += 1
                error = None
            pending.add(failure.step, line.ended - dialogue.since, error)
        whole = line.ended - dialogue.begun
        pending.add(Step.SESSION, whole, error)
        self._fire(whole, dialogue.heard_bytes, failure if error is not None else None)
        if line.ended >= self._due:
            self.settle()

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
            pending.add_all(script.steps, sessions)
        if not pending.by_step:
            return
        self.total.merge(pending)
        self._fresh.merge(pending)
        stats = self._environment.stats
        for name, found in pending.by_step.items():
            # Locust has counted the sessions by itself.
            if name != Step.SESSION:
                entry = _entry(stats, name, found)
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
