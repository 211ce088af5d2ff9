"""Connections given sockets and a clock: a server around the cores of `connection`, on one poller in an event loop."""

import asyncio
import secrets
import socket
from collections.abc import Sequence
from dataclasses import replace
from functools import partial
from ipaddress import ip_address
from itertools import count
from time import monotonic
from typing import Any, ClassVar

from proxyspec_server.connection import Connection, Entrance, Service
from proxyspec_server.deadlines import Deadlines, Timer
from proxyspec_server.ending import Ending
from proxyspec_server.journal import Journal, Step
from proxyspec_server.listener import Listener
from proxyspec_server.metrics import Metrics, Snapshot
from proxyspec_server.polling import Poller, Watcher
from proxyspec_server.proxy import Endpoint
from proxyspec_server.proxy.header import make_endpoint
from proxyspec_server.trust import TrustList
from proxyspec_server.wire import Wire

SLACK = 0.002
"""Seconds a timer is armed late, as some loops count time in steps of a millisecond and would ring early."""

_TROUBLE_PAUSE = 1.0
"""Seconds before the same trouble is logged again."""


def _endpoint(name: tuple[Any, ...]) -> Endpoint:
    """An address as the socket module has it, without the zone that IPv6 may have."""
    return make_endpoint((name[0].partition("%")[0], name[1]))


def _address(bound: socket.socket) -> Endpoint | None:
    """The address of a listener, which its connections share unless it stands for every address there is."""
    found = _endpoint(bound.getsockname())
    return None if ip_address(found.host).is_unspecified else found


class Server:
    """Listens, and runs every connection until it ends.

    `connection_type` is the core each connection gets, `wire_type` what holds its socket. Only one event loop may use a
    server, the one it is started in.
    """

    wire_type: ClassVar[type[Wire]] = Wire

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
        self._poller: Poller | None = None
        self._listeners: list[Listener] = []
        self._timer: asyncio.TimerHandle | None = None
        self._rings_at = 0.0
        self._reason = ""
        self._silent_until = 0.0
        self._empty: asyncio.Event | None = None
        self._prefix = secrets.token_hex(4)
        self._serial = count(1)

    # Listening.

    async def listen(self, sockets: Sequence[socket.socket], entrance: Entrance = Entrance.CLEARTEXT) -> None:
        """Accept connections on bound sockets from now on."""
        asyncio.get_running_loop().set_exception_handler(self._on_exception)
        if self._poller is None:
            self._poller = Poller(self._failed)
        for bound in sockets:
            accepted = partial(self._accepted, self._poller, entrance, _address(bound))
            self._listeners.append(Listener(bound, self._poller, accepted, self._trouble))

    def trust(self, trust: TrustList) -> None:
        """Use another trust list for connections from now on."""
        self.service = replace(self.service, trust=trust)

    async def stop(self) -> None:
        """Stop listening, send every connection its 421, and wait until all are gone or their time to leave is up."""
        for listener in self._listeners:
            listener.close()
        self._listeners.clear()
        self._empty = asyncio.Event()
        for wire in list(self.wires):
            wire.shutdown()
        if not self.wires:
            self._empty.set()
        try:
            # Lingering connections are cut by their own deadline, so this one is only for what escapes it.
            await asyncio.wait_for(self._empty.wait(), self.service.profile.limits.linger + 1.0)
        except TimeoutError:
            for wire in list(self.wires):
                wire.cut(Ending.SHUTDOWN)
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._poller is not None:
            self._poller.close()
            self._poller = None

    def _accepted(
        self,
        poller: Poller,
        entrance: Entrance,
        local: Endpoint | None,
        connection: socket.socket,
        peer: tuple[Any, ...],
    ) -> None:
        self.metrics.accepted += 1
        core = self.connection_type(
            self.service,
            f"{self._prefix}.{next(self._serial)}",
            _endpoint(peer),
            _endpoint(connection.getsockname()) if local is None else local,
            entrance,
        )
        wire = self.wire_type(self, poller, connection, core)
        self.wires.add(wire)
        try:
            wire.begin()
        except Exception as error:  # noqa: BLE001 - a fault of ours costs one connection, not the others
            self._failed(wire, error)

    def snapshot(self) -> Snapshot:
        """What has been counted up to now."""
        return self.metrics.snapshot(self.wires, self.deadlines.pending(Timer.HEADER), self.faults)

    def _on_exception(self, loop: asyncio.AbstractEventLoop, context: dict[str, Any]) -> None:
        """What the loop itself has met, in what else runs on it."""
        error = context.get("exception")
        if isinstance(error, OSError):
            self._trouble(error)
            return
        self.faults += 1
        self.journal.record(Step.FAULT, reason=f"{context.get('message')}: {error!r}")

    def _trouble(self, error: OSError) -> None:
        """Log what the system refuses, such as a descriptor for the next connection; the server carries on."""
        reason, now = f"accepting failed: {error!r}", monotonic()
        if reason != self._reason or now >= self._silent_until:
            self._reason, self._silent_until = reason, now + _TROUBLE_PAUSE
            self.journal.record(Step.TROUBLE, reason=reason)

    def _failed(self, watcher: Watcher, error: Exception) -> None:
        """A fault of ours costs the connection it was met in."""
        self.faults += 1
        self.journal.record(Step.FAULT, reason=f"a connection met a fault of ours: {error!r}")
        if isinstance(watcher, Wire):
            watcher.cut(Ending.FAULT)

    # What wires call.

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

    def gone(self, wire: Wire) -> None:
        """Forget a connection."""
        self.wires.discard(wire)
        if self._empty is not None and not self.wires:
            self._empty.set()

    def start(self, timer: Timer, wire: Wire) -> None:
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
                try:
                    wire.expired(timer)
                except Exception as error:  # noqa: BLE001 - as above
                    self._failed(wire, error)
        finally:
            due = self.deadlines.next_due()
            if due is not None:
                self._arm(due, monotonic())
