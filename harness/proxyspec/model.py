"""The words of a run: cases, steps, transcripts, outcomes and verdicts, as frozen data.

Nothing here does I/O. Times are seconds. A transcript's times count from the moment its connection was asked for: the
target's deadline, which starts when the kernel accepts, can so look later than it was and never earlier.
"""

from __future__ import annotations

import enum
import ipaddress
from collections.abc import Iterable
from dataclasses import dataclass, field

__all__ = [
    "Accept",
    "Await",
    "Capability",
    "Case",
    "Catalogue",
    "Crowd",
    "Disposition",
    "Ending",
    "Event",
    "EventKind",
    "HalfClose",
    "Judgement",
    "Level",
    "Login",
    "Neighbour",
    "Outcome",
    "OutcomeKind",
    "Pause",
    "Requirement",
    "Reset",
    "Send",
    "Service",
    "Source",
    "StartTls",
    "Step",
    "Target",
    "Timing",
    "Transcript",
    "Verdict",
    "Via",
    "View",
    "WatchCheck",
    "Who",
]


class Level(enum.StrEnum):
    """How strongly the text speaks; decides what a violation is worth."""

    MUST = "MUST"
    SHOULD = "SHOULD"
    MAY = "MAY"
    #: Follows from the grammar or from RFC 5321 without a verb of its own.
    IMPLIED = "IMPLIED"
    #: A security invariant of the deployment, not of the text.
    SECURITY = "SECURITY"
    #: The text allows several behaviours or contradicts itself: recorded, never scored.
    EITHER = "EITHER"


class Source(enum.StrEnum):
    """Which of the target's peers the connection plays."""

    TRUSTED = "trusted"
    UNTRUSTED = "untrusted"
    #: Not trusted either, though its address begins with the same characters as one that is.
    LOOKALIKE = "lookalike"


class Via(enum.StrEnum):
    """The road a connection takes to the target."""

    DIRECT = "direct"
    #: HAProxy adds the header; the case is an ordinary SMTP client.
    RELAY_V1 = "relay-v1"
    RELAY_V2 = "relay-v2"
    #: HAProxy takes the case's header with `accept-proxy` and writes its own.
    CHAIN_V1 = "chain-v1"
    CHAIN_V2 = "chain-v2"
    #: No connection of ours: what HAProxy's own health checks of the target find.
    CHECK = "check"
    #: Segments made one by one, in a network namespace of the harness's own.
    PACKETS = "packets"


class Capability(enum.StrEnum):
    """What a target may have beyond headers themselves; a case that needs what the target lacks is SKIP."""

    #: It checks the CRC32C TLV (section 2.2.3, "if supported"): declared, or shown by what it does with a wrong one.
    CRC32C = "crc32c"
    #: It offers STARTTLS (RFC 3207): declared, or seen in its EHLO reply.
    STARTTLS = "starttls"
    #: It has a port whose connections begin with TLS (RFC 8314): declared with that port.
    IMPLICIT_TLS = "implicit-tls"
    #: To it a session is encrypted only by its own TLS, whatever an SSL TLV says (section 2.2.6); assumed unless
    #: declared absent.
    OWN_TLS = "own-tls"
    #: It serves UNKNOWN lines (section 2.1: they should be accepted, and some receivers refuse them); assumed unless
    #: declared absent.
    UNKNOWN = "unknown"
    #: It takes mail without a login; assumed unless declared absent.
    ANONYMOUS_MAIL = "anonymous-mail"
    #: The Received fields of what it delivers can be read: there is the oracle `received`.
    RECEIVED = "received"


#: Capabilities a target has unless it declares their absence.
ASSUMED = frozenset({Capability.OWN_TLS, Capability.UNKNOWN, Capability.ANONYMOUS_MAIL})


class Timing(enum.StrEnum):
    """When a rejection has to come."""

    ANY = "any"
    #: Within a second of the last byte sent; later is a warning (section 2.1, "as soon as possible").
    PROMPT = "prompt"
    #: Not before the least deadline of section 2 (3 s, or the declared one if shorter).
    AT_DEADLINE = "deadline"


@dataclass(frozen=True, slots=True)
class Send:
    """Write these bytes as one segment (the socket has TCP_NODELAY)."""

    data: bytes


@dataclass(frozen=True, slots=True)
class Pause:
    """Keep quiet for `seconds` plus `timeouts` times the target's header deadline; what arrives is recorded."""

    seconds: float = 0.0
    timeouts: float = 0.0


