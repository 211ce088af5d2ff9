"""The metrics over HTTP/1.0, for Prometheus and for people with curl: GET, two paths, nothing else."""

import asyncio
import json
import socket
from collections.abc import Callable
from contextlib import suppress

from proxyspec_server.metrics import Snapshot

MAX_REQUEST = 4096
"""Bytes of the longest request."""
PATIENCE = 5.0
"""Seconds a client may take for its request and the answer."""
MAX_CLIENTS = 16
"""Requests answered at a time; others are closed."""


def answer(request: bytes, snapshot: Callable[[], Snapshot]) -> bytes:
    """The whole answer to a request head that ends with an empty line."""
    words = request.partition(b"\r\n")[0].split(b" ")
    if len(words) != 3 or not words[2].startswith(b"HTTP/"):
        return _response("400 Bad Request", "text/plain", "this is no HTTP request\n")
    method, target, _ = words
    if method != b"GET":
        return _response("405 Method Not Allowed", "text/plain", "only GET is answered\n", "Allow: GET\r\n")
    path = target.partition(b"?")[0]
    if path == b"/metrics":
        return _response("200 OK", "text/plain; version=0.0.4; charset=utf-8", snapshot().as_prometheus())
    if path == b"/metrics.json":
        return _response("200 OK", "application/json", json.dumps(snapshot().as_json()) + "\n")
    return _response("404 Not Found", "text/plain", "there are /metrics and /metrics.json\n")


def _response(status: str, kind: str, body: str, more: str = "") -> bytes:
    head = f"HTTP/1.0 {status}\r\nContent-Type: {kind}\r\nContent-Length: {len(body)}\r\n{more}\r\n"
    return (head + body).encode("ascii")


class MetricsPort:
    """Answers on one bound socket until it is closed."""

    def __init__(self, snapshot: Callable[[], Snapshot]) -> None:
        self._snapshot = snapshot
        self._clients = 0
        self._server: asyncio.Server | None = None

    async def listen(self, bound: socket.socket) -> None:
        """Answer from now on."""
        self._server = await asyncio.start_server(self._serve, sock=bound, limit=MAX_REQUEST)

    def close(self) -> None:
        """Stop listening; requests being answered are finished."""
        if self._server is not None:
            self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._clients += 1
        try:
            if self._clients <= MAX_CLIENTS:
                # Whoever is too slow, says too much, or leaves gets no answer.
                with suppress(TimeoutError, asyncio.LimitOverrunError, asyncio.IncompleteReadError, OSError):
                    async with asyncio.timeout(PATIENCE):
                        writer.write(answer(await reader.readuntil(b"\r\n\r\n"), self._snapshot))
                        await writer.drain()
        finally:
            self._clients -= 1
            writer.close()
