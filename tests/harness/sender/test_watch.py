"""A proxy of our own watched: sessions held through it, checks beside them, and what it gets wrong."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from ipaddress import ip_network

import pytest

from proxyspec.errors import HarnessError
from proxyspec.layers.authoring import crc32c, local, v1, v2
from proxyspec.layers.tlv import TLVType
from proxyspec.model import Verdict, View
from proxyspec.records.sender import SenderRecord
from proxyspec.sender.client import Front
from proxyspec.sender.expectation import Expectation, TlvWanted
from proxyspec.sender.listener import bind
from proxyspec.sender.watch import Watch, watch
from tests.harness.sender.scripted import send

LOOPBACK = (ip_network("127.0.0.0/8"),)
SESSION = b"EHLO x\r\nQUIT\r\n"

#: From the two ends of a client's connection to the header to send.
Heading = Callable[[View, View], bytes]


class Proxy:
    """Relays to `port` and writes a header of the test's own in front."""

    def __init__(self, port: int, heading: Heading) -> None:
        self._port = port
        self._heading = heading

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        client = View(*writer.get_extra_info("peername")[:2])
        front = View(*writer.get_extra_info("sockname")[:2])
        there, onward = await asyncio.open_connection("127.0.0.1", self._port)
        onward.write(self._heading(client, front))
        await asyncio.gather(self._pump(reader, onward), self._pump(there, writer))

    async def _pump(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                writer.write(data)
        except ConnectionError:
            pass
        finally:
            writer.close()


def through(heading: Heading, expects: Expectation, count: int = 2) -> list[SenderRecord]:
    rows: list[SenderRecord] = []

    async def run() -> None:
        server = bind("127.0.0.1", 0)
        proxy = await asyncio.start_server(Proxy(server.getsockname()[1], heading).serve, "127.0.0.1", 0)
        front = Front("127.0.0.1", proxy.sockets[0].getsockname()[1])
        async with proxy:
            await watch(server, Watch(expects=expects, peers=LOOPBACK, through=front, count=count), rows.append)

    asyncio.run(asyncio.wait_for(run(), 60))
    return rows


def of(version: int) -> Expectation:
    return Expectation(version=version, exact=False)


def honest(client: View, front: View) -> bytes:
    return v2(client.address, front.address, client.port or 0, front.port or 0, tlvs=[crc32c()])


def test_an_honest_proxy_passes_with_what_it_promises() -> None:
    wanted = Expectation(version=2, exact=False, tlvs=(TlvWanted(TLVType.CRC32C),))
    rows = through(honest, wanted)
    assert [(row.verdict, row.visitor) for row in rows] == [(Verdict.PASS, "our own client")] * 2
    assert len({row.id for row in rows}) == 2
    assert all(row.size == 35 and row.segments == 1 for row in rows)
    assert bytes.fromhex(rows[0].hex).startswith(b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x13")


@pytest.mark.parametrize(
    ("heading", "rule"),
    [
        (lambda c, f: v2(c.address, f.address, (c.port ^ 1), f.port), "send.addresses"),
        (lambda c, f: v2(c.address, f.address, c.port, (f.port ^ 1)), "send.addresses"),
        (lambda c, f: v2("127.0.0.9", f.address, c.port, f.port), "send.addresses"),
        (lambda c, f: v1(c.address, f.address, c.port, f.port), "send.version"),
        (lambda c, f: local(), "send.client.proxy"),
        (lambda c, f: v2(c.address, f.address, c.port, f.port) * 2, "send.once"),
    ],
)
def test_a_proxy_that_is_wrong_of_our_client(heading: Heading, rule: str) -> None:
    (row,) = through(heading, of(2), count=1)
    assert row.verdict is Verdict.FAIL
    assert [finding.rule for finding in row.findings] == [rule]


@pytest.mark.parametrize(("patience", "seconds"), [(0.0, None), (60.0, 0.5)], ids=["patience", "time"])
def test_a_proxy_that_is_not_there_is_not_judged(patience: float, seconds: float | None) -> None:
    rows: list[SenderRecord] = []

    async def run() -> None:
        server, nobody = bind("127.0.0.1", 0), bind("127.0.0.1", 0)
        closed = Front("127.0.0.1", nobody.getsockname()[1])
        nobody.close()
        wanted = Watch(expects=of(2), peers=LOOPBACK, through=closed, proxy_patience=patience, seconds=seconds)
        await watch(server, wanted, rows.append)

    asyncio.run(asyncio.wait_for(run(), 60))
    assert [(row.verdict, row.header) for row in rows] == [(Verdict.UNTESTABLE, None)]
    assert "our client's session through the proxy failed" in rows[0].reason


def watched(wanted: Watch, *scripts: tuple[bytes, ...]) -> list[SenderRecord]:
    rows: list[SenderRecord] = []

    async def run() -> None:
        server = bind("127.0.0.1", 0)
        port = server.getsockname()[1]
        watching = asyncio.create_task(watch(server, wanted, rows.append))
        for script in scripts:
            await send(port, script)
        await watching

    asyncio.run(asyncio.wait_for(run(), 60))
    return rows


def test_connections_of_unknown_origin_are_counted_and_judged() -> None:
    wanted = Watch(expects=of(2), peers=LOOPBACK, clients=(ip_network("192.0.2.0/24"),), count=3)
    rows = watched(wanted, (local(), SESSION), (v2(), SESSION), (v2("198.51.100.1"), SESSION))
    assert [row.verdict for row in rows] == [Verdict.PASS, Verdict.PASS, Verdict.FAIL]
    assert [row.setting for row in rows] == ["connection/1", "connection/2", "connection/3"]
    assert rows[2].findings[0].rule == "send.addresses"


def test_an_empty_connection_does_not_count() -> None:
    rows = watched(Watch(expects=of(2), peers=LOOPBACK, count=1), (), (v2(), SESSION))
    assert sorted(row.verdict for row in rows) == [Verdict.INFO, Verdict.PASS]


def test_the_time_is_over_without_anybody() -> None:
    assert watched(Watch(expects=of(2), peers=LOOPBACK, seconds=0.05)) == []


def test_a_peer_nobody_named_is_turned_away() -> None:
    wanted = Watch(expects=of(2), peers=(ip_network("192.0.2.1"),), seconds=0.3)
    rows: list[SenderRecord] = []

    async def run() -> bytes:
        server = bind("127.0.0.1", 0)
        port = server.getsockname()[1]
        watching = asyncio.create_task(watch(server, wanted, rows.append))
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        said = await reader.read()
        writer.close()
        await watching
        return said

    assert asyncio.run(asyncio.wait_for(run(), 60)) == b""
    assert rows == []


def test_a_record_that_cannot_be_kept_ends_the_run() -> None:
    def full(row: SenderRecord) -> None:
        raise HarnessError("the disk is full")

    async def run() -> None:
        server = bind("127.0.0.1", 0)
        port = server.getsockname()[1]
        watching = asyncio.create_task(watch(server, Watch(expects=of(2), peers=LOOPBACK), full))
        await send(port, (v2(), SESSION))
        await watching

    with pytest.raises(HarnessError, match="full"):
        asyncio.run(asyncio.wait_for(run(), 60))
