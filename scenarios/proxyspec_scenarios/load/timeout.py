"""Timeout: connections held without their header, or with a part of it, until the server's deadline; mail beside them.

Every held connection has to get its 421 at the declared deadline (--header-timeout), none earlier, and the greetings
of others must not wait for that. The load ends by itself when all have been answered; --time has to be longer than
the deadline.

Alone:      locust -f timeout.py --host smtp://127.0.0.1:2525
In proxyspec: proxyspec load smtp://127.0.0.1:2525 --profile timeout --users 10000
"""

import itertools
from collections.abc import Iterator

from locust import constant_throughput, task
from locust.exception import StopUser

from proxyspec.load.client import ProxySmtpUser
from proxyspec.load.cohort import Cohort
from proxyspec.load.plugin import Profile, declare
from proxyspec.load.scripts import Cut, hold
from proxyspec_scenarios.load._held import SLACK, expected
from proxyspec_scenarios.load._mail import Deliverer

_cuts: Iterator[Cut] = itertools.cycle((Cut.NOTHING, Cut.HALF, Cut.ALMOST))


declare(Profile(users=500, spawn_rate=1000, seconds=60, thresholds=expected, needs_header=True))


_cohort = Cohort()


class Holder(ProxySmtpUser):
    """Holds one connection and goes when it is over."""

    @task  # type: ignore[untyped-decorator] # Locust carries no types we follow
    def hold(self) -> None:
        """Silence until the server says 421 and ends the connection."""
        with _cohort:
            deadline = self.environment.parsed_options.header_timeout
            self.client.play(hold(), next(_cuts), patience=deadline + SLACK)
        raise StopUser


class Mailer(Deliverer):
    """Ordinary mail, whose greetings must not be late."""

    fixed_count = 10
    wait_time = constant_throughput(10)
