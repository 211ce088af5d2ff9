"""HAProxy's log as a bounded list of lines that are safe to show."""

from __future__ import annotations

import threading
from collections import deque
from typing import Final

__all__ = ["LogLines", "visible"]

_MAX_LINES: Final = 50_000
_MAX_LINE_BYTES: Final = 8_192


def visible(text: str) -> str:
    r"""Return the text with control and other unprintable characters written as \xNN or \uNNNN."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


class LogLines:
    """Cut chunks of output into lines; keeps the newest ones, and may be read while another thread feeds it."""

    def __init__(self, *, max_lines: int = _MAX_LINES, max_line_bytes: int = _MAX_LINE_BYTES) -> None:
        """max_lines and max_line_bytes bound the memory a talkative or hostile peer can make HAProxy's log take."""
        self._lines: deque[str] = deque(maxlen=max_lines)
        self._max_line_bytes = max_line_bytes
        self._rest = b""
        self._seen = 0
        self._lock = threading.Lock()

    def feed(self, chunk: bytes) -> None:
        """Take the next piece of output, cut anywhere."""
        with self._lock:
            *whole, self._rest = (self._rest + chunk).split(b"\n")
            for line in whole:
                self._add(line)
            while len(self._rest) > self._max_line_bytes:
                self._add(self._rest[: self._max_line_bytes])
                self._rest = self._rest[self._max_line_bytes :]

    def end(self) -> None:
        """Take what is left after the last newline as a line of its own."""
        with self._lock:
            if self._rest:
                self._add(self._rest)
                self._rest = b""

    def _add(self, line: bytes) -> None:
        text = line[: self._max_line_bytes].decode("utf-8", "replace").rstrip("\r")
        self._lines.append(visible(text))
        self._seen += 1

    @property
    def seen(self) -> int:
        """How many lines there have been in all: a place to come back to with `since`."""
        with self._lock:
            return self._seen

    def since(self, mark: int) -> tuple[str, ...]:
        """Return the lines after an earlier value of `seen`, as far as they are still kept."""
        with self._lock:
            wanted = min(self._seen - mark, len(self._lines))
            return tuple(self._lines)[len(self._lines) - wanted :]

    def all(self) -> tuple[str, ...]:
        """Return every line still kept, oldest first."""
        return self.since(0)
