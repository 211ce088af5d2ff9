"""Whether a header is there at all: guessing, greeting early, falling back (sections 2 and 2.2)."""

# ruff: noqa: D102 - each class says what its one method does wrong.

from proxyspec_server.connection import Action, Connection, State, Write
from proxyspec_server.defects.seed import AS_PEER, L4, SESSION, TIMED_OUT, seeded, steps
from proxyspec_server.probe import Pause, Probe
from proxyspec_server.proxy import HeaderParser, Malformed
from proxyspec_server.smtp import SmtpSession, Standing

BAD_PORT = b"PROXY TCP4 192.0.2.1 192.0.2.2 1111 65561\r\n"


@seeded(
    "header-optional",
    origin="lavinmq #1646 (guessing on one port); requirement trust.no-header-from-trusted",
    killed_by=("general/no-header/ehlo", "general/no-header/short"),
    shows=b"",
    defective=AS_PEER,
)
class HeaderOptional(Connection):
    """A trusted peer that begins without a header is served as a direct client."""

    def header_bytes(self, parser: HeaderParser, data: bytes) -> list[Action]:
        if parser.received or data[:1] in (b"P", b"\r"):
            return super().header_bytes(parser, data)
        return self.begin_session(Standing.LISTED, data)


@seeded(
    "greets-first",
    origin="Stalwart #371 and #774 (banner sent before the header)",
    killed_by=("general/header-before-banner",),
    shows=Probe(steps=(L4[:20],)),
    healthy=TIMED_OUT,
    defective="220, 421 4.4.2, FIN",
)
class GreetsFirst(Connection):
    """The banner is sent at once, and the header read after it."""

    class Greeted(SmtpSession):
        """A session whose banner has been sent."""

        def start(self) -> bytes:
            super().start()
            return b""

    session_type = Greeted

    def before_header(self) -> list[Action]:
        return [Write(self._profile.replies.banner.format(name=self._service.name).encode("ascii") + b"\r\n")]


@seeded(
    "greets-at-deadline",
    origin="requirement gen.header-before-banner; smtp.banner.deadlock",
    killed_by=(
        "general/deadline/partial",
        "general/deadline/slow-drip",
    ),
    shows=steps(b""),
    healthy=TIMED_OUT,
    defective="220, open",
)
class GreetsAtDeadline(Connection):
    """A peer that sent no header in time is served as a direct client."""

    def header_deadline(self) -> list[Action]:
        return self.begin_session(Standing.LISTED, b"") if self.state is State.AWAIT_HEADER else []


@seeded(
    "malformed-served",
    origin="requirement inv.no-downgrade",
    killed_by=("general/abort/nothing-executed", "v1/port/65536"),
    shows=steps(BAD_PORT, Pause(0.2), SESSION),
    defective=AS_PEER,
)
class MalformedServed(Connection):
    """A peer whose header is malformed is served as a direct client."""

    def refuse_header(self, fault: Malformed) -> list[Action]:
        return self.begin_session(Standing.LISTED, b"")


@seeded(
    "malformed-greeted",
    origin="requirement smtp.code.no-220-on-fail",
    killed_by=("v1/port/65536", "general/abort/prompt"),
    shows=BAD_PORT,
    defective="220, 421 4.3.2, FIN",
)
class MalformedGreeted(Connection):
    """The banner comes before the refusal of a malformed header."""

    def refuse_header(self, fault: Malformed) -> list[Action]:
        banner = self._profile.replies.banner.format(name=self._service.name)
        return [Write(banner.encode("ascii") + b"\r\n"), *super().refuse_header(fault)]


@seeded(
    "malformed-held",
    origin='requirement gen.abort.promptness ("as soon as possible")',
    killed_by=("general/abort/prompt",),
    shows=BAD_PORT,
    defective=TIMED_OUT,
)
class MalformedHeld(Connection):
    """A malformed header is answered only when the deadline falls."""

    def refuse_header(self, fault: Malformed) -> list[Action]:
        self._parser = None
        return []


@seeded(
    "fragment-served",
    origin="requirement gen.fragment.v1-two (never banner or parse of the tail)",
    killed_by=("general/fragments/two", "general/fragments/bytewise"),
    shows=steps(L4[:20], Pause(0.1), L4[20:] + SESSION),
    healthy="220, 250 [192.0.2.1], 221, FIN",
    defective="220, 500 5.5.1, 250 [127.0.0.1], 221, FIN",
)
class FragmentServed(Connection):
    """A header that does not come in one segment counts as none, and the peer is served as a direct client."""

    def header_bytes(self, parser: HeaderParser, data: bytes) -> list[Action]:
        actions = super().header_bytes(parser, data)
        return actions or self.begin_session(Standing.LISTED, b"")
