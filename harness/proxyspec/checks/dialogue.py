"""What a scripted server says to a check: bytes in, actions out, no I/O."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from proxyspec.checks.model import Behind
from proxyspec.checks.openings import header_in

__all__ = ["Act", "Close", "Dialogue", "Forget", "Write"]

#: Longest line taken for a command; a longer one is answered with 500 (RFC 5321, section 4.5.3.1.4, has 512).
MAX_LINE: Final = 512
#: Pause between two lines of an answer that is given line by line, in seconds.
BETWEEN_LINES: Final = 0.025
#: How long an unaware server thinks about the header, in seconds.
THINKING: Final = 0.05
#: How late a slow server greets, in seconds.
SLOWNESS: Final = 0.3
#: How long a server with a deadline of its own waits for a header, in seconds.
PATIENCE: Final = 0.2

_NAME: Final = b"mx.proxyspec.test"
_GREETING: Final = b"220 %b ESMTP\r\n" % _NAME
_BUSY: Final = b"421 4.3.2 %b too many connections\r\n" % _NAME
_TIMED_OUT: Final = b"421 PROXY timed out\r\n"
_UNKNOWN: Final = b"500 5.5.1 unknown command\r\n"
_EHLO: Final = (
    b"250-%b at your service\r\n" % _NAME,
    b"250-PIPELINING\r\n",
    b"250-SIZE 1000000\r\n",
    b"250 8BITMIME\r\n",
)


@dataclass(frozen=True, slots=True)
class Write:
    """Send `data` as one segment, `after` seconds after what was to be done before."""

    data: bytes
    after: float = 0.0


@dataclass(frozen=True, slots=True)
class Close:
    """Send a FIN once everything is written, and drop what still comes."""


@dataclass(frozen=True, slots=True)
class Forget:
    """Do nothing of what was to be done and is not."""


Act = Write | Close | Forget


@dataclass(slots=True)
class Dialogue:
    """The talk of one connection; `wants_header` tells whether the server waits for a header before it greets."""

    behind: Behind
    wants_header: bool
    _buffer: bytes = b""
    _greeted: bool = field(default=False, init=False)
    _closed: bool = field(default=False, init=False)

    def connected(self) -> list[Act]:
        """Begin; a server that waits for no header speaks first."""
        if self.behind is Behind.BUSY:
            self._closed = True
            return [Write(_BUSY), Close()]
        if self.behind is Behind.DEADLINE and self.wants_header:
            return [Write(_TIMED_OUT, PATIENCE), Close()]
        if self.behind is Behind.UNAWARE:
            return []  # greets with its answer to the first line, in one segment
        if not self.wants_header or self.behind is Behind.UNAWARE_LATER:
            return self._greet()
        return []

    def received(self, data: bytes) -> list[Act]:
        """Take bytes; returns what to do about them."""
        if self._closed or not data:
            return []
        self._buffer += data
        acts: list[Act] = []
        if not self._greeted and self.wants_header and self.behind is not Behind.UNAWARE and not self._take_header():
            return []
        if not self._greeted:
            acts += [Forget(), *self._greet()]
        while not self._closed and (line := self._line()) is not None:
            acts += self._answer(line)
        return acts

    def _take_header(self) -> bool:
        """Remove a whole header from the buffer; say whether one was there."""
        header = header_in(self._buffer)
        v1 = header.startswith(b"PROXY") and header.endswith(b"\n")
        v2 = len(header) >= 16 and not header.startswith(b"PROXY") and len(header) == 16 + int.from_bytes(header[14:16])
        if not (v1 or v2):
            self._buffer = self._buffer[: MAX_LINE + 1]
            return False
        self._buffer = self._buffer[len(header) :]
        return True

    def _greet(self) -> list[Act]:
        self._greeted = True
        match self.behind:
            case Behind.MULTI_LINE:
                return [Write(b"220-%b\r\n" % _NAME + _GREETING)]
            case Behind.SLOW:
                return [Write(_GREETING, SLOWNESS)]
            case _:
                return [Write(_GREETING)]

    def _line(self) -> bytes | None:
        line, newline, rest = self._buffer.partition(b"\n")
        if not newline:
            if len(self._buffer) <= MAX_LINE:
                return None
            line, rest = self._buffer, b""
        self._buffer = rest
        return line.rstrip(b"\r")

    def _answer(self, line: bytes) -> list[Act]:
        match line[:4].upper():
            case b"HELO":
                return [Write(b"250 %b\r\n" % _NAME)]
            case b"EHLO" if self.behind is Behind.LINE_BY_LINE:
                return [Write(_EHLO[0]), *(Write(part, BETWEEN_LINES) for part in _EHLO[1:])]
            case b"EHLO":
                return [Write(b"".join(_EHLO))]
            case b"QUIT":
                self._closed = True
                return [Write(b"221 2.0.0 %b bye\r\n" % _NAME), Close()]
            case _:
                return [Write(_UNKNOWN, THINKING if self.behind is Behind.UNAWARE_LATER else 0.0)]
