"""Throughput: every user runs one whole SMTP session after another, as fast as the server lets it.

Alone:      locust -f throughput.py --host smtp://127.0.0.1:2525
In proxyspec: proxyspec load smtp://127.0.0.1:2525 --profile throughput
"""

from locust import task

from proxyspec.load.client import ProxySmtpUser
from proxyspec.load.plugin import Profile, declare

declare(
    Profile(
        users=20,
        spawn_rate=20,
        seconds=15,
        thresholds=("errors < 0.1%", "p95(session) < 1s"),
    )
)


class Throughput(ProxySmtpUser):
    """Delivers one message a session."""

    @task  # type: ignore[untyped-decorator] # Locust carries no types we follow
    def deliver(self) -> None:
        """One session, connect to QUIT."""
        self.client.session()
