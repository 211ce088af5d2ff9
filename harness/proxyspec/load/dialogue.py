"""One SMTP session as a script of moves, without I/O: what to send next, what it waits for, how long each step took.

The clock is the caller's: all times are nanoseconds of one clock that never goes back.
"""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass
from functools import cached_property
from typing import Final

from proxyspec.replies import ReplyReader

__all__ = [
    "MAX_HEARD",
    "Dialogue",
    "Drip",
    "Exchange",
    "Hold",
    "Leave",
    "Move",
    "Notice",
    "Say",
    "Script",
    "Secure",
    "Stance",
    "Step",
    "StepFailed",
]

#: A server that sends more than this within one session of one message is cut off, in bytes.
MAX_HEARD = 1024 * 1024


class Step(enum.StrEnum):
    """The timed parts of a session, in order, and the whole of it."""

    CONNECT = "connect"
    #: The handshake of a connection that begins with TLS (RFC 8314), behind the header.
    TLS = "tls"
    #: From the first byte of the header (without a header: from the established connection) to the whole greeting.
    HEADER_TO_BANNER = "header_to_banner"
    EHLO = "ehlo"
    #: From the command to the end of the handshake (RFC 3207).
    STARTTLS = "starttls"
    AUTH = "auth"
    MAIL = "mail"
    RCPT = "rcpt"
    DATA = "data"
    #: From the first byte of the message to the reply to its final dot.
    END_OF_DATA = "end_of_data"
    QUIT = "quit"
    #: Bytes that trickle, from the first to the last.
    DRIP = "drip"
    #: From the call of connect to the server's last word on a connection held in silence.
    HELD = "held"
    #: From the call of connect to the end of a connection whose header is wrong.
    REFUSAL = "refusal"
    #: From the call of connect to the reply to QUIT, to the planned end, or to the failure.
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
    """Bytes to send and the reply codes that count as success (RFC 5321, section 4.3.2).

    Without bytes of its own it waits for one more reply to what was sent before (RFC 2920). `keyword` is an extension
    that the reply must announce; `telling` is text that has to stand in its first line, between characters that belong
    to no address.
    """

    step: Step
    send: bytes
    codes: frozenset[int]
    keyword: str | None = None
    telling: bytes | None = None


@dataclass(frozen=True, slots=True)
class Secure:
    """A TLS handshake; after `send`, if any, and a 220 in clear."""

    step: Step
    send: bytes = b""


@dataclass(frozen=True, slots=True)
class Say:
    """Bytes sent without waiting for a reply."""

    send: bytes = b""


@dataclass(frozen=True, slots=True)
class Drip:
    """Bytes sent `size` at a time with `gap` seconds between; what the session begins with comes first.

    Where a `Hold` follows, the server may end the connection before the last piece.
    """

    send: bytes
    size: int
    gap: float
    step: Step = Step.DRIP


@dataclass(frozen=True, slots=True)
class Notice:
    """Waits until something has arrived, and leaves it unread."""

    step: Step


@dataclass(frozen=True, slots=True)
class Hold:
    """Silence until the server ends the connection; `codes` are what it may say before, none: anything or nothing.

    It is timed from the call of connect, so that a deadline never looks earlier than it was. What is `refused` may be
    closed without a word, but not answered with another code.
    """

    codes: frozenset[int] = frozenset({421})
    step: Step = Step.HELD
    refused: bool = False


@dataclass(frozen=True, slots=True)
class Leave:
    """Our end of the connection: `abrupt` is an RST (SO_LINGER with zero seconds), else a FIN.

    The kernel makes an RST of a FIN where input was left unread.
    """

    abrupt: bool


Move = Exchange | Secure | Say | Drip | Notice | Hold | Leave


@dataclass(frozen=True, eq=False)
class Script:
    """What a session does, in order; it ends with the connection closed, whatever the last move is.

    A script is itself alone: what is derived from it is kept with it, and two with the same moves stay apart.
    """

    moves: tuple[Move, ...]

    @cached_property
    def steps(self) -> tuple[Step, ...]:
        """The steps that are timed when all goes well, in order, without the whole session."""
        return (Step.CONNECT, *(move.step for move in self.moves if not isinstance(move, Say | Leave)))

    @cached_property
    def known(self) -> tuple[dict[bytes, tuple[int, bytes]], ...]:
        """For each move what dialogues of this script have heard there before: how many steps it ended, what to send.

        Servers say the same again and again: it need not be read every time. `Dialogue` fills it.
        """
        return tuple({} for _ in (*self.moves, None))

    @cached_property
    def allowance(self) -> int:
        """Bytes the server may send in the whole session."""
        return MAX_HEARD * max(1, sum(step is Step.END_OF_DATA for step in self.steps))


