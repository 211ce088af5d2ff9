"""How connections end: resets that destroy replies, connections left open, a FIN unnoticed (RFC 5321, section 3.8)."""

# ruff: noqa: D102 - each class says what its one method does wrong.

import asyncio

from proxyspec_server.connection import Action, Connection, Finish, State, Write
from proxyspec_server.defects.seed import AS_PROXIED, L4, SILENT, TIMED_OUT, seeded, v2
from proxyspec_server.ending import Ending
from proxyspec_server.probe import Probe
from proxyspec_server.proxy import Malformed
from proxyspec_server.wire import Wire

BAD_PORT = b"PROXY TCP4 192.0.2.1 192.0.2.2 1111 65561\r\n"


@seeded(
    "refusal-left-open",
    origin="requirement smtp.timeout.421 (421, then close)",
    killed_by=("general/abort/prompt", "v1/port/65536"),
    shows=BAD_PORT,
    defective="421 4.3.2, open",
)
class RefusalLeftOpen(Connection):
    """The refusal of a malformed header is not followed by the end of the connection."""

    def refuse_header(self, fault: Malformed) -> list[Action]:
        return [action for action in super().refuse_header(fault) if not isinstance(action, Finish)]


@seeded(
    "refusal-silent-and-open",
    origin="requirement gen.abort.promptness",
    killed_by=("general/abort/prompt", "v1/port/65536"),
    shows=BAD_PORT,
    defective="open",
)
class RefusalSilentAndOpen(Connection):
    """Nothing at all happens after a malformed header, not even at the deadline."""

    def refuse_header(self, fault: Malformed) -> list[Action]:
        self.state = State.CLOSED
        return []


@seeded(
    "quit-left-open",
    origin="RFC 5321, section 4.1.1.10",
    killed_by=("smtp/shutdown/quit-ends",),
    shows=L4,
    healthy=AS_PROXIED,
    defective="220, 250 [192.0.2.1], 221, open",
    spoils=frozenset({"v1", "v2"}),
)
class QuitLeftOpen(Wire):
    """The reply to QUIT is not followed by the end of the connection."""

    def _finish(self) -> None:
        if self._core.ending is not Ending.QUIT:
            super()._finish()


@seeded(
    "fin-ignored",
    origin="requirements gen.eof.empty, gen.eof.partial-v1",
    killed_by=("general/half-close/partial", "general/half-close/empty"),
    shows=Probe(steps=(L4[:20],), fin=True),
    healthy=SILENT,
    defective=TIMED_OUT,
)
class FinIgnored(Connection):
    """A FIN within the header is not noticed."""

    def eof(self) -> list[Action]:
        return [] if self.state is State.AWAIT_HEADER else super().eof()


@seeded(
    "fin-greeted",
    origin="requirement gen.eof.empty (no 220)",
    killed_by=("general/half-close/empty", "general/half-close/partial"),
    shows=Probe(steps=(), fin=True),
    healthy=SILENT,
    defective="220, FIN",
)
class FinGreeted(Connection):
    """A FIN instead of a header is taken for the end of an empty one, and greeted."""

    def eof(self) -> list[Action]:
        banner = self._profile.replies.banner.format(name=self._service.name).encode("ascii") + b"\r\n"
        return [Write(banner), *super().eof()] if self.state is State.AWAIT_HEADER else super().eof()


@seeded(
    "fin-spins",
    origin="requirement gen.eof.partial-v2 (the CPU stays idle)",
    killed_by=("general/half-close/partial",),
    spreads=True,
    shows=Probe(steps=(v2()[:16],), fin=True),
    healthy=SILENT,
    defective=TIMED_OUT,
)
class FinSpins(Wire):
    """A FIN within the header is read again and again until the deadline, at full speed."""

    def eof_received(self) -> None:
        if self._core.state is State.AWAIT_HEADER:
            asyncio.get_running_loop().call_soon(self.eof_received)
        else:
            super().eof_received()
