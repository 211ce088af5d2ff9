"""The log: one JSON object a line, one line a step of a connection."""

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from time import time
from typing import BinaryIO

from proxyspec_server.visible import visible

MAX_STRING = 400
"""Longest string of an entry, in characters."""

Value = str | int | float | bool | None | list[str]


class Step(StrEnum):
    """The kinds of entry."""

    LISTENING = "listening"
    LIMITS = "limits"
    RELOADED = "reloaded"
    TROUBLE = "trouble"
    """Something outside failed and the server carries on: a bad trust list, no descriptors left."""
    FAULT = "fault"
    """Something inside failed and one connection was lost to it."""
    STOPPED = "stopped"

    CONNECTED = "connected"
    HEADER = "header"
    REFUSED = "refused"
    GREETED = "greeted"
    HELO = "helo"
    MESSAGE = "message"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True)
class Note:
    """An entry on its way to the journal."""

    step: Step
    details: dict[str, Value] = field(default_factory=dict)


class Journal:
    """Writes entries to a binary stream, each flushed at once so that a reader sees it. A pipe has to be read: the
    server waits when it is full.

    Strings are cut and their control characters escaped; the output is ASCII. When the stream fails, for want of
    space or of a reader, the journal says so once on standard error and goes silent: mail goes on.
    """

    def __init__(self, stream: BinaryIO | None, clock: Callable[[], float] = time) -> None:
        """`stream` None discards everything. `clock` gives seconds since the epoch."""
        self._stream = stream
        self._clock = clock

    @classmethod
    def open(cls, target: str) -> "Journal":
        """Open `target`: a path to append to, "-" for standard output, "none". Raises OSError."""
        if target == "none":
            return cls(None)
        if target == "-":
            return cls(sys.stdout.buffer)
        return cls(Path(target).open("ab"))

    @property
    def enabled(self) -> bool:
        """Whether entries go anywhere."""
        return self._stream is not None

    def record(self, step: Step, **details: Value) -> None:
        """Write one entry."""
        if self._stream is None:
            return
        now = datetime.fromtimestamp(self._clock(), UTC).isoformat(timespec="milliseconds")
        entry: dict[str, Value] = {"time": now, "event": step.value}
        for key, value in details.items():
            entry[key] = _safe(value)
        try:
            self._stream.write(json.dumps(entry, separators=(",", ":")).encode("ascii") + b"\n")
            self._stream.flush()
        except OSError as error:
            self._stream = None
            print(f"the log cannot be written any more: {error.strerror or error}", file=sys.stderr, flush=True)

    def close(self) -> None:
        """Close the stream, unless it is standard output."""
        if self._stream is not None and self._stream is not sys.stdout.buffer:
            self._stream.close()
        self._stream = None


def _safe(value: Value) -> Value:
    if isinstance(value, str):
        return visible(value, MAX_STRING)
    if isinstance(value, list):
        return [visible(item, MAX_STRING) for item in value]
    return value
