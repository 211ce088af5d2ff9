"""The shape of a load as Locust wants it; importing this module patches the interpreter."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from locust import LoadTestShape

from proxyspec.load.stages import Stage, users_at

__all__ = ["StagedShape"]


class StagedShape(LoadTestShape):  # type: ignore[misc] # Locust carries no types we follow
    """Users by stages. `--users` is the most at once, `--run-time` the time of all stages together."""

    abstract = True
    use_common_options = True

    #: What follows what; their times add up to 1.
    stages: ClassVar[Sequence[Stage]] = (Stage(1, 1),)
    #: The time where none is given, seconds.
    default_seconds: ClassVar[float] = 15

    def tick(self) -> tuple[int, float] | None:
        """Return users and spawn rate of now, or None when all is over."""
        chosen: Any = self.runner.environment.parsed_options
        seconds = float(chosen.run_time or self.default_seconds)
        users = users_at(self.stages, self.get_run_time(), seconds, chosen.num_users)
        return None if users is None else (users, max(float(chosen.spawn_rate or 0), float(users)))
