"""What a traffic scenario is made of, and what running one leaves behind: data only."""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from proxyspec_haproxy.topology import CheckKind, ProxyHeader, Timeouts

if TYPE_CHECKING:
    from proxyspec.traffic.expectations import Expectation

__all__ = [
    "Action",
    "Attempt",
    "Change",
    "ClientHeader",
    "Clients",
    "Counters",
    "Delivery",
    "Ended",
    "Evidence",
    "Fault",
    "Mark",
    "Pool",
    "Scenario",
    "Script",
    "Step",
]

_NAME: Final = re.compile(r"[a-z][a-z0-9-]{0,39}")


class Step(enum.StrEnum):
    """The parts of a client's session, in order."""

    CONNECT = "connect"
    BANNER = "banner"
    EHLO = "ehlo"
    MAIL = "mail"
    RCPT = "rcpt"
    DATA = "data"
    END_OF_DATA = "end of data"
    QUIT = "quit"


class Ended(enum.StrEnum):
    """How the other side ended the connection."""

    FIN = "FIN"
    RST = "RST"
    #: It did not: the client left first.
    NOT = "not"


class Action(enum.StrEnum):
    """What happens to a server, or to HAProxy, while mail flows."""

    KILL = "killed"
    STOP = "stopped"
    START = "started"
    DRAIN = "drained"
    #: HAProxy has no session with it any more: what an operator waits for before stopping it.
    EMPTY = "empty"
    READY = "ready again"
    RELOAD = "HAProxy reloaded"


class ClientHeader(enum.StrEnum):
    """The PROXY header a client sends itself, as a proxy in front of HAProxy would (sections 2.1 and 2.2)."""

    NONE = "none"
    V1 = "v1"
    V2 = "v2"


@dataclass(frozen=True, slots=True)
class Script:
    """One thing that happens `at` seconds after the traffic began; `server` counts from 0, None for HAProxy itself."""

    at: float
    action: Action
    server: int | None = None

    def __post_init__(self) -> None:
        if self.at < 0:
            raise ValueError(f"{self.action} at {self.at} s: nothing can happen before the traffic begins")
        if (self.server is None) is not (self.action is Action.RELOAD):
            raise ValueError(f"{self.action} at {self.at} s: every action but a reload names a server")


