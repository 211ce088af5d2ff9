"""What a user may choose about a load run, and the limits of each choice."""

from __future__ import annotations

import enum
import ipaddress
import itertools
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from proxyspec.errors import UsageError
from proxyspec.load.distribution import Master

__all__ = [
    "AUTH_VARIABLE",
    "DEFAULT_RECIPIENT",
    "DEFAULT_SENDER",
    "MAX_MESSAGES",
    "MAX_MESSAGE_SIZE",
    "MIN_MESSAGE_SIZE",
    "AuthMechanism",
    "HeaderKind",
    "LoadOptions",
    "Login",
    "SessionOptions",
    "Tls",
    "parse_duration",
    "parse_login",
    "parse_sources",
    "read_message",
]

#: Bytes of a message as RFC 5321 counts them: header section, body and line ends, without the final dot.
MIN_MESSAGE_SIZE = 256
MAX_MESSAGE_SIZE = 64 * 1024 * 1024
#: Messages on one connection.
MAX_MESSAGES = 10_000
#: Local addresses that connections may come from.
MAX_SOURCES = 65_536
#: Carries `--auth` to the Locust process, whose command line others may read.
AUTH_VARIABLE = "PROXYSPEC_AUTH"
#: Processes of one load; more machines make more, with Locust's master and workers.
MAX_PROCESSES = 64

DEFAULT_SENDER = "load@client.example"
DEFAULT_RECIPIENT = "sink@server.example"

#: Users at once; more than any single Locust process carries.
MAX_USERS = 100_000
#: A day of load, in seconds.
MAX_SECONDS = 86_400

_DURATION = re.compile(r"(?P<number>[0-9]{1,6})(?P<unit>s|m|h)?")
_MAILBOX = re.compile(r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}(?:@[A-Za-z0-9.:\[\]-]{1,255})?")


class HeaderKind(enum.StrEnum):
    """What each connection begins with."""

    #: Plain SMTP: straight to a port without PROXY, or to an HAProxy that adds the header.
    NONE = "none"
    V1 = "v1"
    V2 = "v2"
    #: Version 2 with AUTHORITY, a UNIQUE_ID of its own and the checksum.
    V2_TLV = "v2-tlv"


class Tls(enum.StrEnum):
    """Whether sessions are encrypted, and from where on; any certificate will do."""

    NONE = "none"
    #: After EHLO (RFC 3207).
    STARTTLS = "starttls"
    #: From the first byte behind the header (RFC 8314).
    IMPLICIT = "implicit"


class AuthMechanism(enum.StrEnum):
    """How a session authenticates (RFC 4954)."""

    PLAIN = "plain"
    LOGIN = "login"


@dataclass(frozen=True, slots=True)
class Login:
    """Who authenticates, and how."""

    mechanism: AuthMechanism
    user: str
    password: str = field(repr=False)


