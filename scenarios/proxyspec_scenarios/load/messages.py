"""Messages: large bodies, 1 MiB each unless --message-size or --message-file says otherwise, five a connection.

Alone:      locust -f messages.py --host smtp://127.0.0.1:2525
In proxyspec: proxyspec load smtp://127.0.0.1:2525 --profile messages --message-size 10485760
"""

from locust import task

from proxyspec.load.client import ProxySmtpUser
from proxyspec.load.plugin import Profile, declare

declare(
    Profile(
        users=10,
        spawn_rate=10,
        seconds=15,
        thresholds=("errors == 0", "p95(end_of_data) < 5s", "p99(header_to_banner) < 1s"),
    )
)


class Bulk(ProxySmtpUser):
    """Delivers several large messages a session."""

    message_size = 1024 * 1024
    messages = 5
    patience = 60.0

    @task  # type: ignore[untyped-decorator] # Locust carries no types we follow
    def deliver(self) -> None:
        """One session, connect to QUIT."""
        self.client.session()
