"""The header deadline (section 2)."""

# ruff: noqa: D102 - each class says what its one method does wrong.

from dataclasses import replace

from proxyspec_server.connection import Action, Connection, Finish, Service, State, Wait
from proxyspec_server.deadlines import Timer
from proxyspec_server.defects.seed import AS_PROXIED, L4, SESSION, TIMED_OUT, seeded, steps
from proxyspec_server.ending import Ending
from proxyspec_server.journal import Journal
from proxyspec_server.probe import Pause
from proxyspec_server.proxy import Header, HeaderParser
from proxyspec_server.shell import Server

DRIP = steps(L4[:10], Pause(0.6), L4[10:20], Pause(0.6), L4[20:] + SESSION)


@seeded(
    "deadline-none",
    origin="go-proxyproto CVE-2021-23409; Traefik #10320",
    killed_by=("general/deadline/silent", "general/deadline/partial"),
    shows=steps(b""),
    healthy=TIMED_OUT,
    defective="open",
)
class DeadlineNone(Connection):
    """A peer without a header is waited for without end."""

    def connected(self) -> list[Action]:
        return [action for action in super().connected() if action != Wait(Timer.HEADER)]


@seeded(
    "deadline-extended",
    origin="requirement gen.timeout.slow-drip",
    killed_by=("general/deadline/slow-drip",),
    shows=DRIP,
    healthy=TIMED_OUT,
    defective=AS_PROXIED,
)
class DeadlineExtended(Connection):
    """Every byte that arrives starts the header deadline again."""

    def header_bytes(self, parser: HeaderParser, data: bytes) -> list[Action]:
        return super().header_bytes(parser, data) or [Wait(Timer.HEADER)]


@seeded(
    "deadline-from-first-byte",
    origin="lightway #543 (reads without a deadline)",
    killed_by=("general/deadline/silent",),
    shows=steps(b""),
    healthy=TIMED_OUT,
    defective="open",
)
class DeadlineFromFirstByte(Connection):
    """The header deadline starts with the first byte, so that a silent peer has none."""

    def connected(self) -> list[Action]:
        return [action for action in super().connected() if action != Wait(Timer.HEADER)]

    def header_bytes(self, parser: HeaderParser, data: bytes) -> list[Action]:
        first = not parser.received
        actions = super().header_bytes(parser, data)
        return [*actions, Wait(Timer.HEADER)] if first and not actions else actions


@seeded(
    "deadline-only-silent",
    origin="requirement gen.timeout.partial",
    killed_by=("general/deadline/partial", "general/deadline/partial-v2", "general/deadline/slow-drip"),
    shows=steps(L4[:20]),
    healthy=TIMED_OUT,
    defective="open",
)
class DeadlineOnlySilent(Connection):
    """The header deadline ends with the first byte, so that half a header is held without end."""

    def header_deadline(self) -> list[Action]:
        return [] if self._parser is not None and self._parser.received else super().header_deadline()


@seeded(
    "deadline-early",
    origin="requirement gen.timeout.silent (at least 3 seconds)",
    killed_by=("general/deadline/silent",),
    shows=steps(L4[:20], Pause(0.6), L4[20:] + SESSION),
    healthy=AS_PROXIED,
    defective=TIMED_OUT,
)
class DeadlineEarly(Server):
    """The header deadline falls after a fifth of its time."""

    def __init__(self, service: Service, journal: Journal, connection_type: type[Connection] = Connection) -> None:
        limits = replace(service.profile.limits, header_timeout=service.profile.limits.header_timeout / 5)
        super().__init__(replace(service, profile=replace(service.profile, limits=limits)), journal, connection_type)


@seeded(
    "deadline-for-good",
    origin="requirement smtp.timeout.421 (a 5xx greeting makes clients bounce)",
    killed_by=("general/deadline/soft",),
    shows=steps(b""),
    healthy=TIMED_OUT,
    defective="554 5.4.2, FIN",
)
class DeadlineForGood(Connection):
    """The reply at the header deadline is a permanent one."""

    def header_deadline(self) -> list[Action]:
        if self.state is not State.AWAIT_HEADER:
            return []
        return self.close(Ending.HEADER_DEADLINE, "554 5.4.2 {name} PROXY timed out")


@seeded(
    "deadline-left-open",
    origin="requirement smtp.timeout.421 (421, then close)",
    killed_by=("general/deadline/silent",),
    shows=steps(b""),
    healthy=TIMED_OUT,
    defective="421 4.4.2, open",
)
class DeadlineLeftOpen(Connection):
    """The reply at the header deadline is not followed by the end of the connection."""

    def header_deadline(self) -> list[Action]:
        return [action for action in super().header_deadline() if not isinstance(action, Finish)]


@seeded(
    "deadline-in-session",
    origin="requirement gen.timeout.silent (the deadline is the header's)",
    killed_by=("general/deadline/not-in-session",),
    shows=steps(L4, Pause(1.6), SESSION),
    healthy=AS_PROXIED,
    defective="220, 421 4.4.2, FIN",
)
class DeadlineInSession(Connection):
    """The header deadline goes on running behind the header and cuts the session."""

    def header_deadline(self) -> list[Action]:
        return self.close(Ending.HEADER_DEADLINE, self._profile.replies.header_timeout)

    def accept_header(self, header: Header, rest: bytes) -> list[Action]:
        return [action for action in super().accept_header(header, rest) if action != Wait(Timer.IDLE)]
