"""A TLS client in memory, for tests that drive the server's cores without a socket."""

import ssl
from contextlib import suppress


def lenient_context() -> ssl.SSLContext:
    """A client's context that takes any certificate."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


class TlsClient:
    """Ciphertext from the server in, plaintext out; what the client has to send is in `take`."""

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self.object = (context or lenient_context()).wrap_bio(self._incoming, self._outgoing, server_hostname="mx.test")
        self.closed = False
        self._step()

    def _step(self) -> None:
        with suppress(ssl.SSLWantReadError):
            self.object.do_handshake()

    def feed(self, data: bytes) -> bytes:
        """Take the server's bytes; returns the plaintext they complete."""
        self._incoming.write(data)
        self._step()
        pieces = []
        try:
            while piece := self.object.read(65536):
                pieces.append(piece)
            self.closed = True
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            self.closed = True
        return b"".join(pieces)

    def encrypt(self, data: bytes) -> bytes:
        """The ciphertext of `data`, after what the handshake has still to send."""
        self.object.write(data)
        return self._outgoing.read()

    def take(self) -> bytes:
        """What TLS itself has to send."""
        return self._outgoing.read()

    def close(self) -> bytes:
        """The client's close_notify."""
        with suppress(ssl.SSLWantReadError):
            self.object.unwrap()
        return self._outgoing.read()
