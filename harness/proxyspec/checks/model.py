"""The words of health-check scenarios: what HAProxy checks how, what is expected of it, and what was seen.

Nothing here does I/O. Times are seconds since the epoch, as servers and HAProxy run in several processes.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from fnmatch import fnmatchcase

from proxyspec.model import Event

__all__ = [
    "Behind",
    "Connect",
    "Contact",
    "Expect",
    "Expected",
    "Kind",
    "Observation",
    "Opening",
    "Proxy",
    "Release",
    "Resets",
    "Rule",
    "Sample",
    "Say",
    "Scenario",
    "expected_of",
    "selected",
]

#: A release of HAProxy by its three numbers.
Release = tuple[int, int, int]


class Kind(enum.StrEnum):
    """How HAProxy looks at the server."""

    SMTPCHK = "smtpchk"
    TCPCHECK = "tcp-check"
    L4 = "L4"


class Proxy(enum.StrEnum):
    """The header of the traffic, which checks send too unless told otherwise (sections 2.1, 2.2)."""

    NONE = "none"
    V1 = "v1"
    V2 = "v2"
    V2_SSL = "v2-ssl"


@dataclass(frozen=True, slots=True)
class Connect:
    """`tcp-check connect`: bare, it takes nothing from the server line; `linger` ends with FIN in place of RST."""

    default: bool = True
    linger: bool = False


@dataclass(frozen=True, slots=True)
class Expect:
    """`tcp-check expect rstring`: a regular expression to wait for."""

    pattern: str


@dataclass(frozen=True, slots=True)
class Say:
    """`tcp-check send`: one line, CR LF is added."""

    line: str


Rule = Connect | Expect | Say


class Behind(enum.StrEnum):
    """The server that is checked. All but the unaware one wait for a header where the scenario has them sent one."""

    #: The reference server, which counts resets itself.
    REFERENCE = "reference"
    #: Answers EHLO in one piece.
    ORDINARY = "ordinary"
    #: Answers EHLO line by line, as a server does that flushes each.
    LINE_BY_LINE = "line-by-line"
    #: Knows no PROXY protocol: greets at once and answers the header with 500, both in one piece.
    UNAWARE = "unaware"
    #: The same, with the 500 a moment after the greeting.
    UNAWARE_LATER = "unaware-later"
    #: Greets with two lines.
    MULTI_LINE = "multi-line"
    #: Turns everybody away with 421 before anything else.
    BUSY = "busy"
    #: Greets a good while after the header.
    SLOW = "slow"
    #: Says 421 and hangs up when no header comes.
    DEADLINE = "deadline"


class Opening(enum.StrEnum):
    """What a check must begin with, as the server sees it."""

    #: Nothing, or SMTP.
    NONE = "no header"
    #: A whole TCP4 line that names the server's own address and port (section 2.1).
    V1 = "v1 line"
    #: LOCAL without addresses (section 2.2).
    LOCAL = "v2 LOCAL"
    #: LOCAL with a CRC32C TLV (section 2.2.3).
    LOCAL_CRC32C = "v2 LOCAL + CRC32C"
    #: LOCAL with an SSL TLV (section 2.2.6).
    LOCAL_SSL = "v2 LOCAL + SSL"
    #: LOCAL with both.
    LOCAL_CRC32C_SSL = "v2 LOCAL + CRC32C + SSL"
    #: PROXY with HAProxy's and the server's addresses.
    PROXY_V2 = "v2 PROXY"


class Resets(enum.StrEnum):
    """What is expected of a check's end."""

    NEVER = "never"
    EVERY_CHECK = "every check"
    #: Differs from check to check, or was not written down before: recorded.
    RECORDED = "recorded"


@dataclass(frozen=True, slots=True, kw_only=True)
class Expected:
    """What HAProxy must report, and do to the server; `up` None: that differs from check to check, and is recorded.

    `results` are the words of `show stat` with the reply code, any of which will do: `L7OK/221`, `L7TOUT`. `shown` is
    False for a check that can end before the server sees it, or what it sent.
    """

    up: bool | None
    results: tuple[str, ...]
    opening: Opening
    resets: Resets = Resets.NEVER
    shown: bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """One row of the health-check table, as data.

    `expected` holds what to expect from a release on; the last one that is not later than the HAProxy at hand counts.
    `timeout` is `timeout check` in seconds. `own_port` gives the check a `port`, the server's own, which takes the
    header from it unless `check_header` is set; None leaves the matter to HAProxy. `inter` is the pause between two
    checks in seconds; None takes the run's. `documented` stands for the listener of Haraka's HAProxy page as it is.
    """

    check: str
    proxy: Proxy
    title: str
    kind: Kind
    expected: Mapping[Release, Expected]
    behind: Behind = Behind.REFERENCE
    helo: str | None = None
    rules: tuple[Rule, ...] = ()
    timeout: float = 5.0
    own_port: bool = False
    check_header: bool | None = None
    #: Whether the server waits for a header; None: where `proxy` has one.
    server_wants: bool | None = None
    crc32c: bool = False
    never_send_local: bool = False
    documented: bool = False
    servers: int = 1

    @property
    def id(self) -> str:
        """Unique name: `smtpchk-helo/v1`."""
        return f"{self.check}/{self.proxy}"

    @property
    def wants_header(self) -> bool:
        """Whether the server behind waits for a header."""
        return self.proxy is not Proxy.NONE if self.server_wants is None else self.server_wants


def expected_of(scenario: Scenario, release: Release) -> Expected:
    """Return what to expect of a release.

    Raises:
        ValueError: the scenario says nothing of releases that old.
    """
    known = [since for since in scenario.expected if since <= release]
    if not known:
        wanted = ".".join(map(str, release))
        raise ValueError(f"scenario {scenario.id} says nothing of HAProxy {wanted}: give an entry for it")
    return scenario.expected[max(known)]


def selected(scenarios: Sequence[Scenario], patterns: Sequence[str]) -> list[Scenario]:
    """Return the scenarios whose id fits one of the patterns (an id, what it begins with, a glob); all for none."""
    return [
        scenario
        for scenario in scenarios
        if not patterns or any(fnmatchcase(scenario.id, p) or f"{scenario.id}/".startswith(f"{p}/") for p in patterns)
    ]


@dataclass(frozen=True, slots=True)
class Sample:
    """A finished check as `show stat` tells it of one server."""

    at: float
    server: str
    up: bool
    #: `L7OK/221`, or without a code where HAProxy shows none.
    result: str
    last: str
    duration_ms: int | None
    #: The fields of `show stat` worth keeping, as HAProxy wrote them.
    fields: Mapping[str, str] = field(default_factory=dict, compare=False)


@dataclass(frozen=True, slots=True)
class Contact:
    """One check, as a server saw it.

    `ending` is in the reference server's words: `quit`, `fin-after-header`, `rst-while-writing`. `opening` and
    `events` are empty where only the reference server's log tells.
    """

    at: float
    ending: str
    port: int
    opening: bytes = b""
    events: tuple[Event, ...] = ()

    @property
    def reset(self) -> bool:
        """Whether the check ended with a reset."""
        return self.ending.startswith("rst-")


@dataclass(frozen=True, slots=True)
class Observation:
    """Everything seen of one scenario on one HAProxy.

    `ready` is when HAProxy was; `contacts` are what the server behind counted; `witnessed` what a server that records
    bytes saw of the same check; `log` are HAProxy's own lines about it.
    """

    ready: float
    samples: tuple[Sample, ...]
    contacts: tuple[Contact, ...]
    witnessed: tuple[Contact, ...]
    log: tuple[str, ...] = ()