@dataclass(frozen=True, slots=True)
class HalfClose:
    """Send FIN and go on reading."""


@dataclass(frozen=True, slots=True)
class Await:
    """Wait for this many replies, the greeting among them. The header phase ends here: what follows is the session."""

    replies: int = 1


@dataclass(frozen=True, slots=True)
class StartTls:
    """Make a TLS handshake, whose first bytes go in one segment behind `glued`; the certificate is not verified."""

    glued: bytes = b""


@dataclass(frozen=True, slots=True)
class Reset:
    """Send RST (a close with SO_LINGER 0) and be gone."""


@dataclass(frozen=True, slots=True)
class WatchCheck:
    """Wait for HAProxy's verdict on its health check `name` of the target."""

    name: str


Step = Send | Pause | HalfClose | Await | StartTls | Reset | WatchCheck


@dataclass(frozen=True, slots=True)
class Neighbour:
    """Another connection of the same peer, and the address its session must have: what a case does not disturb."""

    header: bytes
    address: str


@dataclass(frozen=True, slots=True)
class Crowd:
    """Connections of the same peer that send these bytes and then hold still while the case runs."""

    count: int
    data: bytes


class OutcomeKind(enum.StrEnum):
    """What happened on one connection. FIN and RST are the same outcome; which one is recorded beside it."""

    #: A session ran with an address other than the TCP peer's.
    ACCEPTED_PROXIED = "accepted-proxied"
    #: A session ran with the TCP peer's own address.
    ACCEPTED_REAL = "accepted-real"
    #: A session ran; no oracle told whose address it had.
    ACCEPTED_UNSEEN = "accepted-unseen"
    REJECTED_SILENT = "rejected-silent"
    REJECTED_REPLY = "rejected-reply"
    #: Header bytes were answered as if they were SMTP commands.
    TREATED_AS_SMTP = "treated-as-smtp"
    #: The greeting came before the header was complete.
    SPOKE_FIRST = "spoke-first"
    #: The connection was still open, without a session, when the deadline and its margin had passed.
    HUNG = "hung"
    #: A TLS handshake within a session failed.
    TLS_FAILED = "tls-failed"
    #: The harness reset the connection itself.
    LEFT = "left"
    TARGET_DOWN = "target-down"
    CHECK_UP = "check-up"
    CHECK_DOWN = "check-down"


REJECTED = frozenset({OutcomeKind.REJECTED_SILENT, OutcomeKind.REJECTED_REPLY})
ACCEPTED = frozenset({OutcomeKind.ACCEPTED_PROXIED, OutcomeKind.ACCEPTED_REAL, OutcomeKind.ACCEPTED_UNSEEN})


