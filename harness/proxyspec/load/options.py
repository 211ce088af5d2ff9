"""What a user may choose about a load run, and the limits of each choice."""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass

from proxyspec.errors import UsageError

__all__ = [
    "DEFAULT_RECIPIENT",
    "DEFAULT_SENDER",
    "MAX_MESSAGE_SIZE",
    "MIN_MESSAGE_SIZE",
    "HeaderKind",
    "LoadOptions",
    "SessionOptions",
    "parse_duration",
]

#: Bytes of a message as RFC 5321 counts them: header section, body and line ends, without the final dot.
MIN_MESSAGE_SIZE = 256
MAX_MESSAGE_SIZE = 64 * 1024 * 1024

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

    def __post_init__(self) -> None:
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
    #: Addresses or networks beyond the loopback that the user consented to.
    allowed: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if self.users is not None:
            _within("--users", self.users, 1, MAX_USERS)
        if self.spawn_rate is not None:
            _within("--spawn-rate", self.spawn_rate, 0.01, MAX_USERS)
        if self.seconds is not None:
            _within("--time, in seconds,", self.seconds, 1, MAX_SECONDS)
        SessionOptions(
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
