"""TLS in memory: ciphertext in, plaintext out, and the way back.

A connection in memory instead of the event loop's own `start_tls`, because the bytes behind a cleartext line are ours
to give or to withhold: what came along with the PROXY header has to reach the handshake, and what came along with
STARTTLS must reach nobody. It also behaves the same on every event loop, and needs no socket in tests.
"""

import ssl
from contextlib import suppress
from pathlib import Path
from typing import Final

from proxyspec_server.visible import visible

_CHUNK: Final = 256 * 1024


class TlsFault(Exception):
    """The peer does not speak TLS, or not as it should; `reason` is one short line."""

    def __init__(self, reason: str) -> None:
        super().__init__(reason)
        self.reason = reason


class CertificateError(Exception):
    """A certificate that cannot be used; the message names the file and the remedy."""


class TlsChannel:
    """The server's end of one TLS connection.

    `established` is set when the handshake is done, `closed` when the peer has said that it will send no more. It keeps
    at most one unfinished record of the peer's.
    """

    __slots__ = ("_incoming", "_object", "_outgoing", "closed", "established")

    def __init__(self, context: ssl.SSLContext) -> None:
        self._incoming = ssl.MemoryBIO()
        self._outgoing = ssl.MemoryBIO()
        self._object = context.wrap_bio(self._incoming, self._outgoing, server_side=True)
        self.established = False
        self.closed = False

    @property
    def version(self) -> str:
        """The protocol's name, such as TLSv1.3, or "" before the handshake is done."""
        return self._object.version() or ""

    @property
    def cipher(self) -> str:
        """The cipher's name, or "" before the handshake is done."""
        found = self._object.cipher()
        return found[0] if found else ""

    def feed(self, data: bytes) -> bytes:
        """Take ciphertext; returns the plaintext it completes. `take` then gives what TLS itself has to answer.

        Raises TlsFault when this is no TLS, or breaks it; the alert to send is then in `take`.
        """
        self._incoming.write(data)
        try:
            if not self.established:
                self._object.do_handshake()
                self.established = True
            return self._read()
        except ssl.SSLWantReadError:
            return b""
        except ssl.SSLError as error:
            raise TlsFault(visible((error.reason or "UNKNOWN").lower().replace("_", " "))) from None

    def _read(self) -> bytes:
        pieces = []
        try:
            # The peer's farewell (RFC 8446, section 6.1) reads as no bytes or, after ours, as an error.
            while piece := self._object.read(_CHUNK):
                pieces.append(piece)
            self.closed = True
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLZeroReturnError:
            self.closed = True
        return b"".join(pieces)

    def encrypt(self, data: bytes) -> bytes:
        """The ciphertext of `data`, after whatever TLS itself has still to send."""
        rest = memoryview(data)
        while rest:
            rest = rest[self._object.write(rest) :]
        return self._outgoing.read()

    def take(self) -> bytes:
        """What TLS itself has to send: handshake messages, alerts."""
        return self._outgoing.read()

    def close(self) -> bytes:
        """The ciphertext that tells the peer that no more will come (RFC 8446, section 6.1)."""
        # The peer's own farewell is not waited for.
        with suppress(ssl.SSLError):
            self._object.unwrap()
        return self._outgoing.read()


def server_context(certificate: Path, key: Path) -> ssl.SSLContext:
    """The server's side of TLS 1.2 and later (RFC 8996), with a PEM certificate chain and its key.

    Raises CertificateError when the files cannot be used.
    """
    for path in (certificate, key):
        try:
            path.read_bytes()
        except OSError as error:
            raise CertificateError(
                f"cannot read {path}: {error.strerror or error}; name a PEM file that can be read"
            ) from error
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.options |= ssl.OP_NO_RENEGOTIATION
    # Nobody resumes a session here, and a ticket left unread would turn the client's FIN into an RST.
    context.num_tickets = 0
    try:
        # Without a password of ours, OpenSSL would ask for one on the terminal.
        context.load_cert_chain(certificate, key, password="")
    except ssl.SSLError as error:
        reason = (error.reason or "they are not PEM files").lower().replace("_", " ")
        raise CertificateError(
            f"cannot use the certificate {certificate} with the key {key}: {reason}; "
            "give a PEM certificate chain and the unencrypted PEM key that belongs to it"
        ) from error
    return context