@dataclass(frozen=True, slots=True)
class View:
    """Whom the target believes to be talking to; `address` in canonical text form."""

    address: str
    port: int | None = None

    @classmethod
    def of(cls, address: str, port: int | None = None) -> View:
        """Build a view from an address in any legal spelling.

        Raises:
            ValueError: `address` is not an IP address.
        """
        return cls(str(ipaddress.ip_address(address.removeprefix("IPv6:"))), port)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What happened, with the view for accepted sessions and the reply code for refused ones."""

    kind: OutcomeKind
    view: View | None = None
    code: int | None = None
    #: Seconds from the last byte of the case's own steps to the rejection, if there was one.
    after: float | None = None
    #: A 220 went out although no usable session followed.
    greeted: bool = False

    def __str__(self) -> str:
        """Name the outcome as reports show it: `accepted-proxied 192.0.2.1`, `rejected-reply 421`."""
        extra = self.view.address if self.view else str(self.code) if self.code is not None else ""
        return f"{self.kind} {extra}".strip()


class Who(enum.StrEnum):
    """Addresses known only once the connection is there."""

    #: The TCP peer the target sees: the harness itself, or HAProxy.
    PEER = "peer"
    #: The end of the connection the harness holds, seen through HAProxy.
    CLIENT = "client"


@dataclass(frozen=True, slots=True)
class Accept:
    """One acceptable outcome: a kind, for sessions whose address, for replies which class of code."""

    kind: OutcomeKind
    #: A literal address, or one that is known at run time.
    address: str | Who | None = None
    #: First digit of the reply code; None takes any.
    code_class: int | None = None

    def __str__(self) -> str:
        """Say it in words, for reports."""
        extra = f" {self.address}" if self.address is not None else f" {self.code_class}xx" if self.code_class else ""
        return f"{self.kind}{extra}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One behaviour to judge, as data. Its id is its module's name and its own: `v1/port/leading-zero`."""

    id: str
    #: One sentence: what a conformant receiver does.
    title: str
    #: Section of the PROXY protocol text, or an RFC with its section.
    section: str
    level: Level
    #: The header phase: everything up to the point where the header is (or never will be) complete.
    steps: tuple[Step, ...]
    #: Any of these conforms.
    accept: tuple[Accept, ...]
    #: The case that differs in one field and must be accepted in the same run.
    control: str | None = None
    #: The case that asks whether this header is refused at all, where this one asks how: tells nothing if it is not.
    premise: str | None = None
    source: Source = Source.TRUSTED
    via: Via = Via.DIRECT
    timing: Timing = Timing.ANY
    #: Header versions the target must speak for this case to apply; others are SKIP.
    versions: frozenset[int] = frozenset()
    #: Byte strings that must not occur in anything the target says.
    forbid: tuple[bytes, ...] = ()
    #: SMTP lines sent one by one once the session runs, before the probe's last EHLO.
    commands: tuple[bytes, ...] = ()
    #: Replies the steps themselves ask for (commands pipelined behind the header), beyond the greeting.
    extra_replies: int = 0
    #: Error replies the case provokes on purpose (a second header is an unknown command); more are the header's.
    expected_errors: int = 0
    #: Of the commands a session was sent, so many must have been refused: what is no command, or out of order.
    least_errors: int = 0
    #: Byte strings that must occur in what a session is told.
    require: tuple[bytes, ...] = ()
    #: Byte strings that must occur in what an oracle outside the connection read of a session.
    trace: tuple[bytes, ...] = ()
    #: The target must end the connection of a session itself, behind QUIT (RFC 5321, section 4.1.1.10).
    ends: bool = False
    #: Known to last until the target's header deadline.
    waits: bool = False
    #: Ids of the requirements it tests.
    requirements: tuple[str, ...] = ()
    #: Capabilities the target must have for this case to apply; others are SKIP.
    needs: frozenset[Capability] = frozenset()
    #: Greeted before the case's connection begins, asked again for its address after that has ended.
    beside: Neighbour | None = None
    #: Must be served after the case's connection has ended; the target's processes must be idle before.
    then: Neighbour | None = None
    #: Stands before the target while the case runs.
    crowd: Crowd | None = None

    @property
    def header(self) -> bytes:
        """All bytes the case's own steps send, in order, without those of TLS."""
        return b"".join(
            step.data if isinstance(step, Send) else step.glued
            for step in self.steps
            if isinstance(step, Send | StartTls)
        )

    @property
    def prerequisites(self) -> tuple[str, ...]:
        """Ids of the cases that must run with it for its verdict to count."""
        return tuple(name for name in (self.control, self.premise) if name is not None)

    @property
    def connections(self) -> int:
        """Connections the target serves at once for it, those beside its own included."""
        beside = 0 if self.crowd is None else self.crowd.count
        return 1 + beside + (self.beside is not None)


class EventKind(enum.StrEnum):
    """One thing that happened on a connection."""

    CONNECTED = "connected"
    CONNECT_FAILED = "connect-failed"
    SENT = "sent"
    RECEIVED = "received"
    #: The case's own steps are done; what follows is the probe.
    STEPS_DONE = "steps-done"
    CLIENT_FIN = "client-fin"
    CLIENT_RST = "client-rst"
    #: From here on the bytes are what TLS carries; the note names version and cipher.
    TLS_STARTED = "tls-started"
    TLS_FAILED = "tls-failed"
    SERVER_FIN = "server-fin"
    SERVER_RST = "server-rst"
    #: The harness stopped waiting.
    GAVE_UP = "gave-up"
    #: Something learned outside the connection (HAProxy's health check).
    OBSERVED = "observed"
    #: An oracle outside the connection found its trace: the bytes it read, the address as the note.
    SEEN = "seen"
    #: All that the connection beside this one was told; the note says how it ended.
    BESIDE = "beside"
    #: All that the connection after this one was told; the note says how it ended.
    AFTERWARDS = "afterwards"
    #: Connections of a crowd; the note says how many stand.
    CROWD = "crowd"
    #: Processor time of the target's processes: the note is seconds used, seconds watched, and, where they were busy
    #: before the case began, since when.
    PROCESSOR = "processor"
    #: A process of the target's was killed by a signal of its own making: the bytes are the line of its log that says
    #: so; the note says why the case is not to blame, if it is not.
    CRASHED = "crashed"


