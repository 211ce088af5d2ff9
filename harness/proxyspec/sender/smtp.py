"""The server a proxy meets once its header is through: enough SMTP for a client and a health check, without I/O."""

from __future__ import annotations

import re
from typing import Final

__all__ = ["GREETING", "SmtpTalk"]

GREETING: Final = b"220 sender.proxyspec.test ESMTP\r\n"

#: A command line longer than this is refused and forgotten, in bytes (RFC 5321, section 4.5.3.1.4 asks for 512).
LONGEST_LINE: Final = 1024

_REPLIES: Final = {
    b"HELO": b"250 sender.proxyspec.test\r\n",
    b"EHLO": b"250-sender.proxyspec.test\r\n250-8BITMIME\r\n250 PIPELINING\r\n",
    b"MAIL": b"250 2.1.0 noted\r\n",
    b"RCPT": b"250 2.1.5 noted\r\n",
    b"RSET": b"250 2.0.0 forgotten\r\n",
    b"NOOP": b"250 2.0.0 done\r\n",
    b"VRFY": b"252 2.1.5 nobody is looked up here\r\n",
    b"DATA": b"354 go on, and end with a dot\r\n",
    b"QUIT": b"221 2.0.0 closing\r\n",
}
_UNKNOWN: Final = b"500 5.5.1 no such command\r\n"
_TOO_LONG: Final = b"500 5.5.2 line too long\r\n"
_DELIVERED: Final = b"250 2.0.0 taken and thrown away\r\n"
_VERB: Final = re.compile(rb"[A-Za-z]+")


class SmtpTalk:
    """One session; messages are taken and thrown away."""

    def __init__(self) -> None:
        self._line = b""
        self._skipping = False
        self._in_message = False
        #: QUIT was answered: the connection is to be closed.
        self.done = False

    def receive(self, data: bytes) -> bytes:
        """Take bytes of the client and return what it is to be told; at most LONGEST_LINE bytes are kept."""
        said = []
        *lines, rest = (self._line + data).split(b"\n")
        for line in lines:
            if self.done:
                break
            said.append(self._answer(line.removesuffix(b"\r")))
        self._line = rest
        if len(rest) > LONGEST_LINE:
            self._line, self._skipping = b"", True
        return b"".join(said)

    def _answer(self, line: bytes) -> bytes:
        skipping, self._skipping = self._skipping, False
        if self._in_message:
            self._in_message = skipping or line != b"."
            return b"" if self._in_message else _DELIVERED
        if skipping or len(line) > LONGEST_LINE:
            return _TOO_LONG
        verb = _VERB.match(line)
        name = verb[0].upper() if verb else b""
        self._in_message = name == b"DATA"
        self.done = name == b"QUIT"
        return _REPLIES.get(name, _UNKNOWN)
