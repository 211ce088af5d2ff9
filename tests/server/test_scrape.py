"""The metrics port: what it answers, and whom it does not."""

import asyncio
import json
from collections.abc import AsyncIterator, Coroutine
from contextlib import asynccontextmanager
from typing import Any

import pytest

from proxyspec_server.command import bind
from proxyspec_server.metrics import Metrics, Snapshot
from proxyspec_server.proxy import Endpoint
from proxyspec_server.scrape import MAX_CLIENTS, MAX_REQUEST, MetricsPort, answer


def snapshot() -> Snapshot:
    return Metrics().snapshot([], waiting=0, faults=7)


@pytest.mark.parametrize(
    ("request_line", "status"),
    [
        (b"GET /metrics HTTP/1.1", b"200 OK"),
        (b"GET /metrics?x=1 HTTP/1.0", b"200 OK"),
        (b"GET /metrics.json HTTP/1.0", b"200 OK"),
        (b"GET / HTTP/1.0", b"404 Not Found"),
        (b"GET /metrics/../x HTTP/1.0", b"404 Not Found"),
        (b"POST /metrics HTTP/1.0", b"405 Method Not Allowed"),
        (b"GET /metrics", b"400 Bad Request"),
        (b"EHLO x", b"400 Bad Request"),
        (b"", b"400 Bad Request"),
        (b"\xff\xfe \x00 \r", b"400 Bad Request"),
    ],
)
def test_what_is_answered(request_line: bytes, status: bytes) -> None:
    head, _, body = answer(request_line + b"\r\nHost: x\r\n\r\n", snapshot).partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.0 " + status + b"\r\n")
    assert f"Content-Length: {len(body)}".encode() in head.split(b"\r\n")
    assert (b"Allow: GET" in head) == status.startswith(b"405")


def test_both_forms() -> None:
    text = answer(b"GET /metrics HTTP/1.1\r\n\r\n", snapshot)
    assert b"Content-Type: text/plain; version=0.0.4" in text
    assert text.endswith(b"\nproxyspec_server_faults_total 7\n")
    body = answer(b"GET /metrics.json HTTP/1.1\r\n\r\n", snapshot).partition(b"\r\n\r\n")[2]
    assert json.loads(body)["faults"] == 7


@asynccontextmanager
async def running() -> AsyncIterator[tuple[str, int]]:
    bound = bind(Endpoint("127.0.0.1", 0))
    port = MetricsPort(snapshot)
    await port.listen(bound)
    try:
        yield bound.getsockname()[:2]
    finally:
        port.close()


def play(scenario: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(scenario, 60))


def test_over_a_socket() -> None:
    async def scenario() -> None:
        async with running() as address:
            reader, writer = await asyncio.open_connection(*address)
            for byte in b"GET /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n":
                writer.write(bytes([byte]))
                await writer.drain()
            assert (await reader.read(-1)).startswith(b"HTTP/1.0 200 OK\r\n")
            writer.close()

    play(scenario())


@pytest.mark.parametrize("request_bytes", [b"GET /metrics HTTP/1.1\r\n", b"x" * (MAX_REQUEST * 4)])
def test_half_a_request_or_too_much_of_one_gets_no_answer(request_bytes: bytes) -> None:
    async def scenario() -> None:
        async with running() as address:
            reader, writer = await asyncio.open_connection(*address)
            writer.write(request_bytes)
            writer.write_eof()
            try:
                assert await reader.read(-1) == b""
            except ConnectionResetError:
                assert len(request_bytes) > MAX_REQUEST
            writer.close()

    play(scenario())


def test_a_crowd_is_not_answered_but_those_after_it_are() -> None:
    async def scenario() -> None:
        async with running() as address:
            silent = [await asyncio.open_connection(*address) for _ in range(MAX_CLIENTS)]
            reader, writer = await asyncio.open_connection(*address)
            assert await reader.read(-1) == b""
            writer.close()
            for one, other in silent:
                other.write_eof()
                assert await one.read(-1) == b""
                other.close()
            reader, writer = await asyncio.open_connection(*address)
            writer.write(b"GET /metrics.json HTTP/1.0\r\n\r\n")
            assert b'"faults": 7' in await reader.read(-1)
            writer.close()

    play(scenario())