class Ending(enum.StrEnum):
    """How the connection ended, as the harness saw it."""

    FIN = "fin"
    RST = "rst"
    #: The harness closed first, the target's end was still open.
    OPEN = "left-open"
    NEVER = "never-connected"


@dataclass(frozen=True, slots=True)
class Event:
    """One entry of a transcript; `at` in seconds since the connection was asked for."""

    at: float
    kind: EventKind
    data: bytes = b""
    note: str = ""


@dataclass(frozen=True, slots=True)
class Transcript:
    """Everything one connection did, in order."""

    case_id: str
    events: tuple[Event, ...]
    #: Our end of the connection.
    client: View | None = None
    #: The TCP peer the target sees.
    peer: View | None = None
    #: Received bytes left out because the target sent more than a transcript holds.
    dropped: int = 0

    @property
    def sent(self) -> bytes:
        """Every byte the harness wrote."""
        return b"".join(e.data for e in self.events if e.kind is EventKind.SENT)

    @property
    def received(self) -> bytes:
        """Every byte the target wrote, up to the transcript's limit."""
        return b"".join(e.data for e in self.events if e.kind is EventKind.RECEIVED)

    def first(self, *kinds: EventKind) -> Event | None:
        """Return the earliest event of one of these kinds."""
        return next((e for e in self.events if e.kind in kinds), None)

    @property
    def ending(self) -> Ending:
        """How it ended; the first end counts, since ours follows the target's."""
        end = self.first(
            EventKind.SERVER_FIN,
            EventKind.SERVER_RST,
            EventKind.GAVE_UP,
            EventKind.CLIENT_RST,
            EventKind.CONNECT_FAILED,
        )
        if end is None:
            return Ending.OPEN if self.first(EventKind.CONNECTED) else Ending.NEVER
        return {
            EventKind.SERVER_FIN: Ending.FIN,
            EventKind.SERVER_RST: Ending.RST,
            EventKind.GAVE_UP: Ending.OPEN,
            EventKind.CLIENT_RST: Ending.OPEN,
            EventKind.CONNECT_FAILED: Ending.NEVER,
        }[end.kind]

    @property
    def duration(self) -> float:
        """Seconds from connection to the last event."""
        return self.events[-1].at if self.events else 0.0


class Verdict(enum.StrEnum):
    """What the text says of an outcome."""

    PASS = "PASS"  # noqa: S105 - a verdict, no password
    FAIL = "FAIL"
    WARN = "WARN"
    INFO = "INFO"
    #: A prerequisite was missing; never green.
    UNTESTABLE = "UNTESTABLE"
    #: The target profile declares the feature absent.
    SKIP = "SKIP"
    #: The harness's own fault.
    ERROR = "ERROR"


class Disposition(enum.StrEnum):
    """Whether a verdict was expected, where a baseline says what to expect."""

    #: A failure nobody knew of.
    NEW = "new"
    #: The failure the baseline describes.
    KNOWN = "known"
    #: The failure the baseline describes, but the entry has expired.
    STALE = "stale"
    #: It passes, and the baseline says it fails.
    FIXED = "fixed"
    #: It fails in another way than the baseline describes.
    REGRESSED = "regressed"


@dataclass(frozen=True, slots=True)
class Judgement:
    """The verdict on one case, with the reason in one sentence."""

    verdict: Verdict
    outcome: Outcome | None
    reason: str


