"""HAProxy's runtime API (stats socket) and master command line, as typed answers.

One connection per command: HAProxy closes after its answer, so end of file is the frame. Refusals are told apart by
their severity (`set severity-output number`) rather than by texts, which change between releases.
"""

from __future__ import annotations

import csv
import errno
import io
import re
import socket
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeVar

from proxyspec_haproxy.errors import HAProxyError
from proxyspec_haproxy.logs import visible

__all__ = [
    "Check",
    "CommandError",
    "Info",
    "MasterClient",
    "Process",
    "Reload",
    "RuntimeClient",
    "RuntimeUnavailable",
    "StatRow",
    "UnexpectedAnswer",
    "current_workers",
    "parse_info",
    "parse_processes",
    "parse_reload",
    "parse_sessions",
    "parse_stat",
]

_T = TypeVar("_T")

# Syslog severities 0 to 3 (emergency to error) refuse a command; 4 and up answer it.
_LAST_ERROR_SEVERITY: Final = 3
_MAX_ANSWER_BYTES: Final = 16 * 1024 * 1024
_MAX_PORT: Final = 65_535
_MAX_DIGITS: Final = 20  # counters are 64 bits wide
_WORD: Final = re.compile(r"[A-Za-z0-9_.:@/-]+")
_TCP: Final = re.compile(r"(?:ipv[46]@)?(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<host>[^/:\[\]@]+)):(?P<port>\d{1,9})")


class RuntimeUnavailable(HAProxyError):
    """The socket is absent, refuses, is not permitted, or does not finish its answer in the time and size allowed."""


class UnexpectedAnswer(HAProxyError):
    """The answer lacks the form this command has: the peer may not be HAProxy, or a release unknown here."""


class CommandError(HAProxyError):
    """HAProxy refused a command; `severity` is 0 to 3, smaller is worse."""

    def __init__(self, command: str, severity: int, message: str) -> None:
        super().__init__(f"HAProxy refused {command!r}: {message} (severity {severity})")
        self.command = command
        self.severity = severity
        self.message = message


@dataclass(frozen=True, slots=True)
class Info:
    """`show info`: connections are counts, uptime is seconds; `raw` has every field as text."""

    version: str
    pid: int
    uptime_s: int
    connections: int
    connections_total: int
    max_connections: int
    stopping: bool
    raw: Mapping[str, str] = field(repr=False, compare=False)


@dataclass(frozen=True, slots=True)
class Check:
    """What the newest health check of a server said.

    `status` is HAProxy's word: L4OK, L4CON, L4TOUT, L7OK, L7STS, L7RSP, L7TOUT, SOCKERR, INI, UNK. While the next check
    runs, `running` is set and HAProxy shows neither code nor text of the last one. `code` is the SMTP reply code for
    smtpchk, 0 for tcp-check, None at layer 4. `last` is what the server said or the error, with control characters made
    visible. `failed` counts failures while the server was up only (3.4 counts differently); `went_down` counts
    transitions.
    """

    status: str
    running: bool
    code: int | None
    last: str
    description: str
    duration_ms: int | None
    failed: int
    went_down: int

    @property
    def ok(self) -> bool:
        """Whether the check passed."""
        return self.status in ("L4OK", "L6OK", "L7OK", "L7OKC")

    @property
    def finished(self) -> bool:
        """Whether this is the result of a check that was carried through, rather than of none yet or one under way."""
        return not self.running and self.status not in ("INI", "UNK", "CHECKED", "")


@dataclass(frozen=True, slots=True)
class StatRow:
    """One line of `show stat`: a frontend, a backend or a server.

    Sessions and queue are counts, traffic is bytes, `rate` is new sessions in the last second, `since_s` the seconds
    since the status changed last (None for frontends).
    """

    proxy: str
    name: str
    status: str
    weight: int | None
    sessions: int
    sessions_max: int
    sessions_total: int
    queue: int
    queue_max: int
    bytes_in: int
    bytes_out: int
    errors_connect: int
    errors_response: int
    retries: int
    redispatches: int
    rate: int
    rate_max: int
    since_s: int | None
    check: Check | None
    raw: Mapping[str, str] = field(repr=False, compare=False)

    @property
    def is_server(self) -> bool:
        """Whether the row is a server's."""
        return self.name not in ("FRONTEND", "BACKEND")

    @property
    def state(self) -> str:
        """First word of the status: 3.4 writes "UP 0/3" where others write "UP"; "no" means "no check"."""
        return self.status.split(" ", 1)[0]

    @property
    def up(self) -> bool:
        """Whether HAProxy sends sessions there, or would if it were not draining."""
        return self.state in ("UP", "no", "OPEN", "DRAIN")


