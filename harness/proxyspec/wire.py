"""One TCP connection as the driver sees it: connect, send, receive, half-close; nothing is interpreted."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from dataclasses import dataclass
from typing import Protocol

from proxyspec.model import View

__all__ = ["Road", "TcpWire", "Wire"]

#: Largest piece read at once, in bytes.
READ_SIZE = 65536


@dataclass(frozen=True, slots=True)
class Road:
    """How a connection reaches the target: where to, and with which local address."""

    host: str
    port: int
    #: Local address to bind; None leaves it to the system.
    source: str | None = None
    #: The TCP peer the target sees on this road if it is not the harness itself (HAProxy's address).
    peer: str | None = None


class Wire(Protocol):
    """The driver's only way to the network; tests script it."""

    async def connect(self) -> View:
        """Connect and return our own end.

        Raises:
            OSError: the connection could not be made.
        """
        ...

    async def send(self, data: bytes) -> None:
        """Write all bytes.

        Raises:
            OSError: the connection is gone.
        """
        ...

    async def receive(self) -> bytes:
        """Return the next bytes; empty after the target's FIN.

        Raises:
            OSError: the connection was reset.
        """
        ...

    def half_close(self) -> None:
        """Send FIN and keep the reading side."""
        ...

    def reset(self) -> None:
        """Send RST and let go of the connection."""
        ...

    def close(self) -> None:
        """Let go of the connection; safe to call twice."""
        ...


class TcpWire:
    """A `Wire` over a non-blocking socket with TCP_NODELAY, so that each send is a segment of its own."""

    def __init__(self, road: Road) -> None:
        self._road = road
        self._socket: socket.socket | None = None

    async def connect(self) -> View:
        """Connect along the road; see `Wire.connect`."""
        loop = asyncio.get_running_loop()
        family = socket.AF_INET6 if ":" in self._road.host else socket.AF_INET
        sock = socket.socket(family, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
        self._socket = sock
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._road.source is not None:
            # The port is chosen at connect, where the whole four-tuple counts: bind alone would run out of ports.
            with contextlib.suppress(AttributeError, OSError):
                sock.setsockopt(socket.IPPROTO_IP, socket.IP_BIND_ADDRESS_NO_PORT, 1)
            sock.bind((self._road.source, 0))
        await loop.sock_connect(sock, (self._road.host, self._road.port))
        name = sock.getsockname()
        return View.of(name[0], name[1])

    @property
    def _connected(self) -> socket.socket:
        if self._socket is None:
            raise ConnectionError("not connected")
        return self._socket

    async def send(self, data: bytes) -> None:
        """Write all bytes; see `Wire.send`."""
        await asyncio.get_running_loop().sock_sendall(self._connected, data)

    async def receive(self) -> bytes:
        """Return the next bytes; see `Wire.receive`."""
        return await asyncio.get_running_loop().sock_recv(self._connected, READ_SIZE)

    def half_close(self) -> None:
        """Send FIN; see `Wire.half_close`."""
        self._connected.shutdown(socket.SHUT_WR)

    def reset(self) -> None:
        """Send RST and let go; see `Wire.reset`."""
        self._connected.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close()

    def close(self) -> None:
        """Let go of the connection; see `Wire.close`."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None
