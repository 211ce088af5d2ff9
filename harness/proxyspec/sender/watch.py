"""Any proxy examined: connections judged as they come, and sessions of our own held through it."""

from __future__ import annotations

import asyncio
import secrets
import socket
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from ipaddress import ip_address
from typing import Final

from proxyspec.errors import ProxyspecError
from proxyspec.model import Verdict, View
from proxyspec.records.sender import SenderRecord
from proxyspec.sender.arrival import Arrival
from proxyspec.sender.client import Caller, CallFailed, Front, call
from proxyspec.sender.expectation import Among, Expectation, Facts, Place, Role
from proxyspec.sender.judge import judge
from proxyspec.sender.listener import Limits, receiving
from proxyspec.sender.row import Heading, row, unjudged
from proxyspec.targets import Network

__all__ = ["MOST_ROWS", "Watch", "watch"]

#: Seconds that what our own client said may take to arrive once its session is over.
_ARRIVAL_PATIENCE: Final = 3.0
#: Seconds between attempts until the first session is relayed.
_RETRY: Final = 0.2
#: Connections of one run, whatever they are worth: each is a row of its record.
MOST_ROWS: Final = 10_000
_VISITOR: Final = "our own client"
_TITLE: Final = "One connection of the proxy, with the header it began with"


@dataclass(frozen=True, slots=True, kw_only=True)
class Watch:
    """What to listen for: `count` connections that can be judged, `seconds` at most (None: no end).

    `clients` are the addresses the proxy's clients come from, if anybody told; `peers` may connect. `through` is where
    the proxy listens: then `count` sessions of our own are held, and what else comes is judged beside them.
    """

    expects: Expectation
    peers: tuple[Network, ...]
    clients: tuple[Network, ...] = ()
    through: Front | None = None
    count: int = 1
    seconds: float | None = None
    #: Seconds until the first session of our own must have been relayed: the proxy's health checks may yet have to
    #: find that there is somebody here.
    proxy_patience: float = 10.0
    limits: Limits = field(default_factory=Limits)


class _Room:
    """The connections so far, and which of them our own clients made."""

    def __init__(self, wanted: Watch, told: Callable[[SenderRecord], None]) -> None:
        self._wanted = wanted
        self._told = told
        self._number = 0
        self._judged = 0
        self._pending: dict[bytes, asyncio.Future[Arrival]] = {}
        self.full = asyncio.Event()

    def expect(self, name: str) -> asyncio.Future[Arrival]:
        """Return the connection whose client greets as `name`, once it comes; it is left to the caller to judge."""
        future: asyncio.Future[Arrival] = asyncio.get_running_loop().create_future()
        self._pending[name.encode()] = future
        return future

    def take(self, arrival: Arrival) -> None:
        """Judge a connection of which nobody told who made it."""
        name = next((name for name in self._pending if name in arrival.data), None)
        if name is not None:
            future = self._pending.pop(name)
            if not future.done():
                future.set_result(arrival)
            return
        source = Among(self._wanted.clients) if self._wanted.clients else Place.ANY
        expects = replace(self._wanted.expects, role=Role.UNTOLD, src=source, dst=Place.ANY)
        self.judge(arrival, expects, Facts())

    def _heading(self, sender: str, expects: Expectation, visitor: str) -> Heading:
        self._number += 1
        name = f"connection/{self._number}"
        return Heading(id=name, title=_TITLE, setting=name, sender=sender, expected=str(expects), visitor=visitor)

    def judge(self, arrival: Arrival, expects: Expectation, facts: Facts, visitor: str = "") -> None:
        """Judge a connection and tell."""
        judged = judge(arrival, expects, facts)
        self._note(row(self._heading(arrival.peer.address, expects, visitor), judged, arrival))

    def miss(self, expects: Expectation, sender: str, visitor: str, reason: str) -> None:
        """Tell that a session of our own never came."""
        self._note(unjudged(self._heading(sender, expects, visitor), Verdict.UNTESTABLE, reason))

    def _note(self, record: SenderRecord) -> None:
        if self.full.is_set():
            return
        try:
            self._told(record)
        except ProxyspecError:
            # It cannot be kept, so there is no use in more of them; the listener passes the error on.
            self.full.set()
            raise
        # Health checks come beside the sessions of our own, and do not stand for them.
        ours = self._wanted.through is None or record.visitor != ""
        self._judged += ours and record.verdict is not Verdict.INFO
        if self._judged >= self._wanted.count or self._number >= MOST_ROWS:
            self.full.set()


class _Visits:
    """Sessions of our own through the proxy, one after the other."""

    def __init__(self, room: _Room, wanted: Watch, front: Front) -> None:
        self._room = room
        self._front = front
        self._expects = replace(wanted.expects, role=Role.CLIENT, src=Place.CLIENT, dst=Place.FRONT)
        self._clock = asyncio.get_running_loop().time
        self._patient_until = self._clock() + wanted.proxy_patience
        #: Why the session that is being tried did not come about so far.
        self._failure: CallFailed | None = None

    async def _session(self) -> tuple[Facts, Arrival]:
        while True:
            name = f"{secrets.token_hex(8)}.client.proxyspec.test"
            coming = self._room.expect(name)
            try:
                facts = await call(Caller(), self._front, name)
            except CallFailed as error:
                coming.cancel()
                self._failure = error
                if self._clock() >= self._patient_until:
                    raise
                await asyncio.sleep(_RETRY)
                continue
            self._failure = None
            async with asyncio.timeout(_ARRIVAL_PATIENCE):
                return facts, await coming

    async def visit(self) -> None:
        """Hold one session and judge what the proxy made of it."""
        try:
            facts, arrival = await self._session()
        except CallFailed:
            self.give_up()
        except TimeoutError:
            self._miss("our client had its session, but none of it came here: does the proxy relay to this address?")
        else:
            self._room.judge(arrival, self._expects, facts, _VISITOR)
        self._failure = None
        self._patient_until = self._clock()

    def give_up(self) -> None:
        """Tell of the session that is being tried, if it has failed so far."""
        if self._failure is not None:
            self._miss(f"our client's session through the proxy failed: {self._failure}")

    def _miss(self, reason: str) -> None:
        self._room.miss(self._expects, self._front.address, _VISITOR, reason)


async def watch(server: socket.socket, wanted: Watch, told: Callable[[SenderRecord], None]) -> None:
    """Listen until there are enough connections or the time is over; `told` hears of each when it is judged."""
    room = _Room(wanted, told)

    def admits(peer: View) -> bool:
        address = ip_address(peer.address)
        mapped = getattr(address, "ipv4_mapped", None)
        return any((mapped or address) in network for network in wanted.peers)

    visits = None if wanted.through is None else _Visits(room, wanted, wanted.through)
    async with receiving(server, room.take, wanted.limits, admits=admits):
        try:
            async with asyncio.timeout(wanted.seconds):
                while visits is not None and not room.full.is_set():
                    await visits.visit()
                await room.full.wait()
        except TimeoutError:
            if visits is not None:
                visits.give_up()
