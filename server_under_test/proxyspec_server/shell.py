"""Connections given sockets and a clock: an asyncio server around the cores of `connection`."""

import asyncio
import secrets
import socket
from collections.abc import Callable, Sequence
from dataclasses import replace
from ipaddress import ip_address
from itertools import count
from time import monotonic
from typing import ClassVar, cast

from proxyspec_server.connection import Action, Connection, Entrance, Finish, Service, Wait, Write
from proxyspec_server.deadlines import Deadlines, Timer
from proxyspec_server.ending import Ending
from proxyspec_server.journal import Journal, Note, Step, Value
from proxyspec_server.metrics import Metrics, Snapshot, Traffic
from proxyspec_server.peername import peername
from proxyspec_server.proxy import Endpoint
from proxyspec_server.proxy.header import make_endpoint
from proxyspec_server.trust import TrustList

BACKLOG = 4096
"""Connections the kernel holds for us until they are accepted."""
SLACK = 0.002
"""Seconds a timer is armed late, as some loops count time in steps of a millisecond and would ring early."""

_ACCEPTS = 128
"""Connections accepted in one turn of the loop."""
_TROUBLE_PAUSE = 1.0
"""Seconds before the same trouble is logged again: without descriptors, every accept() of a turn fails alike."""
_IDLE = Timer.IDLE
_SLICE = 32 * 1024
"""Bytes answered in one go: bounds the replies that pile up before a peer that does not read is noticed."""


def _address(bound: socket.socket) -> Endpoint | None:
    """The address of a listener, which its connections share unless it stands for every address there is."""
    host, port = bound.getsockname()[:2]
    return None if ip_address(host.partition("%")[0]).is_unspecified else Endpoint(host.partition("%")[0], port)


