"""One SMTP session as a script of exchanges, without I/O: what to send next, and which reply it waits for."""

from __future__ import annotations

import enum
from collections import deque
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from proxyspec.load.options import SessionOptions
from proxyspec.replies import Reply, ReplyReader

__all__ = ["Dialogue", "Exchange", "Step", "StepFailed", "message", "script"]

#: A server that sends more than this within one session is cut off, in bytes.
MAX_HEARD = 1024 * 1024


class Step(enum.StrEnum):
    """The timed parts of a session, in order, and the whole of it."""

    CONNECT = "connect"
    #: From the first byte of the header (without a header: from the established connection) to the whole greeting.
    HEADER_TO_BANNER = "header_to_banner"
    EHLO = "ehlo"
    MAIL = "mail"
    RCPT = "rcpt"
    DATA = "data"
    #: From the first byte of the message to the reply to its final dot.
    END_OF_DATA = "end_of_data"
    QUIT = "quit"
    #: From the call of connect to the reply to QUIT, or to the failure.
    SESSION = "session"

    @property
    def short(self) -> str:
        """The name in the class of a failure: `421 at banner`."""
        return "banner" if self is Step.HEADER_TO_BANNER else self.value


class StepFailed(Exception):
    """A step did not end as the script wants it; `str()` is its class, few of which exist: `421 at banner`."""

    def __init__(self, step: Step, what: str) -> None:
        super().__init__(f"{what} at {step.short}")
        self.step = step
        self.what = what


@dataclass(frozen=True, slots=True)
class Exchange:
    """Bytes to send and the reply codes that count as success (RFC 5321, section 4.3.2)."""

    step: Step
    send: bytes
    codes: frozenset[int]


_HEADER_SECTION: Final = (
    b"Date: Thu, 01 Jan 1970 00:00:00 +0000\r\nFrom: <load@client.example>\r\n"
    b"To: <sink@server.example>\r\nSubject: load\r\n\r\n"
)

_LINE: Final = b"x" * 76 + b"\r\n"


@lru_cache(maxsize=8)
def message(size: int) -> bytes:
    """Return a message of exactly `size` bytes (`MIN_MESSAGE_SIZE` at least), then the final dot.

    No line is longer than 78 octets with its end, none begins with a dot.
    """
    lines, rest = divmod(size - len(_HEADER_SECTION), len(_LINE))
    last = _LINE[-rest:] if rest else b""
    if rest == 1:
        # No line is one byte long: the last full one gives a byte up to an empty line.
        lines, last = lines - 1, _LINE[1:] + b"\r\n"
    return b"%b%b%b.\r\n" % (_HEADER_SECTION, _LINE * lines, last)


def script(header: bytes, options: SessionOptions) -> tuple[Exchange, ...]:
    """Return a session that sends one message; `header` may be empty."""
    return (
        Exchange(Step.HEADER_TO_BANNER, header, frozenset({220})),
        *_commands(options.message_size, options.sender, options.recipient),
    )


@lru_cache(maxsize=8)
def _commands(size: int, sender: str, recipient: str) -> tuple[Exchange, ...]:
    def line(text: str) -> bytes:
        return text.encode("ascii") + b"\r\n"

    return (
        Exchange(Step.EHLO, line("EHLO client.example"), frozenset({250})),
        Exchange(Step.MAIL, line(f"MAIL FROM:<{sender}>"), frozenset({250})),
        Exchange(Step.RCPT, line(f"RCPT TO:<{recipient}>"), frozenset({250, 251})),
        Exchange(Step.DATA, line("DATA"), frozenset({354})),
        Exchange(Step.END_OF_DATA, message(size), frozenset({250})),
        Exchange(Step.QUIT, line("QUIT"), frozenset({221})),
    )


class Dialogue:
    """Plays a script: call `say` and send what it returns, `feed` what arrives until `answered`, until `done`.

    Replies that come early (a 421 sent right behind the greeting) answer the next exchange. Memory is bounded by the
    limits of `ReplyReader`, what is heard by `MAX_HEARD`.
    """

    def __init__(self, exchanges: tuple[Exchange, ...]) -> None:
        self._exchanges = exchanges
        self._next = 0
        self._reader = ReplyReader()
        self._replies: deque[Reply] = deque()
        self._heard = 0

    @property
    def done(self) -> bool:
        """Every exchange had its reply."""
        return self._next == len(self._exchanges)

    @property
    def step(self) -> Step:
        """The step of the exchange that goes on, or comes next."""
        return self._exchanges[self._next].step

    def say(self) -> bytes:
        """Return what the current exchange sends; it may be nothing."""
        return self._exchanges[self._next].send

    def feed(self, data: bytes) -> None:
        """Take what arrived; no bytes are the end of the stream.

        Raises:
            StepFailed: the stream ended, or the server does not stop talking.
        """
        if not data:
            raise StepFailed(self.step, "closed")
        self._heard += len(data)
        if self._heard > MAX_HEARD:
            raise StepFailed(self.step, "endless reply")
        self._replies.extend(self._reader.feed(data, 0.0))

    def answered(self) -> bool:
        """Tell whether the current exchange has its reply; if so the next one is current.

        Raises:
            StepFailed: the reply is another than the script wants, or none at all.
        """
        if not self._replies:
            return False
        exchange = self._exchanges[self._next]
        code = self._replies.popleft().code
        if code not in exchange.codes:
            raise StepFailed(exchange.step, "no reply line" if code is None else str(code))
        self._next += 1
        return True