@dataclass(frozen=True, slots=True)
class Process:
    """One line of the master's `show proc`."""

    pid: int
    kind: str
    old: bool
    reloads: int


@dataclass(frozen=True, slots=True)
class Reload:
    """Outcome of a reload: `ok` is None where the release (before 2.7) does not say, `log` is the start-up log."""

    ok: bool | None
    log: str


def _number(command: str, row: Mapping[str, str | None], name: str) -> int:
    """Return a counter; absent and empty ones are 0."""
    value = row.get(name) or "0"
    if len(value) > _MAX_DIGITS or not value.isascii() or not value.removeprefix("-").isdecimal():
        raise UnexpectedAnswer(f"{command}: field {name} is {value[:40]!r}, expected a number")
    return int(value)


def _optional_number(command: str, row: Mapping[str, str | None], name: str) -> int | None:
    return _number(command, row, name) if row.get(name) else None


def parse_info(text: str) -> Info:
    """Read `show info`; raises UnexpectedAnswer when a field is missing."""
    raw = {key: visible(value) for key, colon, value in (line.partition(": ") for line in text.splitlines()) if colon}
    missing = [name for name in ("Version", "Pid", "Uptime_sec", "CurrConns", "CumConns", "Maxconn") if name not in raw]
    if missing:
        raise UnexpectedAnswer(f"show info: no field {', '.join(missing)} in the answer {text[:80]!r}")
    return Info(
        version=raw["Version"],
        pid=_number("show info", raw, "Pid"),
        uptime_s=_number("show info", raw, "Uptime_sec"),
        connections=_number("show info", raw, "CurrConns"),
        connections_total=_number("show info", raw, "CumConns"),
        max_connections=_number("show info", raw, "Maxconn"),
        stopping=raw.get("Stopping", "0") != "0",
        raw=raw,
    )


def _check(row: Mapping[str, str]) -> Check | None:
    status = row.get("check_status", "")
    if not status:
        return None
    return Check(
        status=visible(status.removeprefix("* ")),
        running=status.startswith("* "),
        code=_optional_number("show stat", row, "check_code"),
        last=visible(row.get("last_chk", "").strip()),
        description=visible(row.get("check_desc", "")),
        duration_ms=_optional_number("show stat", row, "check_duration"),
        failed=_number("show stat", row, "chkfail"),
        went_down=_number("show stat", row, "chkdown"),
    )


def _stat_row(row: Mapping[str, str]) -> StatRow:
    def number(name: str) -> int:
        return _number("show stat", row, name)

    return StatRow(
        proxy=row["pxname"],
        name=row["svname"],
        status=row["status"],
        weight=_optional_number("show stat", row, "weight"),
        sessions=number("scur"),
        sessions_max=number("smax"),
        sessions_total=number("stot"),
        queue=number("qcur"),
        queue_max=number("qmax"),
        bytes_in=number("bin"),
        bytes_out=number("bout"),
        errors_connect=number("econ"),
        errors_response=number("eresp"),
        retries=number("wretr"),
        redispatches=number("wredis"),
        rate=number("rate"),
        rate_max=number("rate_max"),
        since_s=_optional_number("show stat", row, "lastchg"),
        check=_check(row),
        raw=row,
    )


def parse_stat(text: str) -> list[StatRow]:
    """Read the CSV of `show stat` by its header; raises UnexpectedAnswer when it has none."""
    if not text.startswith("# pxname,svname,"):
        raise UnexpectedAnswer(f"show stat: expected a CSV header, got {text[:80]!r}")
    try:
        rows = list(csv.DictReader(io.StringIO(text.removeprefix("# ")), strict=True, restval=""))
    except csv.Error as error:
        raise UnexpectedAnswer(f"show stat: {error}") from error
    return [_stat_row({k: v for k, v in row.items() if isinstance(k, str)}) for row in rows if row.get("svname")]


