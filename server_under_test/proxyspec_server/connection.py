"""One connection without a socket: who may send a header, who must, and the mail session after it.

    AWAIT_HEADER ──header──> SESSION ──QUIT, 421, FIN, RST──> CLOSED
         │                     │ ^                              │
         │             STARTTLS│ │done                          │
         ├──header, TLS─────> HANDSHAKE ──failed, deadline──────┤
         └──malformed, deadline, FIN, RST, shutdown─────────────┘

A trusted peer begins in AWAIT_HEADER and hears nothing before its header is complete; any other begins in SESSION, or
in HANDSHAKE where TLS comes first (RFC 8314). Whether a header is due follows from the trust list alone, never from
the bytes (section 2 of the PROXY protocol text); it comes in clear, before any handshake.
"""

import ssl
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import Enum
from time import time
from typing import ClassVar, NamedTuple

from proxyspec_server.clients import Clients
from proxyspec_server.deadlines import Timer
from proxyspec_server.ending import Ending
from proxyspec_server.journal import Note, Step, Value
from proxyspec_server.message import Deliver
from proxyspec_server.profile import STRICT, Profile
from proxyspec_server.proxy import SIGNATURE, Endpoint, Header, HeaderParser, Malformed, Rule
from proxyspec_server.proxy.tlv import SslClient, SslType
from proxyspec_server.sink import discard
from proxyspec_server.smtp import Security, SmtpSession, Standing
from proxyspec_server.tls import TlsChannel, TlsFault
from proxyspec_server.trust import TrustList


class Write(NamedTuple):
    """Send these bytes. A tuple, as there is one for every reply and frozen dataclasses are slow to build."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Wait:
    """Start this deadline, or start it again, instead of the one before. IDLE starts again with all bytes that come."""

    timer: Timer


@dataclass(frozen=True, slots=True)
class Finish:
    """Send what is written, then a FIN; read and drop for a bounded time, so that unread input causes no RST."""


Action = Write | Wait | Finish | Note

_WAIT_HEADER = Wait(Timer.HEADER)
_WAIT_HANDSHAKE = Wait(Timer.HANDSHAKE)
_WAIT_IDLE = Wait(Timer.IDLE)
_FINISH = Finish()
_new = tuple.__new__
_TRUSTED = Note(Step.CONNECTED, {"trusted": True})
_UNTRUSTED = Note(Step.CONNECTED, {"trusted": False})
_TOO_LONG = frozenset({Rule.V1_LENGTH, Rule.V2_SIZE_LIMIT})


class State(Enum):
    """Where a connection stands."""

    AWAIT_HEADER = "await-header"
    HANDSHAKE = "handshake"
    SESSION = "session"
    CLOSED = "closed"


_SESSION = State.SESSION


class Entrance(Enum):
    """What a listener's connections begin with, after the header if one is due."""

    CLEARTEXT = "cleartext"
    """The banner."""
    TLS = "tls"
    """The TLS handshake: implicit TLS (RFC 8314, section 3)."""


