"""Timeout: connections held without their header, or with a part of it, until the server's deadline; mail beside them.

Every held connection has to get its 421 at the declared deadline (--header-timeout), none earlier, and the greetings
of others must not wait for that. The load ends by itself when all have been answered; --time has to be longer than
the deadline.

Alone:      locust -f timeout.py --host smtp://127.0.0.1:2525
In proxyspec: proxyspec load smtp://127.0.0.1:2525 --profile timeout --users 10000
"""

import itertools
from collections.abc import Iterator
from typing import Any

import gevent
from locust import constant_throughput, events, task
from locust.exception import StopUser
from locust.runners import LocalRunner

from proxyspec.load.client import ProxySmtpUser
from proxyspec.load.plugin import Profile, declare
from proxyspec.load.scripts import Cut, hold

#: How late most may be, and how late any may be, in seconds.
MOST, ANY = 0.25, 1.0
#: How late an answer is still worth waiting for, in seconds.
SLACK = 10.0
#: Seconds from the last answer to the end of the load.
GRACE = 0.2

_cuts: Iterator[Cut] = itertools.cycle((Cut.NOTHING, Cut.HALF, Cut.ALMOST))


def _expected(deadline: float) -> tuple[str, ...]:
    return (
        "errors == 0",
        f"min(held) >= {deadline:g}s",
        f"p99(held) < {deadline + MOST:g}s",
        f"max(held) < {deadline + ANY:g}s",
        "p99(header_to_banner) < 1s",
    )


declare(Profile(users=500, spawn_rate=1000, seconds=60, thresholds=_expected))


class Held:
    """How many connections are still to be answered, so that the load can end when none is any more."""

    def __init__(self) -> None:
        self._environment: Any = None
        self._waiting = 0
        self._spawned = False

    def begin(self, environment: Any, **_: Any) -> None:
        """Start counting anew."""
        self._environment, self._waiting, self._spawned = environment, 0, False

    def complete(self, **_: Any) -> None:
        """All users are there."""
        self._spawned = True
        self._end_if_answered()

    def asked(self) -> None:
        """Take note that one more is held."""
        self._waiting += 1

    def answered(self) -> None:
        """Take note that one is over; the last one ends the load."""
        self._waiting -= 1
        self._end_if_answered()

    def _end_if_answered(self) -> None:
        runner = self._environment.runner
        if self._spawned and not self._waiting and isinstance(runner, LocalRunner):
            # A moment later, when the last user is gone too.
            gevent.spawn_later(GRACE, runner.quit if self._environment.web_ui is None else runner.stop)


_held = Held()
events.test_start.add_listener(_held.begin)
events.spawning_complete.add_listener(_held.complete)


class Holder(ProxySmtpUser):
    """Holds one connection and goes when it is over."""

    @task  # type: ignore[untyped-decorator] # Locust carries no types we follow
    def hold(self) -> None:
        """Silence until the server says 421 and ends the connection."""
        _held.asked()
        deadline = self.environment.parsed_options.header_timeout
        self.client.play(hold(), next(_cuts), patience=deadline + SLACK)
        _held.answered()
        raise StopUser


class Mailer(ProxySmtpUser):
    """Ordinary mail, whose greetings must not be late."""

    fixed_count = 10
    wait_time = constant_throughput(10)

    @task  # type: ignore[untyped-decorator] # Locust carries no types we follow
    def deliver(self) -> None:
        """One session, connect to QUIT."""
        self.client.session()
