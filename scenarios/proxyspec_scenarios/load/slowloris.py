"""Slowloris: headers that trickle, some in time, some never; only the deadline may end the latter, with a 421.

Those that are complete in time have to be greeted; a server whose clock begins anew with every byte never ends the
others. The load ends by itself when all have been answered; --time has to be longer than the deadline.

Alone:      locust -f slowloris.py --host smtp://127.0.0.1:2525
In proxyspec: proxyspec load smtp://127.0.0.1:2525 --profile slowloris --users 1000
"""

from locust import constant_throughput, task
from locust.exception import StopUser

from proxyspec.load.client import ProxySmtpUser
from proxyspec.load.cohort import Cohort
from proxyspec.load.judging import happened
from proxyspec.load.plugin import Profile, declare
from proxyspec.load.scripts import drip, drip_endlessly
from proxyspec_scenarios.load._held import SLACK, expected
from proxyspec_scenarios.load._mail import Deliverer

#: What those are counted as whose header is whole in time.
IN_TIME = "header in pieces"
#: Parts of the deadline between two pieces: the longest of our headers is whole in half of it, or never.
QUICK, SLOW = 1 / 80, 1 / 10


declare(
    Profile(
        users=300,
        spawn_rate=1000,
        seconds=60,
        thresholds=expected,
        checks=(happened(IN_TIME, "headers in pieces that were served"),),
        needs_header=True,
    )
)

_cohort = Cohort()


class Patient(ProxySmtpUser):
    """Sends its header three bytes at a time, in half the deadline at most, and is served."""

    @task  # type: ignore[untyped-decorator] # Locust carries no types we follow
    def trickle(self) -> None:
        """One session, if a short one."""
        with _cohort:
            deadline = self.environment.parsed_options.header_timeout
            self.client.play(drip(3, round(deadline * QUICK, 6)), plan=IN_TIME, patience=deadline + SLACK)
        raise StopUser


class Endless(ProxySmtpUser):
    """Sends its header byte by byte, so slowly that the deadline comes first."""

    weight = 2

    @task  # type: ignore[untyped-decorator] # Locust carries no types we follow
    def trickle(self) -> None:
        """Bytes until the server says 421 and ends the connection."""
        with _cohort:
            deadline = self.environment.parsed_options.header_timeout
            self.client.play(drip_endlessly(1, round(deadline * SLOW, 6)), patience=deadline + SLACK)
        raise StopUser


class Mailer(Deliverer):
    """Ordinary mail, whose greetings must not be late."""

    fixed_count = 10
    wait_time = constant_throughput(10)
