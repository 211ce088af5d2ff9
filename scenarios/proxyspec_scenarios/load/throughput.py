"""Throughput: users doubled step by step up to saturation, each running session after session; finds the knee.

The knee is the fewest users that reach nearly the best rate; --users is what the last step has.

Alone:      locust -f throughput.py --host smtp://127.0.0.1:2525
In proxyspec: proxyspec load smtp://127.0.0.1:2525 --profile throughput
"""

from locust import task

from proxyspec.load.client import ProxySmtpUser
from proxyspec.load.plugin import Profile, declare
from proxyspec.load.shape import StagedShape
from proxyspec.load.stages import STEPS

declare(
    Profile(
        users=64,
        spawn_rate=64,
        seconds=24,
        thresholds=("errors < 0.1%", "p95(session) < 1s"),
    )
)


class Steps(StagedShape):
    """From a thirty-second part of the users to all of them."""

    stages = STEPS


class Throughput(ProxySmtpUser):
    """Delivers one message a session."""

    @task  # type: ignore[untyped-decorator] # Locust carries no types we follow
    def deliver(self) -> None:
        """One session, connect to QUIT."""
        self.client.session()
