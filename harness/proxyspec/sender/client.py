"""Our own clients of a proxy: what they really use is what its headers are compared with."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from proxyspec.model import View
from proxyspec.sender.expectation import Fact, Facts

__all__ = ["CallFailed", "Caller", "Front", "Tls", "call", "endpoint"]

#: How long one session may take, in seconds.
PATIENCE: Final = 20.0
#: A reply longer than this is no reply, in bytes.
_MOST_REPLY: Final = 65536


class CallFailed(Exception):
    """A session did not come about; the message says where it ended."""


@dataclass(frozen=True, slots=True)
class Tls:
    """How a client does TLS; `server_name` is what it asks for (SNI), None nothing."""

    alpn: tuple[str, ...] = ()
    server_name: str | None = None
    certificate: bool = False


@dataclass(frozen=True, slots=True)
class Caller:
    """One client: an ordinary session, over TLS or not, behind a header of its own or not.

    `address` is one of ours to connect from; None leaves it to the system.
    """

    address: str | None = None
    header: bytes = b""
    tls: Tls | None = None


@dataclass(frozen=True, slots=True)
class Front:
    """Where the proxy listens: an address and a port, or a UNIX socket."""

    address: str
    port: int

    @classmethod
    def unix(cls, path: Path) -> Front:
        """Name a UNIX socket."""
        return cls(str(path), 0)

    @property
    def is_unix(self) -> bool:
        """Whether it is a UNIX socket."""
        return self.port == 0


def endpoint(view: View) -> bytes:
    """Write an end as ADDRESS:PORT, the way HAProxy's logs do: an IPv6 address without brackets."""
    return f"{view.address}:{view.port}".encode()


def _context(tls: Tls, certificate: Path | None) -> ssl.SSLContext:
    # Whose certificate the proxy has is not what is judged, and nothing secret is sent.
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    if tls.alpn:
        context.set_alpn_protocols(list(tls.alpn))
    if tls.certificate:
        if certificate is None:
            raise CallFailed("there is no client certificate to present")
        context.load_cert_chain(certificate)
    return context


async def _connect(caller: Caller, front: Front) -> socket.socket:
    """Return a connection; its own header, where it has one, is sent."""
    if front.is_unix:
        connection = socket.socket(socket.AF_UNIX)
    else:
        connection = socket.socket(socket.AF_INET6 if ":" in front.address else socket.AF_INET)
    loop = asyncio.get_running_loop()
    try:
        connection.settimeout(0)
        if not front.is_unix and caller.address is not None:
            connection.bind((caller.address, 0))
        await loop.sock_connect(connection, front.address if front.is_unix else (front.address, front.port))
        if caller.header:
            await loop.sock_sendall(connection, caller.header)
    except BaseException:
        connection.close()
        raise
    return connection


async def _reply(reader: asyncio.StreamReader, what: str) -> None:
    """Read one reply, which must be positive.

    Raises:
        CallFailed: it is not, or none comes.
    """
    size = 0
    while True:
        line = await reader.readline()
        size += len(line)
        if not line:
            raise CallFailed(f"the connection ended in place of the reply to {what}")
        if size > _MOST_REPLY or not line[:3].isdigit():
            raise CallFailed(f"the reply to {what} is no SMTP: {line[:60]!r}")
        if line[3:4] != b"-":
            if line[:1] not in b"23":
                raise CallFailed(f"the reply to {what} is {line[:60]!r}")
            return


async def _session(caller: Caller, front: Front, name: str, certificate: Path | None) -> Facts:
    context = None if caller.tls is None else _context(caller.tls, certificate)
    connection = await _connect(caller, front)
    client = seen = None
    values: dict[Fact, bytes] = {}
    if not front.is_unix:
        client, seen = (View.of(*end[:2]) for end in (connection.getsockname(), connection.getpeername()))
        values[Fact.ENDPOINT] = endpoint(client)
    try:
        reader, writer = await asyncio.open_connection(
            sock=connection,
            ssl=context,
            server_hostname=None if caller.tls is None else caller.tls.server_name or "",
        )
    except BaseException:
        connection.close()
        raise
    try:
        if caller.tls is not None:
            values |= _used(writer.get_extra_info("ssl_object"), caller.tls)
        await _reply(reader, "the connection")
        for line in (f"EHLO {name}", "QUIT"):
            writer.write(line.encode() + b"\r\n")
            await _reply(reader, line)
    finally:
        writer.transport.abort()
    return Facts(client, seen, values)


def _used(engine: ssl.SSLObject, tls: Tls) -> Mapping[Fact, bytes]:
    version, cipher, protocol = engine.version(), engine.cipher(), engine.selected_alpn_protocol()
    told = {
        Fact.TLS_VERSION: version,
        Fact.CIPHER: cipher[0] if cipher else None,
        Fact.ALPN: protocol,
        Fact.SNI: tls.server_name,
    }
    return {fact: text.encode() for fact, text in told.items() if text is not None}


async def call(caller: Caller, front: Front, name: str, certificate: Path | None = None) -> Facts:
    """Hold a session through the proxy, greeting the server as `name`; return what was really used.

    `certificate` is a PEM file with a client's certificate and key, for callers that present one.

    Raises:
        CallFailed: the session did not come about.
    """
    try:
        async with asyncio.timeout(PATIENCE):
            return await _session(caller, front, name, certificate)
    except TimeoutError:
        raise CallFailed(f"no session within {PATIENCE:g} s") from None
    except ssl.SSLError as error:
        raise CallFailed(f"TLS failed: {error.reason or error}") from error
    except (OSError, ValueError) as error:
        raise CallFailed(f"the connection failed: {getattr(error, 'strerror', None) or error}") from error
