"""Commands of the session that undo what the header said, or that the header is counted among (RFC 5321)."""

# ruff: noqa: D102 - each class says what its one method does wrong.

import re
from ipaddress import ip_address
from typing import Any, ClassVar

from proxyspec_server.connection import Action, Connection, Wait
from proxyspec_server.deadlines import Timer
from proxyspec_server.defects.seed import L4, SESSION, seeded, session, steps, unlisted
from proxyspec_server.probe import Pause
from proxyspec_server.proxy import Endpoint, Header, HeaderParser
from proxyspec_server.smtp import SmtpSession, Standing

_LITERAL = re.compile(r"\[([0-9.]{7,15})\]")
SPOOFED = "220, 250, 250 [198.51.100.9], 221, FIN"


@seeded(
    "xclient-obeyed",
    origin="requirement smtp.xclient.precedence",
    killed_by=("smtp/command/xclient",),
    shows=steps(L4, Pause(0.1), b"XCLIENT ADDR=198.51.100.9\r\n" + SESSION),
    healthy="220, 500 5.5.1, 250 [192.0.2.1], 221, FIN",
    defective=SPOOFED,
)
class XclientObeyed(SmtpSession):
    """XCLIENT is obeyed, because the proxy the session comes through is trusted."""

    verbs: ClassVar[dict[bytes, str]] = {**SmtpSession.verbs, b"XCLIENT": "do_xclient"}

    def do_xclient(self, argument: bytes) -> None:
        """Take the address the client names."""
        self.client = Endpoint(argument.partition(b"=")[2].decode("ascii", "replace"), 0)
        self.say(self._profile.replies.done)


@seeded(
    "helo-literal-believed",
    origin="requirement smtp.addr.log (what a client calls itself is not its address)",
    killed_by=("smtp/address/helo-lies",),
    shows=session(L4 + b"HELO [198.51.100.9]\r\n"),
    healthy="220, 250 [192.0.2.1], 250 [192.0.2.1], 221, FIN",
    defective="220, 250 [198.51.100.9], 250 [198.51.100.9], 221, FIN",
)
class HeloLiteralBelieved(SmtpSession):
    """A client that introduces itself with an address literal is taken for that address."""

    def greet(self, argument: bytes, verb: str) -> None:
        super().greet(argument, verb)
        literal = _LITERAL.fullmatch(self.helo or "")
        if literal is not None:
            self.client = Endpoint(literal[1], 0)


@seeded(
    "rset-forgets-address",
    origin="requirement smtp.addr.log (the address lasts as long as the session)",
    killed_by=("smtp/address/kept",),
    shows=session(L4 + b"HELO probe\r\nRSET\r\n"),
    healthy="220, 250 [192.0.2.1], 250, 250 [192.0.2.1], 221, FIN",
    defective="220, 250 [192.0.2.1], 250, 250 [127.0.0.1], 221, FIN",
)
class RsetForgetsAddress(SmtpSession):
    """RSET takes back the header, too."""

    def do_rset(self, argument: bytes) -> None:
        super().do_rset(argument)
        self.client = Endpoint("127.0.0.1", 0)


@seeded(
    "header-counts-as-line",
    origin="requirement smtp.header.not-counted (the line length of 512)",
    killed_by=("smtp/command/long-line",),
    shows=session(L4 + b"NOOP ".ljust(500, b"x") + b"\r\n"),
    healthy="220, 250, 250 [192.0.2.1], 221, FIN",
    defective="220, 500 5.5.2, 250 [192.0.2.1], 221, FIN",
)
class HeaderCountsAsLine(SmtpSession):
    """The bytes of the header count against the length of command lines."""

    def line_limit(self, line: bytes) -> int:
        return super().line_limit(line) - len(L4)


@seeded(
    "header-counts-as-error",
    origin="midi-smtp-server #49 in kind; requirement smtp.header.not-counted",
    killed_by=("smtp/command/repeated-errors-of-another",),
    shows=session(L4 + b"NONSENSE\r\n"),
    healthy="220, 500 5.5.1, 250 [192.0.2.1], 221, FIN",
    defective="220, 500 5.5.1, 421 4.7.0, FIN",
)
class HeaderCountsAsError(SmtpSession):
    """Two bad commands end a session, and the header is one of them."""

    def __init__(self, *, standing: Standing, **others: Any) -> None:
        super().__init__(standing=standing, **others)
        if standing is Standing.LISTED:
            self._bad_commands = self._profile.limits.bad_commands - 1


@seeded(
    "loopback-header-leaks",
    origin="requirement smtp.addr.privilege (a proxied loopback address is an address like any other)",
    killed_by=("smtp/privilege/loopback",),
    shows=session(b"PROXY TCP4 127.0.0.1 127.0.0.1 1111 25\r\n"),
    healthy="220, 250 [127.0.0.1], 221, FIN",
    defective="220, 503 5.5.1, 250 [127.0.0.1], 221, FIN",
)
class LoopbackHeaderLeaks(Connection):
    """Clients of this machine need no header, says the address inside it: the line is left to the session."""

    seen = b""

    def header_bytes(self, parser: HeaderParser, data: bytes) -> list[Action]:
        self.seen += data
        return super().header_bytes(parser, data)

    def accept_header(self, header: Header, rest: bytes) -> list[Action]:
        if header.source is not None and ip_address(header.source.host).is_loopback:
            return self.begin_session(Standing.LISTED, self.seen)
        return super().accept_header(header, rest)


@seeded(
    "health-check-guessed",
    origin="requirement smtp.addr.log; checks of load balancers that say HELP, NOOP or VRFY",
    killed_by=("smtp/command/noop", "smtp/command/help", "smtp/command/vrfy"),
    shows=session(L4 + b"HELO probe\r\nNOOP\r\n"),
    healthy="220, 250 [192.0.2.1], 250, 250 [192.0.2.1], 221, FIN",
    defective="220, 250 [192.0.2.1], 250, 250 [127.0.0.1], 221, FIN",
)
class HealthCheckGuessed(SmtpSession):
    """A session that says HELP, NOOP or VRFY is taken for the proxy's own health check."""

    def line(self, line: bytes) -> None:
        super().line(line)
        if line[:4].upper() in (b"HELP", b"NOOP", b"VRFY"):
            self.client = Endpoint("127.0.0.1", 0)


@seeded(
    "unlisted-forgotten",
    origin="docker-postfix #226 in kind (a direct client is left waiting)",
    killed_by=("general/trust/unlisted-without-header",),
    shows=unlisted(b""),
    healthy="220, open",
    defective="open",
)
class UnlistedForgotten(Connection):
    """A peer that is not trusted is neither served nor sent away."""

    def connected(self) -> list[Action]:
        return super().connected() if self.trusted() else [Wait(Timer.IDLE)]
