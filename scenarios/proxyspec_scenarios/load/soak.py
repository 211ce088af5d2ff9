"""Soak: moderate mail for an hour; sessions must not slow down and, with --pid, memory and descriptors not grow.

Alone:      locust -f soak.py --host smtp://127.0.0.1:2525 --server-pid 4711
In proxyspec: proxyspec load smtp://127.0.0.1:2525 --profile soak --time 8h --pid 4711
"""

from locust import constant_throughput

from proxyspec.load.judging import no_growth, recovered
from proxyspec.load.plugin import Profile, declare
from proxyspec_scenarios.load._mail import Deliverer

#: How much more memory the server may use at the end than after the first quarter, as a share.
GROWTH = 0.1

declare(
    Profile(
        users=50,
        spawn_rate=10,
        seconds=3600,
        thresholds=("errors < 0.01%", "p99(session) < 1s"),
        checks=(recovered(0.25, 0.25, factor=2), no_growth(memory=GROWTH)),
    )
)


class Soak(Deliverer):
    """Delivers up to two messages a second, each in a session of its own."""

    wait_time = constant_throughput(2)