def _within(what: str, value: float, low: float, high: float) -> None:
    if not low <= value <= high:
        raise UsageError(f"{what} {value:.12g} is out of range: {low:.12g} to {high:.12g}")


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionOptions:
    """How every session of a load looks.

    Raises:
        UsageError: a value is out of range or no mailbox.
    """

    header: HeaderKind = HeaderKind.V2
    message_size: int = 1024
    #: Seconds each step may take.
    patience: float = 10.0
    sender: str = DEFAULT_SENDER
    recipient: str = DEFAULT_RECIPIENT
    tls: Tls = Tls.NONE
    pipelining: bool = False
    #: Messages on one connection.
    messages: int = 1
    #: The message itself, in place of one of `message_size`.
    message: bytes | None = field(default=None, repr=False)
    login: Login | None = None

    def __post_init__(self) -> None:
        _within("the number of messages on a connection", self.messages, 1, MAX_MESSAGES)
        _within("the message size", self.message_size, MIN_MESSAGE_SIZE, MAX_MESSAGE_SIZE)
        _within("the patience of a step, in seconds,", self.patience, 0.01, 3600)
        for role, mailbox in (("sender", self.sender), ("recipient", self.recipient)):
            if _MAILBOX.fullmatch(mailbox) is None:
                raise UsageError(f"the {role} {mailbox!r} is no mailbox: write local-part@domain, in ASCII")


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadOptions:
    """The choices of one load run; None leaves one to the profile.

    Raises:
        UsageError: a value is out of range.
    """

    #: Name of a profile, or the path of a locustfile.
    profile: str = "throughput"
    users: int | None = None
    #: Users started per second.
    spawn_rate: float | None = None
    #: Duration of the load; Locust counts whole seconds, so fractions are rounded up.
    seconds: float | None = None
    header: HeaderKind | None = None
    message_size: int | None = None
    sender: str | None = None
    recipient: str | None = None
    #: Further thresholds; each replaces the profile's own of the same measure.
    expect: tuple[str, ...] = ()
    tls: Tls | None = None
    pipelining: bool | None = None
    #: Messages on one connection.
    messages: int | None = None
    #: A file that holds the message.
    message_file: Path | None = None
    #: `plain:USER:PASSWORD` or `login:USER:PASSWORD`.
    auth: str | None = None
    #: Local addresses or networks that connections come from.
    sources: tuple[str, ...] = ()
    #: Processes that share the load; None: one, without Locust's master and workers.
    processes: int | None = None
    #: Where the reference server serves its counters, `http://127.0.0.1:PORT/metrics.json`.
    server_metrics: str | None = None
    #: The server's process on this machine, whose CPU, memory and descriptors are watched.
    server_pid: int | None = None
    #: The master's place, where workers of other machines share the load; None: all processes are here.
    master: Master | None = None
    #: The `stats socket` of an HAProxy that stands in front of the target: a path, or HOST:PORT.
    haproxy_stats: str | None = None
    #: Addresses or networks beyond the loopback that the user consented to.
    allowed: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.users is not None:
            _within("--users", self.users, 1, MAX_USERS)
        if self.spawn_rate is not None:
            _within("--spawn-rate", self.spawn_rate, 0.01, MAX_USERS)
        if self.seconds is not None:
            _within("--time, in seconds,", self.seconds, 1, MAX_SECONDS)
        if self.processes is not None:
            _within("--processes", self.processes, 1, MAX_PROCESSES)
        if self.processes is not None and self.master is not None:
            raise UsageError("--master waits for workers; --processes starts them: give --processes to the workers")
        if self.server_pid is not None:
            _within("--pid", self.server_pid, 1, 2**31 - 1)
        if self.auth is not None:
            parse_login(self.auth)
        parse_sources(self.sources)
        if self.message_file is not None:
            read_message(self.message_file)
        SessionOptions(
            messages=1 if self.messages is None else self.messages,
            message_size=1024 if self.message_size is None else self.message_size,
            sender=self.sender or DEFAULT_SENDER,
            recipient=self.recipient or DEFAULT_RECIPIENT,
        )


def parse_duration(text: str) -> float:
    """Read `15`, `15s`, `2m` or `1h`; return seconds.

    Raises:
        UsageError: it is something else.
    """
    match = _DURATION.fullmatch(text.strip())
    if match is None:
        raise UsageError(f"--time {text!r} is no duration: write 15, 15s, 2m or 1h")
    return float(match["number"]) * {"s": 1, "m": 60, "h": 3600, None: 1}[match["unit"]]


def parse_login(text: str) -> Login:
    """Read `plain:USER:PASSWORD` or `login:USER:PASSWORD`; the password may hold colons.

    Raises:
        UsageError: it is something else; the message does not repeat it.
    """
    words = text.split(":", 2)
    if len(words) != 3 or words[0] not in list(AuthMechanism) or not words[1] or "\0" in text:
        raise UsageError("--auth: write plain:USER:PASSWORD or login:USER:PASSWORD")
    return Login(AuthMechanism(words[0]), words[1], words[2])


def parse_sources(texts: Sequence[str]) -> tuple[str, ...]:
    """Return the addresses that these addresses and networks (CIDR) stand for, in order; of a network its hosts.

    Raises:
        UsageError: one is neither, or there are too many.
    """
    found: list[str] = []
    for text in texts:
        try:
            network = ipaddress.ip_network(text)
        except ValueError as error:
            raise UsageError(f"--source {text!r} is no address and no network: {error}") from error
        found += map(str, itertools.islice(network.hosts(), MAX_SOURCES + 1))
        if len(found) > MAX_SOURCES:
            raise UsageError(f"--source {text!r} makes more than {MAX_SOURCES} addresses: take a smaller network")
    return tuple(found)


def read_message(path: Path) -> bytes:
    """Return what a message file holds.

    Raises:
        UsageError: it cannot be read, is empty or too large.
    """
    try:
        with path.open("rb") as file:
            content = file.read(MAX_MESSAGE_SIZE + 1)
    except OSError as error:
        raise UsageError(f"--message-file {str(path)!r} cannot be read: {error.strerror or error}") from error
    if not content or len(content) > MAX_MESSAGE_SIZE:
        raise UsageError(f"--message-file {str(path)!r} holds {len(content)} bytes or more: 1 to {MAX_MESSAGE_SIZE}")
    return content
