"""Users that make one long connection each: the load is over when the last of them is; importing this patches."""

from __future__ import annotations

from typing import Any

import gevent
from locust import events
from locust.runners import LocalRunner

__all__ = ["Cohort"]

#: Seconds from the last answer to the end of the load, so that the last user is gone too; or one more has come.
GRACE = 0.2


class Cohort:
    """Counts who is still connected. Where several processes share the load none sees them all: it lasts its time."""

    def __init__(self) -> None:
        self._environment: Any = None
        self._waiting = 0
        #: Somebody has begun: users are there a moment before they do anything.
        self._begun = False
        self._spawned = False
        events.test_start.add_listener(self._begin)
        events.spawning_complete.add_listener(self._complete)

    def __enter__(self) -> None:
        self._waiting += 1
        self._begun = True

    def __exit__(self, *_: object) -> None:
        self._waiting -= 1
        self._end_if_answered()

    def _begin(self, environment: Any, **_: Any) -> None:
        self._environment, self._waiting, self._begun, self._spawned = environment, 0, False, False

    def _complete(self, **_: Any) -> None:
        self._spawned = True
        self._end_if_answered()

    @property
    def _answered(self) -> bool:
        return self._spawned and self._begun and not self._waiting

    def _end_if_answered(self) -> None:
        if self._answered and isinstance(self._environment.runner, LocalRunner):
            gevent.spawn_later(GRACE, self._end)

    def _end(self) -> None:
        if self._answered:
            self._spawned = False
            runner = self._environment.runner
            (runner.quit if self._environment.web_ui is None else runner.stop)()
