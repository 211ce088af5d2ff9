"""Runs one case over a wire and writes down what happened; it judges nothing.

After the case's own steps comes the probe, alike for every case: wait for a greeting, say EHLO, send the case's
commands, say EHLO again (left-over header bytes glue to the first), QUIT, wait for the end. A STARTTLS among the
commands that is answered with 220 is followed by the handshake.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import os
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Protocol

from proxyspec.crashes import CrashReader
from proxyspec.model import (
    ACCEPTED,
    Await,
    Case,
    Crowd,
    Event,
    EventKind,
    HalfClose,
    Level,
    Neighbour,
    Pause,
    Reset,
    Send,
    StartTls,
    Target,
    Transcript,
    View,
    WatchCheck,
)
from proxyspec.processor import Spent, busy
from proxyspec.replies import Reply, ReplyReader
from proxyspec.tls import TlsClient
from proxyspec.wire import Road, TcpWire, Wire
from proxyspec.witness import Witness

__all__ = [
    "TRANSCRIPT_LIMIT",
    "WATCHED",
    "Aids",
    "CheckObservation",
    "CheckWatcher",
    "drive",
    "watch",
    "watch_processor",
]

#: Received bytes one transcript keeps; the rest is counted and dropped.
TRANSCRIPT_LIMIT = 16 * 1024
#: Pieces of it that are kept apart; what comes in more of them is joined.
PIECES = 256
#: A target that sends more than this on one connection is flooding; the connection is given up.
FLOOD_LIMIT = 1024 * 1024

#: How long a refusal may leave the connection open before the probe says QUIT (RFC 5321, section 3.1: a 554
#: greeting waits for it), and again after that, in seconds.
CLOSING = 1.0
#: The target's processes are left to settle, then watched, in seconds.
SETTLING, WATCHED = 0.2, 1.0
#: On a busy machine they are watched longer, until they have run or slept for `TOLD` seconds: up to `LONGEST` seconds.
TOLD, LONGEST = 0.5, 10.0
#: Quiet after which no reply is on its way any more, in seconds.
CALM = 0.3
#: How often a witness is asked for a session that has ended, in seconds.
TRACE_EVERY = 0.05


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


@dataclass(frozen=True, slots=True)
class Aids:
    """What a case may use beside its own connection."""

    #: Makes the wires of neighbours and crowds.
    another: Callable[[Road], Wire] = TcpWire
    #: Shows outside the connection whose session the target believes to have.
    witness: Witness | None = None
    #: What each of the target's threads has spent so far; None where its processes cannot be seen.
    processor: Callable[[], Mapping[int, Spent] | None] | None = None
    #: The lines in which the target's log tells of crashes; None where no log is known.
    crashes: CrashReader | None = None


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

    @property
    def failed_tls(self) -> bool:
        return any(event.kind is EventKind.TLS_FAILED for event in self.events)

    def elapsed(self) -> float:
        return self._clock() - self._started

    @property
    def dropped(self) -> int:
        return self.total - self._kept

    def note(self, kind: EventKind, data: bytes = b"", note: str = "") -> None:
        self.events.append(Event(self.elapsed(), kind, data, note))

    def received(self, data: bytes) -> None:
        if not data:
            # TLS has news of its own: a handshake done, or failed.
            self._changed.set()
            return
        self.total += len(data)
        kept = data[: max(0, TRANSCRIPT_LIMIT - self._kept)]
        self._kept += len(kept)
        if kept:
            self._keep(kept)
        self.replies += self._reader.feed(data, self.elapsed())
        # Replies are read from what is kept; the list here only paces the probe and must not grow with a flood.
        del self.replies[256:]
        self._changed.set()

    def _keep(self, data: bytes) -> None:
        """Note what was received; a target that dribbles does not fill the memory with single bytes."""
        last = self.events[-1] if self.events else None
        if last is not None and last.kind is EventKind.RECEIVED and len(self.events) > PIECES:
            # The time of the last byte is that of the reply it completes.
            self.events[-1] = Event(self.elapsed(), EventKind.RECEIVED, last.data + data)
        else:
            self.note(EventKind.RECEIVED, data)

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


class _Link:
    """A connected wire whose bytes go into a record, in clear or inside TLS."""

    def __init__(self, wire: Wire, record: _Recorder, patience: float) -> None:
        self._wire = wire
        self._record = record
        self._patience = patience
        self._tls: TlsClient | None = None
        self._half_closed = False
        self._reader: asyncio.Task[None] | None = None

    async def connect(self) -> View | None:
        """Connect and begin to read; return our own end, or None with the failure in the record."""
        try:
            async with asyncio.timeout(self._patience):
                client = await self._wire.connect()
        except (TimeoutError, OSError) as error:
            # The system's own words; asyncio adds the address, which the reader knows.
            words = os.strerror(error.errno) if error.errno is not None and error.errno > 0 else str(error)
            self._record.ended(EventKind.CONNECT_FAILED, words or "timed out")
            return None
        self._record.note(EventKind.CONNECTED)
        self._reader = asyncio.create_task(self._read_all())
        return client

    async def _read_all(self) -> None:
        record = self._record
        try:
            while data := await self._wire.receive():
                record.received(data if self._tls is None else await self._through(self._tls, data))
                if record.total > FLOOD_LIMIT:
                    record.ended(EventKind.GAVE_UP, f"the target sent more than {FLOOD_LIMIT} bytes")
                    return
        except OSError as error:
            record.ended(EventKind.SERVER_RST, str(error))
        else:
            record.ended(EventKind.SERVER_FIN)

    async def _through(self, tls: TlsClient, data: bytes) -> bytes:
        """Hand what came to TLS and send what TLS has to answer; what is no TLS is returned as it is."""
        was_established = tls.established
        plain = tls.feed(data)
        if answer := tls.outgoing():
            await self._wire.send(answer)
        if tls.established and not was_established:
            self._record.note(EventKind.TLS_STARTED, note=tls.description)
        if tls.failed is not None:
            self._record.note(EventKind.TLS_FAILED, note=tls.failed)
            self._tls = None
            return plain if was_established else data
        return plain

    async def send(self, data: bytes, *, shown: bytes | None = None) -> None:
        """Send bytes, inside TLS if that is on; a connection that is gone is the reader's to notice.

        The record has `shown` in their place, where they are nobody else's business.
        """
        record = self._record
        if record.closed or self._half_closed:
            return
        # Noted first: the answer may be read before this task runs again.
        record.note(EventKind.SENT, data if shown is None else shown)
        try:
            await self._write(data if self._tls is None else self._tls.encrypt(data))
        except OSError:
            # The reader sees how it ended; what is buffered before that still counts.
            await record.until(lambda: False, 1.0)

    async def _write(self, data: bytes) -> None:
        try:
            async with asyncio.timeout(self._patience):
                await self._wire.send(data)
        except TimeoutError:
            self._record.ended(EventKind.GAVE_UP, "the target stopped reading")

    async def start_tls(self, glued: bytes, seconds: float) -> None:
        """Make the handshake, which may take so many seconds; the record tells whether it was made."""
        record = self._record
        if record.closed or self._half_closed or self._tls is not None:
            return
        self._tls = tls = TlsClient()
        if glued:
            record.note(EventKind.SENT, glued)
        with contextlib.suppress(OSError):
            await self._write(glued + tls.outgoing())
        if not await record.until(lambda: tls.established or tls.failed is not None, seconds) and not tls.failed:
            record.note(EventKind.TLS_FAILED, note="the handshake was not finished")
            self._tls = None

    def half_close(self) -> None:
        """Send FIN; nothing is sent after it."""
        self._half_closed = True
        self._record.note(EventKind.CLIENT_FIN)
        with contextlib.suppress(OSError):
            self._wire.half_close()

    @property
    def half_closed(self) -> bool:
        """Whether our FIN is out."""
        return self._half_closed

    async def reset(self) -> None:
        """Send RST; nothing is read after it."""
        if self._record.closed:
            return
        await self._stop_reading()
        self._record.ended(EventKind.CLIENT_RST)
        with contextlib.suppress(OSError):
            self._wire.reset()

    async def _stop_reading(self) -> None:
        if self._reader is not None:
            self._reader.cancel()
            # Not awaited itself: its cancellation could not be told from ours.
            await asyncio.wait({self._reader})
            if not self._reader.cancelled():
                self._reader.result()

    async def close(self) -> None:
        """Let go of the connection."""
        await self._stop_reading()
        self._wire.close()


class _Session:
    """One case on one connected link."""

    def __init__(self, case: Case, target: Target, link: _Link, record: _Recorder, token: str, witness: Witness | None):
        self._case = case
        self._target = target
        self._link = link
        self._record = record
        self._names = (token, token) if witness is not None else ("first.probe.test", "second.probe.test")
        self._recipient = witness.recipient if witness is not None and _wants_address(case) else None
        self._count = 1 + case.extra_replies
        self._logs_in = target.logs_in

    @property
    def _remaining(self) -> float:
        """Seconds until a connection without a session counts as hung."""
        return self._target.give_up - self._record.elapsed()

    @property
    def until_deadline(self) -> float:
        """Seconds until the target may end a connection that has brought no header."""
        return self._target.header_timeout - self._record.elapsed()

    async def steps(self) -> None:
        record, done = self._record, False
        for step in self._case.steps:
            if record.closed:
                return
            match step:
                case Send(data):
                    await self._link.send(data)
                case Pause(seconds, timeouts):
                    pause = seconds + timeouts * self._target.header_timeout
                    await record.until(lambda: False, min(pause, self._remaining))
                case Await(replies):
                    if not done:
                        record.note(EventKind.STEPS_DONE)
                    done = True
                    if not await self._has(replies):
                        return
                case StartTls(glued):
                    await self._link.start_tls(glued, self._target.patience if done else self._remaining)
                    if record.failed_tls:
                        return
                case HalfClose():
                    self._link.half_close()
                case Reset():
                    await self._link.reset()
                case WatchCheck():
                    raise ValueError(f"case {self._case.id} watches a health check on a connection of its own")
            if self._remaining <= 0:
                return
        if not done:
            record.note(EventKind.STEPS_DONE)

    async def _has(self, replies: int) -> bool:
        return await self._record.until(lambda: len(self._record.replies) >= replies, self._remaining)

    async def probe(self) -> None:
        record = self._record
        await record.until(lambda: bool(record.replies), self._remaining)
        if record.replies and record.replies[0].positive and not self._link.half_closed:
            await self.introduce()
            known = True
            for line in self._case.commands:
                known |= line.upper().startswith(b"EHLO ")
                if known and line.upper().startswith(b"MAIL "):
                    await self._log_in()
                await self._exchange(line)
                if line.upper().startswith(b"STARTTLS\r\n") and record.replies and record.replies[-1].code == 220:
                    await self._link.start_tls(b"", self._target.patience)
                    known = False
            await self.take_leave()
        elif record.replies:
            await self._see_off()
        await record.until(lambda: False, self._remaining if self._link.half_closed else 0.0)

    async def _log_in(self) -> None:
        """Log in once, where the target takes mail from nobody else (RFC 4954, section 4)."""
        login, self._logs_in = self._logs_in, None
        if login is not None:
            secret = base64.b64encode(b"\0".join((b"", login.user.encode(), login.password.encode())))
            await self._exchange(
                b"AUTH PLAIN " + secret + b"\r\n", shown=b"AUTH PLAIN (" + login.user.encode() + b")\r\n"
            )

    async def _say(self, line: bytes, shown: bytes | None = None) -> None:
        """Send a line; a target that has said 421 gets the time to end the connection first."""
        if any(reply.code == 421 for reply in self._record.replies):
            await self._record.until(lambda: False, CLOSING)
        await self._link.send(line, shown=shown)

    async def _exchange(self, line: bytes, shown: bytes | None = None) -> None:
        self._count += 1
        count = self._count
        await self._say(line, shown)
        await self._record.until(lambda: len(self._record.replies) >= count, self._target.patience)

    async def introduce(self) -> None:
        """Say EHLO."""
        await self._exchange(b"EHLO " + self._names[0].encode() + b"\r\n")

    async def _deliver(self, recipient: str) -> None:
        """Leave a message, in whose Received field the witness looks for the address believed at the end."""
        # Left-over header bytes may have earned replies beyond the expected; each command from here on has its own.
        await self._record.until(lambda: False, CALM)
        self._count = len(self._record.replies)
        await self._log_in()
        await self._exchange(b"MAIL FROM:<probe@probe.test>\r\n")
        await self._exchange(b"RCPT TO:<" + recipient.encode() + b">\r\n")
        await self._exchange(b"DATA\r\n")
        if self._record.replies and self._record.replies[-1].code == 354:
            subject = f"Subject: proxyspec {self._case.id}\r\nFrom: <probe@probe.test>\r\n"
            await self._exchange(f"{subject}Message-ID: <{self._names[0]}>\r\n\r\nA probe.\r\n.\r\n".encode())

    async def take_leave(self) -> None:
        """Say EHLO once more, leave a message if the witness looks for one, then QUIT, and wait for the end."""
        await self._exchange(b"EHLO " + self._names[1].encode() + b"\r\n")
        if self._recipient is not None:
            await self._deliver(self._recipient)
        await self._say(b"QUIT\r\n")
        await self._record.until(lambda: False, self._target.patience)

    async def _see_off(self) -> None:
        await self._record.until(lambda: False, CLOSING)
        await self._link.send(b"QUIT\r\n")
        await self._record.until(lambda: False, CLOSING)


def _wants_address(case: Case) -> bool:
    return any(accept.kind in ACCEPTED for accept in case.accept)


class _Other:
    """The session of a neighbour: introduced at one time, taken leave of at another."""

    def __init__(self, neighbour: Neighbour, target: Target, wire: Wire) -> None:
        self._record = _Recorder(asyncio.get_running_loop().time)
        self._link = _Link(wire, self._record, target.patience)
        case = Case(
            id="neighbour",
            title="A neighbour is served with its own address",
            section="2",
            level=Level.MUST,
            steps=(Send(neighbour.header), Await()),
            accept=(),
        )
        self._session = _Session(case, target, self._link, self._record, "", None)

    async def __aenter__(self) -> _Other:
        if await self._link.connect() is not None:
            await self._session.steps()
            if self._record.replies and self._record.replies[0].positive:
                await self._session.introduce()
        return self

    async def __aexit__(self, *error: object) -> None:
        await self._link.close()

    async def leave(self) -> tuple[bytes, str]:
        """End the session; return all it was told, and how its connection ended."""
        if self._record.replies and self._record.replies[0].positive:
            await self._session.take_leave()
        told = b"".join(event.data for event in self._record.events if event.kind is EventKind.RECEIVED)
        last = self._record.events[-1]
        return told, f"{last.kind} {last.note}".strip()


class _Held:
    """The connections of a crowd, which say their piece and hold still."""

    def __init__(self, crowd: Crowd, road: Road, aids: Aids, patience: float) -> None:
        self._crowd = crowd
        self._patience = patience
        self._wires = [aids.another(road) for _ in range(crowd.count)]
        self.standing = 0

    async def _hold(self, wire: Wire) -> bool:
        try:
            async with asyncio.timeout(self._patience):
                await wire.connect()
                await wire.send(self._crowd.data)
        except (TimeoutError, OSError):
            return False
        return True

    async def __aenter__(self) -> _Held:
        self.standing = sum(await asyncio.gather(*(self._hold(wire) for wire in self._wires)))
        return self

    async def __aexit__(self, *error: object) -> None:
        for wire in self._wires:
            wire.close()


async def watch_processor(processor: Callable[[], Mapping[int, Spent] | None], within: float = LONGEST) -> str:
    """Watch the target's processes for a while; return the note of a PROCESSOR event, "" where they cannot be seen.

    The note says how long they ran, and of how many seconds: those in which they had a processor or slept. It takes
    `within` seconds at most, but one look there is: who ends a connection then rests, whatever it did before.
    """
    await asyncio.sleep(SETTLING)
    clock = asyncio.get_running_loop().time
    before, since = processor(), clock()
    last = since + min(within - SETTLING, LONGEST)
    while True:
        await asyncio.sleep(WATCHED)
        after = processor()
        if before is None or after is None:
            return ""
        ran, of = busy(before, after, clock() - since)
        if of >= TOLD or clock() + WATCHED > last:
            return f"{ran:.2f} {of:.2f}"


async def _trace(witness: Witness, token: str, record: _Recorder) -> None:
    """Ask the witness for the session until it shows it; what it shows goes into the record."""
    told = b"".join(event.data for event in record.events if event.kind is EventKind.RECEIVED)
    seen = witness.look(token, told)
    for _ in range(int(witness.patience / TRACE_EVERY)):
        if seen is not None:
            break
        await asyncio.sleep(TRACE_EVERY)
        seen = witness.look(token, told)
    if seen is not None:
        record.note(EventKind.SEEN, seen.text, seen.view.address)


async def drive(case: Case, target: Target, road: Road, wire: Wire, aids: Aids | None = None) -> Transcript:
    """Run `case` over `wire` and return its transcript; every wait is bounded by the target's `give_up` and `patience`.

    Neighbours and crowds get wires of their own along the same road.

    Raises:
        ValueError: the case has a step that needs no connection.
    """
    aids = aids if aids is not None else Aids()
    token = f"{secrets.token_hex(6)}.probe.test"
    async with contextlib.AsyncExitStack() as stack:
        beside: _Other | None = None
        if case.beside is not None:
            beside = await stack.enter_async_context(_Other(case.beside, target, aids.another(road)))
        standing: int | None = None
        if case.crowd is not None:
            held = await stack.enter_async_context(_Held(case.crowd, road, aids, target.patience))
            standing = held.standing
        record = _Recorder(asyncio.get_running_loop().time)
        if case.crowd is not None:
            size = f"hold {len(case.crowd.data)} bytes each"
            record.note(EventKind.CROWD, note=f"{standing} of {case.crowd.count} connections {size}")
        if aids.witness is not None:
            aids.witness.begin(token)
        link = _Link(wire, record, target.patience)
        stack.push_async_callback(link.close)
        client = await link.connect()
        if client is not None:
            await _run_session(_Session(case, target, link, record, token, aids.witness), case, record, aids)
        await link.close()
        if aids.witness is not None and _wants_address(case) and any(reply.code == 250 for reply in record.replies):
            await _trace(aids.witness, token, record)
        if beside is not None:
            record.note(EventKind.BESIDE, *await beside.leave())
        if case.then is not None:
            async with _Other(case.then, target, aids.another(road)) as other:
                record.note(EventKind.AFTERWARDS, *await other.leave())
    peer = View.of(road.peer) if road.peer is not None else client
    return Transcript(case.id, tuple(record.events), client, peer if client is not None else None, record.dropped)


async def _run_session(session: _Session, case: Case, record: _Recorder, aids: Aids) -> None:
    await session.steps()
    watch: asyncio.Task[str] | None = None
    if case.then is not None and aids.processor is not None and not case.waits:
        watch = asyncio.create_task(watch_processor(aids.processor, session.until_deadline))
    try:
        await session.probe()
        if not record.closed:
            record.ended(EventKind.GAVE_UP, "the connection was still open")
        if watch is not None and (note := await watch):
            record.note(EventKind.PROCESSOR, note=note)
    finally:
        if watch is not None:
            watch.cancel()


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
