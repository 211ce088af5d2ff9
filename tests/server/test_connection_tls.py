"""TLS in the connection core, in memory: STARTTLS and implicit TLS, behind a PROXY header and without one."""

import ssl
from collections.abc import Iterable
from dataclasses import replace

import pytest

from proxyspec_server.connection import Action, Connection, Entrance, Finish, Service, SslTlvUse, State, Wait, Write
from proxyspec_server.deadlines import Timer
from proxyspec_server.ending import Ending
from proxyspec_server.journal import Note, Step
from proxyspec_server.message import Message
from proxyspec_server.profile import STRICT, Limits
from proxyspec_server.proxy import SIGNATURE, Endpoint
from proxyspec_server.trust import TrustList
from tests.server.tls_client import TlsClient

PROXY = Endpoint("198.51.100.1", 40000)
STRANGER = Endpoint("203.0.113.5", 50000)
LOCAL = Endpoint("198.51.100.9", 25)
L4 = b"PROXY TCP4 192.0.2.1 192.0.2.2 1111 25\r\n"
FORGED = b"PROXY TCP4 198.51.100.77 192.0.2.2 7777 25\r\n"
V2_TCP4 = SIGNATURE + bytes.fromhex("2111000c c0000201 c0000202 0457 0019")
BANNER = b"220 mx.test ESMTP proxyspec\r\n"
READY = b"220 2.0.0 Ready to start TLS\r\n"
TRUST = TrustList.parse("198.51.100.1", "test")


def written(actions: Iterable[Action]) -> bytes:
    return b"".join(action.data for action in actions if isinstance(action, Write))


def notes(actions: Iterable[Action], step: Step) -> list[Note]:
    return [action for action in actions if isinstance(action, Note) and action.step is step]


class Dialogue:
    """A connection core and a client that talk to each other."""

    def __init__(
        self,
        certificate: ssl.SSLContext | None,
        peer: Endpoint = PROXY,
        entrance: Entrance = Entrance.CLEARTEXT,
        *,
        ssl_tlv: SslTlvUse = SslTlvUse.SHOWN,
        limits: Limits | None = None,
        service: Service | None = None,
    ) -> None:
        self.messages: list[Message] = []
        self.service = service or Service(
            name="mx.test",
            trust=TRUST,
            tls=certificate,
            ssl_tlv=ssl_tlv,
            deliver=self.messages.append,
            profile=replace(STRICT, limits=limits or Limits()),
        )
        self.core = Connection(self.service, "c1", peer, LOCAL, entrance)
        self.client = TlsClient()
        self.actions: list[Action] = []
        self.greeting = self._note(self.core.connected())

    def _note(self, actions: list[Action]) -> bytes:
        self.actions += actions
        return written(actions)

    def clear(self, data: bytes) -> bytes:
        """Send bytes as they are; returns the server's bytes as they are."""
        return self._note(self.core.received(data))

    def shake(self) -> bytes:
        """The handshake; returns the plaintext that came along with its end."""
        said = b""
        while not self.core.encrypted:
            said += self.client.feed(self.clear(self.client.take()))
        return said

    def tls(self, data: bytes) -> bytes:
        """Send and receive inside TLS."""
        return self.client.feed(self.clear(self.client.encrypt(data)))

    @property
    def finished(self) -> bool:
        return isinstance(self.actions[-1], Finish)


# STARTTLS.