class Stance(enum.Enum):
    """What the shell does between two calls."""

    #: Read, and hand over what arrives.
    LISTEN = enum.auto()
    #: Say when something arrived, without reading it.
    NOTICE = enum.auto()
    #: Begin the TLS handshake.
    SECURE = enum.auto()
    #: Call `due` when the gap is over.
    DRIP = enum.auto()
    #: The script is over: close.
    CLOSE = enum.auto()
    #: The script is over: reset.
    RESET = enum.auto()


#: One whole reply whose lines are short enough for `ReplyReader`, which would read it as this code too.
_REPLY: Final = re.compile(rb"(?:[2-5][0-9]{2}-[^\r\n]{0,1000}\r\n){0,200}([2-5][0-9]{2})(?: [^\r\n]{0,1000})?\r\n")

#: Bytes of a reply that is worth remembering, and how many of them at each move.
_MAX_KNOWN: Final = 512
_MOST_KNOWN: Final = 64

_READY: Final = frozenset({220})


class Dialogue:
    """Plays a script: each method takes what happened and returns what to send now; `stance` says what to do next.

    A method that finds the script unfulfilled raises `StepFailed`; the dialogue is over then. Replies that come early
    (a 421 right behind the greeting) answer the next exchange. Memory is bounded by `ReplyReader` and by the bytes of
    one read, what is heard by the script's allowance.
    """

    __slots__ = (
        "_dripping",
        "_hail",
        "_heard",
        "_known",
        "_moves",
        "_reader",
        "_since",
        "at",
        "begun",
        "gap",
        "script",
        "stance",
        "taken",
        "word",
    )

    def __init__(self, script: Script, hail: bytes, begun: int) -> None:
        """`hail` is what this connection begins with, usually its PROXY header; `begun` is when connect is called."""
        self.script = script
        self.begun = begun
        #: Nanoseconds each step took that has ended, in the order of `script.steps`.
        self.taken: list[int] = []
        #: Index of the current move, -1 before the connection is established.
        self.at = -1
        self.stance = Stance.LISTEN
        #: Seconds until `due` wants to be called, while the stance is DRIP.
        self.gap = 0.0
        #: The code heard while the connection was held.
        self.word: int | None = None
        self._moves = script.moves
        self._known = script.known
        self._hail = hail
        self._since = begun
        self._heard = 0
        self._reader: ReplyReader | None = None
        self._dripping = b""

    @property
    def done(self) -> bool:
        """Everything went as the script wants it."""
        return self.at == len(self._moves)

    @property
    def heard_bytes(self) -> int:
        """Bytes the server sent, in clear."""
        return self._heard

    @property
    def step(self) -> Step:
        """The step that goes on; after the last one, the last one."""
        return self.script.steps[min(len(self.taken), len(self.script.steps) - 1)]

    @property
    def since(self) -> int:
        """When the current step began."""
        return self._since

    def opened(self, now: int) -> bytes:
        """Take note that the connection is established."""
        self.taken.append(now - self.begun)
        self._since = now
        self.at = 0
        return self._enter(self._hail, now)

    def heard(self, data: bytes, now: int) -> bytes:
        """Take what arrived, in clear.

        Raises:
            StepFailed: it is not what the script wants.
        """
        self._heard += len(data)
        known = self._known[self.at].get(data)
        if known is not None and self._reader is None:
            steps, out = known
            took = now - self._since
            for _ in range(steps):
                self.taken.append(took)
            self.at += steps
            if out:
                self._since = now
            elif self.done:
                self.stance = Stance.CLOSE
            return out
        if len(data) > _MAX_KNOWN:
            return self._read(data, now)
        before = self.at
        out = self._read(data, now)
        if self._reader is None:
            self._remember(before, data, out)
        return out

    def _remember(self, before: int, data: bytes, out: bytes) -> None:
        """Keep what was heard at a move, if it only answered exchanges that had been sent together."""
        ended = self._moves[before : self.at]
        following = self._moves[self.at : self.at + 1]
        known = self._known[before]
        if (
            ended
            and len(known) < _MOST_KNOWN
            and all(type(move) is Exchange for move in (*ended, *following))
            and not any(move.send for move in ended[1:] if isinstance(move, Exchange))
        ):
            known[data] = len(ended), out

    def _read(self, data: bytes, now: int) -> bytes:
        if self._heard > self.script.allowance:
            raise StepFailed(self.step, "endless reply")
        if self._reader is None:
            place, end, out = 0, len(data), b""
            while place < end:
                found = _REPLY.match(data, place)
                if found is None:
                    break
                place = found.end()
                out += self._answer(int(found[1]), found[0], now)
            else:
                return out
            data = data[place:]
            # In pieces, or nothing like a reply: the patient reader takes over for the rest of the session.
            self._reader = ReplyReader()
        else:
            out = b""
        for reply in self._reader.feed(data, 0.0):
            out += self._answer(reply.code, b"\r\n".join(b"250 " + line for line in reply.lines), now)
        return out

    def ended(self, what: str, now: int) -> None:
        """Take note that the server ended the connection: `closed` or `reset`.

        Raises:
            StepFailed: the script does not want it now.
        """
        if not self.done:
            move = self._moves[self.at] if self.at >= 0 else None
            if isinstance(move, Drip) and self._cut_short(now):
                move = self._moves[self.at]
            if not isinstance(move, Hold) or (self.word is None and move.codes and not move.refused):
                raise StepFailed(self.step, what)
            if self.word is None:
                self.taken.append(now - self.begun)
            self.at += 1
            self._enter(b"", now)

    def noticed(self, now: int) -> bytes:
        """Take note that something arrived and stays unread."""
        self.taken.append(now - self._since)
        return self._next(now)

    def secured(self, now: int) -> bytes:
        """Take note that the TLS handshake is done."""
        self.taken.append(now - self._since)
        return self._next(now)

    def due(self, now: int) -> bytes:
        """Take note that the gap is over; return the next piece."""
        move = self._moves[self.at]
        assert isinstance(move, Drip)
        piece, self._dripping = self._dripping[: move.size], self._dripping[move.size :]
        if self._dripping:
            return piece
        self.taken.append(now - self._since)
        # What waits for an answer now is timed from the last piece.
        self._since = now
        return piece + self._next(now)

    def _cut_short(self, now: int) -> bool:
        """Leave a drip for the hold behind it, because the server ends the connection; tell whether there is one."""
        following = self._moves[self.at + 1 : self.at + 2]
        if self.stance is not Stance.DRIP or not (following and isinstance(following[0], Hold)):
            return False
        self._dripping = b""
        self.taken.append(now - self._since)
        self._next(now)
        return True

    def _next(self, now: int) -> bytes:
        self.at += 1
        return self._enter(b"", now)

    def _answer(self, code: int | None, text: bytes, now: int) -> bytes:
        if self.stance is not Stance.LISTEN:
            if self.done:
                return b""
            if not self._cut_short(now):
                raise StepFailed(self.step, _class(code))
        move = self._moves[self.at]
        if type(move) is Exchange:
            if code not in move.codes:
                raise StepFailed(move.step, _class(code))
            if move.keyword is not None and not re.search(
                rb"(?mi)^250[ -]%b\b" % re.escape(move.keyword.encode()), text
            ):
                raise StepFailed(move.step, f"no {move.keyword}")
            if move.telling is not None and not _tells(text, move.telling):
                raise StepFailed(move.step, "another address")
            self.taken.append(now - self._since)
            return self._next(now)
        if isinstance(move, Secure):
            if code not in _READY:
                raise StepFailed(move.step, _class(code))
            self.stance = Stance.SECURE
            return b""
        assert isinstance(move, Hold)
        if code is None or (move.codes and code not in move.codes):
            raise StepFailed(move.step, _class(code))
        if self.word is None:
            self.word = code
            self.taken.append(now - self.begun)
        return b""

    def _enter(self, out: bytes, now: int) -> bytes:
        """Enter the current move, and those behind it, until one has to wait; return what all of them send."""
        while self.at < len(self._moves):
            move = self._moves[self.at]
            if type(move) is Exchange:
                if move.send:
                    out = out + move.send if out else move.send
                if out:
                    self._since = now
                self.stance = Stance.LISTEN
                return out
            if isinstance(move, Say):
                out += move.send
                self._since = now
                self.at += 1
                continue
            if isinstance(move, Leave):
                self.at = len(self._moves)
                self.stance = Stance.RESET if move.abrupt else Stance.CLOSE
                return out
            if isinstance(move, Drip):
                self._dripping = out + move.send
                self._since = now
                self.gap = move.gap
                self.stance = Stance.DRIP
                return self.due(now)
            if isinstance(move, Secure):
                if move.send or out:
                    self._since = now
                self.stance = Stance.LISTEN if move.send else Stance.SECURE
                return out + move.send
            if isinstance(move, Notice):
                if out:
                    self._since = now
                self.stance = Stance.NOTICE
                return out
            self._since = self.begun
            self.stance = Stance.LISTEN
            return out
        self.stance = Stance.CLOSE
        return out


def _tells(text: bytes, wanted: bytes) -> bool:
    """Whether the first line of a reply holds this address, and not merely one that begins or ends with it."""
    first = text.partition(b"\r\n")[0]
    return re.search(rb"(?<![0-9A-Fa-f.:])%b(?![0-9A-Fa-f.:])" % re.escape(wanted), first) is not None


def _class(code: int | None) -> str:
    return "no reply line" if code is None else str(code)
