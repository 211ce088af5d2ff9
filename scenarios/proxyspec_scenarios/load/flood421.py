"""Flood421: more connections than the server takes; each has to be served or told 421 at once, none may hang.

Start the server with a limit below --users, or lower the limit: a load in which nobody is turned away fails, because
it has shown nothing.

Alone:      locust -f flood421.py --host smtp://127.0.0.1:2525
In proxyspec: proxyspec load smtp://127.0.0.1:2525 --profile flood421 --users 500
"""

from locust import constant_throughput, task

from proxyspec.load.client import ProxySmtpUser
from proxyspec.load.judging import happened, no_growth, served
from proxyspec.load.plugin import Profile, declare
from proxyspec.load.scripts import linger

#: What a connection is told that the server has no room for.
TURNED_AWAY = "421 at banner"
#: Seconds that those stay who are let in.
STAY = 1.0

declare(
    Profile(
        users=300,
        spawn_rate=300,
        seconds=15,
        thresholds=("errors == 0", "p99(header_to_banner) < 1s", "max(header_to_banner) < 5s"),
        checks=(happened(TURNED_AWAY, "connections turned away"), served("quit", "connections served"), no_growth()),
    )
)


class Crowd(ProxySmtpUser):
    """Comes in and stays a while, or is turned away and comes again."""

    wait_time = constant_throughput(10)

    @task  # type: ignore[untyped-decorator] # Locust carries no types we follow
    def come(self) -> None:
        """One connection without mail."""
        self.client.play(linger(STAY), foreseen=frozenset({TURNED_AWAY}))
