"""One connection's socket, and the doing of what its core decides: reading, writing, half-closing, ending."""

import math
import socket
from time import monotonic
from typing import TYPE_CHECKING, Final

from proxyspec_server.connection import Action, Connection, Finish, Wait, Write
from proxyspec_server.deadlines import Timer
from proxyspec_server.ending import Ending
from proxyspec_server.journal import Step, Value
from proxyspec_server.metrics import Traffic
from proxyspec_server.polling import BROKEN, READABLE, WRITABLE, Poller

if TYPE_CHECKING:
    from proxyspec_server.shell import Server

_SLICE: Final = 64 * 1024
"""Bytes read and answered in one go: bounds the replies that pile up before a peer that does not read is noticed."""
_AT_ONCE: Final = socket.MSG_DONTWAIT
"""Not to wait is asked for call by call, which spares the one call that would ask for all."""
_WITH_FIN: Final = _AT_ONCE | getattr(socket, "MSG_MORE", 0)
"""For what is written right before the end: one segment carries it and the FIN."""
_NEVER: Final = math.inf


class Wire:
    """One socket and the core that decides for it."""

    __slots__ = (
        "_again",
        "_bytes_in",
        "_bytes_out",
        "_core",
        "_eof",
        "_finishing",
        "_over",
        "_poller",
        "_server",
        "_since",
        "_socket",
        "_unsent",
        "_waiting",
    )

    def __init__(self, server: "Server", poller: Poller, connection: socket.socket, core: Connection) -> None:
        self._server = server
        self._poller = poller
        self._socket = connection
        self._core = core
        self._since = monotonic()
        self._bytes_in = 0
        self._bytes_out = 0
        self._unsent = b""
        """What the kernel has not taken yet; as long as there is any, no commands are read."""
        self._eof = False
        self._finishing = False
        self._over = False
        self._waiting: Timer | None = None
        self._again = _NEVER
        """When bytes that come start the idle deadline anew."""

    # The poller's side.

    def begin(self) -> None:
        """Accepted."""
        core, server = self._core, self._server
        self._poller.add(self._socket.fileno(), READABLE, self)
        if server.full():
            self._do(core.overloaded())
        elif server.crowded() and core.trusted():
            self._do(core.crowded())
        else:
            self._do(core.connected())
            if self._waiting is Timer.HEADER:
                # A proxy sends its header together with the connection: most often it is here already.
                self.ready(READABLE)

    def ready(self, events: int) -> None:
        """Something happened to the socket: look what."""
        if events != READABLE:
            if self._unsent:
                self._flush()
                return
            if self._finishing and events & BROKEN:
                self._end()
                return
        try:
            data = self._socket.recv(_SLICE, _AT_ONCE)
        except BlockingIOError:
            return
        except OSError:
            self._core.reset()
            self._end()
            return
        if not data:
            if not self._eof:
                self.eof_received()
            return
        self._bytes_in += len(data)
        if self._finishing:
            return
        if monotonic() >= self._again:
            self._wait(Timer.IDLE)
        self._do(self._core.received(data))

    def eof_received(self) -> None:
        """A FIN came. What is written has still to be sent."""
        self._eof = True
        if not self._finishing:
            self._do(self._core.eof())
        elif not self._unsent:
            self._end()
        if not self._over:
            # A FIN is there to be read for ever.
            self._watch(WRITABLE if self._unsent else 0)

    # The server's side.

    def shutdown(self) -> None:
        """The server stops."""
        self._do(self._core.shutdown())

    def account(self, traffic: Traffic) -> None:
        """Add what the connection has carried."""
        core = self._core
        traffic.add(self._bytes_in, self._bytes_out, core.header, encrypted=core.encrypted)

    def cut(self, ending: Ending) -> None:
        """End at once, without a word."""
        self._core.cut(ending)
        self._end()

    def expired(self, timer: Timer) -> None:
        """One of the deadlines fell."""
        core = self._core
        if timer is Timer.HEADER:
            self._do(core.header_deadline())
            self._server.header_deadline_answered(self._since)
        elif timer is Timer.HANDSHAKE:
            self._do(core.handshake_deadline())
        elif timer is Timer.IDLE:
            self._do(core.idle())
        elif timer is Timer.WRITE:
            self.cut(Ending.SLOW_READER)
        else:
            self._end()

    # Doing what the core says.

    def _do(self, actions: list[Action]) -> None:
        flags = _WITH_FIN if actions and isinstance(actions[-1], Finish) else _AT_ONCE
        for action in actions:
            if isinstance(action, Write):
                self._write(action.data, flags)
            elif isinstance(action, Wait):
                self._wait(action.timer)
            elif isinstance(action, Finish):
                self._finish()
            else:
                self._record(action.step, action.details)

    def _write(self, data: bytes, flags: int) -> None:
        if self._over:
            return
        self._bytes_out += len(data)
        if self._unsent:
            self._unsent += data
            return
        try:
            sent = self._socket.send(data, flags)
        except BlockingIOError:
            sent = 0
        except OSError:
            self._core.reset_while_writing()
            self._end()
            return
        if sent < len(data):
            self._unsent = data[sent:]
            self._watch(WRITABLE)
            self._server.start(Timer.WRITE, self)

    def _flush(self) -> None:
        """The peer has read, or has gone."""
        try:
            sent = self._socket.send(self._unsent, _AT_ONCE)
        except BlockingIOError:
            return
        except OSError:
            self._core.reset_while_writing()
            self._end()
            return
        self._unsent = self._unsent[sent:]
        if self._unsent:
            return
        self._server.deadlines.cancel(Timer.WRITE, self)
        if not self._finishing:
            self._watch(0 if self._eof else READABLE)
        elif self._eof:
            self._end()
        else:
            self._watch(READABLE)
            self._half_close()

    def _wait(self, timer: Timer) -> None:
        if self._over:
            return
        server = self._server
        if timer is not self._waiting:
            if self._waiting is not None:
                server.deadlines.cancel(self._waiting, self)
            self._waiting = timer
            self._again = _NEVER
        if timer is Timer.IDLE:
            self._again = monotonic() + server.idle_grain
        server.start(timer, self)

    def _finish(self) -> None:
        """Send what is written, then a FIN; LINGER bounds that, and the wait for the peer's FIN."""
        if self._finishing or self._over:
            return
        self._finishing = True
        self._wait(Timer.LINGER)
        if self._unsent:
            self._server.deadlines.cancel(Timer.WRITE, self)
            self._watch(WRITABLE if self._eof else READABLE | WRITABLE)
        elif self._eof:
            self._end()
        else:
            self._half_close()

    def _half_close(self) -> None:
        try:
            self._socket.shutdown(socket.SHUT_WR)
        except OSError:
            # The peer has reset the connection meanwhile; there is nobody to be polite to.
            self._end()

    def _watch(self, events: int) -> None:
        self._poller.change(self._socket.fileno(), events)

    def _end(self) -> None:
        """It is over: close, count, forget."""
        if self._over:
            return
        self._over = True
        core, server = self._core, self._server
        self._poller.closing(self._socket.fileno())
        self._socket.close()
        if self._waiting is not None:
            server.deadlines.cancel(self._waiting, self)
        if self._unsent:
            server.deadlines.cancel(Timer.WRITE, self)
        core.gone()
        metrics = server.metrics
        self.account(metrics.traffic)
        if core.ending is not None:
            metrics.endings[core.ending] += 1
        if server.journal.enabled:
            self._record(
                Step.CLOSED,
                {
                    "ending": core.ending.value if core.ending is not None else None,
                    "bytes_in": self._bytes_in,
                    "bytes_out": self._bytes_out,
                    "duration": round(monotonic() - self._since, 6),
                },
            )
        server.gone(self)

    def _record(self, step: Step, details: dict[str, Value]) -> None:
        core, journal = self._core, self._server.journal
        if journal.enabled:
            journal.record(
                step,
                connection=core.identity,
                peer=str(core.peer),
                proxy=str(core.proxy) if core.proxy is not None else None,
                client=str(core.client),
                local=str(core.local),
                **details,
            )