def test_starttls_keeps_the_address_and_forgets_the_ehlo(certificate: ssl.SSLContext) -> None:
    talk = Dialogue(certificate)
    assert b"250-STARTTLS" not in talk.clear(L4)
    assert b"250 STARTTLS\r\n" in talk.clear(b"EHLO before\r\nMAIL FROM:<forgotten@example.com>\r\n")
    assert talk.clear(b"STARTTLS\r\n") == READY
    assert talk.core.state is State.HANDSHAKE
    assert talk.shake() == b""
    assert talk.tls(b"MAIL FROM:<a@example.com>\r\n") == b"503 5.5.1 Say EHLO or HELO first\r\n"
    hello = talk.tls(b"EHLO after\r\n")
    assert hello.startswith(b"250-mx.test Hello after [192.0.2.1]\r\n")
    assert b"STARTTLS" not in hello
    assert talk.tls(b"STARTTLS\r\n") == b"503 5.5.1 TLS is active already\r\n"
    assert b"354" in talk.tls(b"MAIL FROM:<a@example.com>\r\nRCPT TO:<b@example.com>\r\nDATA\r\n")
    assert talk.tls(b"x\r\n.\r\nQUIT\r\n").endswith(b"221 2.0.0 mx.test closing connection\r\n")
    assert talk.finished
    assert talk.client.closed
    received = talk.messages[0].chunks[0]
    assert received.startswith(b"Received: from after ([192.0.2.1])\r\n\tby mx.test with ESMTPS id ")
    assert talk.messages[0].sender == "a@example.com"
    (note,) = notes(talk.actions, Step.TLS)
    assert note.details["version"] == "TLSv1.3"


@pytest.mark.parametrize("peer", [PROXY, STRANGER])
@pytest.mark.parametrize("injected", [b"NOOP\r\n", b"MAIL FROM:<evil@example.com>\r\nRSET\r\n", b"PROXY", FORGED])
def test_plaintext_behind_starttls_is_dropped(certificate: ssl.SSLContext, peer: Endpoint, injected: bytes) -> None:
    talk = Dialogue(certificate, peer)
    header = L4 if peer is PROXY else b""
    said = talk.greeting + talk.clear(header + b"EHLO x\r\nSTARTTLS\r\n" + injected)
    assert said.startswith(BANNER)
    assert said.endswith(b"250 STARTTLS\r\n" + READY)
    assert talk.shake() == b""
    assert talk.tls(b"NOOP\r\n") == b"250 2.0.0 OK\r\n"


def test_half_a_command_before_starttls_is_dropped_too(certificate: ssl.SSLContext) -> None:
    talk = Dialogue(certificate, STRANGER)
    talk.clear(b"EHLO x\r\nSTARTTLS\r\nNO")
    talk.shake()
    assert talk.tls(b"OP\r\n") == b"500 5.5.1 Command not recognised\r\n"


@pytest.mark.parametrize("header", [FORGED, V2_TCP4 + b"\r\n"])
def test_a_header_inside_tls_is_refused(certificate: ssl.SSLContext, header: bytes) -> None:
    talk = Dialogue(certificate)
    talk.clear(L4 + b"EHLO x\r\nSTARTTLS\r\n")
    talk.shake()
    assert all(line.startswith((b"500 5.5.1", b"503 5.5.1")) for line in talk.tls(header).splitlines())
    assert talk.tls(b"HELO x\r\n") == b"250 mx.test Hello x [192.0.2.1]\r\n"
    assert talk.core.client == ("192.0.2.1", 1111)


def test_an_unlisted_peer_is_refused_for_a_header_inside_tls(certificate: ssl.SSLContext) -> None:
    talk = Dialogue(certificate, STRANGER)
    talk.clear(b"EHLO x\r\nSTARTTLS\r\n")
    talk.shake()
    assert talk.tls(FORGED) == b"421 4.7.0 PROXY not allowed from 203.0.113.5\r\n"
    assert talk.core.ending is Ending.REFUSED
    assert talk.client.closed


def test_without_a_certificate_there_is_no_starttls() -> None:
    talk = Dialogue(None, STRANGER)
    assert b"STARTTLS" not in talk.clear(b"EHLO x\r\n")
    assert talk.clear(b"STARTTLS\r\n") == b"502 5.5.1 Command not implemented\r\n"


def test_starttls_takes_no_argument(certificate: ssl.SSLContext) -> None:
    talk = Dialogue(certificate, STRANGER)
    assert talk.clear(b"STARTTLS now\r\n") == b"501 5.5.4 Syntax: STARTTLS\r\n"
    assert talk.core.state is State.SESSION


# Implicit TLS.


