"""What a server has counted, and how it is told: as JSON, and as text for Prometheus.

Counting costs next to nothing: a connection's own figures are added up when it ends, and those of the connections
still open when somebody asks.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol

from proxyspec_server.ending import REFUSALS, Ending
from proxyspec_server.journal import Value
from proxyspec_server.message import Deliver, DeliveryFailed, Message
from proxyspec_server.proxy import Command, Header

_PREFIX = "proxyspec_server_"


@dataclass(slots=True)
class Traffic:
    """What connections have carried. `headers` counts by version and command; sizes are bytes on the wire."""

    bytes_in: int = 0
    bytes_out: int = 0
    handshakes: int = 0
    headers: dict[tuple[int, Command], int] = field(
        default_factory=lambda: {(version, command): 0 for version in (1, 2) for command in Command}
    )

    def add(self, bytes_in: int, bytes_out: int, header: Header | None, *, encrypted: bool) -> None:
        """Add what one connection has carried."""
        self.bytes_in += bytes_in
        self.bytes_out += bytes_out
        self.handshakes += encrypted
        if header is not None:
            self.headers[header.version, header.command] += 1


class Carrier(Protocol):
    """An open connection that can tell what it has carried."""

    def account(self, traffic: Traffic) -> None:
        """Add it to `traffic`."""


@dataclass(slots=True)
class Lateness:
    """How late deadlines were answered, in seconds."""

    count: int = 0
    total: float = 0.0
    maximum: float = 0.0

    def add(self, seconds: float) -> None:
        """Add one deadline."""
        self.count += 1
        self.total += seconds
        self.maximum = max(self.maximum, seconds)


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """Everything counted, at one moment. All are totals since the start but `current` and `waiting`."""

    accepted: int
    current: int
    waiting: int
    endings: Mapping[Ending, int]
    traffic: Traffic
    messages: int
    message_bytes: int
    undelivered: int
    lateness: Lateness
    faults: int

    @property
    def refused(self) -> int:
        """The connections turned away."""
        return sum(self.endings[ending] for ending in REFUSALS)

    def as_json(self) -> dict[str, Value]:
        """The snapshot as a JSON object; times in seconds, sizes in bytes."""
        headers: dict[str, dict[str, Value]] = {}
        for (version, command), count in self.traffic.headers.items():
            headers.setdefault(f"v{version}", {})[command.name] = count
        return {
            "connections": {
                "accepted": self.accepted,
                "refused": self.refused,
                "current": self.current,
                "waiting": self.waiting,
            },
            "endings": {ending.value: count for ending, count in self.endings.items()},
            "headers": headers,
            "tls_handshakes": self.traffic.handshakes,
            "messages": {"accepted": self.messages, "failed": self.undelivered, "bytes": self.message_bytes},
            "bytes": {"in": self.traffic.bytes_in, "out": self.traffic.bytes_out},
            "header_deadlines": {
                "count": self.lateness.count,
                "lateness_sum": round(self.lateness.total, 6),
                "lateness_max": round(self.lateness.maximum, 6),
            },
            "faults": self.faults,
        }

    def as_prometheus(self) -> str:
        """The snapshot in the Prometheus text format, version 0.0.4."""
        endings = {f'ending="{ending.value}"': count for ending, count in self.endings.items()}
        headers = {
            f'version="{version}",command="{command.name}"': count
            for (version, command), count in self.traffic.headers.items()
        }
        late = "header_deadline_lateness_seconds"
        return "".join(
            (
                _metric("connections_total", "counter", "Connections accepted.", {"": self.accepted}),
                _metric("connections_refused_total", "counter", "Connections turned away.", {"": self.refused}),
                _metric("connections", "gauge", "Connections open.", {"": self.current}),
                _metric("connections_waiting", "gauge", "Connections that wait for a header.", {"": self.waiting}),
                _metric("endings_total", "counter", "Connections ended, by the first cause.", endings),
                _metric("headers_total", "counter", "PROXY headers accepted.", headers),
                _metric("tls_handshakes_total", "counter", "TLS handshakes done.", {"": self.traffic.handshakes}),
                _metric("messages_total", "counter", "Messages accepted.", {"": self.messages}),
                _metric("message_bytes_total", "counter", "Bytes of messages accepted.", {"": self.message_bytes}),
                _metric("messages_failed_total", "counter", "Messages not stored.", {"": self.undelivered}),
                _metric("received_bytes_total", "counter", "Bytes received.", {"": self.traffic.bytes_in}),
                _metric("sent_bytes_total", "counter", "Bytes sent.", {"": self.traffic.bytes_out}),
                _metric(
                    late,
                    "summary",
                    "How late header deadlines were answered.",
                    {"_sum": self.lateness.total, "_count": self.lateness.count},
                ),
                _metric(f"{late}_max", "gauge", "The latest of them.", {"": self.lateness.maximum}),
                _metric("faults_total", "counter", "Exceptions in the server's own code.", {"": self.faults}),
            )
        )


def _metric(name: str, kind: str, meaning: str, samples: Mapping[str, float]) -> str:
    """One metric; each sample is named by its labels, or by a suffix that begins with an underscore."""
    full = _PREFIX + name
    lines = [f"# HELP {full} {meaning}", f"# TYPE {full} {kind}"]
    for key, value in samples.items():
        lines.append(f"{full}{key if not key or key.startswith('_') else f'{{{key}}}'} {value!r}")
    return "\n".join(lines) + "\n"


class Metrics:
    """The counters of one server, all from zero."""

    __slots__ = ("accepted", "endings", "lateness", "message_bytes", "messages", "traffic", "undelivered")

    def __init__(self) -> None:
        self.accepted = 0
        self.endings = dict.fromkeys(Ending, 0)
        self.traffic = Traffic()
        """Of the connections that have ended."""
        self.messages = 0
        self.message_bytes = 0
        self.undelivered = 0
        self.lateness = Lateness()
        """Of header deadlines."""

    def counting(self, deliver: Deliver) -> Deliver:
        """`deliver`, with every message counted."""

        def counted(message: Message) -> None:
            try:
                deliver(message)
            except DeliveryFailed:
                self.undelivered += 1
                raise
            self.messages += 1
            self.message_bytes += message.size

        return counted

    def snapshot(self, live: Iterable[Carrier], waiting: int, faults: int) -> Snapshot:
        """What has been counted up to now; `live` are the open connections, `waiting` of them without their header."""
        traffic = replace(self.traffic, headers=dict(self.traffic.headers))
        current = 0
        for carrier in live:
            carrier.account(traffic)
            current += 1
        return Snapshot(
            accepted=self.accepted,
            current=current,
            waiting=waiting,
            endings=dict(self.endings),
            traffic=traffic,
            messages=self.messages,
            message_bytes=self.message_bytes,
            undelivered=self.undelivered,
            lateness=replace(self.lateness),
            faults=faults,
        )
