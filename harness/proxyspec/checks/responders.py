"""Scripted SMTP servers that record what each check does: sockets around the dialogues."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import time
from collections import deque
from collections.abc import AsyncIterator, Iterable
from typing import Final, cast

from proxyspec.checks.dialogue import Act, Close, Dialogue, Forget, Write
from proxyspec.checks.model import Behind, Contact
from proxyspec.model import Event, EventKind

__all__ = ["HERE", "Responder", "responders"]

HERE: Final = "127.0.0.1"
#: Connections whose bytes are kept whole; of the others the beginning and the end are.
KEPT_WHOLE: Final = 3
#: Bytes kept of what a check began with.
OPENING: Final = 256
#: Bytes kept of one connection, both ways.
MOST_BYTES: Final = 8192
#: Connections counted of one responder.
MOST_CONTACTS: Final = 5000


class Responder:
    """One listening port with one manner, and what it has seen."""

    def __init__(self, behind: Behind, *, wants_header: bool) -> None:
        self.behind = behind
        self.wants_header = wants_header
        self.port = 0
        self._contacts: list[Contact] = []
        self._open: set[_Talk] = set()
        self._server: asyncio.Server | None = None
        self._begun = 0

    @property
    def contacts(self) -> tuple[Contact, ...]:
        """The checks that have ended, in the order they did."""
        return tuple(self._contacts)

    async def listen(self) -> None:
        """Take a free port of 127.0.0.1."""
        loop = asyncio.get_running_loop()
        self._server = await loop.create_server(lambda: _Talk(self), HERE, 0)
        self.port = int(self._server.sockets[0].getsockname()[1])

    def close(self) -> None:
        """Stop listening, and drop the connections there are."""
        if self._server is not None:
            self._server.close()
        for talk in tuple(self._open):
            talk.drop()

    def begun(self, talk: _Talk) -> bool:
        """Count a connection in; says whether its bytes are kept."""
        self._open.add(talk)
        self._begun += 1
        return self._begun <= KEPT_WHOLE

    def ended(self, talk: _Talk, contact: Contact) -> None:
        """Count a connection out."""
        self._open.discard(talk)
        if len(self._contacts) < MOST_CONTACTS:
            self._contacts.append(contact)


class _Talk(asyncio.Protocol):
    """One connection of a responder."""

    def __init__(self, responder: Responder) -> None:
        self._responder = responder
        self._dialogue = Dialogue(responder.behind, responder.wants_header)
        self._transport: asyncio.Transport | None = None
        self._todo: deque[Write | Close] = deque()
        self._timer: asyncio.TimerHandle | None = None
        self._waited = False
        self._whole = False
        self._began = 0.0
        self._clock = 0.0
        self._opening = b""
        self._events: list[Event] = []
        self._bytes = 0
        self._fin = False
        self._reset = False
        self._said_quit = False
        self._greeted = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # A stream transport, whether or not the loop's class says so by its ancestry.
        self._transport = cast(asyncio.Transport, transport)
        self._whole = self._responder.begun(self)
        self._began, self._clock = time.time(), time.monotonic()
        self._note(EventKind.CONNECTED)
        self._do(self._dialogue.connected())

    def data_received(self, data: bytes) -> None:
        self._opening = (self._opening + data)[:OPENING]
        self._note(EventKind.RECEIVED, data)
        self._do(self._dialogue.received(data))

    def eof_received(self) -> bool:
        self._fin = True
        self._note(EventKind.CLIENT_FIN)
        # What is under way is still said: that is what meets a closed socket and shows as a reset.
        if not self._todo:
            self._end()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        self._forget()
        if self._reset or isinstance(exc, OSError):
            self._note(EventKind.CLIENT_RST)
            ending = self._ending("rst")
        else:
            ending = self._ending("fin")
        self._responder.ended(
            self, Contact(self._began, ending, self._responder.port, self._opening, tuple(self._events))
        )

    def drop(self) -> None:
        """Give the connection up."""
        if self._transport is not None:
            self._transport.abort()

    def _ending(self, how: str) -> str:
        if self._said_quit:  # whatever the peer does after its 221 changes nothing
            return "quit"
        if self._fin and how == "rst":
            return "rst-while-writing"
        if self._greeted:
            return f"{how}-after-greeting"
        return f"{how}-after-header" if self._opening else f"{how}-before-header"

    def _note(self, kind: EventKind, data: bytes = b"") -> None:
        if not self._whole or self._bytes > MOST_BYTES:
            return
        self._bytes += len(data)
        self._events.append(Event(time.monotonic() - self._clock, kind, data))

    def _do(self, acts: Iterable[Act]) -> None:
        """Carry out acts, one after the other."""
        for act in acts:
            if isinstance(act, Forget):
                self._forget()
            else:
                self._todo.append(act)
        if self._timer is None:
            self._go_on()

    def _go_on(self) -> None:
        """Do what is to be done up to the next pause; what is said without one goes out as one segment."""
        self._timer = None
        at_once = bytearray()
        while self._todo:
            act = self._todo[0]
            if isinstance(act, Close):
                self._write(bytes(at_once))
                at_once.clear()
                self._end()
            elif act.after > 0 and not self._waited:
                self._waited = True
                self._timer = asyncio.get_running_loop().call_later(act.after, self._go_on)
                break
            else:
                at_once += act.data
            self._waited = False
            self._todo.popleft()
        self._write(bytes(at_once))
        if self._fin and not self._todo:
            self._end()

    def _forget(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        self._todo.clear()
        self._waited = False

    def _write(self, data: bytes) -> None:
        if not data or self._transport is None or self._transport.is_closing():
            return
        codes = {line[:3] for line in data.splitlines()}
        self._greeted = self._greeted or b"220" in codes
        self._said_quit = self._said_quit or b"221" in codes
        self._note(EventKind.SENT, data)
        self._transport.write(data)

    def _end(self) -> None:
        """Send a FIN; after the peer's own, or a whole session, the connection is over."""
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        # What was written after the peer's FIN has met a closed socket by now, as everything stays on this machine.
        connection = transport.get_extra_info("socket")
        self._reset = bool(connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR))
        self._note(EventKind.SERVER_FIN)
        if self._fin or self._said_quit:
            transport.close()
            return
        try:
            # Closing with the header unread would send a reset, which can destroy what was said.
            transport.write_eof()
        except OSError:  # the peer has reset the connection meanwhile
            self._reset = True
            transport.abort()


@contextlib.asynccontextmanager
async def responders(all_of_them: Iterable[Responder]) -> AsyncIterator[None]:
    """Have the responders listen for the time of the context."""
    with contextlib.ExitStack() as stack:
        for responder in all_of_them:
            await responder.listen()
            stack.callback(responder.close)
        yield
