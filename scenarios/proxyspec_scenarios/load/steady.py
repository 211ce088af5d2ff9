"""Steady: the same number of users all the time, each session right behind the one before.

Alone:      locust -f steady.py --host smtp://127.0.0.1:2525
In proxyspec: proxyspec load smtp://127.0.0.1:2525 --profile steady --users 50 --time 1m
"""

from locust import task

from proxyspec.load.client import ProxySmtpUser
from proxyspec.load.plugin import Profile, declare

declare(
    Profile(
        users=20,
        spawn_rate=20,
        seconds=30,
        thresholds=("errors < 0.1%", "p95(session) < 1s", "p99(header_to_banner) < 1s"),
    )
)


class Steady(ProxySmtpUser):
    """Delivers one message a session."""

    @task  # type: ignore[untyped-decorator] # Locust carries no types we follow
    def deliver(self) -> None:
        """One session, connect to QUIT."""
        self.client.session()
