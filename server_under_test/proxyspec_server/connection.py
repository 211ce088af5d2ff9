"""One connection without a socket: who may send a header, who must, and the mail session after it.

    AWAIT_HEADER ──header──> SESSION ──QUIT, 421, FIN, RST──> CLOSED
         └──malformed, deadline, FIN, RST, shutdown────────────┘

A trusted peer begins in AWAIT_HEADER and hears nothing before its header is complete; any other begins in SESSION.
Whether a header is due follows from the trust list alone, never from the bytes (section 2 of the PROXY protocol text).
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from time import time
from typing import ClassVar

from proxyspec_server.deadlines import Timer
from proxyspec_server.ending import Ending
from proxyspec_server.journal import Note, Step
from proxyspec_server.message import Deliver
from proxyspec_server.profile import STRICT, Profile
from proxyspec_server.proxy import SIGNATURE, Endpoint, Header, HeaderParser, Malformed
from proxyspec_server.sink import discard
from proxyspec_server.smtp import SmtpSession, Standing
from proxyspec_server.trust import TrustList


@dataclass(frozen=True, slots=True)
class Write:
    """Send these bytes."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Wait:
    """Start this deadline, or start it again, instead of the one before."""

    timer: Timer


@dataclass(frozen=True, slots=True)
class Finish:
    """Send what is written, then a FIN; read and drop for a bounded time, so that unread input causes no RST."""


Action = Write | Wait | Finish | Note

_WAIT_HEADER = Wait(Timer.HEADER)
_WAIT_IDLE = Wait(Timer.IDLE)
_FINISH = Finish()


class State(Enum):
    """Where a connection stands."""

    AWAIT_HEADER = "await-header"
    SESSION = "session"
    CLOSED = "closed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """What all connections of a server share. `clock` gives seconds since the epoch, for dates."""

    name: str
    trust: TrustList
    profile: Profile = STRICT
    deliver: Deliver = discard
    clock: Callable[[], float] = time


class Connection:
    """Decides what one connection gets. Every input returns what to do, in order.

    `client` is the address believed: the peer's until a header says otherwise. `proxy` is the peer if a header came
    from it. `ending` is set by the first cause of the end. Subclasses change one decision at a time; a parser or
    session changed in the same way goes into `header_parser` or `session_type`.
    """

    __slots__ = (
        "_opening",
        "_parser",
        "_profile",
        "_service",
        "_session",
        "client",
        "ending",
        "header",
        "identity",
        "local",
        "peer",
        "state",
    )

    header_parser: ClassVar[type[HeaderParser]] = HeaderParser
    session_type: ClassVar[type[SmtpSession]] = SmtpSession

    def __init__(self, service: Service, identity: str, peer: Endpoint, local: Endpoint) -> None:
        """`identity` names the connection in the log; `peer` and `local` are the TCP connection's addresses."""
        self._service = service
        self._profile = service.profile
        self._parser: HeaderParser | None = None
        self._session: SmtpSession | None = None
        self._opening: bytes | None = None
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

    # Inputs.

    def connected(self) -> list[Action]:
        """The connection is there."""
        if self.trusted():
            limits = self._profile.limits
            self._parser = self.header_parser(self._profile.versions, limits.header_size)
            return [Note(Step.CONNECTED, {"trusted": True}), _WAIT_HEADER, *self.before_header()]
        self._opening = b""
        return [Note(Step.CONNECTED, {"trusted": False}), *self.begin_session(Standing.UNLISTED, b"")]

    def overloaded(self) -> list[Action]:
        """The connection is there and is one too many."""
        return [
            Note(Step.CONNECTED, {"trusted": self.trusted()}),
            *self.close(Ending.TOO_MANY_CONNECTIONS, self._profile.replies.too_many_connections),
        ]

    def received(self, data: bytes) -> list[Action]:
        """Bytes came."""
        if self._session is not None and self.state is State.SESSION:
            if self._opening is not None and self.opens_with_signature(data):
                return self.refuse_signature()
            return self.session_output(self._session, self._session.feed(data))
        if self._parser is not None and self.state is State.AWAIT_HEADER:
            return self.header_bytes(self._parser, data)
        return []

    def eof(self) -> list[Action]:
        """The peer sent a FIN: nothing more will come, replies may still go."""
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
            },
        )
        return [note, *self.begin_session(Standing.LISTED, rest)]

    def believed_client(self, header: Header) -> Endpoint:
        """The client's address: the header's source, or the real peer where the header names none."""
        return self.peer if header.source is None else header.source

    def refuse_header(self, fault: Malformed) -> list[Action]:
        """The header is malformed: no service, and no falling back to a direct session."""
        note = Note(
            Step.REFUSED,
            {"reason": fault.reason, "rule": fault.rule.value, "section": fault.rule.section},
        )
        return [note, *self.close(Ending.HEADER_MALFORMED, self._profile.replies.header_malformed)]

    def opens_with_signature(self, data: bytes) -> bool:
        """Whether the first bytes of an unlisted peer have just become the version 2 signature."""
        opening = ((self._opening or b"") + data)[: len(SIGNATURE)]
        self._opening = opening if len(opening) < len(SIGNATURE) and SIGNATURE.startswith(opening) else None
        return opening == SIGNATURE

    def refuse_signature(self) -> list[Action]:
        """An unlisted peer sent a version 2 header: refuse it as its text form is refused."""
        if self._session is None:
            return []
        self._session.refuse_proxy()
        return self.session_output(self._session, self._session.feed(b""))

    # The session.

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
        )
        self.state = State.SESSION
        output = session.start()
        if rest:
            output += session.feed(rest)
        return self.session_output(session, output)

    def session_output(self, session: SmtpSession, output: bytes) -> list[Action]:
        """What the session's turn amounts to."""
        actions: list[Action] = list(session.take_notes())
        if output:
            actions.append(Write(output))
        if session.ended is None:
            actions.append(_WAIT_IDLE)
        else:
            self.ending = session.ended
            self.state = State.CLOSED
            actions.append(_FINISH)
        return actions

    # The end.

    def stage(self, endings: "_Stages") -> Ending:
        """How far the connection has come, as the ending that belongs to it."""
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
        if text:
            reply = text.format(name=self._service.name, address=self.client.host)
            actions.append(Write(reply.encode("ascii", "backslashreplace") + b"\r\n"))
        actions.append(_FINISH)
        return actions


@dataclass(frozen=True, slots=True)
class _Stages:
    """The endings of one kind, by how far the connection had come."""

    before_header: Ending
    within_header: Ending
    after_header: Ending
    after_banner: Ending
    mid_session: Ending


_FIN = _Stages(
    Ending.FIN_BEFORE_HEADER,
    Ending.FIN_WITHIN_HEADER,
    Ending.FIN_AFTER_HEADER,
    Ending.FIN_AFTER_BANNER,
    Ending.FIN_MID_SESSION,
)
_RST = _Stages(
    Ending.RST_BEFORE_HEADER,
    Ending.RST_WITHIN_HEADER,
    Ending.RST_AFTER_HEADER,
    Ending.RST_AFTER_BANNER,
    Ending.RST_MID_SESSION,
)