def parse_sessions(text: str) -> list[dict[str, str]]:
    """Read `show sess`: the fields of each session, plus its "id". The command line's own session is left out."""
    sessions = []
    for line in text.splitlines():
        head = re.match(r"(0x[0-9a-f]+): (.*)", line)
        if head is None:
            continue
        plain = re.sub(r"\[[^\]]*\]", "", head[2])
        fields = {key: visible(value) for key, eq, value in (word.partition("=") for word in plain.split()) if eq}
        if fields.get("fe", "GLOBAL") != "GLOBAL":
            sessions.append({"id": head[1], **fields})
    return sessions


_PROCESS: Final = re.compile(
    r"(?P<pid>\d{1,10})\s+(?P<kind>master|worker|program)\s+(?:\[was: \d+\]\s+)?(?P<reloads>\d{1,10})"
)


def parse_processes(text: str) -> list[Process]:
    """Read the master's `show proc`; processes under an "# old ..." heading are old."""
    processes: list[Process] = []
    old = False
    for line in text.splitlines():
        if line.startswith("# "):
            old = line.startswith("# old")
        elif match := _PROCESS.match(line):
            processes.append(Process(int(match["pid"]), match["kind"], old, int(match["reloads"])))
    return processes


def parse_reload(text: str) -> Reload:
    """Read the answer to the master's `reload`: Success=0 or 1 and a log from 2.7 on, nothing before."""
    match = re.match(r"Success=([01])\n(?:--\n)?(.*)", text, re.DOTALL)
    return Reload(match[1] == "1", match[2].strip()) if match else Reload(None, text.strip())


def _word(what: str, value: str) -> str:
    if not _WORD.fullmatch(value):
        raise ValueError(f"{what} {value!r}: expected one word of letters, digits and _ . : @ / -")
    return value


