"""A second header: behind the first, or in the middle of a session (section 2)."""

# ruff: noqa: D102 - each class says what its one method does wrong.

from typing import ClassVar

from proxyspec_server.connection import Action, Connection, State
from proxyspec_server.defects.seed import AS_PROXIED, L4, NOT_ALLOWED, SESSION, seeded, steps, unlisted, v2
from proxyspec_server.probe import Pause
from proxyspec_server.proxy import SIGNATURE, Header, HeaderParser
from proxyspec_server.smtp import SmtpSession, Standing

SECOND4 = b"PROXY TCP4 198.51.100.77 192.0.2.2 7777 25\r\n"
SECOND2 = v2(bytes.fromhex("c633644d c0000202 1e61 0019"))
SPOOFED = "220, 250 [198.51.100.77], 221, FIN"
GAP = Pause(0.1)


def header_of(line: bytes) -> Header | None:
    """The header that a command line is, if it is one."""
    verdict = HeaderParser().feed(line + b"\r\n")
    return verdict if isinstance(verdict, Header) else None


@seeded(
    "second-v1-obeyed",
    origin="requirements gen.dup.v1-v1, gen.dup.v2-v1",
    killed_by=("general/second-header/v1-v1", "general/second-header/v2-v1"),
    shows=steps(L4 + SECOND4 + SESSION),
    healthy="220, 503 5.5.1, 250 [192.0.2.1], 221, FIN",
    defective=SPOOFED,
)
class SecondV1Obeyed(Connection):
    """A version 1 line right behind the header replaces it."""

    def accept_header(self, header: Header, rest: bytes) -> list[Action]:
        if rest.startswith(b"PROXY "):
            self._parser = self._profile.header_parser()
            return self.header_bytes(self._parser, rest)
        return super().accept_header(header, rest)


@seeded(
    "second-v2-obeyed",
    origin="requirements gen.dup.v1-v2, gen.dup.v2-v2",
    killed_by=("general/second-header/v1-v2", "general/second-header/v2-v2"),
    shows=steps(L4 + SECOND2 + SESSION),
    healthy="220, 500 5.5.1, 500 5.5.1, 500 5.5.1, 500 5.5.1, 221, FIN",
    defective=SPOOFED,
)
class SecondV2Obeyed(Connection):
    """A version 2 header right behind the header replaces it."""

    def accept_header(self, header: Header, rest: bytes) -> list[Action]:
        if rest.startswith(SIGNATURE):
            self._parser = self._profile.header_parser()
            return self.header_bytes(self._parser, rest)
        return super().accept_header(header, rest)


class _ProxyObeyed(SmtpSession):
    """PROXY is a command of the session, for those of one standing."""

    obeyed: ClassVar[Standing]

    def do_proxy(self, argument: bytes) -> None:
        header = header_of(b"PROXY " + argument)
        if self._standing is not self.obeyed or header is None or header.source is None:
            super().do_proxy(argument)
            return
        self.client = header.source
        self.say(self._profile.replies.done)


class _SignatureObeyed(Connection):
    """A version 2 header is obeyed wherever a segment of the session begins with it."""

    #: Whether the session began with a header.
    after_header: ClassVar[bool]

    def plaintext(self, data: bytes) -> list[Action]:
        if self.state is State.SESSION and self._session is not None and (self.header is not None) is self.after_header:
            parser = self._profile.header_parser()
            verdict = parser.feed(data) if data.startswith(SIGNATURE) else None
            if isinstance(verdict, Header) and verdict.source is not None:
                self._session.client = self.client = verdict.source
                return super().plaintext(parser.rest)
        return super().plaintext(data)


@seeded(
    "mid-session-v1-obeyed",
    origin="chrj/smtpd PR 64 and 65",
    killed_by=("general/mid-session/v1",),
    shows=steps(L4, GAP, b"HELO a\r\n" + SECOND4 + SESSION),
    healthy="220, 250 [192.0.2.1], 503 5.5.1, 250 [192.0.2.1], 221, FIN",
    defective="220, 250 [192.0.2.1], 250, 250 [198.51.100.77], 221, FIN",
)
class MidSessionV1Obeyed(_ProxyObeyed):
    """PROXY is a command of the session, for those who had to begin with it."""

    obeyed = Standing.LISTED


@seeded(
    "mid-session-v2-obeyed",
    origin="requirement gen.midsession.v2",
    killed_by=(
        "general/mid-session/v2",
        "smtp/starttls/second-header-v2",
    ),
    shows=steps(L4, GAP, b"HELO a\r\n", GAP, SECOND2 + SESSION),
    healthy="220, 250 [192.0.2.1], 500 5.5.1, 500 5.5.1, 500 5.5.1, 500 5.5.1, 221, FIN",
    defective="220, 250 [192.0.2.1], 250 [198.51.100.77], 221, FIN",
)
class MidSessionV2Obeyed(_SignatureObeyed):
    """A version 2 header is obeyed wherever a segment begins with it."""

    after_header = True


@seeded(
    "second-header-silent",
    origin="requirement smtp.header.not-a-command (500, 502 or 503)",
    killed_by=(
        "general/mid-session/unknown",
        "general/mid-session/after-unlisted-greeting",
    ),
    shows=steps(L4 + SECOND4 + SESSION),
    healthy="220, 503 5.5.1, 250 [192.0.2.1], 221, FIN",
    defective=AS_PROXIED,
)
class SecondHeaderSilent(SmtpSession):
    """A second version 1 line is swallowed without a reply."""

    def do_proxy(self, argument: bytes) -> None:
        if self._standing is Standing.UNLISTED:
            super().do_proxy(argument)


@seeded(
    "unlisted-v1-obeyed",
    origin="chrj/smtpd PR 71 (anyone may send PROXY)",
    killed_by=("general/trust/unlisted-v1",),
    shows=unlisted(L4 + SESSION),
    healthy=NOT_ALLOWED,
    defective="220, 250, 250 [192.0.2.1], 221, FIN",
)
class UnlistedV1Obeyed(_ProxyObeyed):
    """PROXY is a command of the session, for those who may not send it."""

    obeyed = Standing.UNLISTED


@seeded(
    "unlisted-v2-obeyed",
    origin="chrj/smtpd PR 71 (anyone may send PROXY)",
    killed_by=("general/trust/unlisted-v2",),
    shows=unlisted(v2() + SESSION),
    healthy=NOT_ALLOWED,
)
class UnlistedV2Obeyed(_SignatureObeyed):
    """A version 2 header is obeyed whoever sends it."""

    after_header = False

    def opens_with_signature(self, data: bytes) -> bool:
        return False
