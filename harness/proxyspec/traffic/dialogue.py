"""A client's session that hands over one message, without I/O: bytes in, the next command out."""

from __future__ import annotations

import enum
from typing import Final

from proxyspec.replies import ReplyReader
from proxyspec.traffic.model import Fault, Step

__all__ = ["Dialogue", "Turn"]

#: A server that says more than this within one session is cut off, in bytes.
MAX_HEARD: Final = 64 * 1024

_EXPECTED: Final = {
    Step.BANNER: 220,
    Step.EHLO: 250,
    Step.MAIL: 250,
    Step.RCPT: 250,
    Step.DATA: 354,
    Step.END_OF_DATA: 250,
    Step.QUIT: 221,
}
_ORDER: Final = tuple(_EXPECTED)


class Turn(enum.StrEnum):
    """Who speaks next."""

    OURS = "our"
    THEIRS = "their"
    NOBODYS = "nobody's"


class Dialogue:
    """One session: `feed` what arrives; when it is our turn, send what `command` returns.

    `step` is the one under way; `fault` is set as soon as the session has gone wrong, and nothing counts after it.
    The message's id is its sender's local part, which a server's journal shows.
    """

    def __init__(self, message: str) -> None:
        self.step = Step.BANNER
        self.fault: Fault | None = None
        self.dot_sent = False
        self.acknowledged = False
        self.done = False
        self._message = message
        self._waiting = True
        self._reader = ReplyReader()
        self._heard = 0

    @property
    def over(self) -> bool:
        """Whether there is nothing more to say: all done, or something went wrong."""
        return self.done or self.fault is not None

    @property
    def turn(self) -> Turn:
        """Whose turn it is."""
        if self.over:
            return Turn.NOBODYS
        return Turn.THEIRS if self._waiting else Turn.OURS

    def feed(self, data: bytes) -> Turn:
        """Take what arrived and tell whose turn it is.

        A reply nobody asked for (a 421 at any time) is a fault, and so is a wrong one.
        """
        self._heard += len(data)
        for reply in self._reader.feed(data, 0.0):
            if self.over:
                break
            if reply.code != _EXPECTED[self.step] or not self._waiting:
                self.fault = Fault(self.step, "no reply" if reply.code is None else str(reply.code))
                break
            self._waiting = False
            self.acknowledged = self.acknowledged or self.step is Step.END_OF_DATA
            if self.step is Step.QUIT:
                self.done = True
            else:
                self.step = _ORDER[_ORDER.index(self.step) + 1]
        if self._heard > MAX_HEARD:
            self.broken("endless reply")
        return self.turn

    def broken(self, what: str) -> None:
        """The connection is over or given up: a fault, unless the session was done or had one already."""
        if not self.over:
            self.fault = Fault(self.step, what)

    def command(self) -> bytes:
        """Return what the current step sends."""
        assert self.turn is Turn.OURS, f"it is {self.turn} turn"
        self._waiting = True
        match self.step:
            case Step.EHLO:
                return b"EHLO client.example\r\n"
            case Step.MAIL:
                return f"MAIL FROM:<{self._message}@client.example>\r\n".encode("ascii")
            case Step.RCPT:
                return b"RCPT TO:<sink@server.example>\r\n"
            case Step.DATA:
                return b"DATA\r\n"
            case Step.END_OF_DATA:
                self.dot_sent = True
                return (
                    f"Message-ID: <{self._message}@client.example>\r\nFrom: <{self._message}@client.example>\r\n"
                    "To: <sink@server.example>\r\nSubject: traffic\r\n\r\nOne of many.\r\n.\r\n"
                ).encode("ascii")
            case _:
                return b"QUIT\r\n"
