"""A wire whose far end is a script: `on bytes` answers, waits, and how it ends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from proxyspec.model import View

__all__ = ["CLIENT", "FIN", "RST", "ScriptedWire", "smtp_server"]

CLIENT = View("127.0.0.9", 40000)


class _End:
    def __init__(self, name: str) -> None:
        self.name = name


FIN = _End("FIN")
RST = _End("RST")

Said = bytes | _End
#: Called with all bytes so far after each send (and with b"" at connect); says what the server does after which delay.
Script = Callable[[bytes, bool], Iterable[tuple[float, Said]]]


class ScriptedWire:
    def __init__(self, script: Script, *, refuses: OSError | None = None) -> None:
        self._script = script
        self._refuses = refuses
        self._queue: asyncio.Queue[Said] = asyncio.Queue()
        self.sent = b""
        self.closed = False
        self.was_reset = False
        self._ended = False

    def _say(self, half_closed: bool) -> None:
        loop = asyncio.get_running_loop()
        for place, (delay, said) in enumerate(self._script(self.sent, half_closed)):
            if delay:
                # Timers of the same moment fire in no set order.
                loop.call_later(delay + place * 1e-6, self._queue.put_nowait, said)
            else:
                self._queue.put_nowait(said)

    async def connect(self) -> View:
        if self._refuses is not None:
            raise self._refuses
        self._say(False)
        return CLIENT

    async def send(self, data: bytes) -> None:
        if self._ended:
            raise BrokenPipeError("broken pipe")
        self.sent += data
        self._say(False)

    async def receive(self) -> bytes:
        said = await self._queue.get()
        if isinstance(said, bytes):
            return said
        self._ended = True
        if said is RST:
            raise ConnectionResetError("connection reset by peer")
        return b""

    def half_close(self) -> None:
        self._say(True)

    def reset(self) -> None:
        self.was_reset = True
        self.close()

    def close(self) -> None:
        self.closed = True


@dataclass
class _Session:
    header: tuple[int, str] | None = None
    answered: int = 0
    armed: bool = False


def smtp_server(
    takes: Callable[[bytes], tuple[int, str] | None], *, deadline: float | None = 30.0, last_words: bytes = b""
) -> Script:
    """A server that reads a header with `takes` (header length and address, or None), then speaks SMTP.

    What it cannot take it waits for until the deadline, if it has one.
    """
    session = _Session()

    def script(received: bytes, half_closed: bool) -> Iterable[tuple[float, Said]]:
        if not session.armed and deadline is not None:
            session.armed = True
            if last_words:
                yield deadline, last_words
            yield deadline, FIN
        if session.header is None:
            session.header = takes(received)
            if session.header is None:
                return
            yield 0, b"220 mx.test ESMTP\r\n"
        length, address = session.header
        lines = received[length:].split(b"\r\n")[:-1]
        for line in lines[session.answered :]:
            if line.startswith(b"EHLO"):
                yield 0, b"250-mx.test Hello [" + address.encode() + b"]\r\n250 PIPELINING\r\n"
            elif line == b"QUIT":
                yield 0, b"221 bye\r\n"
                yield 0, FIN
            else:
                yield 0, b"500 what?\r\n"
        session.answered = len(lines)

    return script