@dataclass(frozen=True, slots=True, kw_only=True)
class Pool:
    """The reference servers of a scenario and how HAProxy reaches them; times in seconds.

    `arguments` go to every server's command line; they all trust 127.0.0.1 to send a header. `proxy` is the header
    HAProxy sends.
    """

    count: int = 3
    arguments: tuple[str, ...] = ()
    proxy: ProxyHeader = ProxyHeader.V1
    check: CheckKind = CheckKind.TCP
    inter: float = 0.25
    fall: int = 2
    rise: int = 1
    weights: tuple[int, ...] = ()
    maxconn: int | None = None

    def __post_init__(self) -> None:
        if not 1 <= self.count <= 20:
            raise ValueError(f"{self.count} servers: a pool has 1 to 20")
        if self.weights and len(self.weights) != self.count:
            raise ValueError(f"{len(self.weights)} weights for {self.count} servers: give one each, or none")

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the servers: s1, s2, ..."""
        return tuple(f"s{number}" for number in range(1, self.count + 1))


@dataclass(frozen=True, slots=True, kw_only=True)
class Clients:
    """Clients that each hand over one message; times in seconds.

    They arrive at `rate` per second for as long as the traffic lasts (None: the rate of the run), or `at_once` all
    together. A client waits `pause` before each command, so that a session spans events. It tries up to `attempts`
    times, `retry_after` apart, but never again once a message's final dot went out unanswered: nobody knows then
    whether the server took it (RFC 5321, section 6.1).
    """

    rate: float | None = None
    at_once: int = 0
    pause: float = 0.02
    attempts: int = 5
    retry_after: float = 0.25
    header: ClientHeader = ClientHeader.NONE
    sources: tuple[str, ...] = tuple(f"127.0.1.{number}" for number in range(1, 17))
    patience: float = 30.0

    def __post_init__(self) -> None:
        if self.rate is not None and not 0 < self.rate <= 10_000:
            raise ValueError(f"a rate of {self.rate} sessions/s: must lie between 0 and 10000")
        if self.at_once < 0 or self.attempts < 1 or not self.sources:
            raise ValueError("clients: none at once or some, at least one attempt and one source address")

    @property
    def loaded(self) -> bool:
        """Whether they arrive at the rate of the run."""
        return self.rate is None and not self.at_once


@dataclass(frozen=True, slots=True, kw_only=True)
class Scenario:
    """Mail through one HAProxy listener, what happens meanwhile, and what must be true afterwards.

    `seconds` is how long clients arrive; `directives` are lines of the listener beyond what the topology knows.
    """

    name: str
    title: str
    seconds: float
    expects: tuple[Expectation, ...]
    pool: Pool = field(default_factory=Pool)
    clients: tuple[Clients, ...] = (Clients(),)
    script: tuple[Script, ...] = ()
    directives: tuple[str, ...] = ()
    timeouts: Timeouts = field(default_factory=lambda: Timeouts(connect=2.0, check=3.0, queue=15.0))
    accept_proxy: bool = False

    def __post_init__(self) -> None:
        if not _NAME.fullmatch(self.name):
            raise ValueError(f"scenario {self.name!r}: use small letters, digits and -, a letter first")
        if list(self.script) != sorted(self.script, key=lambda entry: entry.at):
            raise ValueError(f"scenario {self.name}: its script is not in order of time")
        for entry in self.script:
            if entry.server is not None and not 0 <= entry.server < self.pool.count:
                raise ValueError(f"scenario {self.name}: there is no server {entry.server} in its pool")

    @property
    def loaded(self) -> bool:
        """Whether it takes the rate of the run, so that few such scenarios fit beside each other."""
        return any(clients.loaded for clients in self.clients)


@dataclass(frozen=True, slots=True)
class Fault:
    """Why a session did not end as its client wished: `what` is a reply code, closed, reset, refused, timeout."""

    step: Step
    what: str

    def __str__(self) -> str:
        return f"{self.what} at {self.step}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Attempt:
    """One session of one message, as its client saw it; times in seconds since the traffic began.

    `client` is the endpoint the server should see, ADDRESS:PORT: that of the header sent, or of the socket itself.
    """

    message: str
    client: str
    started: float
    finished: float
    dot_sent: bool
    acknowledged: bool
    fault: Fault | None
    ended: Ended

    @property
    def in_doubt(self) -> bool:
        """The final dot went out and no reply came, so nobody knows."""
        answered = self.acknowledged or (self.fault is not None and self.fault.what.isdigit())
        return self.dot_sent and not answered

    @property
    def seconds(self) -> float:
        """How long it took."""
        return self.finished - self.started


@dataclass(frozen=True, slots=True)
class Delivery:
    """A message in a server's journal: which, when (seconds since the traffic began), where, and from whom."""

    message: str
    at: float
    server: str
    client: str


@dataclass(frozen=True, slots=True)
class Change:
    """HAProxy's opinion of a server changed; `check` is what the last check said."""

    at: float
    server: str
    state: str
    check: str


@dataclass(frozen=True, slots=True)
class Mark:
    """Something of the script was done."""

    at: float
    action: Action
    server: str | None

    def __str__(self) -> str:
        return f"{self.server} {self.action}" if self.server else str(self.action)


@dataclass(frozen=True, slots=True, kw_only=True)
class Counters:
    """What HAProxy counted: `terminations` by its two-letter code, the others as in `show stat`.

    `redispatched` and `retried` come from its log, which survives a reload.
    """

    retried: int = 0
    redispatched: int = 0
    queue_max: int = 0
    sessions: Mapping[str, int] = field(default_factory=dict)
    terminations: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Evidence:
    """All that was seen of one run of a scenario, each in order of time.

    `endings` counts how connections ended by the servers' own words, health checks among them; `rate` is the rate of
    the run, in sessions per second; `late` how much later than meant something here took place, at worst, in seconds:
    on a busy machine nobody is on time, and that is not HAProxy's fault.
    """

    scenario: Scenario
    seconds: float
    attempts: tuple[Attempt, ...]
    deliveries: tuple[Delivery, ...]
    marks: tuple[Mark, ...] = ()
    changes: tuple[Change, ...] = ()
    counters: Counters = field(default_factory=Counters)
    endings: Mapping[str, int] = field(default_factory=dict)
    rate: float = 0.0
    late: float = 0.0
