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
        self._rest = b""
        self._lines: list[bytes] = []
        self._skipping = False

    def feed(self, data: bytes, at: float) -> list[Reply]:
        """Return the replies that `data`, received at `at` seconds, completed."""
        replies = []
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            if self._skipping:
                self._skipping = False
            elif (reply := self._line(line.removesuffix(b"\r"), at)) is not None:
                replies.append(reply)
        if len(self._rest) > MAX_LINE:
            if not self._skipping and (reply := self._line(self._rest[:MAX_LINE], at)) is not None:
                replies.append(reply)
            self._skipping = True
            self._rest = b""
        return replies

    def _line(self, line: bytes, at: float) -> Reply | None:
        match = _LINE.fullmatch(line)
        if match is None or len(line) >= MAX_LINE:
            self._lines.clear()
            return Reply(None, (line[:MAX_LINE],), at)
        code, more, text = match.groups()
        if len(self._lines) < self.MAX_LINES:
            self._lines.append(text or b"")
        if more == b"-":
            return None
        reply = Reply(int(code), tuple(self._lines), at)
        self._lines.clear()
        return reply


def parse_replies(pieces: Iterable[tuple[float, bytes]]) -> tuple[Reply, ...]:
    """Return every complete reply in `pieces` of (time, bytes), in order."""
    reader = ReplyReader()
    return tuple(reply for at, data in pieces for reply in reader.feed(data, at))