@dataclass(frozen=True, slots=True)
class Login:
    """A user of the target, for AUTH PLAIN (RFC 4616)."""

    user: str
    password: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Service:
    """What a target profile says of starting the server and ending it; both run in the profile's folder."""

    profile: str
    start: tuple[str, ...]
    #: Empty: signals end it.
    stop: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """Where the server is and what it declares of itself."""

    host: str
    port: int
    #: What reports call it, for instance software and version; None: its URL.
    name: str | None = None
    #: The header deadline it declares, in seconds from accept.
    header_timeout: float = 30.0
    #: Local address of connections that play a trusted proxy; None leaves it to the system.
    trusted_source: str | None = None
    #: Local address of connections that play an unlisted peer; None: there is no such address.
    untrusted_source: str | None = None
    #: Local address that begins like the trusted one and is not trusted; None: there is no such address.
    lookalike_source: str | None = None
    #: Header versions it declares.
    versions: frozenset[int] = frozenset({1, 2})
    #: Name of the oracle, or "auto".
    oracle: str = "auto"
    #: Where the oracles `received` and `log` look: a Maildir or mbox, a log file.
    oracle_file: str | None = None
    #: What the oracles `log` and `reply` look for: a regular expression with the group `address`.
    oracle_pattern: str | None = None
    #: Whom the oracle `received` sends its messages to.
    recipient: str | None = None
    #: Who logs in before mail, where it takes none without; None: nobody can.
    login: Login | None = None
    #: What it declares to have, or was seen to have.
    capabilities: frozenset[Capability] = frozenset()
    #: What it declares not to have.
    lacks: frozenset[Capability] = frozenset()
    #: The port whose connections begin with TLS.
    tls_port: int | None = None
    #: Its main process, on this machine: it and its descendants are watched.
    pid: int | None = None
    #: The log that tells when one of its processes crashes; None: that of the oracle `log`, if it is that one.
    crash_log: str | None = None
    #: How the lines that tell it begin: a regular expression; None: as servers known here write them.
    crash_pattern: str | None = None
    #: How it is started and ended; None: it runs already.
    service: Service | None = None
    #: Connections it can serve side by side within its deadline; cases beyond wait for one to end.
    parallel: int = 1024
    #: How long past the deadline a connection is watched, in seconds.
    margin: float = 2.0
    #: How long a greeting or reply may take in an accepted session, in seconds.
    patience: float = 10.0

    @property
    def place(self) -> str:
        """Host and port, for people; an IPv6 address stands in brackets."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{host}:{self.port}"

    @property
    def url(self) -> str:
        """The target as the user wrote it, normalised."""
        return f"smtp://{self.place}"

    def missing(self, needs: frozenset[Capability]) -> frozenset[Capability]:
        """Return those of `needs` that the target does not have; a login makes up for mail that needs one."""
        lacks = self.lacks - {Capability.ANONYMOUS_MAIL} if self.login is not None else self.lacks
        return needs & lacks | needs - self.capabilities - ASSUMED

    @property
    def logs_in(self) -> Login | None:
        """Who has to log in before mail is sent, if anybody has."""
        return self.login if Capability.ANONYMOUS_MAIL in self.lacks else None

    @property
    def give_up(self) -> float:
        """Seconds after which a connection without a session counts as hung."""
        return self.header_timeout + self.margin


@dataclass(frozen=True, slots=True)
class Requirement:
    """One rule a receiver is held to."""

    id: str
    #: Section of the PROXY protocol text, or an RFC with its section.
    section: str
    #: The verb the source uses, as it spells it; empty where it states a fact or follows from several.
    keyword: str
    level: Level
    #: What a receiver does, in one sentence.
    sentence: str
    #: What the rule depends on.
    conditions: tuple[str, ...] = ()
    #: Ids of rules that say otherwise; cases of such rules record and do not score.
    conflicts: tuple[str, ...] = ()
    #: Why there is no case; None: there is one.
    untested: str | None = None


@dataclass(frozen=True, slots=True)
class Catalogue:
    """An ordered set of cases with unique ids whose controls and premises exist, and the rules they test."""

    cases: tuple[Case, ...]
    requirements: tuple[Requirement, ...] = ()
    _by_id: dict[str, Case] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        by_id: dict[str, Case] = {}
        for case in self.cases:
            if case.id in by_id:
                raise ValueError(f"two cases are called {case.id}")
            by_id[case.id] = case
        for case in self.cases:
            if case.control is not None and case.control not in by_id:
                raise ValueError(f"case {case.id} names the control {case.control}, which does not exist")
            if case.premise is not None and case.premise not in by_id:
                raise ValueError(f"case {case.id} names the premise {case.premise}, which does not exist")
            if case.premise is not None and by_id[case.premise].premise is not None:
                raise ValueError(f"case {case.id} names the premise {case.premise}, which has one itself")
        object.__setattr__(self, "_by_id", by_id)

    def __getitem__(self, case_id: str) -> Case:
        return self._by_id[case_id]

    def __contains__(self, case_id: object) -> bool:
        return case_id in self._by_id

    def __len__(self) -> int:
        return len(self.cases)

    def with_prerequisites(self, cases: Iterable[Case]) -> tuple[Case, ...]:
        """Return `cases`, their controls and their premises with theirs, each once, in catalogue order."""
        wanted: set[str] = set()
        names = [case.id for case in cases]
        while names:
            name = names.pop()
            if name not in wanted:
                wanted.add(name)
                names += self[name].prerequisites
        return tuple(case for case in self.cases if case.id in wanted)
