"""A run as a stream of JSON lines for programs that watch it, the same events its directory keeps."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import TextIO

from proxyspec.conformance import Listener, Preflight
from proxyspec.records import CaseRecord, ConformanceRun

__all__ = ["Chorus", "JsonLines"]


class JsonLines(Listener):
    """Writes a line when the sanity check is over, one a verdict, and one at the end (`finished`)."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def _line(self, text: str) -> None:
        self._stream.write(text + "\n")
        self._stream.flush()

    def preflight(self, found: Preflight) -> None:
        """The target can be judged, or not."""
        self._line(json.dumps({"event": "preflight", "oracle": found.oracle, "unjudgeable": found.unjudgeable}))

    def judged(self, record: CaseRecord) -> None:
        """One more verdict."""
        self._line(json.dumps({"event": "case-judged", **record.model_dump(mode="json")}))

    def remark(self, words: str) -> None:
        """Something makes the run longer."""
        self._line(json.dumps({"event": "remark", "text": words}))

    def finished(self, run: ConformanceRun) -> None:
        """The run is over."""
        fields = {"id": run.id, "status": run.status, "exit_code": run.exit_code, "duration": run.duration}
        stale = run.baseline.stale if run.baseline is not None else []
        self._line(json.dumps({"event": "run-finished", **fields, "unjudgeable": run.unjudgeable, "stale": stale}))


class Chorus(Listener):
    """Tells several listeners the same."""

    def __init__(self, listeners: Iterable[Listener]) -> None:
        self._listeners = tuple(listeners)

    def preflight(self, found: Preflight) -> None:
        """Pass it on."""
        for listener in self._listeners:
            listener.preflight(found)

    def judged(self, record: CaseRecord) -> None:
        """Pass it on."""
        for listener in self._listeners:
            listener.judged(record)

    def remark(self, words: str) -> None:
        """Pass it on."""
        for listener in self._listeners:
            listener.remark(words)
