"""A sender that does what a script says, over a real socket."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Sequence
from dataclasses import dataclass

from proxyspec.model import View
from proxyspec.sender.arrival import Arrival
from proxyspec.sender.listener import Limits, bind, receiving

__all__ = ["RESET", "Heard", "hear", "send"]

#: At the end of a script: reset the connection in place of ending it.
RESET = b""


@dataclass(frozen=True, slots=True)
class Heard:
    """What the listener made of a connection, and what the sender was told on it."""

    arrival: Arrival
    replies: bytes
    own: View


async def send(port: int, script: Sequence[bytes], *, pieces_apart: int = 50) -> tuple[bytes, View]:
    """Send each piece as a segment of its own, then FIN or RST; return all replies and our own end.

    Between two pieces the event loop goes round a few times, so that a listener in it usually sees them apart.
    """
    loop = asyncio.get_running_loop()
    with socket.socket() as sender:
        sender.settimeout(0)
        sender.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await loop.sock_connect(sender, ("127.0.0.1", port))
        own = View(*sender.getsockname())
        for piece in script:
            if piece == RESET:
                sender.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                return b"", own
            await loop.sock_sendall(sender, piece)
            for _ in range(pieces_apart):
                await asyncio.sleep(0)
        sender.shutdown(socket.SHUT_WR)
        replies = b""
        while data := await loop.sock_recv(sender, 65536):
            replies += data
        return replies, own


def hear(*script: bytes, limits: Limits | None = None) -> Heard:
    """Run a script against a listener and return what both heard."""

    async def run() -> Heard:
        heard: asyncio.Future[Arrival] = asyncio.get_running_loop().create_future()
        server = bind("127.0.0.1", 0)
        port = server.getsockname()[1]
        async with asyncio.timeout(30), receiving(server, heard.set_result, limits):
            replies, own = await send(port, script)
            return Heard(await heard, replies, own)

    return asyncio.run(run())
