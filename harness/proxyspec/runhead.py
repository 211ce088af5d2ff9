"""What the record of every run begins with: its id, when it began and how it ended, its command line and its place."""

from __future__ import annotations

import platform
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Literal, TypedDict

import proxyspec
from proxyspec.records import Environment, HAProxyRecord

__all__ = ["Begun", "RunHead", "environment"]


class RunHead(TypedDict):
    """The fields of `RunBase` that do not depend on what was found; `duration` is in seconds."""

    id: str
    started: datetime
    duration: float
    status: Literal["complete", "interrupted"]
    command: list[str]
    environment: Environment


def environment(haproxy: HAProxyRecord | None) -> Environment:
    """Describe where this run takes place."""
    return Environment(
        proxyspec=proxyspec.__version__,
        python=platform.python_version(),
        platform=f"{platform.system()} {platform.release()} {platform.machine()}",
        haproxy=haproxy,
    )


@dataclass(frozen=True, slots=True)
class Begun:
    """A run that began when this was made."""

    id: str
    started: datetime = field(default_factory=lambda: datetime.now(UTC))
    clock: float = field(default_factory=time.monotonic)

    def head(
        self, *, interrupted: bool, command: Sequence[str] | None = None, haproxy: HAProxyRecord | None = None
    ) -> RunHead:
        """Return the head of a run that ends now; `command` is this process's own command line if not given."""
        return RunHead(
            id=self.id,
            started=self.started,
            duration=round(time.monotonic() - self.clock, 3),
            status="interrupted" if interrupted else "complete",
            command=list(sys.argv[1:] if command is None else command),
            environment=environment(haproxy),
        )
