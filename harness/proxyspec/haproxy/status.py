"""The state of a running HAProxy as a view of its own: servers, checks, sessions and rates, safe to show."""

from __future__ import annotations

import dataclasses
import tempfile
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from rich.console import Group
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from proxyspec.display import plain_table
from proxyspec.errors import UsageError
from proxyspec.printable import printable
from proxyspec_haproxy import Check, Info, RuntimeClient, StatRow

__all__ = ["WIDE", "CheckState", "ProxyState", "SessionState", "Snapshot", "resolve", "screen", "take"]

#: Rows and sessions shown on the terminal; JSON has them all.
MOST_ROWS = 200
MOST_SESSIONS = 20
#: Columns of a terminal from which on all that is known of a server stands side by side.
WIDE = 120
_COLUMNS = (
    *("proxy", "name", "status", "for", "weight", "now", "max", "all", "queue", "rate", "in", "out", "errors"),
    "last check",
)
_TELLING = ("proxy", "name", "status", "for", "now", "queue", "last check")
_SHOWN = 120


def _visible(text: str) -> str:
    return printable(text, _SHOWN)


@dataclass(frozen=True, slots=True)
class CheckState:
    """The last health check: HAProxy's word, the reply code, what was said, and how long it took in milliseconds."""

    status: str
    code: int | None
    last: str
    duration_ms: int | None
    went_down: int

    @classmethod
    def of(cls, check: Check) -> CheckState:
        """Take over what the runtime API says."""
        return cls(_visible(check.status), check.code, _visible(check.last), check.duration_ms, check.went_down)

    @property
    def words(self) -> str:
        """In one line, for people."""
        code = f"/{self.code}" if self.code else ""
        took = f" in {self.duration_ms} ms" if self.duration_ms is not None else ""
        return f"{self.status}{code} {self.last}".strip() + took


@dataclass(frozen=True, slots=True)
class ProxyState:
    """A frontend, backend or server. Traffic is bytes, `rate` new sessions in the last second, `since_s` seconds."""

    proxy: str
    name: str
    status: str
    up: bool
    weight: int | None
    sessions: int
    sessions_max: int
    sessions_total: int
    queue: int
    rate: int
    rate_max: int
    bytes_in: int
    bytes_out: int
    errors: int
    retries: int
    redispatches: int
    since_s: int | None
    check: CheckState | None

    @classmethod
    def of(cls, row: StatRow) -> ProxyState:
        """Take over what the runtime API says."""
        return cls(
            proxy=_visible(row.proxy),
            name=_visible(row.name),
            status=_visible(row.status),
            up=row.up,
            weight=row.weight,
            sessions=row.sessions,
            sessions_max=row.sessions_max,
            sessions_total=row.sessions_total,
            queue=row.queue,
            rate=row.rate,
            rate_max=row.rate_max,
            bytes_in=row.bytes_in,
            bytes_out=row.bytes_out,
            errors=row.errors_connect + row.errors_response,
            retries=row.retries,
            redispatches=row.redispatches,
            since_s=row.since_s,
            check=CheckState.of(row.check) if row.check is not None else None,
        )


@dataclass(frozen=True, slots=True)
class SessionState:
    """One session: where it comes from, through what, to which server, for how long in HAProxy's notation."""

    source: str
    frontend: str
    backend: str
    server: str
    age: str

    @classmethod
    def of(cls, fields: Mapping[str, str]) -> SessionState:
        """Take over what the runtime API says."""
        source, frontend, backend, server, age = (
            _visible(fields.get(k, "")) for k in ("src", "fe", "be", "srv", "age")
        )
        return cls(source, frontend, backend, server, age)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """All of it at one time; `uptime_s` is seconds."""

    address: str
    version: str
    pid: int
    uptime_s: int
    connections: int
    connections_total: int
    max_connections: int
    stopping: bool
    proxies: tuple[ProxyState, ...]
    sessions: tuple[SessionState, ...]

    def json(self) -> dict[str, object]:
        """Return it as plain data."""
        return dataclasses.asdict(self)


