"""An SMTP server with one behaviour, for HAProxy to relay to and to check."""

from __future__ import annotations

import socket
import socketserver
from contextlib import suppress

from proxyspec_haproxy import HostPort

SIGNATURE = b"\r\n\r\n\x00\r\nQUIT\n"


class _Session(socketserver.StreamRequestHandler):
    """One SMTP session of a FakeSmtp."""

    server: FakeSmtp
    timeout = 10

    def handle(self) -> None:
        with suppress(OSError):  # HAProxy ends some checks with a reset; that is its way
            self._talk()

    def _header(self) -> bytes:
        start = self.rfile.read(6)
        if start == SIGNATURE[:6]:
            head = start + self.rfile.read(10)
            return head + self.rfile.read(int.from_bytes(head[14:16]))
        return start + self.rfile.readline(107)

    def _talk(self) -> None:
        behaviour = self.server.behaviour
        if behaviour == "silent":
            self.rfile.read()
            return
        if behaviour == "busy":
            self.wfile.write(b"421 too many connections\r\n")
            # Closing with the header unread would send a reset, which can destroy the 421.
            self.request.shutdown(socket.SHUT_WR)
            self.rfile.read()
            return
        header = self._header()
        self.server.headers.append(header)
        if not header.startswith((b"PROXY ", SIGNATURE)):
            return
        self.wfile.write(b"220 mx.example.test ESMTP\r\n")
        while line := self.rfile.readline(512):
            verb = line[:4].upper()
            if verb == b"EHLO":
                self.wfile.write(b"250-mx.example.test\r\n250 SIZE 1000\r\n")
            elif verb == b"QUIT":
                self.wfile.write(b"221 bye\r\n")
                return
            else:
                self.wfile.write(b"500 what?\r\n")


class FakeSmtp(socketserver.ThreadingTCPServer):
    """Wants a PROXY header (`healthy`), says 421 at once (`busy`), or says nothing (`silent`)."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, behaviour: str) -> None:
        self.behaviour = behaviour
        self.headers: list[bytes] = []
        super().__init__(("127.0.0.1", 0), _Session)

    @property
    def address(self) -> HostPort:
        return HostPort("127.0.0.1", int(self.server_address[1]))
