"""A small SMTP server in a thread, healthy or with one vice, that remembers what it was sent."""

from __future__ import annotations

import contextlib
import enum
import socket
import socketserver
import struct
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field

V2_SIGNATURE = bytes.fromhex("0d0a0d0a000d0a515549540a")


class Vice(enum.Enum):
    NONE = enum.auto()
    #: 421 after the header, then closed.
    BUSY = enum.auto()
    #: Closed after the header without a word.
    CLOSES = enum.auto()
    #: Reset after the header.
    RESETS = enum.auto()
    #: Never says anything.
    SILENT = enum.auto()
    #: Says something that is no SMTP.
    BABBLES = enum.auto()
    #: Closed instead of the reply to DATA.
    CLOSES_AT_DATA = enum.auto()
    #: The 421 comes right behind the greeting.
    GREETS_AND_LEAVES = enum.auto()


@dataclass
class FakeSmtp:
    """Where it listens and what it was sent."""

    host: str
    port: int
    headers: list[bytes] = field(default_factory=list)
    commands: list[bytes] = field(default_factory=list)
    messages: list[bytes] = field(default_factory=list)
    #: Addresses that connections came from, probes included.
    peers: list[str] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"smtp://{self.host}:{self.port}"


def _read_header(connection: socket.socket) -> bytes:
    data = connection.recv(12, socket.MSG_WAITALL)
    if data == V2_SIGNATURE:
        data += connection.recv(4, socket.MSG_WAITALL)
        return data + connection.recv(struct.unpack(">H", data[14:16])[0], socket.MSG_WAITALL)
    while data and not data.endswith(b"\r\n"):
        data += connection.recv(1)
    return data


@contextlib.contextmanager
def fake_smtp(vice: Vice = Vice.NONE, *, header: bool = True) -> Iterator[FakeSmtp]:
    """Serve on a free port of 127.0.0.1; `header`: every connection begins with a PROXY header."""

    class Handler(socketserver.BaseRequestHandler):
        def handle(self) -> None:
            fake.peers.append(self.client_address[0])
            with contextlib.suppress(ConnectionError):
                self.serve(self.request)

        def serve(self, connection: socket.socket) -> None:
            if header:
                found = _read_header(connection)
                if not found:
                    return  # a probe
                fake.headers.append(found)
            match vice:
                case Vice.BUSY:
                    connection.sendall(b"421 busy\r\n")
                    return
                case Vice.CLOSES:
                    return
                case Vice.RESETS:
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                    connection.close()
                    return
                case Vice.SILENT:
                    connection.recv(1)
                    return
                case Vice.BABBLES:
                    connection.sendall(b"hello, world\r\n")
                    return
                case Vice.GREETS_AND_LEAVES:
                    connection.sendall(b"220 fake\r\n421 gone\r\n")
                    return
            connection.sendall(b"220-fake\r\n220 ready\r\n")
            self.talk(connection)

        def talk(self, connection: socket.socket) -> None:
            with connection.makefile("rb") as lines:
                for line in lines:
                    fake.commands.append(line)
                    match line.split()[0].upper():
                        case b"EHLO":
                            connection.sendall(b"250-fake\r\n250-PIPELINING\r\n250-AUTH PLAIN\r\n250 SIZE 1000\r\n")
                        case b"AUTH":
                            connection.sendall(b"235 welcome\r\n")
                        case b"DATA":
                            if vice is Vice.CLOSES_AT_DATA:
                                return
                            connection.sendall(b"354 go on\r\n")
                            body = b"".join(iter(lines.readline, b".\r\n"))
                            fake.messages.append(body)
                            connection.sendall(b"250 queued\r\n")
                        case b"QUIT":
                            connection.sendall(b"221 bye\r\n")
                            return
                        case _:
                            connection.sendall(b"250 ok\r\n")

    class Server(socketserver.ThreadingTCPServer):
        daemon_threads = True
        block_on_close = False
        request_queue_size = 128

    with Server(("127.0.0.1", 0), Handler) as server:
        fake = FakeSmtp("127.0.0.1", server.server_address[1])
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True)
        thread.start()
        try:
            yield fake
        finally:
            server.shutdown()
            thread.join()
