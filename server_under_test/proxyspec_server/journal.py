"""The log: one JSON object a line, one line a step of a connection."""

import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from time import time
from typing import BinaryIO, TypeAlias

from proxyspec_server.visible import visible

MAX_STRING = 400
"""Longest string of an entry, in characters."""
MAX_LINE = 4096
"""Longest line in bytes: what a pipe takes in one piece, so that lines of several processes stay whole (pipe(7))."""
_SHORT_STRING = 40
_SHORT_LIST = 20

Value: TypeAlias = "str | int | float | bool | list[str] | Mapping[str, Value] | None"


class Step(StrEnum):
    """The kinds of entry."""

    LISTENING = "listening"
    LIMITS = "limits"
    RELOADED = "reloaded"
    TROUBLE = "trouble"
    """Something outside failed and the server carries on: a bad trust list, no descriptors left."""
    FAULT = "fault"
    """Something inside failed and one connection was lost to it."""
    METRICS = "metrics"
    """What has been counted so far, asked for by SIGUSR1."""
    STOPPED = "stopped"

    CONNECTED = "connected"
    HEADER = "header"
    REFUSED = "refused"
    TLS = "tls"
    """A handshake is done, or has failed."""
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
        head: dict[str, Value] = {"time": now, "event": step.value}
        line = _line(head | {key: _safe(value) for key, value in details.items()})
        if len(line) > MAX_LINE:
            line = _line(head | {key: _shortened(value) for key, value in details.items()})
        try:
            self._stream.write(line)
            self._stream.flush()
        except OSError as error:
            self._stream = None
            print(f"the log cannot be written any more: {error.strerror or error}", file=sys.stderr, flush=True)

    def close(self) -> None:
        """Close the stream, unless it is standard output."""
        if self._stream is not None and self._stream is not sys.stdout.buffer:
            self._stream.close()
        self._stream = None


def _line(entry: dict[str, Value]) -> bytes:
    return json.dumps(entry, separators=(",", ":")).encode("ascii") + b"\n"


def _shortened(value: Value) -> Value:
    if isinstance(value, str):
        return visible(value, _SHORT_STRING)
    if isinstance(value, list):
        return [visible(item, _SHORT_STRING) for item in value[:_SHORT_LIST]]
    if isinstance(value, Mapping):
        return {key: _shortened(item) for key, item in value.items()}
    return value


def _safe(value: Value) -> Value:
    if isinstance(value, str):
        return visible(value, MAX_STRING)
    if isinstance(value, list):
        return [visible(item, MAX_STRING) for item in value]
    if isinstance(value, Mapping):
        return {key: _safe(item) for key, item in value.items()}
    return value
