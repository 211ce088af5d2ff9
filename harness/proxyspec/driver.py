"""Runs one case over a wire and writes down what happened; it judges nothing.

After the case's own steps comes the probe, alike for every case: wait for a greeting, say EHLO, send the case's
commands, say EHLO again (left-over header bytes glue to the first), QUIT, wait for the end.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from typing import Protocol

from proxyspec.model import Case, Event, EventKind, HalfClose, Pause, Send, Target, Transcript, View, WatchCheck
from proxyspec.replies import Reply, ReplyReader
from proxyspec.wire import Road, Wire

__all__ = ["TRANSCRIPT_LIMIT", "CheckObservation", "CheckWatcher", "drive", "watch"]

#: Received bytes one transcript keeps; the rest is counted and dropped.
TRANSCRIPT_LIMIT = 64 * 1024
#: A target that sends more than this on one connection is flooding; the connection is given up.
FLOOD_LIMIT = 8 * 1024 * 1024

#: How long a refusal may leave the connection open before the probe says QUIT (RFC 5321, section 3.1: a 554
#: greeting waits for it), and again after that, in seconds.
CLOSING = 1.0


class CheckObservation(Protocol):
    """What HAProxy reports of one server's health check."""

    @property
    def up(self) -> bool:
        """HAProxy sends traffic to the server."""
        ...

    @property
    def text(self) -> str:
        """The status as HAProxy words it."""
        ...


CheckWatcher = Callable[[str], Awaitable[CheckObservation]]


class _Recorder:
    """The transcript in the making, and the conditions the probe waits for."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._started = clock()
        self._changed = asyncio.Event()
        self._reader = ReplyReader()
        self._kept = 0
        self.total = 0
        self.events: list[Event] = []
        self.replies: list[Reply] = []
        self.closed = False

    def elapsed(self) -> float:
        return self._clock() - self._started

    @property
    def dropped(self) -> int:
        return self.total - self._kept

    def note(self, kind: EventKind, data: bytes = b"", note: str = "") -> None:
        self.events.append(Event(self.elapsed(), kind, data, note))

    def received(self, data: bytes) -> None:
        self.total += len(data)
        kept = data[: max(0, TRANSCRIPT_LIMIT - self._kept)]
        self._kept += len(kept)
        if kept:
            self.note(EventKind.RECEIVED, kept)
        self.replies += self._reader.feed(data, self.elapsed())
        # Replies are read from what is kept; the list here only paces the probe and must not grow with a flood.
        del self.replies[256:]
        self._changed.set()

    def ended(self, kind: EventKind, note: str = "") -> None:
        self.note(kind, note=note)
        self.closed = True
        self._changed.set()

    async def until(self, condition: Callable[[], bool], seconds: float) -> bool:
        """Wait until `condition` holds or the target is gone; return whether it holds."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(0.0, seconds)):
                while not condition() and not self.closed:
                    self._changed.clear()
                    await self._changed.wait()
        return condition()


async def _read_all(wire: Wire, record: _Recorder) -> None:
    try:
        while data := await wire.receive():
            record.received(data)
            if record.total > FLOOD_LIMIT:
                record.ended(EventKind.GAVE_UP, f"the target sent more than {FLOOD_LIMIT} bytes")
                return
    except OSError as error:
        record.ended(EventKind.SERVER_RST, str(error))
    else:
        record.ended(EventKind.SERVER_FIN)