class Server:
    """Listens, and runs every connection until it ends.

    `connection_type` is the core each connection gets. Only one event loop may use a server, the one it is started in.
    """

    def __init__(self, service: Service, journal: Journal, connection_type: type[Connection] = Connection) -> None:
        limits = service.profile.limits
        self.metrics = Metrics()
        self.service = replace(service, deliver=self.metrics.counting(service.deliver), noting=journal.enabled)
        self.journal = journal
        self.connection_type = connection_type
        self.wires: set[Wire] = set()
        self.faults = 0
        """Exceptions met in the server's own code."""
        self.idle_grain = limits.idle_timeout / 256
        """Seconds within which a session's idle deadline is not started anew: that much later it may fall."""
        self.deadlines: Deadlines[Wire] = Deadlines(
            {
                Timer.HEADER: limits.header_timeout,
                Timer.HANDSHAKE: limits.tls_timeout,
                Timer.IDLE: limits.idle_timeout + self.idle_grain,
                Timer.LINGER: limits.linger,
                Timer.WRITE: limits.write_timeout,
            }
        )
        self._listeners: list[asyncio.Server] = []
        self._timer: asyncio.TimerHandle | None = None
        self._rings_at = 0.0
        self._trouble = ""
        self._trouble_until = 0.0
        self._empty: asyncio.Event | None = None
        self._prefix = secrets.token_hex(4)
        self._serial = count(1)

    # Listening.

    async def listen(self, sockets: Sequence[socket.socket], entrance: Entrance = Entrance.CLEARTEXT) -> None:
        """Accept connections on bound sockets from now on."""
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(self._on_trouble)
        for bound in sockets:
            wires = self.wires_for(entrance, _address(bound))
            self._listeners.append(await loop.create_server(wires, sock=bound, backlog=_ACCEPTS))
            # asyncio takes one number for the kernel's queue and for its own greed; the queue may be longer.
            bound.listen(BACKLOG)

    def trust(self, trust: TrustList) -> None:
        """Use another trust list for connections from now on."""
        self.service = replace(self.service, trust=trust)

    async def stop(self) -> None:
        """Stop listening, send every connection its 421, and wait until all are gone or their time to leave is up."""
        for listener in self._listeners:
            listener.close()
        self._empty = asyncio.Event()
        if not self.wires:
            self._empty.set()
        for wire in list(self.wires):
            wire.shutdown()
        try:
            # Lingering connections are cut by their own deadline, so this one is only for what escapes it.
            await asyncio.wait_for(self._empty.wait(), self.service.profile.limits.linger + 1.0)
        except TimeoutError:
            for wire in list(self.wires):
                wire.cut(Ending.SHUTDOWN)
            await asyncio.sleep(0)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def wire(self) -> "Wire":
        """What the next connection gets; a subclass may give it another kind."""
        return Wire(self)

    def wires_for(self, entrance: Entrance, local: Endpoint | None = None) -> "Callable[[], Wire]":
        """What makes the wires of a listener; `local` is its address, or None where that differs by connection."""

        def wire() -> Wire:
            made = self.wire()
            made.entrance = entrance
            made.local = local
            return made

        return wire

    def snapshot(self) -> Snapshot:
        """What has been counted up to now."""
        return self.metrics.snapshot(self.wires, self.deadlines.pending(Timer.HEADER), self.faults)

    def _on_trouble(self, loop: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
        error = context.get("exception")
        reason = f"{context.get('message')}: {error!r}" if error is not None else str(context.get("message"))
        if isinstance(error, OSError):
            # For one, accept() without descriptors left; asyncio tries again after a second.
            now = monotonic()
            if reason != self._trouble or now >= self._trouble_until:
                self._trouble, self._trouble_until = reason, now + _TROUBLE_PAUSE
                self.journal.record(Step.TROUBLE, reason=reason)
            return
        self.faults += 1
        self.journal.record(Step.FAULT, reason=reason)

    # What wires call.

    def identity(self) -> str:
        """A name for the next connection, unique across restarts."""
        return f"{self._prefix}.{next(self._serial)}"

    @property
    def stopping(self) -> bool:
        """Whether `stop` has been called; connections accepted just before it may still turn up."""
        return self._empty is not None

    def full(self) -> bool:
        """Whether there are more connections than there may be."""
        return len(self.wires) > self.service.profile.limits.connections

    def crowded(self) -> bool:
        """Whether as many connections wait for their header as may."""
        limit = self.service.profile.limits.waiting
        return limit is not None and self.deadlines.pending(Timer.HEADER) >= limit

    def header_deadline_answered(self, since: float) -> None:
        """Count how late the deadline of a connection accepted at `since` was answered."""
        self.metrics.lateness.add(monotonic() - since - self.service.profile.limits.header_timeout)

    def gone(self, wire: "Wire") -> None:
        """Forget a connection."""
        self.wires.discard(wire)
        self.deadlines.forget(wire)
        if self._empty is not None and not self.wires:
            self._empty.set()

    def start(self, timer: Timer, wire: "Wire") -> None:
        """Start one of a connection's deadlines."""
        now = monotonic()
        due = self.deadlines.start(timer, wire, now)
        if self._timer is None or due < self._rings_at:
            self._arm(due, now)

    def _arm(self, due: float, now: float) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._rings_at = due
        self._timer = asyncio.get_running_loop().call_later(due - now + SLACK, self._ring)

    def _ring(self) -> None:
        self._timer = None
        try:
            for timer, wire in self.deadlines.expire(monotonic()):
                wire.expired(timer)
        finally:
            due = self.deadlines.next_due()
            if due is not None:
                self._arm(due, monotonic())


class Wire(asyncio.Protocol):
    """One socket and the core that decides for it."""

    __slots__ = (
        "_bytes_in",
        "_bytes_out",
        "_core",
        "_eof",
        "_finishing",
        "_idle_again",
        "_paused",
        "_pending",
        "_server",
        "_since",
        "_transport",
        "_waiting",
        "entrance",
        "local",
    )

    _NOWHERE: ClassVar[Endpoint] = Endpoint("0.0.0.0", 0)  # noqa: S104

    def __init__(self, server: Server) -> None:
        self._server = server
        self._core: Connection | None = None
        self._transport: asyncio.Transport | None = None
        self._since = 0.0
        self._bytes_in = 0
        self._bytes_out = 0
        self._pending = b""
        self._eof = False
        self._finishing = False
        self._paused = False
        self._waiting: Timer | None = None
        self._idle_again = 0.0
        self.entrance = Entrance.CLEARTEXT
        self.local: Endpoint | None = None

    # asyncio's side.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Accepted."""
        server = self._server
        # A stream transport, whether or not the loop's class says so by its ancestry: uvloop's does not.
        self._transport = transport = cast(asyncio.Transport, transport)
        self._since = monotonic()
        server.wires.add(self)
        server.metrics.accepted += 1
        peer = self._endpoint("peername")
        self._core = core = server.connection_type(
            server.service,
            server.identity(),
            peer,
            self.local or self._endpoint("sockname"),
            self.entrance,
        )
        if peer is self._NOWHERE:
            core.reset()
            transport.abort()
        elif server.stopping:
            self._do(core.shutdown())
        elif server.full():
            self._do(core.overloaded())
        elif server.crowded() and core.trusted():
            self._do(core.crowded())
        else:
            self._do(core.connected())

    def data_received(self, data: bytes) -> None:
        """Bytes came."""
        self._bytes_in += len(data)
        if self._finishing or self._core is None:
            return
        if len(data) <= _SLICE and not self._pending:
            self._do(self._core.received(data))
        else:
            self._pending += data
            self._work_off()

    def eof_received(self) -> bool:
        """A FIN came. The transport stays open, as what is written has still to be sent."""
        self._eof = True
        if self._finishing:
            self._close()
        elif self._core is not None:
            self._do(self._core.eof())
        return True

    def pause_writing(self) -> None:
        """The peer reads too slowly: take no more commands from it before it has read."""
        self._paused = True
        if self._transport is not None and not self._finishing:
            self._transport.pause_reading()
            self._server.start(Timer.WRITE, self)

    def resume_writing(self) -> None:
        """The peer has read."""
        self._paused = False
        self._server.deadlines.cancel(Timer.WRITE, self)
        self._work_off()
        if self._transport is not None and not self._paused and not self._transport.is_closing():
            self._transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        """It is over."""
        self._server.gone(self)
        core = self._core
        if core is None:
            return
        if exc is None:
            core.eof()
        elif isinstance(exc, BrokenPipeError) or (self._paused and isinstance(exc, OSError)):
            core.reset_while_writing()
        elif isinstance(exc, OSError):
            core.reset()
        else:
            core.cut(Ending.FAULT)
        core.gone()
        metrics = self._server.metrics
        self.account(metrics.traffic)
        if core.ending is not None:
            metrics.endings[core.ending] += 1
        if self._server.journal.enabled:
            self._record(
                Step.CLOSED,
                {
                    "ending": core.ending.value if core.ending is not None else None,
                    "bytes_in": self._bytes_in,
                    "bytes_out": self._bytes_out,
                    "duration": round(monotonic() - self._since, 6),
                },
            )
        self._core = None
        self._transport = None

    # The server's side.

    def shutdown(self) -> None:
        """The server stops."""
        if self._core is not None:
            self._do(self._core.shutdown())

    def account(self, traffic: Traffic) -> None:
        """Add what the connection has carried."""
        if self._core is not None:
            traffic.add(self._bytes_in, self._bytes_out, self._core.header, encrypted=self._core.encrypted)

    def cut(self, ending: Ending) -> None:
        """End at once, without a word."""
        if self._core is not None and self._transport is not None:
            self._core.cut(ending)
            self._transport.abort()

    def expired(self, timer: Timer) -> None:
        """One of the deadlines fell."""
        core = self._core
        if core is None or self._transport is None:
            return
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
            self._transport.abort()

    # Doing what the core says.

    def _work_off(self) -> None:
        while self._pending and not self._paused and not self._finishing and self._core is not None:
            data, self._pending = self._pending[:_SLICE], self._pending[_SLICE:]
            self._do(self._core.received(data))

    def _do(self, actions: list[Action]) -> None:
        for action in actions:
            if isinstance(action, Write):
                self._write(action.data)
            elif isinstance(action, Wait):
                self._wait(action.timer)
            elif isinstance(action, Finish):
                self._finish()
            else:
                self._note(action)

    def _write(self, data: bytes) -> None:
        transport = self._transport
        if transport is None or transport.is_closing():
            return
        transport.write(data)
        self._bytes_out += len(data)
        if transport.is_closing() and self._core is not None:
            self._core.reset_while_writing()

    def _wait(self, timer: Timer) -> None:
        if timer is self._waiting:
            if timer is _IDLE:
                now = monotonic()
                if now < self._idle_again:
                    return
                self._idle_again = now + self._server.idle_grain
        else:
            if self._waiting is not None:
                self._server.deadlines.cancel(self._waiting, self)
            self._waiting = timer
        self._server.start(timer, self)

    def _finish(self) -> None:
        transport = self._transport
        if self._finishing or transport is None or transport.is_closing():
            return
        self._finishing = True
        self._pending = b""
        if self._paused:
            self._server.deadlines.cancel(Timer.WRITE, self)
        self._wait(Timer.LINGER)
        if self._eof:
            self._close()
            return
        try:
            transport.write_eof()
        except OSError:
            # The peer has reset the connection meanwhile; there is nobody to be polite to.
            transport.abort()
            return
        if self._paused:
            transport.resume_reading()

    def _close(self) -> None:
        """Close after the peer's FIN: no input is left to turn this into an RST. LINGER bounds the sending."""
        if self._transport is not None:
            self._transport.close()

    def _endpoint(self, which: str) -> Endpoint:
        transport = self._transport
        name = transport.get_extra_info(which) if transport is not None else None
        if name is None and which == "peername" and transport is not None:
            # A loop that asks late has no name for a peer that has reset the connection already.
            connection = transport.get_extra_info("socket")
            name = peername(connection) if connection is not None else None
        return make_endpoint((name[0].partition("%")[0], name[1])) if name else self._NOWHERE

    def _note(self, note: Note) -> None:
        self._record(note.step, note.details)

    def _record(self, step: Step, details: dict[str, Value]) -> None:
        core, journal = self._core, self._server.journal
        if core is None or not journal.enabled:
            return
        journal.record(
            step,
            connection=core.identity,
            peer=str(core.peer),
            proxy=str(core.proxy) if core.proxy is not None else None,
            client=str(core.client),
            local=str(core.local),
            **details,
        )
