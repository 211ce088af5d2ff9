"""The package proxy-protocol in front of a few lines of SMTP, whose EHLO reply says whom the header names.

    python -m tests.third_parties.proxyprotocol_server DEADLINE

It listens on a free port of 127.0.0.1, which it prints.

What a header means is for the package alone to say, with the reader and the detection of versions that its echo server
uses; the deadline, the stream's end and the connection's own address are its user's to see to, which is this one here.
"""

from __future__ import annotations

import asyncio
import struct
import sys
from asyncio import IncompleteReadError, LimitOverrunError, StreamReader, StreamWriter
from contextlib import closing, suppress

from proxyprotocol import ProxyProtocolSyntaxError
from proxyprotocol.detect import ProxyProtocolDetect
from proxyprotocol.reader import ProxyProtocolReader
from proxyprotocol.result import ProxyResult, is_ipv4, is_ipv6

HOST = b"mx.test"
SIMPLE = {
    b"HELO": b"250 " + HOST,
    b"MAIL": b"250 OK",
    b"RCPT": b"250 OK",
    b"RSET": b"250 OK",
    b"NOOP": b"250 OK",
    b"VRFY": b"252 Cannot tell",
}


class Stream:
    """What the package reads from: whole lines and whole counts of bytes, or an error."""

    def __init__(self, reader: StreamReader) -> None:
        self._reader = reader

    async def readexactly(self, n: int) -> bytes:
        return await self._reader.readexactly(n)

    async def readline(self) -> bytes:
        return await self._reader.readuntil(b"\n")


def believed(result: ProxyResult, writer: StreamWriter) -> bytes:
    """The address of a session: the header's, or the connection's own where that has none (LOCAL, UNKNOWN, …)."""
    if is_ipv6(result):
        return f"IPv6:{result.source[0]}".encode()
    return str(result.source[0] if is_ipv4(result) else writer.get_extra_info("peername")[0]).encode()


class Session:
    """One connection."""

    def __init__(self, reader: StreamReader, writer: StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._mail = False

    async def run(self, deadline: float) -> None:
        refused = (ProxyProtocolSyntaxError, IncompleteReadError, LimitOverrunError, ValueError, struct.error)
        with closing(self._writer), suppress(OSError, *refused):
            async with asyncio.timeout(deadline):
                result = await ProxyProtocolReader(ProxyProtocolDetect()).read(Stream(self._reader))
            await self._talk(believed(result, self._writer))

    async def _talk(self, address: bytes) -> None:
        self._writer.write(b"220 " + HOST + b" ESMTP\r\n")
        while line := await self._reader.readline():
            verb = (line.split(None, 1) or [b""])[0].upper()
            if verb == b"QUIT":
                self._writer.write(b"221 Bye\r\n")
                return
            if verb == b"EHLO":
                self._mail = False
                self._writer.write(b"250-" + HOST + b" [" + address + b"]\r\n250 8BITMIME\r\n")
            elif verb == b"DATA" and self._mail:
                await self._message()
            elif verb in (b"RCPT", b"DATA") and not self._mail:
                self._writer.write(b"503 MAIL first\r\n")
            else:
                self._mail = verb == b"MAIL" or (self._mail and verb not in (b"HELO", b"RSET"))
                self._writer.write(SIMPLE.get(verb, b"500 Unknown command") + b"\r\n")
            await self._writer.drain()

    async def _message(self) -> None:
        self._writer.write(b"354 Go on\r\n")
        while await self._reader.readline() not in (b".\r\n", b""):
            pass
        self._mail = False
        self._writer.write(b"250 OK\r\n")


async def serve(deadline: float) -> None:
    async def connection(reader: StreamReader, writer: StreamWriter) -> None:
        await Session(reader, writer).run(deadline)

    server = await asyncio.start_server(connection, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(float(sys.argv[1])))
