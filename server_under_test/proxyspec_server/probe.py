"""A few bytes sent to a running server, and what came back: how profiles are described and defects shown."""

import asyncio
import json
import re
import socket
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from enum import Enum
from io import BytesIO
from typing import Any

from proxyspec_server.connection import Connection, Service
from proxyspec_server.journal import Journal
from proxyspec_server.message import Message
from proxyspec_server.profile import Profile
from proxyspec_server.shell import Server
from proxyspec_server.trust import TrustList, parse_entry

LISTED = "127.0.0.1"
"""Where a trusted proxy connects from."""
UNLISTED = "127.0.0.2"
"""Where anybody else connects from."""
NAME = "mx.example.com"

_REPLY = re.compile(rb"(?P<code>[0-9]{3})(?P<more>[ -])(?P<status>[245]\.[0-9]+\.[0-9]+)?")
_HELLO = re.compile(rb"250[ -]\S+ Hello .*\[(?P<address>.*?)\]")


@dataclass(frozen=True, slots=True)
class Pause:
    """Send nothing for this long, in header deadlines."""

    periods: float


@dataclass(frozen=True, slots=True)
class StartTls:
    """Wait for the reply to STARTTLS and do the handshake; what follows is sent inside TLS."""


class End(Enum):
    """How the server's side ended."""

    FIN = "FIN"
    RST = "RST"
    OPEN = "open"
    """It had not ended after several header deadlines."""


class Look(Enum):
    """Where an answer shows."""

    WIRE = "wire"
    HEADER = "header"
    """In what the log says of the header."""
    RECEIVED = "received"
    """In the Received field of the message delivered."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Probe:
    """One connection: what is sent from where, whether a FIN follows, and a connection that goes before it."""

    steps: tuple[bytes | Pause | StartTls, ...]
    source: str = LISTED
    fin: bool = False
    before: "Probe | None" = None
    look: Look = Look.WIRE


@dataclass(frozen=True, slots=True)
class Seen:
    """What one probe met: replies, end, the addresses the log has of the header, the Received field up to its id."""

    heard: bytes
    end: End
    header: str | None
    received: str | None

    def summary(self, look: Look = Look.WIRE) -> str:
        """The answer in short: reply codes, status codes of refusals, the address of the greeting, the end."""
        if look is Look.HEADER:
            return self.header or "no header"
        if look is Look.RECEIVED:
            return self.received or "no message"
        words: list[str] = []
        for line in self.heard.split(b"\r\n")[:-1]:
            reply = _REPLY.match(line)
            hello = _HELLO.match(line)
            if reply is None:
                words.append(repr(line)[2:-1])
            elif hello is not None:
                words.append(f"250 [{hello['address'].decode('latin-1')}]")
            elif reply["more"] == b" ":
                status = b"" if reply["status"] is None or reply["code"][:1] == b"2" else b" " + reply["status"]
                words.append((reply["code"] + status).decode("ascii"))
        return ", ".join([*words, self.end.value])


class _Log(BytesIO):
    """Keeps the entries of a journal."""

    def __init__(self) -> None:
        super().__init__()
        self.entries: list[dict[str, Any]] = []

    def write(self, line: Any) -> int:
        self.entries.append(json.loads(line))
        return len(line)


class _Peer(asyncio.Protocol):
    """The probing side of one connection."""

    def __init__(self) -> None:
        self.heard = b""
        self.end: asyncio.Future[End] = asyncio.get_running_loop().create_future()
        self._news = asyncio.Event()

    async def go_ahead(self) -> None:
        """Wait for the second 220, the one after the banner, or for the end."""
        while self.heard.count(b"220 ") < 2 and not self.end.done():
            self._news.clear()
            await self._news.wait()

    def data_received(self, data: bytes) -> None:
        self.heard += data
        self._news.set()

    def eof_received(self) -> bool:
        self._settle(End.FIN)
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        self._settle(End.FIN if exc is None else End.RST)

    def _settle(self, end: End) -> None:
        self._news.set()
        if not self.end.done():
            self.end.set_result(end)


@dataclass(slots=True)
class Rig:
    """A running server and what it logged and delivered."""

    address: tuple[str, int]
    period: float
    patience: float
    log: _Log
    messages: dict[str, Message] = field(default_factory=dict)

    async def ask(self, probe: Probe) -> Seen:
        """Send a probe and wait for the end, for `patience` seconds at most."""
        if probe.before is not None:
            await self.ask(probe.before)
        loop = asyncio.get_running_loop()
        transport, peer = await loop.create_connection(_Peer, *self.address, local_addr=(probe.source, 0))
        name = "{}:{}".format(*transport.get_extra_info("sockname"))
        try:
            for step in probe.steps:
                if isinstance(step, Pause):
                    await asyncio.sleep(step.periods * self.period)
                elif isinstance(step, StartTls):
                    await asyncio.wait_for(peer.go_ahead(), self.patience)
                    transport = await self._handshake(transport, peer)
                elif not transport.is_closing():
                    transport.write(step)
                    # A turn of the loop for each segment, so that the server may see it alone.
                    await asyncio.sleep(0)
            if probe.fin and not transport.is_closing():
                transport.write_eof()
            done, _ = await asyncio.wait([peer.end], timeout=self.patience)
            end = peer.end.result() if done else End.OPEN
        finally:
            transport.abort()
        return Seen(peer.heard, end, self._header(name), self._received(name))

    async def _handshake(self, transport: asyncio.Transport, peer: _Peer) -> asyncio.Transport:
        # The certificate is nobody's concern here: what counts is what the server does with it.
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
        loop = asyncio.get_running_loop()
        secured = await loop.start_tls(transport, peer, context, ssl_handshake_timeout=self.patience)
        if secured is None:
            raise ConnectionError("the server ended the connection instead of the handshake")
        return secured

    def _header(self, name: str) -> str | None:
        for entry in self.log.entries:
            if entry["event"] == "header" and entry["peer"] == name:
                return f"{entry['source']} > {entry['destination']}"
        return None

    def _received(self, name: str) -> str | None:
        for entry in self.log.entries:
            if entry["event"] == "message" and entry["peer"] == name:
                field, _, _ = self.messages[entry["id"]].chunks[0].partition(b" id ")
                return " ".join(field.decode("ascii", "backslashreplace").split())
        return None


@asynccontextmanager
async def running(
    profile: Profile,
    connection_type: type[Connection] = Connection,
    server_type: type[Server] = Server,
    *,
    tls: ssl.SSLContext | None = None,
    header_timeout: float = 0.3,
    patience: float = 2.5,
) -> AsyncIterator[Rig]:
    """Run a server that trusts `LISTED` on the loopback interface. Times are seconds."""
    limits = replace(profile.limits, header_timeout=header_timeout, linger=0.2)
    log = _Log()
    messages: dict[str, Message] = {}

    def deliver(message: Message) -> None:
        messages[message.id] = message

    service = Service(
        name=NAME,
        trust=TrustList([parse_entry(LISTED, "the probe")]),
        profile=replace(profile, limits=limits),
        deliver=deliver,
        tls=tls,
    )
    server = server_type(service, Journal(log), connection_type)
    address = await _listen(server)
    try:
        yield Rig(address, header_timeout, patience, log, messages)
    finally:
        await server.stop()


async def _listen(server: Server) -> tuple[str, int]:
    bound = socket.create_server((LISTED, 0))
    bound.settimeout(0)
    await server.listen([bound])
    host, port = bound.getsockname()
    return host, port