def take(client: RuntimeClient) -> Snapshot:
    """Ask HAProxy; raises RuntimeUnavailable or UnexpectedAnswer."""
    info: Info = client.info()
    return Snapshot(
        address=_visible(client.address),
        version=_visible(info.version),
        pid=info.pid,
        uptime_s=info.uptime_s,
        connections=info.connections,
        connections_total=info.connections_total,
        max_connections=info.max_connections,
        stopping=info.stopping,
        proxies=tuple(ProxyState.of(row) for row in client.stat()),
        sessions=tuple(SessionState.of(fields) for fields in client.sessions()),
    )


def resolve(text: str) -> str:
    """Return the address of a stats socket; `run` means the one HAProxy that a run of proxyspec has started here.

    Raises:
        UsageError: there is no such HAProxy, or more than one.
    """
    if text != "run":
        return text
    sockets = sorted(Path(tempfile.gettempdir()).glob("proxyspec-*/run/haproxy.sock"))
    if len(sockets) != 1:
        there = ", ".join(map(str, sockets)) if sockets else "none of them runs now"
        raise UsageError(f"`run` means the HAProxy of a run of proxyspec here: {there}; name the stats socket")
    return str(sockets[0])


def _colour(state: ProxyState) -> str:
    if not state.up:
        return "bold red"
    return "yellow" if state.status.startswith(("DRAIN", "NOLB", "no check")) else "green"


def _span(seconds: int | None) -> str:
    if seconds is None:
        return "·"
    for unit, size in (("d", 86_400), ("h", 3_600), ("m", 60)):
        if seconds >= size:
            return f"{seconds // size}{unit}"
    return f"{seconds}s"


def _bytes(count: int) -> str:
    size = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.0f} {unit}" if unit == "B" else f"{size:.1f} {unit}"
        size /= 1000
    return f"{size:.1f} TB"


def _cells(state: ProxyState) -> dict[str, str | Text]:
    return {
        "proxy": escape(state.proxy),
        "name": escape(state.name),
        "status": Text(state.status, style=_colour(state)),
        "for": _span(state.since_s),
        "weight": "·" if state.weight is None else str(state.weight),
        "now": str(state.sessions),
        "max": str(state.sessions_max),
        "all": str(state.sessions_total),
        "queue": str(state.queue or "·"),
        "rate": f"{state.rate}/s",
        "in": _bytes(state.bytes_in),
        "out": _bytes(state.bytes_out),
        "errors": str(state.errors or "·"),
        "last check": escape(state.check.words) if state.check is not None else "·",
    }


def _proxies(states: Iterable[ProxyState], width: int) -> Table:
    names = _COLUMNS if width >= WIDE else _TELLING
    table = plain_table()
    for name in names:
        left = name in ("proxy", "name", "status", "last check")
        table.add_column(name, justify="left" if left else "right", overflow="fold")
    for state in states:
        cells = _cells(state)
        table.add_row(*(cells[name] for name in names))
    return table


def screen(snapshot: Snapshot, width: int) -> Group:
    """Return what a terminal of so many columns shows of a snapshot; one that is not `WIDE` leaves traffic out."""
    ending = ", stopping" if snapshot.stopping else ""
    head = Text(
        f"HAProxy {snapshot.version}, process {snapshot.pid}, up {_span(snapshot.uptime_s)}{ending}; "
        f"{snapshot.connections} of {snapshot.max_connections} connections, {snapshot.connections_total} in all; "
        f"{time.strftime('%H:%M:%S')}"
    )
    parts: list[Text | Table] = [head, _proxies(snapshot.proxies[:MOST_ROWS], width)]
    if len(snapshot.proxies) > MOST_ROWS:
        parts.append(Text(f"… {len(snapshot.proxies) - MOST_ROWS} rows more"))
    if snapshot.sessions:
        parts.append(Text(f"{len(snapshot.sessions)} sessions", style="bold"))
        parts += [
            Text(f"  {s.source}  {s.frontend} → {s.backend}/{s.server}  {s.age}")
            for s in snapshot.sessions[:MOST_SESSIONS]
        ]
    if len(snapshot.sessions) > MOST_SESSIONS:
        parts.append(Text(f"  … {len(snapshot.sessions) - MOST_SESSIONS} more"))
    return Group(*parts)
