"""Spike: ten times the users for a third of the time; afterwards sessions have to be as quick as before.

Alone:      locust -f spike.py --host smtp://127.0.0.1:2525
In proxyspec: proxyspec load smtp://127.0.0.1:2525 --profile spike --users 500
"""

from locust import constant_throughput

from proxyspec.load.judging import recovered
from proxyspec.load.plugin import Profile, declare
from proxyspec.load.shape import StagedShape
from proxyspec.load.stages import Stage
from proxyspec_scenarios.load._mail import Deliverer

declare(
    Profile(
        users=200,
        spawn_rate=200,
        seconds=30,
        thresholds=("errors < 0.1%", "p99(header_to_banner) < 2s"),
        checks=(recovered(0.3, 0.25, factor=3),),
    )
)


class Spike(StagedShape):
    """A tenth, all, a tenth."""

    stages = (Stage(1 / 3, 0.1), Stage(1 / 3, 1), Stage(1 / 3, 0.1))


class Sender(Deliverer):
    """Delivers up to ten messages a second, each in a session of its own."""

    wait_time = constant_throughput(10)