class SslTlvUse(Enum):
    """What the SSL TLV of a header is good for (section 2.2.6)."""

    SHOWN = "shown"
    """It goes into the log and changes nothing."""
    BELIEVED = "believed"
    """The session counts as encrypted where it says so."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """What all connections of a server share. `clock` gives seconds since the epoch, for dates.

    Without `tls` there is no STARTTLS, and no connection may come in through `Entrance.TLS`. Without `noting` the notes
    that take time to write are left out, as nobody reads them.
    """

    name: str
    trust: TrustList
    profile: Profile = STRICT
    deliver: Deliver = discard
    clock: Callable[[], float] = time
    noting: bool = True
    tls: ssl.SSLContext | None = None
    ssl_tlv: SslTlvUse = SslTlvUse.SHOWN
    clients: Clients = field(default_factory=Clients)


class Connection:
    """Decides what one connection gets. Every input returns what to do, in order.

    `client` is the address believed: the peer's until a header says otherwise. `proxy` is the peer if a header came
    from it. `ending` is set by the first cause of the end. Subclasses change one decision at a time; a parser or
    session changed in the same way goes into the profile's `readers` or into `session_type`.
    """

    __slots__ = (
        "_counted",
        "_entrance",
        "_opening",
        "_parser",
        "_profile",
        "_service",
        "_session",
        "_tls",
        "client",
        "ending",
        "header",
        "identity",
        "local",
        "peer",
        "state",
    )

    session_type: ClassVar[type[SmtpSession]] = SmtpSession

    def __init__(
        self,
        service: Service,
        identity: str,
        peer: Endpoint,
        local: Endpoint,
        entrance: Entrance = Entrance.CLEARTEXT,
    ) -> None:
        """`identity` names the connection in the log; `peer` and `local` are the TCP connection's addresses."""
        self._service = service
        self._profile = service.profile
        self._parser: HeaderParser | None = None
        self._session: SmtpSession | None = None
        self._opening: bytes | None = None
        self._entrance = entrance
        self._tls: TlsChannel | None = None
        self._counted: str | None = None
        self.identity = identity
        self.peer = peer
        self.local = local
        self.client = peer
        self.header: Header | None = None
        self.ending: Ending | None = None
        self.state = State.AWAIT_HEADER

    @property
    def proxy(self) -> Endpoint | None:
        """The peer, if it sent a header."""
        return None if self.header is None else self.peer

    @property
    def encrypted(self) -> bool:
        """Whether a TLS handshake has been done."""
        return self._tls is not None and self._tls.established

    # Inputs.

    def connected(self) -> list[Action]:
        """The connection is there."""
        if self.trusted():
            limits = self._profile.limits
            self._parser = self._profile.header_parser(self._profile.versions, limits.header_size)
            note, actions = _TRUSTED, [_WAIT_HEADER, *self.before_header()]
        else:
            self._opening = b"" if 2 in self._profile.versions else None
            note, actions = _UNTRUSTED, self.admit(Standing.UNLISTED, b"")
        return [note, *actions] if self._service.noting else actions

    def overloaded(self) -> list[Action]:
        """The connection is there and is one too many."""
        return [
            Note(Step.CONNECTED, {"trusted": self.trusted()}),
            *self.close(Ending.TOO_MANY_CONNECTIONS, self._profile.replies.too_many_connections),
        ]

    def crowded(self) -> list[Action]:
        """The connection is there, and too many wait for their header already."""
        return [
            Note(Step.CONNECTED, {"trusted": self.trusted()}),
            *self.close(Ending.TOO_MANY_WAITING, self._profile.replies.too_many_waiting),
        ]

    def received(self, data: bytes) -> list[Action]:
        """Bytes came."""
        return self.plaintext(data) if self._tls is None else self.ciphertext(self._tls, data)

    def plaintext(self, data: bytes) -> list[Action]:
        """Bytes came that are in clear, or in clear again."""
        if self._session is not None and self.state is _SESSION:
            if self._opening is not None and self.opens_with_signature(data):
                return self.refuse_signature()
            return self.session_output(self._session, self._session.feed(data))
        if self._parser is not None and self.state is State.AWAIT_HEADER:
            return self.header_bytes(self._parser, data)
        return []

    def eof(self) -> list[Action]:
        """The peer sent a FIN: nothing more will come, replies may still go."""
        if self.state is State.CLOSED:
            return []
        return self.close(self.stage(_FIN), "")

    def reset(self) -> None:
        """The connection was reset by the peer."""
        if self.ending is None:
            self.ending = self.stage(_RST)
        self.state = State.CLOSED

    def reset_while_writing(self) -> None:
        """Writing showed that the peer has reset the connection."""
        if self.ending is None:
            self.ending = Ending.RST_WHILE_WRITING
        self.state = State.CLOSED

    def header_deadline(self) -> list[Action]:
        """The header deadline fell."""
        if self.state is not State.AWAIT_HEADER:
            return []
        return self.close(Ending.HEADER_DEADLINE, self._profile.replies.header_timeout)

    def handshake_deadline(self) -> list[Action]:
        """The deadline of the TLS handshake fell."""
        return self.close(Ending.TLS_DEADLINE, "") if self.state is State.HANDSHAKE else []

    def idle(self) -> list[Action]:
        """The idle deadline fell."""
        return self.close(Ending.IDLE, self._profile.replies.idle_timeout)

    def shutdown(self) -> list[Action]:
        """The server stops."""
        return self.close(Ending.SHUTDOWN, self._profile.replies.shutdown)

    def cut(self, ending: Ending) -> None:
        """The shell gives the connection up."""
        if self.ending is None:
            self.ending = ending
        self.state = State.CLOSED

    def gone(self) -> None:
        """The socket is closed: the client may have another connection."""
        if self._counted is not None:
            self._service.clients.leave(self._counted)
            self._counted = None

    # The header.

    def trusted(self) -> bool:
        """Whether the peer has to begin with a header; asked about the TCP peer, once (sections 2 and 5)."""
        return self.peer.host in self._service.trust

    def before_header(self) -> list[Action]:
        """What a trusted peer hears before its header: nothing (section 2)."""
        return []

    def header_bytes(self, parser: HeaderParser, data: bytes) -> list[Action]:
        """Bytes from a trusted peer whose header is not complete; they do not move its deadline."""
        verdict = parser.feed(data)
        if isinstance(verdict, Header):
            self._parser = None
            return self.accept_header(verdict, parser.rest)
        if isinstance(verdict, Malformed):
            return self.refuse_header(verdict)
        return []

    def accept_header(self, header: Header, rest: bytes) -> list[Action]:
        """The header is complete: believe it, and go on with the bytes after it."""
        self.header = header
        self.client = self.believed_client(header)
        if not self._service.noting:
            return self.admit(Standing.LISTED, rest)
        note = Note(
            Step.HEADER,
            {
                "version": header.version,
                "command": header.command.name,
                "family": header.family.name,
                "source": str(header.source) if header.source else None,
                "destination": str(header.destination) if header.destination else None,
                "tlvs": [f"0x{tlv.kind:02x}" for tlv in header.tlvs] if header.tlv_area else [],
                "size": header.size,
                **self.ssl_details(header),
            },
        )
        return [note, *self.admit(Standing.LISTED, rest)]

    def believed_client(self, header: Header) -> Endpoint:
        """The client's address: the header's source, or the real peer where the header names none."""
        return self.peer if header.source is None else header.source

    def ssl_details(self, header: Header) -> dict[str, Value]:
        """What the header tells of the client's TLS session with the proxy, for the log (section 2.2.6)."""
        info = header.ssl if header.tlv_area else None
        if info is None:
            return {}
        texts = {tlv.kind: tlv.value.decode("utf-8", "backslashreplace") for tlv in reversed(info.tlvs)}
        return {
            "ssl": {
                "client": [bit.name or "" for bit in SslClient if info.client & bit],
                "verify": info.verify,
                "version": texts.get(SslType.VERSION),
                "cipher": texts.get(SslType.CIPHER),
                "cn": texts.get(SslType.CN),
            }
        }

    def refuse_header(self, fault: Malformed) -> list[Action]:
        """The header is malformed: no service, and no falling back to a direct session."""
        note = Note(
            Step.REFUSED,
            {"reason": fault.reason, "rule": fault.rule.value, "section": fault.rule.section},
        )
        if fault.rule in self._profile.held:
            self._parser = None
            return [note]
        replies = self._profile.replies
        text = replies.header_too_long if fault.rule in _TOO_LONG else replies.header_malformed
        return [note, *self.close(Ending.HEADER_MALFORMED, text)]

    def opens_with_signature(self, data: bytes) -> bool:
        """Whether the first bytes of an unlisted peer have just become the version 2 signature."""
        if data and not self._opening and data[0] != SIGNATURE[0]:
            self._opening = None
            return False
        opening = ((self._opening or b"") + data)[: len(SIGNATURE)]
        self._opening = opening if len(opening) < len(SIGNATURE) and SIGNATURE.startswith(opening) else None
        return opening == SIGNATURE

    def refuse_signature(self) -> list[Action]:
        """An unlisted peer sent a version 2 header: refuse it as its text form is refused."""
        if self._session is None:
            return []
        self._session.refuse_proxy()
        return self.session_output(self._session, self._session.feed(b""))

    # TLS.

    def begin_handshake(self, rest: bytes) -> list[Action]:
        """Expect a TLS handshake, of which `rest` has come already."""
        context = self._service.tls
        if context is None:
            raise ValueError("a connection cannot begin with TLS in a service without a certificate")
        self._tls = channel = TlsChannel(context)
        self.state = State.HANDSHAKE
        return [_WAIT_HANDSHAKE, *(self.ciphertext(channel, rest) if rest else ())]

    def ciphertext(self, channel: TlsChannel, data: bytes) -> list[Action]:
        """Bytes came that belong to TLS."""
        if self.state is State.CLOSED:
            return []
        try:
            plaintext = channel.feed(data)
        except TlsFault as fault:
            return self.handshake_failed(channel, fault)
        answer = channel.take()
        actions: list[Action] = [Write(answer)] if answer else []
        if self.state is State.HANDSHAKE and channel.established:
            actions += self.handshake_done(channel)
        if plaintext:
            actions += self.plaintext(plaintext)
        if channel.closed:
            actions += self.eof()
        return actions

    def handshake_done(self, channel: TlsChannel) -> list[Action]:
        """Go on in the session, or begin it; nothing is left of what was said in clear (RFC 3207, section 4.2)."""
        note = Note(Step.TLS, {"version": channel.version, "cipher": channel.cipher})
        if self._session is None:
            standing = Standing.UNLISTED if self.header is None else Standing.LISTED
            return [note, *self.begin_session(standing, b"")]
        self._session.secured()
        self.state = State.SESSION
        return [note, _WAIT_IDLE]

    def handshake_failed(self, channel: TlsChannel, fault: TlsFault) -> list[Action]:
        """Say what TLS has to say about it, and end."""
        alert = channel.take()
        return [
            Note(Step.TLS, {"reason": fault.reason}),
            *([Write(alert)] if alert else ()),
            *self.close(Ending.TLS_FAILED, ""),
        ]

    def security(self) -> Security:
        """Whether the session is encrypted, or may become so."""
        if self._tls is not None:
            return Security.ACTIVE
        if self._service.ssl_tlv is SslTlvUse.BELIEVED and self.header is not None:
            info = self.header.ssl
            if info is not None and info.encrypted:
                return Security.AT_PROXY
        return Security.CLEARTEXT if self._service.tls is None else Security.OFFERED

    def write(self, data: bytes) -> Write:
        """Send `data` the way the connection is protected."""
        return _new(Write, (data if self._tls is None else self._tls.encrypt(data),))

    # The session.

    def admit(self, standing: Standing, rest: bytes) -> list[Action]:
        """The client is known: serve it, unless it has as many connections as it may have."""
        if not self.counted():
            return self.close(Ending.TOO_MANY_FROM_CLIENT, self._profile.replies.too_many_from_client)
        if self._entrance is Entrance.TLS:
            return self.begin_handshake(rest)
        return self.begin_session(standing, rest)

    def counted(self) -> bool:
        """Count the connection for its client; False if that one has too many.

        A proxy that speaks for itself, or does not name its client, is not counted.
        """
        limit = self._profile.limits.connections_per_client
        if limit is None or (self.header is not None and self.header.source is None):
            return True
        host = self.client.host
        if self._service.clients.enter(host, limit):
            self._counted = host
        return self._counted is not None

    def begin_session(self, standing: Standing, rest: bytes) -> list[Action]:
        """Greet, and answer what came along with the header."""
        self._session = session = self.session_type(
            name=self._service.name,
            client=self.client,
            identity=self.identity,
            standing=standing,
            profile=self._profile,
            deliver=self._service.deliver,
            clock=self._service.clock,
            security=self.security(),
            noting=self._service.noting,
        )
        self.state = State.SESSION
        output = session.start()
        if rest:
            output += session.feed(rest)
        return [_WAIT_IDLE, *self.session_output(session, output)]

    def session_output(self, session: SmtpSession, output: bytes) -> list[Action]:
        """What the session's turn amounts to."""
        if output and session.ended is None and not session.upgrading and not self._service.noting:
            return [self.write(output)]
        actions: list[Action] = [*session.take_notes()] if self._service.noting else []
        if output:
            actions.append(self.write(output))
        if session.ended is not None:
            self.ending = session.ended
            self.state = State.CLOSED
            actions += self.farewell()
        elif session.upgrading:
            actions += self.begin_handshake(b"")
        return actions

    # The end.

    def stage(self, endings: "_Stages") -> Ending:
        """How far the connection has come, as the ending that belongs to it."""
        if self.state is State.HANDSHAKE:
            return endings.within_handshake
        if self._session is not None:
            if self._session.commands:
                return endings.mid_session
            return endings.after_banner if self.header is None else endings.after_header
        if self._parser is not None and self._parser.received:
            return endings.within_header
        return endings.before_header

    def close(self, ending: Ending, text: str) -> list[Action]:
        """End the connection with a last reply, unless `text` is empty or it has ended already."""
        if self.state is State.CLOSED:
            return []
        self.ending = ending
        self.state = State.CLOSED
        actions: list[Action] = []
        if text and self.audible():
            reply = text.format(name=self._service.name, address=self.client.host)
            actions.append(self.write(reply.encode("ascii", "backslashreplace") + b"\r\n"))
        return actions + self.farewell()

    def audible(self) -> bool:
        """Whether the client could make sense of a reply: not where it expects a handshake or is inside one."""
        return self._entrance is Entrance.CLEARTEXT if self._tls is None else self._tls.established

    def farewell(self) -> list[Action]:
        """The end of what is sent: TLS says it too, or a reader would take it for cut off (RFC 8446, section 6.1)."""
        if self._tls is not None and self._tls.established:
            return [Write(self._tls.close()), _FINISH]
        return [_FINISH]


@dataclass(frozen=True, slots=True)
class _Stages:
    """The endings of one kind, by how far the connection had come."""

    before_header: Ending
    within_header: Ending
    after_header: Ending
    after_banner: Ending
    within_handshake: Ending
    mid_session: Ending


_FIN = _Stages(
    Ending.FIN_BEFORE_HEADER,
    Ending.FIN_WITHIN_HEADER,
    Ending.FIN_AFTER_HEADER,
    Ending.FIN_AFTER_BANNER,
    Ending.FIN_WITHIN_HANDSHAKE,
    Ending.FIN_MID_SESSION,
)
_RST = _Stages(
    Ending.RST_BEFORE_HEADER,
    Ending.RST_WITHIN_HEADER,
    Ending.RST_AFTER_HEADER,
    Ending.RST_AFTER_BANNER,
    Ending.RST_WITHIN_HANDSHAKE,
    Ending.RST_MID_SESSION,
)
