"""What leaks: header bytes into the session, addresses from one connection into another (section 2)."""

# ruff: noqa: D102 - each class says what its one method does wrong.

import re
from typing import ClassVar

from proxyspec_server.connection import Action, Connection, Write
from proxyspec_server.defects.seed import (
    A4,
    AS_PEER,
    AS_PROXIED,
    L4,
    SESSION,
    seeded,
    session,
    steps,
    tlv,
    v2,
)
from proxyspec_server.probe import Look, Pause, Probe
from proxyspec_server.proxy import Endpoint, Header, HeaderParser, Malformed, Rule, TlvType
from proxyspec_server.smtp import SmtpSession, Standing

BOTH = frozenset({"v1", "v2"})
UNKNOWN = b"PROXY UNKNOWN\r\n"
MAIL = b"EHLO probe\r\nMAIL FROM:<>\r\nRCPT TO:<postmaster>\r\nDATA\r\n.\r\nQUIT\r\n"


@seeded(
    "leak-whole-header",
    origin="requirement gen.leak.header-bytes-to-smtp",
    killed_by=("general/abort/nothing-executed", "v1/port/65536"),
    shows=b"PROXY TCP4 192.0.2.1 192.0.2.2 1111 65561\r\n",
    defective="220, 503 5.5.1, 250 [127.0.0.1], 221, FIN",
)
class LeakWholeHeader(Connection):
    """A malformed header is handed to the session as if it were commands."""

    def header_bytes(self, parser: HeaderParser, data: bytes) -> list[Action]:
        verdict = parser.feed(data)
        if isinstance(verdict, Malformed):
            return self.begin_session(Standing.LISTED, data)
        return self.accept_header(verdict, parser.rest) if isinstance(verdict, Header) else []


@seeded(
    "leak-tail",
    origin="requirement gen.leak.header-bytes-to-smtp (over-long header)",
    killed_by=("v1/length/108", "v1/length/no-crlf-2000"),
    shows=b"PROXY UNKNOWN ".ljust(107, b"A") + b"\r\n",
    defective="220, 500 5.5.1, 250 [127.0.0.1], 221, FIN",
)
class LeakTail(Connection):
    """A line that is too long is cut at its limit, and the session gets what is behind."""

    def header_bytes(self, parser: HeaderParser, data: bytes) -> list[Action]:
        verdict = parser.feed(data)
        if isinstance(verdict, Malformed) and verdict.rule is Rule.V1_LENGTH:
            return self.begin_session(Standing.LISTED, data[107:])
        if isinstance(verdict, Malformed):
            return self.refuse_header(verdict)
        return self.accept_header(verdict, parser.rest) if isinstance(verdict, Header) else []


@seeded(
    "leak-behind-refusal",
    origin="requirement gen.leak.header-bytes-to-smtp (NOOP behind a refused header)",
    killed_by=("general/abort/nothing-executed", "v1/line-end/lf-pipelined"),
    shows=b"PROXY TCP4 192.0.2.1 192.0.2.2 1111 65561\r\n",
    defective="220, 421 4.3.2, 250 [127.0.0.1], 221, FIN",
)
class LeakBehindRefusal(Connection):
    """What comes behind a refused line in the same segment is still carried out."""

    def header_bytes(self, parser: HeaderParser, data: bytes) -> list[Action]:
        verdict = parser.feed(data)
        if isinstance(verdict, Malformed):
            _, _, rest = data.partition(b"\r\n")
            refusal = self._profile.replies.header_malformed.format(name=self._service.name).encode("ascii") + b"\r\n"
            actions = self.begin_session(Standing.LISTED, b"")
            return [*actions, self.write(refusal), *self.received(rest)]
        return self.accept_header(verdict, parser.rest) if isinstance(verdict, Header) else []


@seeded(
    "address-to-next",
    origin="requirement inv.per-connection (multiplexing must not happen)",
    killed_by=("v1/unknown/short",),
    spreads=True,
    shows=Probe(steps=(UNKNOWN + SESSION,), before=session(L4)),
    healthy=AS_PEER,
    defective=AS_PROXIED,
)
class AddressToNext(Connection):
    """A connection without a proxied address gets the one of the connection before."""

    last: ClassVar[Endpoint | None] = None

    def believed_client(self, header: Header) -> Endpoint:
        if header.source is None:
            return type(self).last or self.peer
        type(self).last = header.source
        return header.source


@seeded(
    "address-from-aborted",
    origin="requirements inv.atomic-address, inv.per-connection",
    killed_by=(
        "v1/unknown/with-addresses",
        "v2/local/empty",
    ),
    spreads=True,
    shows=Probe(steps=(UNKNOWN + SESSION,), before=steps(b"PROXY TCP4 192.0.2.1 192.0.2.2 1111 65561\r\n")),
    healthy=AS_PEER,
    defective=AS_PROXIED,
)
class AddressFromAborted(Connection):
    """The address of a refused header is kept, and the next connection without one gets it."""

    kept: ClassVar[str | None] = None

    def header_bytes(self, parser: HeaderParser, data: bytes) -> list[Action]:
        actions = super().header_bytes(parser, data)
        named = re.match(rb"PROXY TCP4 ([0-9.]{7,15}) ", data)
        if self.header is None and named:
            type(self).kept = named[1].decode("ascii")
        return actions

    def believed_client(self, header: Header) -> Endpoint:
        kept = type(self).kept
        return Endpoint(kept, 0) if header.source is None and kept is not None else super().believed_client(header)