@pytest.mark.parametrize("header", [L4, V2_TCP4])
@pytest.mark.parametrize("how", ["one segment", "two segments", "bytes"])
def test_the_header_comes_before_the_handshake(certificate: ssl.SSLContext, header: bytes, how: str) -> None:
    talk = Dialogue(certificate, PROXY, Entrance.TLS)
    everything = header + talk.client.take()
    cuts = {
        "one segment": [everything],
        "two segments": [header, everything[len(header) :]],
        "bytes": [everything[at : at + 1] for at in range(len(everything))],
    }[how]
    said = talk.client.feed(b"".join(talk.clear(cut) for cut in cuts)) + talk.shake()
    assert said == BANNER
    assert b"STARTTLS" not in talk.tls(b"EHLO x\r\n")
    assert b"[192.0.2.1]" in talk.tls(b"EHLO x\r\n")
    talk.tls(b"MAIL FROM:<>\r\nRCPT TO:<b@example.com>\r\nDATA\r\nx\r\n.\r\n")
    assert b"with ESMTPS id" in talk.messages[0].chunks[0]
    assert [action.timer for action in talk.actions if isinstance(action, Wait)][:3] == [
        Timer.HEADER,
        Timer.HANDSHAKE,
        Timer.IDLE,
    ]


def test_an_unlisted_peer_begins_with_the_handshake(certificate: ssl.SSLContext) -> None:
    talk = Dialogue(certificate, STRANGER, Entrance.TLS)
    assert talk.greeting == b""
    assert talk.shake() == BANNER
    assert b"[203.0.113.5]" in talk.tls(b"HELO x\r\n")


@pytest.mark.parametrize("header", [L4, V2_TCP4])
def test_a_header_only_inside_tls_is_not_obeyed(certificate: ssl.SSLContext, header: bytes) -> None:
    trusted = Dialogue(certificate, PROXY, Entrance.TLS)
    assert trusted.clear(trusted.client.take()) == b""
    assert trusted.core.ending is Ending.HEADER_MALFORMED
    stranger = Dialogue(certificate, STRANGER, Entrance.TLS)
    stranger.shake()
    assert stranger.tls(header) == b"421 4.7.0 PROXY not allowed from 203.0.113.5\r\n"
    assert stranger.core.client == STRANGER


def test_a_header_in_clear_from_an_unlisted_peer_is_no_handshake(certificate: ssl.SSLContext) -> None:
    talk = Dialogue(certificate, STRANGER, Entrance.TLS)
    assert b"220" not in talk.clear(L4 + talk.client.take())
    assert talk.core.ending is Ending.TLS_FAILED
    assert talk.finished


# Failures.


@pytest.mark.parametrize("entrance", list(Entrance))
def test_a_handshake_that_fails_says_nothing_in_clear(certificate: ssl.SSLContext, entrance: Entrance) -> None:
    talk = Dialogue(certificate, PROXY, entrance)
    talk.clear(L4)
    if entrance is Entrance.CLEARTEXT:
        talk.clear(b"STARTTLS\r\n")
    said = talk.clear(b"EHLO this is no ClientHello\r\n")
    assert b"50" not in said
    assert b"421" not in said
    assert talk.core.ending is Ending.TLS_FAILED
    assert talk.finished
    (note,) = notes(talk.actions, Step.TLS)
    assert note.details["reason"]
    assert talk.clear(b"NOOP\r\n") == b""


@pytest.mark.parametrize("entrance", list(Entrance))
@pytest.mark.parametrize(
    ("provoke", "ending"),
    [
        (Connection.handshake_deadline, Ending.TLS_DEADLINE),
        (Connection.shutdown, Ending.SHUTDOWN),
        (Connection.eof, Ending.FIN_WITHIN_HANDSHAKE),
    ],
)
def test_the_end_inside_a_handshake_is_silent(
    certificate: ssl.SSLContext, entrance: Entrance, provoke: object, ending: Ending
) -> None:
    talk = Dialogue(certificate, PROXY, entrance)
    talk.clear(L4 if entrance is Entrance.TLS else L4 + b"STARTTLS\r\n")
    talk.clear(talk.client.take()[:50])
    assert callable(provoke)
    assert provoke(talk.core) == [Finish()]
    assert talk.core.ending is ending