class _Session:
    """One case on one connected wire."""

    def __init__(self, case: Case, target: Target, wire: Wire, record: _Recorder) -> None:
        self._case = case
        self._target = target
        self._wire = wire
        self._record = record
        self._half_closed = False

    @property
    def _remaining(self) -> float:
        """Seconds until a connection without a session counts as hung."""
        return self._target.give_up - self._record.elapsed()

    async def _send(self, data: bytes) -> None:
        if self._record.closed or self._half_closed:
            return
        # Noted first: the answer may be read before this task runs again.
        self._record.note(EventKind.SENT, data)
        try:
            async with asyncio.timeout(self._target.patience):
                await self._wire.send(data)
        except TimeoutError:
            self._record.ended(EventKind.GAVE_UP, "the target stopped reading")
        except OSError:
            # The reader sees how it ended; what is buffered before that still counts.
            await self._record.until(lambda: False, 1.0)

    async def steps(self) -> None:
        for step in self._case.steps:
            if self._record.closed:
                return
            match step:
                case Send(data):
                    await self._send(data)
                case Pause(seconds, timeouts):
                    pause = seconds + timeouts * self._target.header_timeout
                    await self._record.until(lambda: False, min(pause, self._remaining))
                case HalfClose():
                    self._half_closed = True
                    self._record.note(EventKind.CLIENT_FIN)
                    with contextlib.suppress(OSError):
                        self._wire.half_close()
                case WatchCheck():
                    raise ValueError(f"case {self._case.id} watches a health check on a connection of its own")
            if self._remaining <= 0:
                return
        self._record.note(EventKind.STEPS_DONE)

    async def probe(self) -> None:
        record = self._record
        await record.until(lambda: bool(record.replies), self._remaining)
        if record.replies and record.replies[0].positive and not self._half_closed:
            await self._converse()
        elif record.replies:
            await self._see_off()
        await record.until(lambda: False, self._remaining if self._half_closed else 0.0)

    async def _exchange(self, line: bytes, replies: int) -> None:
        await self._send(line)
        await self._record.until(lambda: len(self._record.replies) >= replies, self._target.patience)

    async def _converse(self) -> None:
        count = 1 + self._case.extra_replies
        for line in (b"EHLO first.probe.test\r\n", *self._case.commands, b"EHLO second.probe.test\r\n"):
            count += 1
            await self._exchange(line, count)
        await self._send(b"QUIT\r\n")
        await self._record.until(lambda: False, self._target.patience)

    async def _see_off(self) -> None:
        await self._record.until(lambda: False, CLOSING)
        await self._send(b"QUIT\r\n")
        await self._record.until(lambda: False, CLOSING)


async def drive(case: Case, target: Target, road: Road, wire: Wire) -> Transcript:
    """Run `case` over `wire` and return its transcript; every wait is bounded by the target's `give_up` and `patience`.

    Raises:
        ValueError: the case has a step that needs no connection.
    """
    record = _Recorder(asyncio.get_running_loop().time)
    client: View | None = None
    reader: asyncio.Task[None] | None = None
    try:
        try:
            async with asyncio.timeout(target.patience):
                client = await wire.connect()
        except (TimeoutError, OSError) as error:
            record.note(EventKind.CONNECT_FAILED, note=str(error) or "timed out")
            return Transcript(case.id, tuple(record.events))
        record.note(EventKind.CONNECTED)
        reader = asyncio.create_task(_read_all(wire, record))
        session = _Session(case, target, wire, record)
        await session.steps()
        await session.probe()
        if not record.closed:
            record.ended(EventKind.GAVE_UP, "the connection was still open")
    finally:
        if reader is not None:
            reader.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await reader
        wire.close()
    peer = View.of(road.peer) if road.peer is not None else client
    return Transcript(case.id, tuple(record.events), client, peer, record.dropped)


async def watch(case: Case, watcher: CheckWatcher) -> Transcript:
    """Run a case that only watches HAProxy's health check of the target.

    Raises:
        TypeError: the case has another step.
    """
    record = _Recorder(asyncio.get_running_loop().time)
    for step in case.steps:
        if not isinstance(step, WatchCheck):
            raise TypeError(f"case {case.id} mixes connections and health checks")
        seen = await watcher(step.name)
        record.note(EventKind.OBSERVED, note=f"{'up' if seen.up else 'down'}: {seen.text}")
    return Transcript(case.id, tuple(record.events))
