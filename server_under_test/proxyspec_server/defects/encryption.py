"""TLS beside the header: STARTTLS, headers inside TLS, and what an SSL TLV may say (RFC 3207; sections 2 and 2.2.6)."""

# ruff: noqa: D102 - each class says what its one method does wrong.

from proxyspec_server.connection import Action, Connection
from proxyspec_server.defects.second_header import SECOND4, header_of
from proxyspec_server.defects.seed import A4, L4, SESSION, seeded, steps, tlv, v2
from proxyspec_server.probe import Look, Probe, StartTls
from proxyspec_server.smtp import Security, SmtpSession
from proxyspec_server.tls import TlsChannel

UPGRADE = L4 + b"HELO clear\r\nSTARTTLS\r\n"
MAIL = b"EHLO probe\r\nMAIL FROM:<>\r\nRCPT TO:<postmaster>\r\nDATA\r\n.\r\nQUIT\r\n"
IN_CLEAR = "Received: from probe ([192.0.2.1]) by mx.example.com with ESMTP"


@seeded(
    "starttls-keeps-plaintext",
    origin="CVE-2011-0411; requirement smtp.starttls.injection",
    killed_by=(
        "smtp/starttls/injection-v1",
        "smtp/starttls/injection-v2",
    ),
    shows=steps(UPGRADE + b"NOOP\r\n", StartTls(), SESSION),
    healthy="220, 250 [192.0.2.1], 220, 250 [192.0.2.1], 221, FIN",
    defective="220, 250 [192.0.2.1], 220, 250, 250 [192.0.2.1], 221, FIN",
)
class KeepsPlaintext(SmtpSession):
    """Commands that came in clear behind STARTTLS are carried out inside TLS."""

    injected = b""

    def feed(self, data: bytes) -> bytes:
        replies = super().feed(data)
        if self.upgrading:
            _, _, self.injected = data.partition(b"STARTTLS\r\n")
        return replies

    def secured(self) -> None:
        super().secured()
        self._buffer = self.injected


@seeded(
    "starttls-loses-address",
    origin="requirement smtp.starttls.order (the proxied address is kept)",
    killed_by=(
        "smtp/starttls/second-header-v2",
        "smtp/starttls/state-forgotten",
    ),
    shows=steps(UPGRADE, StartTls(), SESSION),
    healthy="220, 250 [192.0.2.1], 220, 250 [192.0.2.1], 221, FIN",
    defective="220, 250 [192.0.2.1], 220, 250 [127.0.0.1], 221, FIN",
)
class LosesAddress(Connection):
    """The handshake makes the server forget the header: the proxy is the client from then on."""

    def handshake_done(self, channel: TlsChannel) -> list[Action]:
        if self._session is not None:
            self._session.client = self.client = self.peer
        return super().handshake_done(channel)


@seeded(
    "starttls-keeps-helo",
    origin="requirement smtp.starttls.order (EHLO state is reset)",
    killed_by=("smtp/starttls/greeting-forgotten",),
    shows=steps(UPGRADE, StartTls(), b"MAIL FROM:<>\r\nQUIT\r\n"),
    healthy="220, 250 [192.0.2.1], 220, 503 5.5.1, 221, FIN",
    defective="220, 250 [192.0.2.1], 220, 250, 221, FIN",
)
class KeepsHelo(SmtpSession):
    """The HELO said in clear is still good inside TLS."""

    def secured(self) -> None:
        helo = self.helo
        super().secured()
        self.helo = helo


@seeded(
    "starttls-header-obeyed",
    origin="requirement smtp.starttls.no-second-header",
    killed_by=(
        "smtp/implicit-tls/second-header-inside",
        "smtp/starttls/second-header-v1",
    ),
    shows=steps(UPGRADE, StartTls(), SECOND4 + SESSION),
    healthy="220, 250 [192.0.2.1], 220, 503 5.5.1, 250 [192.0.2.1], 221, FIN",
    defective="220, 250 [192.0.2.1], 220, 250, 250 [198.51.100.77], 221, FIN",
)
class HeaderObeyed(SmtpSession):
    """PROXY is obeyed inside TLS."""

    def do_proxy(self, argument: bytes) -> None:
        header = header_of(b"PROXY " + argument)
        if self.security is not Security.ACTIVE or header is None or header.source is None:
            super().do_proxy(argument)
            return
        self.client = header.source
        self.say(self._profile.replies.done)


@seeded(
    "ssl-tlv-believed",
    origin="requirement smtp.tls.info (not relaxed by a TLV unless configured)",
    killed_by=("smtp/ssl-tlv/still-clear-client-tls",),
    shows=Probe(steps=(v2(A4 + tlv(0x20, b"\x01\0\0\0\0")) + MAIL,), look=Look.RECEIVED),
    healthy=IN_CLEAR,
    defective=IN_CLEAR + "S",
)
class SslTlvBelieved(Connection):
    """A session counts as encrypted because an SSL TLV says so, without anyone having configured that."""

    def security(self) -> Security:
        info = self.header.ssl if self.header is not None else None
        return Security.AT_PROXY if info is not None and info.encrypted else super().security()


@seeded(
    "ssl-tlv-bits-ignored",
    origin="Jetty #14194 (client bits misread); requirement v2.tlv.ssl-client0",
    killed_by=(
        "smtp/ssl-tlv/still-clear-client-certificate",
        "smtp/ssl-tlv/still-clear-client-0",
    ),
    shows=Probe(steps=(v2(A4 + tlv(0x20, bytes(5))) + MAIL,), look=Look.RECEIVED),
    healthy=IN_CLEAR,
    defective=IN_CLEAR + "S",
)
class SslTlvBitsIgnored(Connection):
    """A session counts as encrypted because there is an SSL TLV, whatever its client bits are."""

    def security(self) -> Security:
        return Security.AT_PROXY if self.header is not None and self.header.ssl is not None else super().security()
