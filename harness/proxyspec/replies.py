"""SMTP replies read out of a transcript's bytes (RFC 5321, section 4.2)."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

__all__ = ["MAX_LINE", "Reply", "ReplyReader", "parse_replies"]

#: A line longer than this is cut off and counts as no reply; RFC 5321 allows 512 octets (section 4.5.3.1.5).
MAX_LINE = 4096

_LINE = re.compile(rb"([2-5][0-9]{2})(?:([ -])(.*))?", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Reply:
    """One complete reply; `code` is None for a line that is no SMTP reply at all."""

    code: int | None
    lines: tuple[bytes, ...]
    #: When its last byte arrived, in seconds since the connection was asked for.
    at: float

    @property
    def positive(self) -> bool:
        """A 2xx or 3xx reply."""
        return self.code is not None and self.code < 400


class ReplyReader:
    """Collects replies from pieces of any size; memory is bounded by `MAX_LINE` and the lines of one reply."""

    #: Lines of a multi-line reply beyond this are dropped.
    MAX_LINES = 256

    def __init__(self) -> None:
        self._rest = bytearray()
        self._lines: list[bytes] = []
        self._skipping = False

    def feed(self, data: bytes, at: float) -> list[Reply]:
        """Return the replies that `data`, received at `at` seconds, completed."""
        replies = []
        self._rest += data
        start = 0
        while (end := self._rest.find(b"\n", start)) >= 0:
            line = bytes(self._rest[start:end]).removesuffix(b"\r")
            start = end + 1
            if self._skipping:
                self._skipping = False
            elif (reply := self._line(line, at)) is not None:
                replies.append(reply)
        del self._rest[:start]
        if len(self._rest) > MAX_LINE:
            if not self._skipping and (reply := self._line(bytes(self._rest[:MAX_LINE]), at)) is not None:
                replies.append(reply)
            self._skipping = True
            self._rest.clear()
        return replies

    def _line(self, line: bytes, at: float) -> Reply | None:
        match = _LINE.fullmatch(line)
        if match is None or len(line) >= MAX_LINE:
            self._lines.clear()
            return Reply(None, (line[:MAX_LINE],), at)
        if len(self._lines) < self.MAX_LINES:
            self._lines.append(match[3] or b"")
        if match[2] == b"-":
            return None
        reply = Reply(int(match[1]), tuple(self._lines), at)
        self._lines.clear()
        return reply


def parse_replies(pieces: Iterable[tuple[float, bytes]]) -> tuple[Reply, ...]:
    """Return every complete reply in `pieces` of (time, bytes), in order."""
    reader = ReplyReader()
    return tuple(reply for at, data in pieces for reply in reader.feed(data, at))
