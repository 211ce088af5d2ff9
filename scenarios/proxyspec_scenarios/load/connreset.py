"""Connreset: connections that end early in every way health checks and broken clients know, with mail beside them.

What the server has to show: mail goes on unharmed, and (with --server-metrics, of the reference server) every planned
end is counted as what it was, unless an HAProxy stands between; with --pid, that no descriptor is left open.

Alone:      locust -f connreset.py --host smtp://127.0.0.1:2525
In proxyspec: proxyspec load smtp://127.0.0.1:2525 --profile connreset --server-metrics http://127.0.0.1:9100/metrics.json
"""

import itertools
from collections.abc import Iterator
from typing import Any

from locust import constant_throughput, events, task
from locust.runners import WorkerRunner

from proxyspec.load.client import ProxySmtpUser
from proxyspec.load.counters import compare, read_endings, settled
from proxyspec.load.judging import Evidence, no_growth
from proxyspec.load.plugin import Profile, declare
from proxyspec.load.scripts import PATTERNS, Pattern
from proxyspec.records import Threshold
from proxyspec_scenarios.load._mail import Deliverer

_turns: Iterator[Pattern] = itertools.cycle(PATTERNS)


class Counted:
    """The server's counters before the load, and the judgement after it; without a URL there is none."""

    def __init__(self) -> None:
        self.url: str | None = None
        self.before: dict[str, int] = {}

    def begin(self, environment: Any, **_: Any) -> None:
        """Read the counters when the load begins."""
        if isinstance(environment.runner, WorkerRunner):
            # The master judges; the counters may not even be within a worker's reach.
            return
        chosen = environment.parsed_options
        # HAProxy keeps early ends from the server, and ends connections by itself: there are no counts to compare.
        self.url = chosen.server_metrics if chosen.haproxy_stats is None else None
        if self.url is not None:
            self.before = read_endings(self.url)

    def judge(self, evidence: Evidence) -> list[Threshold]:
        """Hold what was planned against what was counted since."""
        figures = evidence.figures
        url = self.url
        if url is None:
            return []
        # Sessions whose connection never came about ended nowhere.
        wanted = sum(self.before.values()) + figures.sessions
        return compare(PATTERNS, figures.planned, self.before, settled(lambda: read_endings(url), wanted))


_counted = Counted()
events.test_start.add_listener(_counted.begin)

declare(
    Profile(
        users=50,
        spawn_rate=50,
        seconds=15,
        thresholds=("errors == 0", "p99(header_to_banner) < 1s"),
        checks=(_counted.judge, no_growth()),
    )
)


class Ender(ProxySmtpUser):
    """Ends one connection after another early, every time in the next way."""

    @task  # type: ignore[untyped-decorator] # Locust carries no types we follow
    def end(self) -> None:
        """One connection that never becomes a session."""
        self.client.end(next(_turns))


class Mailer(Deliverer):
    """Ordinary mail, which must not notice."""

    fixed_count = 5
    wait_time = constant_throughput(20)
