"""Mail clients on one event loop: they arrive at a rate whatever becomes of those before them."""

from __future__ import annotations

import asyncio
import errno
import os
from collections.abc import Callable
from typing import Final

from proxyspec.layers import authoring
from proxyspec.traffic.dialogue import Dialogue, Turn
from proxyspec.traffic.model import Attempt, ClientHeader, Clients, Ended, Fault, Step

__all__ = ["Clock", "offer"]

#: How long a client that has had enough waits for the other side's end, in seconds.
FAREWELL: Final = 1.0
#: Clients under way at once, in seconds' worth of arrivals: a machine that is too slow must not drown in them.
MOST_UNDER_WAY: Final = 0.75
_LEAST_UNDER_WAY: Final = 50
#: Least time between two looks at who has to arrive, in seconds.
TICK: Final = 0.005
#: Whom a client's own header names: a documentation address (RFC 5737), with the message's number as port.
CLAIMED: Final = "198.51.100.7"
_CLAIMED_TO: Final = "203.0.113.25"
_FIRST_PORT: Final = 1024

#: Seconds since the traffic began.
Clock = Callable[[], float]


class _Session(asyncio.Protocol):
    """One connection playing a Dialogue; `over` is set when it has ended, by whichever side."""

    def __init__(self, dialogue: Dialogue, header: bytes, pause: float) -> None:
        self.ended = Ended.NOT
        self.over: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._dialogue = dialogue
        self._header = header
        self._pause = pause
        self._transport: asyncio.Transport | None = None
        self._next: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        if self._header:
            transport.write(self._header)

    def data_received(self, data: bytes) -> None:
        if self._dialogue.over:
            return
        match self._dialogue.feed(data):
            case Turn.OURS:
                self._in(self._pause, self._speak)
            case Turn.NOBODYS:
                # The other side says goodbye by closing; how, is worth knowing.
                self._in(FAREWELL, self.leave)
            case Turn.THEIRS:
                pass

    def _in(self, seconds: float, act: Callable[[], None]) -> None:
        if self._next is not None:
            self._next.cancel()
        self._next = asyncio.get_running_loop().call_later(seconds, act)

    def _speak(self) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(self._dialogue.command())

    def eof_received(self) -> bool:
        self.ended = Ended.FIN
        self._dialogue.broken("closed")
        return False

    def connection_lost(self, error: Exception | None) -> None:
        if error is not None:
            self.ended = Ended.RST
            self._dialogue.broken("reset")
        if self._next is not None:
            self._next.cancel()
        if not self.over.done():
            self.over.set_result(None)

    def leave(self) -> None:
        """End the connection from this side, at once."""
        if self._transport is not None:
            self._transport.abort()


def _header(kind: ClientHeader, number: int) -> tuple[bytes, str | None]:
    """Return what the client sends first, and the endpoint it claims to be."""
    port = _FIRST_PORT + number % (65536 - _FIRST_PORT)
    match kind:
        case ClientHeader.NONE:
            return b"", None
        case ClientHeader.V1:
            return authoring.v1(CLAIMED, _CLAIMED_TO, sport=port), f"{CLAIMED}:{port}"
        case ClientHeader.V2:
            return authoring.v2(CLAIMED, _CLAIMED_TO, sport=port), f"{CLAIMED}:{port}"


def _refusal(error: OSError) -> str:
    match error.errno:
        case errno.ECONNREFUSED:
            return "refused"
        case errno.ECONNRESET:
            return "reset"
        case None:
            return "no connection"
        case number:
            return os.strerror(number)


async def _attempt(
    clients: Clients, message: str, number: int, source: str, address: tuple[str, int], clock: Clock
) -> Attempt:
    dialogue = Dialogue(message)
    header, claimed = _header(clients.header, number)
    started = clock()
    client = claimed or source
    loop = asyncio.get_running_loop()
    session = _Session(dialogue, header, clients.pause)
    try:
        async with asyncio.timeout(clients.patience):
            transport, _ = await loop.create_connection(lambda: session, *address, local_addr=(source, 0))
            host, port = transport.get_extra_info("sockname")[:2]
            client = claimed or f"{host}:{port}"
            await session.over
    except TimeoutError:
        fault = Fault(Step.CONNECT, "timeout")
        dialogue.broken("timeout")
    except OSError as error:
        fault = Fault(Step.CONNECT, _refusal(error))
    finally:
        session.leave()
    connected = client != source
    return Attempt(
        message=message,
        client=client,
        started=started,
        finished=clock(),
        dot_sent=dialogue.dot_sent,
        acknowledged=dialogue.acknowledged,
        fault=dialogue.fault if connected else fault,
        ended=session.ended,
    )


async def offer(
    clients: Clients,
    rate: float,
    address: tuple[str, int],
    name: str,
    clock: Clock,
    over: Callable[[], bool],
    report: Callable[[Attempt], None],
) -> None:
    """Let clients arrive until it is `over`, then wait until each has delivered or given up.

    `rate` (sessions per second) is that of the run, for clients who have none of their own; `name` begins every
    message's id; `report` gets every attempt as it ends.
    """

    async def carry(number: int) -> None:
        message = f"{name}-{number:06d}"
        for place in range(clients.attempts):
            if place:
                await asyncio.sleep(clients.retry_after)
            source = clients.sources[(number + place) % len(clients.sources)]
            attempt = await _attempt(clients, message, number, source, address, clock)
            report(attempt)
            if attempt.acknowledged or attempt.in_doubt:
                return

    async with asyncio.TaskGroup() as group:
        if clients.at_once:
            for number in range(clients.at_once):
                group.create_task(carry(number))
            return
        every = 1 / (clients.rate if clients.rate is not None else rate)
        begin = clock()
        under_way: set[asyncio.Task[None]] = set()
        most = max(_LEAST_UNDER_WAY, round(MOST_UNDER_WAY / every))
        arrived = 0
        while not over():
            # Late arrivals come at once: the rate is that of a world outside, which does not wait for us.
            due = int((clock() - begin) / every) + 1
            for number in range(arrived, min(due, arrived + most - len(under_way))):
                task = group.create_task(carry(number))
                under_way.add(task)
                task.add_done_callback(under_way.discard)
                arrived += 1
            await asyncio.sleep(max(TICK, begin + arrived * every - clock()))