class RuntimeClient:
    """The stats socket of one HAProxy.

    `address` is the path of a UNIX socket ("unix@" may stand before it), or "host:port" / "[v6]:port". `timeout`
    (seconds) bounds a whole exchange and `max_answer` (bytes) its answer; both end in RuntimeUnavailable.
    """

    def __init__(self, address: str | Path, *, timeout: float = 2.0, max_answer: int = _MAX_ANSWER_BYTES) -> None:
        self.address = str(address)
        self.timeout = timeout
        self.max_answer = max_answer

    def _connect(self, timeout: float) -> socket.socket:
        tcp = _TCP.fullmatch(self.address)
        if tcp:
            if int(tcp["port"]) > _MAX_PORT:  # the system would take it modulo 65536, and another port answer
                raise OSError(errno.EINVAL, f"there is no port beyond {_MAX_PORT}")
            return socket.create_connection((tcp["v6"] or tcp["host"], int(tcp["port"])), timeout)
        connection = socket.socket(socket.AF_UNIX)
        try:
            connection.settimeout(timeout)
            connection.connect(self.address.removeprefix("unix@"))
        except OSError:
            connection.close()
            raise
        return connection

    def _chunks(self, line: str, timeout: float) -> Iterator[bytes]:
        deadline = time.monotonic() + timeout
        with self._connect(timeout) as connection:
            connection.sendall(line.encode() + b"\n")
            connection.shutdown(socket.SHUT_WR)  # the master closes only after the client's end of input
            while True:
                left = deadline - time.monotonic()
                if left <= 0:
                    raise TimeoutError("timed out")
                connection.settimeout(left)
                chunk = connection.recv(65_536)
                if not chunk:
                    return
                yield chunk

    def raw(self, line: str, *, timeout: float | None = None) -> str:
        """Send one command line and return the answer as it is; raises ValueError for a line break in it."""
        if "\n" in line or "\r" in line:
            raise ValueError(f"command {line!r}: one command line at a time")
        allowed = self.timeout if timeout is None else timeout
        answer = bytearray()
        try:
            for chunk in self._chunks(line, allowed):
                answer += chunk
                if len(answer) > self.max_answer:
                    raise RuntimeUnavailable(
                        f"{self.address}: the answer to {line!r} exceeds {self.max_answer} bytes; raise max_answer"
                    )
        except TimeoutError as error:
            raise RuntimeUnavailable(f"{self.address}: no whole answer to {line!r} within {allowed} s") from error
        except OSError as error:
            raise RuntimeUnavailable(f"{self.address}: {error.strerror or error}; is that HAProxy running?") from error
        return answer.decode("utf-8", "replace")

    def command(self, line: str) -> str:
        """Send a command that changes something; returns its text, raises CommandError when HAProxy refuses it."""
        text = self.raw(f"set severity-output number;{line}").strip("\n")
        graded = re.match(r"\[(\d)\]:(.*)", text, re.DOTALL)
        if graded:
            severity, text = int(graded[1]), graded[2].strip()
            if severity <= _LAST_ERROR_SEVERITY:
                raise CommandError(line, severity, visible(text))
        if text.startswith("Unknown command"):  # graded 6, as if it were mere information
            raise CommandError(line, _LAST_ERROR_SEVERITY, visible(text.splitlines()[0]))
        return text

    def info(self) -> Info:
        """Return `show info`."""
        return parse_info(self.raw("show info"))

    def stat(self, proxy: str | None = None) -> list[StatRow]:
        """Return `show stat`, of one proxy or of all."""
        rows = parse_stat(self.raw("show stat"))
        return [row for row in rows if proxy is None or row.proxy == proxy]

    def server(self, backend: str, name: str) -> StatRow:
        """Return the row of one server; raises KeyError naming those there are."""
        rows = [row for row in self.stat() if row.is_server]
        for row in rows:
            if (row.proxy, row.name) == (backend, name):
                return row
        raise KeyError(f"no server {backend}/{name}; there are {', '.join(f'{r.proxy}/{r.name}' for r in rows)}")

    def sessions(self) -> list[dict[str, str]]:
        """Return `show sess` without this client's own session."""
        return parse_sessions(self.raw("show sess"))

    def _set_state(self, backend: str, server: str, state: str) -> None:
        self.command(f"set server {_word('backend', backend)}/{_word('server', server)} state {state}")

    def enable(self, backend: str, server: str) -> None:
        """Put a server back into service."""
        self._set_state(backend, server, "ready")

    def drain(self, backend: str, server: str) -> None:
        """Send a server no new sessions, and go on checking it."""
        self._set_state(backend, server, "drain")

    def wait(self, look: Callable[[], _T | None], *, timeout: float = 5.0, interval: float = 0.02) -> _T:
        """Call `look` until it returns something true; a socket that does not answer counts as "not yet".

        Raises TimeoutError with the last answer after `timeout` seconds.
        """
        deadline = time.monotonic() + timeout
        while True:
            last: object
            try:
                found = look()
                if found:
                    return found
                last = found
            except RuntimeUnavailable as error:
                last = error
            if time.monotonic() >= deadline:
                raise TimeoutError(f"{self.address}: still {last!r} after {timeout} s")
            time.sleep(interval)

    def wait_checked(self, backend: str, *, timeout: float = 15.0) -> list[StatRow]:
        """Wait until every checked server of a backend shows a finished check; returns the servers' rows.

        Raises KeyError when there is no such backend, TimeoutError after `timeout` seconds.
        """

        def checked() -> list[StatRow] | None:
            rows = [row for row in self.stat(backend) if row.is_server]
            if not rows:
                raise KeyError(f"no servers in a backend {backend!r}")
            return rows if all(row.check is None or row.check.finished for row in rows) else None

        return self.wait(checked, timeout=timeout)


def current_workers(processes: Iterable[Process]) -> frozenset[int]:
    """Return the pids of the workers in service, as the release lists them: after a failed reload some list none."""
    return frozenset(process.pid for process in processes if process.kind == "worker" and not process.old)


class MasterClient(RuntimeClient):
    """The master's socket (`haproxy -S path`)."""

    def processes(self) -> list[Process]:
        """Return `show proc`."""
        return parse_processes(self.raw("show proc"))

    def workers(self) -> frozenset[int]:
        """Return the pids of the workers in service."""
        return current_workers(self.processes())

    def reload(self, *, timeout: float = 10.0) -> Reload:
        """Make the master read its configuration again; before 2.7 it hangs up without saying how that went."""
        try:
            answer = self.raw("reload", timeout=timeout)
        except RuntimeUnavailable as error:
            if isinstance(error.__cause__, ConnectionResetError):
                return Reload(None, "")
            raise
        return parse_reload(answer)