@seeded(
    "address-ignored",
    origin="requirement smtp.addr.log; sections 1 and 2",
    killed_by=("v1/tcp4/ok", "v1/tcp6/ok", "v2/tcp4/ok", "v2/tcp6/ok"),
    shows=L4,
    healthy=AS_PROXIED,
    defective=AS_PEER,
    spoils=BOTH,
)
class AddressIgnored(Connection):
    """The header is read and the proxy's own address used all the same."""

    def believed_client(self, header: Header) -> Endpoint:
        return self.peer


@seeded(
    "received-names-proxy",
    origin="requirement smtp.addr.received (RFC 5321, section 4.4)",
    killed_by=(
        "smtp/address/received-tcp4",
        "smtp/address/received-tcp6",
    ),
    shows=Probe(steps=(L4 + MAIL,), look=Look.RECEIVED),
    healthy="Received: from probe ([192.0.2.1]) by mx.example.com with ESMTP",
    defective="Received: from probe ([127.0.0.1]) by mx.example.com with ESMTP",
)
class ReceivedNamesProxy(Connection):
    """The Received field names the proxy, while all else names the client."""

    class Session(SmtpSession):
        """A session that knows only one proxy."""

        def received_client(self) -> str:
            return "[127.0.0.1]"

    session_type = Session


@seeded(
    "received-without-tag",
    origin="requirement smtp.addr.received (IPv6 as [IPv6:...])",
    killed_by=("smtp/address/received-tcp6",),
    shows=Probe(steps=(b"PROXY TCP6 2001:db8::1 2001:db8::2 1111 25\r\n" + MAIL,), look=Look.RECEIVED),
    healthy="Received: from probe ([IPv6:2001:db8::1]) by mx.example.com with ESMTP",
    defective="Received: from probe ([2001:db8::1]) by mx.example.com with ESMTP",
)
class ReceivedWithoutTag(SmtpSession):
    """IPv6 addresses stand in the Received field without their tag."""

    def address_literal(self) -> str:
        return f"[{self.client.host}]"


@seeded(
    "authority-echoed",
    origin="Envoy CVE-2024-23324; requirements v2.tlv.log-injection, v2.tlv.authority-bad-utf8",
    killed_by=("v2/tlv/log-injection/authority",),
    shows=v2(A4 + tlv(TlvType.AUTHORITY, b"a]\r\n250 b")),
    healthy=AS_PROXIED,
    defective="220, 250 [a], 250, 221, FIN",
)
class AuthorityEchoed(Connection):
    """The bytes of an AUTHORITY TLV stand as they are in the greeting."""

    def believed_client(self, header: Header) -> Endpoint:
        client = super().believed_client(header)
        authority = header.tlv(TlvType.AUTHORITY)
        return client if authority is None else Endpoint(authority.decode("latin-1"), client.port)


@seeded(
    "header-counted-as-commands",
    origin="midi-smtp-server #49 (header counted as pipelined command)",
    killed_by=("general/pipelined/v1", "general/pipelined/v2"),
    shows=L4,
    healthy=AS_PROXIED,
    defective="220, 500 5.5.0, 250 [192.0.2.1], 221, FIN",
)
class HeaderCountedAsCommands(Connection):
    """A header that a command follows in its segment counts as a pipelined command, and the session gets an error."""

    def begin_session(self, standing: Standing, rest: bytes) -> list[Action]:
        greeted = super().begin_session(standing, b"")
        return [*greeted, Write(b"500 5.5.0 no pipelining\r\n"), *self.plaintext(rest)] if rest else greeted


@seeded(
    "transaction-to-next",
    origin="requirement inv.per-connection",
    killed_by=("isolation/transaction-not-resumed",),
    spreads=True,
    shows=Probe(
        steps=(UNKNOWN + b"HELO probe\r\nRCPT TO:<b@example.com>\r\nQUIT\r\n",),
        before=steps(UNKNOWN + b"HELO probe\r\nMAIL FROM:<a@example.com>\r\n", Pause(0.1), b"QUIT\r\n"),
    ),
    healthy="220, 250 [127.0.0.1], 503 5.5.1, 221, FIN",
    defective="220, 250 [127.0.0.1], 250, 221, FIN",
)
class TransactionToNext(SmtpSession):
    """A transaction that was not finished goes on in the next session."""

    open_sender: ClassVar[str | None] = None

    def do_mail(self, argument: bytes) -> None:
        super().do_mail(argument)
        type(self).open_sender = self.sender

    def do_rcpt(self, argument: bytes) -> None:
        self.sender = self.sender if self.sender is not None else type(self).open_sender
        super().do_rcpt(argument)
