"""A small SMTP client on one epoll set: many sessions side by side, each behind a header if wanted.

smtp-source cannot send PROXY headers; this one exists for the runs that compare them. Run as a process,
`python -m benchmarks.driver PORT SESSIONS CONCURRENCY none|v1|v2`, so that its time is not the server's.
"""

import select
import socket
import struct
import sys
from enum import StrEnum
from itertools import count


class HeaderKind(StrEnum):
    """What goes ahead of a session."""

    NONE = "none"
    V1 = "v1"
    V2 = "v2"


SESSION: tuple[tuple[bytes, bytes], ...] = (
    (b"220", b"EHLO client.test\r\n"),
    (b"250", b"MAIL FROM:<a@client.test>\r\n"),
    (b"250", b"RCPT TO:<b@mx.test>\r\n"),
    (b"250", b"DATA\r\n"),
    (b"354", b"Subject: x\r\n\r\n" + (b"x" * 72 + b"\r\n") * 14 + b".\r\n"),
    (b"250", b"QUIT\r\n"),
    (b"221", b""),
)
"""The reply awaited and what is sent upon it."""


def header(kind: HeaderKind, number: int) -> bytes:
    """The header of one session; every session claims another source port and address."""
    port, host = 1024 + number % 60_000, (192, 0, 2, 1 + number % 250)
    if kind is HeaderKind.V1:
        return b"PROXY TCP4 %d.%d.%d.%d 198.51.100.25 %d 25\r\n" % (*host, port)
    if kind is HeaderKind.V2:
        addresses = bytes((*host, 198, 51, 100, 25)) + struct.pack("!HH", port, 25)
        return b"\r\n\r\n\0\r\nQUIT\n\x21\x11\x00\x0c" + addresses
    return b""


class Failure(Exception):
    """The server did not play along."""


class _Session:
    __slots__ = ("buffer", "connection", "step")

    def __init__(self, connection: socket.socket) -> None:
        self.connection = connection
        self.step = 0
        self.buffer = b""

    def read(self) -> bool:
        """Go on with what has come; False when the session is over."""
        data = self.connection.recv(4096)
        if not data:
            raise Failure(f"the server closed before reply {self.step + 1}")
        self.buffer += data
        if not self.buffer.endswith(b"\r\n"):
            return True
        lines = self.buffer.splitlines()
        if lines[-1][3:4] == b"-":
            return True
        awaited, answer = SESSION[self.step]
        if not lines[-1].startswith(awaited):
            raise Failure(f"{lines[-1]!r} instead of {awaited!r}")
        self.buffer = b""
        self.step += 1
        if not answer:
            return False
        self.connection.sendall(answer)
        return True


def drive(port: int, sessions: int, concurrency: int, kind: HeaderKind) -> None:
    """Run the sessions to their ends. Raises Failure or OSError."""
    serial = count()
    going: dict[int, _Session] = {}
    poll = select.epoll()

    def begin() -> None:
        number = next(serial)
        if number >= sessions:
            return
        # A server that trusts 127.0.0.1 alone gets headers from there and none from elsewhere: one server for all runs.
        source = "127.0.0.2" if kind is HeaderKind.NONE else "127.0.0.1"
        connection = socket.create_connection(("127.0.0.1", port), source_address=(source, 0))
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        opening = header(kind, number)
        if opening:
            connection.sendall(opening)
        going[connection.fileno()] = _Session(connection)
        poll.register(connection.fileno(), select.EPOLLIN)

    for _ in range(concurrency):
        begin()
    while going:
        for descriptor, _ in poll.poll(10):
            session = going[descriptor]
            if not session.read():
                poll.unregister(descriptor)
                del going[descriptor]
                session.connection.close()
                begin()


def main() -> int:
    """Run as a process; a failure is told in one line."""
    port, sessions, concurrency, kind = sys.argv[1:]
    try:
        drive(int(port), int(sessions), int(concurrency), HeaderKind(kind))
    except (Failure, OSError) as error:
        print(f"driver: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