def test_a_reset_inside_a_handshake(certificate: ssl.SSLContext) -> None:
    talk = Dialogue(certificate, STRANGER, Entrance.TLS)
    talk.core.reset()
    assert talk.core.ending is Ending.RST_WITHIN_HANDSHAKE


def test_the_deadline_of_a_handshake_that_is_done_does_nothing(certificate: ssl.SSLContext) -> None:
    talk = Dialogue(certificate, STRANGER, Entrance.TLS)
    talk.shake()
    assert talk.core.handshake_deadline() == []
    assert talk.core.ending is None


def test_handshake_bytes_do_not_move_the_deadline(certificate: ssl.SSLContext) -> None:
    talk = Dialogue(certificate, STRANGER, Entrance.TLS)
    for byte in talk.client.take()[:-1]:
        assert talk.clear(bytes([byte])) == b""
    assert [action.timer for action in talk.actions if isinstance(action, Wait)] == [Timer.HANDSHAKE]


@pytest.mark.parametrize("reply", ["header_deadline", "malformed", "overloaded", "crowded"])
def test_where_tls_is_due_nothing_is_said_in_clear(certificate: ssl.SSLContext, reply: str) -> None:
    service = Service(name="mx.test", trust=TRUST, tls=certificate)
    core = Connection(service, "c1", PROXY, LOCAL, Entrance.TLS)
    if reply in ("overloaded", "crowded"):
        actions = getattr(core, reply)()
    else:
        core.connected()
        actions = core.received(b"X") if reply == "malformed" else core.header_deadline()
    assert written(actions) == b""
    assert isinstance(actions[-1], Finish)


def test_inside_tls_the_last_reply_is_encrypted_and_so_is_the_end(certificate: ssl.SSLContext) -> None:
    for provoke, reply in ((Connection.idle, b"421 4.4.2 mx.test idle"), (Connection.shutdown, b"421 4.3.2")):
        talk = Dialogue(certificate, STRANGER, Entrance.TLS)
        talk.shake()
        raw = written(provoke(talk.core))
        assert b"421" not in raw
        assert talk.client.feed(raw).startswith(reply)
        assert talk.client.closed


def test_the_clients_farewell_is_a_fin(certificate: ssl.SSLContext) -> None:
    talk = Dialogue(certificate, PROXY, Entrance.TLS)
    talk.clear(L4)
    talk.shake()
    talk.clear(talk.client.encrypt(b"NOOP\r\n") + talk.client.close())
    assert talk.core.ending is Ending.FIN_MID_SESSION
    assert talk.finished


def test_a_tampered_record_ends_the_session(certificate: ssl.SSLContext) -> None:
    talk = Dialogue(certificate, STRANGER, Entrance.TLS)
    talk.shake()
    record = bytearray(talk.client.encrypt(b"NOOP\r\n"))
    record[-1] ^= 1
    talk.clear(bytes(record))
    assert talk.core.ending is Ending.TLS_FAILED
    assert talk.finished


def test_an_entrance_with_tls_needs_a_certificate() -> None:
    core = Connection(Service(name="mx.test", trust=TRUST), "c1", STRANGER, LOCAL, Entrance.TLS)
    with pytest.raises(ValueError, match="without a certificate"):
        core.connected()


# The SSL TLV.


def header_with_ssl(client: int, cn: bytes = b"client.example") -> bytes:
    inner = b"".join(
        bytes([kind]) + len(value).to_bytes(2, "big") + value
        for kind, value in ((0x21, b"TLSv1.2"), (0x23, b"ECDHE-RSA-AES128-GCM-SHA256"), (0x22, cn))
    )
    value = bytes([client, 0, 0, 0, 0]) + inner
    block = bytes.fromhex("c0000201 c0000202 0457 0019") + b"\x20" + len(value).to_bytes(2, "big") + value
    return SIGNATURE + b"\x21\x11" + len(block).to_bytes(2, "big") + block


