"""Takes a proxy's connections, looks at them as they come, and plays the SMTP server behind the header."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
import sys
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import Final

from proxyspec.errors import UsageError
from proxyspec.model import Ending, View
from proxyspec.sender.arrival import Arrival, Look
from proxyspec.sender.header import Standing, extent
from proxyspec.sender.smtp import GREETING, SmtpTalk

__all__ = ["Limits", "bind", "receiving"]

_PIECE: Final = 65536
#: Where `tcpi_data_segs_in` stands in Linux's struct tcp_info, since 4.6.
_DATA_SEGMENTS_AT: Final = 152
_TCP_INFO_SIZE: Final = 256
#: Seconds until accepting is tried again after it failed.
_BREATH: Final = 0.05


@dataclass(frozen=True, slots=True)
class Limits:
    """What one peer, and all of them, may take; security limits, for anybody may connect.

    `patience` is how long in seconds a header is waited for before the greeting goes out without one; `longest` bounds
    a connection in seconds, `most_bytes` what is kept of it, `parallel` how many are served at once.
    """

    patience: float = 5.0
    longest: float = 60.0
    most_bytes: int = 65536
    parallel: int = 256


def bind(address: str, port: int) -> socket.socket:
    """Return a listening socket.

    Raises:
        UsageError: there is none to be had on that address and port.
    """
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    server = socket.socket(family, socket.SOCK_STREAM)
    try:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        server.bind((address, port))
        server.listen(128)
        server.settimeout(0)
    except OSError as error:
        server.close()
        raise UsageError(
            f"cannot listen on {address} port {port}: {error.strerror or error}; name another with --listen"
        ) from error
    return server


def _segments(connection: socket.socket) -> int | None:
    """Return how many segments with data the kernel has received; None where it does not say."""
    if sys.platform != "linux":
        return None
    try:
        told = connection.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, _TCP_INFO_SIZE)
    except OSError:
        return None
    if len(told) < _DATA_SEGMENTS_AT + 4:
        return None
    return int(struct.unpack_from("=I", told, _DATA_SEGMENTS_AT)[0])


def _behind_headers(payload: bytes) -> bytes:
    """Leave out further headers: to our mail server a second one of version 2 would say QUIT (section 6)."""
    while (found := extent(payload)).standing is Standing.WHOLE:
        payload = payload[found.size :]
    return payload


def _view(name: tuple[str, int]) -> View:
    return View.of(name[0].partition("%")[0], name[1])


class _Closed(Exception):
    """The peer ended the connection."""

    def __init__(self, ending: Ending) -> None:
        self.ending = ending


class _Reception:
    """One connection, from accept to its end."""

    def __init__(self, connection: socket.socket, peer: View, limits: Limits) -> None:
        self._loop = asyncio.get_running_loop()
        self._connection = connection
        self._limits = limits
        self._began = self._loop.time()
        self._looks: list[Look] = []
        self._kept = 0
        self._dropped = 0
        self._gave_up: float | None = None
        # The peer comes from accept(): of a connection that is reset already, the kernel no longer tells it.
        self._peer, self._here = peer, _view(connection.getsockname())

    def arrival(self, ending: Ending) -> Arrival:
        """Return what came so far."""
        return Arrival(self._peer, self._here, tuple(self._looks), ending, self._gave_up, self._dropped)

    async def _look(self) -> bytes:
        """Wait for bytes, and note them as they were when the connection became readable.

        Raises:
            _Closed: there are none to come.
        """
        readable: asyncio.Future[Look] = self._loop.create_future()

        def now() -> None:
            # Within the callback, so that nothing of ours comes between the kernel's word and the look.
            self._loop.remove_reader(self._connection)
            if readable.done():
                return
            before = _segments(self._connection)
            try:
                data = self._connection.recv(_PIECE, socket.MSG_PEEK)
            except OSError as error:
                readable.set_exception(error)
                return
            # A segment that comes in between may or may not be part of what was seen: then nothing is said.
            segments = before if _segments(self._connection) == before else None
            readable.set_result(Look(self._loop.time() - self._began, data, segments))

        self._loop.add_reader(self._connection, now)
        try:
            look = await readable
        except OSError:
            raise _Closed(Ending.RST) from None
        finally:
            self._loop.remove_reader(self._connection)
        if not look.data:
            raise _Closed(Ending.FIN)
        # The same bytes, and no more of them, leave the queue.
        self._connection.recv(len(look.data))
        kept = look.data[: self._limits.most_bytes - self._kept]
        if kept:
            self._looks.append(Look(look.at, kept, look.segments))
        self._kept += len(kept)
        self._dropped += len(look.data) - len(kept)
        return look.data

    async def _payload(self) -> bytes:
        """Wait for the header to be complete or hopeless; return what stands behind it."""
        came = b""
        try:
            async with asyncio.timeout(self._limits.patience):
                while True:
                    came += await self._look()
                    found = extent(came)
                    if found.standing is Standing.WHOLE:
                        return came[found.size :]
                    if found.standing is Standing.NONE:
                        return came
        except TimeoutError:
            self._gave_up = self._loop.time() - self._began
            return b""

    async def run(self) -> Arrival:
        """Serve the connection to its end."""
        ending = Ending.OPEN
        try:
            async with asyncio.timeout(self._limits.longest):
                talk = SmtpTalk()
                payload = await self._payload()
                await self._loop.sock_sendall(self._connection, GREETING)
                while True:
                    answer = talk.receive(_behind_headers(payload))
                    if answer:
                        await self._loop.sock_sendall(self._connection, answer)
                    if talk.done:
                        break
                    payload = await self._look()
        except _Closed as closed:
            ending = closed.ending
        except ConnectionError:
            ending = Ending.RST
        except TimeoutError:
            pass
        return self.arrival(ending)


class _Door:
    """Accepts connections while there is room; every one it takes is closed in the end."""

    def __init__(self, server: socket.socket, told: Callable[[Arrival], None], limits: Limits) -> None:
        self._loop = asyncio.get_running_loop()
        self._server = server
        self._told = told
        self._limits = limits
        self._tasks: set[asyncio.Task[None]] = set()
        self._closed = False
        self._failures: list[BaseException] = []

    def open(self, admits: Callable[[View], bool]) -> None:
        """Begin, or go on, to accept."""
        if not self._closed and len(self._tasks) < self._limits.parallel:
            # A callback, not a coroutine: nothing can come between a connection and whoever closes it.
            self._loop.add_reader(self._server, self._accept, admits)

    def _accept(self, admits: Callable[[View], bool]) -> None:
        try:
            connection, name = self._server.accept()
        except BlockingIOError:
            return
        except OSError:  # no descriptor left, or gone before it was taken: the next may do better
            self._loop.remove_reader(self._server)
            self._loop.call_later(_BREATH, self.open, admits)
            return
        peer = _view(name[:2])
        if not admits(peer):
            connection.close()
            return
        connection.settimeout(0)
        task = asyncio.create_task(self._serve(connection, peer))
        self._tasks.add(task)

        def over(task: asyncio.Task[None]) -> None:
            # A task that was cancelled before its first step has closed nothing.
            connection.close()
            self._tasks.discard(task)
            failure = None if task.cancelled() else task.exception()
            if failure is not None:
                self._failures.append(failure)
            self.open(admits)

        task.add_done_callback(over)
        if len(self._tasks) >= self._limits.parallel:
            self._loop.remove_reader(self._server)

    async def _serve(self, connection: socket.socket, peer: View) -> None:
        with connection:
            reception = _Reception(connection, peer, self._limits)
            try:
                arrival = await reception.run()
            except asyncio.CancelledError:
                self._told(reception.arrival(Ending.OPEN))
                raise
            self._told(arrival)

    async def close(self) -> None:
        """Accept no more, and end what is open; what `told` raised is raised here."""
        self._closed = True
        self._loop.remove_reader(self._server)
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        if tasks:
            await asyncio.wait(tasks)
        if self._failures:
            raise self._failures[0]


@contextlib.asynccontextmanager
async def receiving(
    server: socket.socket,
    told: Callable[[Arrival], None],
    limits: Limits | None = None,
    *,
    admits: Callable[[View], bool] = lambda peer: True,
) -> AsyncIterator[None]:
    """Serve every connection to `server` for the time of the context, which closes it.

    `told` hears of each connection when it is over; those still open when the context ends are told then. A peer that
    `admits` turns down is closed at once and never told.
    """
    with server:
        door = _Door(server, told, limits if limits is not None else Limits())
        door.open(admits)
        try:
            yield
        finally:
            await door.close()
