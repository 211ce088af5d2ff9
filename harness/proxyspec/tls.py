"""The client's end of a TLS connection without I/O: ciphertext in, plaintext out (RFC 3207, RFC 8314)."""

from __future__ import annotations

import ssl
from functools import cache

__all__ = ["TlsClient"]

#: Plaintext taken out of the engine at once, in bytes.
PIECE = 65536


@cache
def _context() -> ssl.SSLContext:
    """Return a context that takes any certificate: whose it is is the target's affair, and no secret is sent.

    It loads no authorities, which would hold up every other connection of the run.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


class TlsClient:
    """One handshake and what comes after it; `outgoing` has what must be written to the connection."""

    def __init__(self) -> None:
        self._incoming = ssl.MemoryBIO()
        self._written = ssl.MemoryBIO()
        self._engine = _context().wrap_bio(self._incoming, self._written, server_hostname="mx.probe.test")
        self.established = False
        #: The peer has said that it will say no more.
        self.closed = False
        #: Why the connection is of no use any more; None: it is.
        self.failed: str | None = None
        self._advance()

    @property
    def description(self) -> str:
        """Version and cipher, once the handshake is done."""
        cipher = self._engine.cipher()
        return f"{self._engine.version()} {cipher[0] if cipher else ''}".strip()

    def _advance(self) -> None:
        try:
            self._engine.do_handshake()
            self.established = True
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError as error:
            self.failed = error.reason or str(error)

    def feed(self, data: bytes) -> bytes:
        """Take bytes from the connection and return the plaintext they complete; after a failure, nothing."""
        self._incoming.write(data)
        if not self.established and self.failed is None:
            self._advance()
        plain = []
        try:
            while self.established and self.failed is None and (piece := self._engine.read(PIECE)):
                plain.append(piece)
        except ssl.SSLWantReadError:
            pass
        except (ssl.SSLZeroReturnError, ssl.SSLEOFError):
            self.closed = True
        except ssl.SSLError as error:
            self.failed = error.reason or str(error)
        return b"".join(plain)

    def encrypt(self, data: bytes) -> bytes:
        """Return the ciphertext of `data`, behind whatever else has to be written.

        Raises:
            ConnectionError: the connection is of no use any more.
        """
        try:
            self._engine.write(data)
        except ssl.SSLError as error:
            raise ConnectionError(f"TLS: {error.reason or error}") from error
        return self.outgoing()

    def outgoing(self) -> bytes:
        """Return what has to be written now, and forget it."""
        return self._written.read()