def test_the_ssl_tlv_is_shown_and_relaxes_nothing(certificate: ssl.SSLContext) -> None:
    talk = Dialogue(certificate)
    said = talk.clear(
        header_with_ssl(0x05) + b"EHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<b@example.com>\r\nDATA\r\nx\r\n.\r\n"
    )
    assert b"250 STARTTLS\r\n" in said
    assert b"with ESMTP id" in talk.messages[0].chunks[0]
    (note,) = notes(talk.actions, Step.HEADER)
    assert note.details["ssl"] == {
        "client": ["SSL", "CERT_SESS"],
        "verify": 0,
        "version": "TLSv1.2",
        "cipher": "ECDHE-RSA-AES128-GCM-SHA256",
        "cn": "client.example",
    }


def test_a_header_without_an_ssl_tlv_shows_none(certificate: ssl.SSLContext) -> None:
    talk = Dialogue(certificate)
    talk.clear(V2_TCP4)
    assert "ssl" not in notes(talk.actions, Step.HEADER)[0].details


@pytest.mark.parametrize(("client", "believed"), [(0x01, True), (0x07, True), (0x00, False), (0x06, False)])
def test_the_ssl_tlv_counts_only_where_it_is_configured_to(
    certificate: ssl.SSLContext, client: int, believed: bool
) -> None:
    talk = Dialogue(certificate, ssl_tlv=SslTlvUse.BELIEVED)
    said = talk.clear(
        header_with_ssl(client) + b"EHLO x\r\nMAIL FROM:<>\r\nRCPT TO:<b@example.com>\r\nDATA\r\nx\r\n.\r\n"
    )
    assert (b"STARTTLS" in said) is not believed
    assert (b"with ESMTPS id" in talk.messages[0].chunks[0]) is believed
    second = talk.clear(b"STARTTLS\r\n")
    assert second == (b"503 5.5.1 TLS is active already\r\n" if believed else READY)


# The limit on connections of one client.

ONE = Limits(connections_per_client=1)
REFUSED = b"421 4.7.0 mx.test too many connections from 192.0.2.1\r\n"


def test_the_limit_counts_the_proxied_address() -> None:
    first = Dialogue(None, limits=ONE)
    assert first.clear(L4) == BANNER
    second = Dialogue(None, service=first.service)
    assert second.clear(L4 + b"NOOP\r\n") == REFUSED
    assert second.core.ending is Ending.TOO_MANY_FROM_CLIENT
    other = Dialogue(None, service=first.service)
    assert other.clear(L4.replace(b"192.0.2.1", b"192.0.2.7")) == BANNER
    second.core.gone()
    assert Dialogue(None, service=first.service).clear(L4) == REFUSED
    first.core.gone()
    first.core.gone()
    assert Dialogue(None, service=first.service).clear(L4) == BANNER
    assert Dialogue(None, service=first.service).clear(L4) == REFUSED


@pytest.mark.parametrize("header", [b"PROXY UNKNOWN\r\n", SIGNATURE + bytes.fromhex("20000000")])
def test_a_proxy_that_speaks_for_itself_is_not_counted(header: bytes) -> None:
    first = Dialogue(None, limits=ONE)
    assert first.clear(header) == BANNER
    for _ in range(5):
        assert Dialogue(None, service=first.service).clear(header) == BANNER


def test_an_unlisted_peer_is_counted_by_its_own_address() -> None:
    first = Dialogue(None, STRANGER, limits=ONE)
    assert first.greeting == BANNER
    again = Dialogue(None, STRANGER, service=first.service)
    assert again.greeting == b"421 4.7.0 mx.test too many connections from 203.0.113.5\r\n"
    # The same address, proxied: the same client.
    proxied = Dialogue(None, service=first.service)
    assert b"421 4.7.0" in proxied.clear(L4.replace(b"192.0.2.1", b"203.0.113.5"))


def test_too_many_waiting() -> None:
    core = Connection(Service(name="mx.test", trust=TRUST), "c1", PROXY, LOCAL)
    actions = core.crowded()
    assert written(actions) == b"421 4.3.2 mx.test too many connections wait for their header\r\n"
    assert core.ending is Ending.TOO_MANY_WAITING
