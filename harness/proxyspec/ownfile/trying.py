"""The user's files run for real on loopback, a reference server in the place of every server."""

from __future__ import annotations

import contextlib
import json
import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from proxyspec.errors import HarnessError, UsageError
from proxyspec.haproxy.front import free_ports
from proxyspec.haproxy.start import on_free_ports
from proxyspec.model import Verdict
from proxyspec.ownfile.checking import finding_records
from proxyspec.ownfile.journal import Received, read_journal
from proxyspec.ownfile.mail import Sent, send_mail
from proxyspec.ownfile.reading import find_needed, visible
from proxyspec.records.haproxy_file import ChangeRecord, FindingRecord, TriedBindRecord, TriedServerRecord
from proxyspec.reference import reference_server
from proxyspec.rundir import RunDirectory
from proxyspec_haproxy import ConfigRejected, HAProxyError, RuntimeUnavailable, StartFailed, StatRow
from proxyspec_haproxy.config import (
    Document,
    Place,
    Plan,
    Rewritten,
    SourceFile,
    StandIn,
    TrialBind,
    findings_of_haproxy,
    on_loopback,
    plan,
    read_document,
)

if TYPE_CHECKING:
    from proxyspec_haproxy import Choice, HAProxy

__all__ = ["MOST_BINDS", "MOST_SERVERS", "TrialOptions", "Tried", "try_files"]

MOST_SERVERS = 32
MOST_BINDS = 32
#: How often HAProxy is asked while the trial goes on, in seconds.
_POLL = 0.1
#: Reference servers that start at once.
_STARTING = 4
#: Wait for each step of a mail, in seconds.
_MAIL_PATIENCE = 10.0
#: The same where a first try without a header tells whether one is wanted.
_FIRST_PATIENCE = 3.0


@dataclass(frozen=True, slots=True)
class TrialOptions:
    """`seconds` is how long checks are watched; `patience` bounds the wait for the first result of every check."""

    seconds: float = 5.0
    patience: float = 20.0
    header_deadline: float = 30.0


@dataclass(frozen=True, slots=True)
class Tried:
    """What a trial found; `refused` are HAProxy's own words where it does not take the file even as changed for it."""

    changes: tuple[ChangeRecord, ...]
    servers: tuple[TriedServerRecord, ...]
    binds: tuple[TriedBindRecord, ...]
    interrupted: bool
    refused: tuple[FindingRecord, ...] = ()


@dataclass
class _Watch:
    """What HAProxy said while the trial went on."""

    rows: list[StatRow] = field(default_factory=list)
    first: dict[tuple[str, str], float] = field(default_factory=dict)
    words: dict[tuple[str, str], str] = field(default_factory=dict)

    def take(self, rows: Sequence[StatRow], since: float) -> None:
        """Keep the newest rows, and of every check the last result carried to its end."""
        self.rows = [row for row in rows if row.is_server]
        for row in self.rows:
            if row.check is not None and row.check.finished:
                name = (row.proxy, row.name)
                self.first.setdefault(name, round(time.monotonic() - since, 2))
                code = f"/{row.check.code}" if row.check.code else ""
                self.words[name] = f"{row.check.status}{code} {row.check.last}".strip()

    @property
    def settled(self) -> bool:
        """Whether every check has had a result."""
        waiting = [row for row in self.rows if row.check is not None and row.state not in ("MAINT", "no")]
        return bool(self.rows) and all((row.proxy, row.name) in self.first for row in waiting)


@dataclass(frozen=True, slots=True)
class _Running:
    """A stand-in at work: its ports and its log."""

    clear: int
    encrypted: int | None
    journal: Path


def try_files(
    sources: Sequence[SourceFile],
    choice: Choice,
    options: TrialOptions,
    out: RunDirectory,
    *,
    environment: Mapping[str, str],
    folders: Sequence[Path],
    progress: Callable[[str], None],
) -> Tried:
    """Run the files with one HAProxy. Its configuration, log and those of the servers go into `out`.

    An interrupt ends the watching; what was found until then is returned.

    Raises:
        UsageError: the files cannot be tried: unreadable lines, missing files, no or too many servers.
        HarnessError: a reference server or HAProxy does not start.
    """
    document = read_document(sources, choice.engine.version(), environment)
    wanted = _plan(document)
    with contextlib.ExitStack() as stack:
        progress(f"starting {len(wanted.servers)} reference servers")
        servers = _start_servers(wanted, options, out, stack)
        progress(f"starting {choice.engine.describe()}")
        try:
            haproxy, copy, ports = _start(document, sources, wanted, servers, choice, environment, folders, out)
        except ConfigRejected as error:
            return _refused(error, document, sources, wanted, servers, environment)
        changes = tuple(
            ChangeRecord(file=change.place.name, line=change.place.line, what=visible(change.what))
            for change in sorted(copy.changes, key=lambda change: change.place)
        )
        watch, mails, interrupted = _Watch(), dict[tuple[Place, int], Sent](), False
        with haproxy:
            try:
                _observe(haproxy, wanted, ports, options, watch, mails, progress)
            except KeyboardInterrupt:
                interrupted = True
            finally:
                out.write("evidence/haproxy.log", "\n".join(haproxy.log_lines) + "\n")
        progress("stopping")
    received = {place: _read(server.journal) for place, server in servers.items()}
    return Tried(
        changes,
        tuple(_server_row(each, watch, received[each.server.place]) for each in wanted.servers),
        tuple(
            _bind_row(number, bind, mails.get((bind.bind.place, bind.index)), wanted, received)
            for number, bind in enumerate(wanted.binds)
        ),
        interrupted,
    )


def _plan(document: Document) -> Plan:
    unreadable = [trouble for trouble in document.troubles if trouble.fatal]
    if unreadable:
        told = "; ".join(f"{trouble.place}: {trouble.reason}" for trouble in unreadable[:5])
        raise UsageError(f"the file cannot be tried, correct it first: {told}")
    wanted = plan(document)
    if not wanted.servers:
        raise UsageError("there is no server line in a section of mode tcp: nothing to try")
    if len(wanted.servers) > MOST_SERVERS or len(wanted.binds) > MOST_BINDS:
        raise UsageError(
            f"{len(wanted.servers)} servers and {len(wanted.binds)} addresses: a trial takes at most "
            f"{MOST_SERVERS} and {MOST_BINDS}; try a part of the file"
        )
    return wanted


def _start_servers(
    wanted: Plan, options: TrialOptions, out: RunDirectory, stack: contextlib.ExitStack
) -> dict[Place, _Running]:
    logs = out.path / "evidence" / "servers"
    try:
        logs.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise HarnessError(f"{logs} cannot be made: {error.strerror}") from error
    # A server ends with the thread that started it, so the threads stay until the servers are stopped.
    pool = stack.enter_context(ThreadPoolExecutor(_STARTING, thread_name_prefix="reference server"))
    held = stack.enter_context(contextlib.ExitStack())

    def start(each: StandIn) -> tuple[Place, _Running]:
        place = each.server.place
        name = re.sub("[^A-Za-z0-9_-]", "-", f"{place.file}-{place.line}-{each.server.name}")[:80]
        journal = logs / f"{name}.ndjson"
        arguments = ["--trust", "127.0.0.1", "--header-timeout", f"{options.header_deadline:g}"]
        arguments += ["--listen-tls", "127.0.0.1:0", "--tls-self-signed"] if each.tls else []
        _, port = held.enter_context(reference_server(arguments, journal))
        if not each.tls:
            return place, _Running(port, None, journal)
        ports = _ports(journal)
        return place, _Running(ports["cleartext"], ports["tls"], journal)

    return dict(pool.map(start, wanted.servers))


def _ports(journal: Path) -> dict[str, int]:
    """Return the ports a server listens on by what they are for, once it has said all of them."""
    deadline = time.monotonic() + _MAIL_PATIENCE
    while time.monotonic() < deadline:
        ports = {}
        for line in journal.read_text(errors="replace").splitlines():
            with contextlib.suppress(ValueError):
                entry = json.loads(line)
                if entry.get("event") == "listening":
                    ports["cleartext" if entry["entrance"] == "cleartext" else "tls"] = int(
                        str(entry["address"]).rpartition(":")[2]
                    )
        if len(ports) == 2:
            return ports
        time.sleep(_POLL)
    raise HarnessError(f"a reference server does not say where it listens; see {journal}")


def _start(
    document: Document,
    sources: Sequence[SourceFile],
    wanted: Plan,
    servers: Mapping[Place, _Running],
    choice: Choice,
    environment: Mapping[str, str],
    folders: Sequence[Path],
    out: RunDirectory,
) -> tuple[HAProxy, Rewritten, dict[tuple[Place, int], int]]:
    """Start HAProxy on the changed file."""
    keys = [(bind.bind.place, bind.index) for bind in wanted.binds]

    def start() -> tuple[HAProxy, Rewritten, dict[tuple[Place, int], int]]:
        ports = dict(zip(keys, free_ports(len(keys)), strict=True))
        copy = _rewritten(document, sources, servers, ports, environment)
        files, missing = find_needed(copy.needed, folders)
        if missing:
            told = "; ".join(f"{file.place} names {visible(file.path)}" for file in missing[:8])
            raise UsageError(f"files that cannot be read here: {told}; put them there, or take the lines out")
        out.write("evidence/haproxy.cfg", copy.text)
        return choice.engine.start(copy.text, files=files), copy, ports

    try:
        return on_free_ports(start)
    except ConfigRejected:
        raise
    except StartFailed as error:
        raise UsageError(f"HAProxy does not start on the file as changed for the trial: {error}") from error
    except HAProxyError as error:
        raise UsageError(str(error)) from error


def _rewritten(
    document: Document,
    sources: Sequence[SourceFile],
    servers: Mapping[Place, _Running],
    ports: Mapping[tuple[Place, int], int],
    environment: Mapping[str, str],
) -> Rewritten:
    places = {place: (server.clear, server.encrypted) for place, server in servers.items()}
    return on_loopback(document, sources, places, ports, environment=environment)


def _refused(
    error: ConfigRejected,
    document: Document,
    sources: Sequence[SourceFile],
    wanted: Plan,
    servers: Mapping[Place, _Running],
    environment: Mapping[str, str],
) -> Tried:
    """Say at the lines of the original what HAProxy refuses in the changed file."""
    # Ports do not change lines: any will do to find the places again.
    ports = {(bind.bind.place, bind.index): 1 for bind in wanted.binds}
    copy = _rewritten(document, sources, servers, ports, environment)
    found = findings_of_haproxy(copy, error.alerts or (str(error),), (), Place(0, 1, sources[0].name))
    return Tried((), (), (), interrupted=False, refused=tuple(finding_records(found, sources)))


def _observe(
    haproxy: HAProxy,
    wanted: Plan,
    ports: Mapping[tuple[Place, int], int],
    options: TrialOptions,
    watch: _Watch,
    mails: dict[tuple[Place, int], Sent],
    progress: Callable[[str], None],
) -> None:
    """Watch until every check has a result, send the mails, watch on until the time is over."""
    begun = time.monotonic()

    def look() -> None:
        with contextlib.suppress(RuntimeUnavailable):
            watch.take(haproxy.runtime.stat(), begun)

    progress("waiting for the first result of every check")
    while not watch.settled and time.monotonic() - begun < options.patience:
        look()
        time.sleep(_POLL)
    progress(f"sending a mail through {len(wanted.binds)} addresses")
    with ThreadPoolExecutor(max(1, len(wanted.binds)), thread_name_prefix="mail") as pool:
        keys = [(bind.bind.place, bind.index) for bind in wanted.binds]
        sent = [
            pool.submit(_mail, number, bind, ports[key])
            for number, (key, bind) in enumerate(zip(keys, wanted.binds, strict=True))
        ]
        for key, future in zip(keys, sent, strict=True):
            while not future.done():
                look()
                time.sleep(_POLL)
            mails[key] = future.result()
    progress(f"watching checks for {options.seconds:g} s in all")
    while time.monotonic() - begun < options.seconds:
        look()
        time.sleep(_POLL)
    look()


def _sender(number: int) -> str:
    return f"bind{number}@client.proxyspec.test"


def _mail(number: int, bind: TrialBind, port: int) -> Sent:
    patience = _FIRST_PATIENCE if bind.expect_proxy and not bind.accept_proxy else _MAIL_PATIENCE
    sent = send_mail(port, _sender(number), header=bind.accept_proxy, tls=bind.tls, timeout=patience)
    if not sent.accepted and bind.expect_proxy and not bind.accept_proxy:
        # Whether the condition of expect-proxy is true of us only HAProxy knows.
        return send_mail(port, _sender(number), header=True, tls=bind.tls, timeout=_MAIL_PATIENCE)
    return sent


def _read(journal: Path) -> Received:
    try:
        with journal.open(encoding="utf-8", errors="replace") as lines:
            return read_journal(lines)
    except OSError as error:
        raise HarnessError(f"{journal} cannot be read: {error.strerror}") from error


def _rows_of(each: StandIn, rows: Iterator[StatRow]) -> list[StatRow]:
    words = each.server.directive.words
    template = words[0] == "server-template"
    pattern = re.escape(words[1]) + (r"\d+" if template else "")
    return [row for row in rows if row.proxy == each.proxy and re.fullmatch(pattern, row.name)]


def _server_row(each: StandIn, watch: _Watch, received: Received) -> TriedServerRecord:
    rows = _rows_of(each, iter(watch.rows))
    # Of several servers by one template the worst counts.
    row = next((row for row in rows if not row.up), rows[0] if rows else None)
    key = (row.proxy, row.name) if row is not None else ("", "")
    check = watch.words.get(key, "")
    verdict, reason = _server_verdict(row, check, received)
    place = each.server.place
    return TriedServerRecord(
        id=f"server@{place}",
        title=f"server {visible(each.server.name)} of {visible(each.proxy)} is UP and its checks leave it in peace",
        verdict=verdict,
        reason=visible(reason),
        file=place.name,
        line=place.line,
        proxy=visible(each.proxy),
        server=visible(each.server.name),
        status=row.status if row is not None else "unknown",
        check=visible(check),
        seconds=watch.first.get(key),
        connections=received.connections,
        headers={visible(words): count for words, count in received.headers.items()},
        headerless=received.headerless,
        resets=received.resets,
        endings=dict(received.endings),
        messages=len(received.messages),
    )


def _server_verdict(row: StatRow | None, check: str, received: Received) -> tuple[Verdict, str]:
    if row is None:
        return Verdict.UNTESTABLE, "HAProxy did not say a word about it in the time of the trial"
    if row.state == "MAINT":
        return Verdict.SKIP, "the file takes it out of service"
    if row.check is not None and not check:
        return Verdict.UNTESTABLE, "no check was finished in the time of the trial: give it more with --patience"
    if not row.up:
        without = f"; connections without a header: {received.headerless}" if received.headerless else ""
        return Verdict.FAIL, f"{row.status}: {check or 'no word from HAProxy'}{without}"
    if received.headerless:
        return Verdict.WARN, f"{row.status}, but {received.headerless} of {received.connections} connections ended " + (
            "without a header"
        )
    if received.resets:
        return Verdict.WARN, f"{row.status}, but {received.resets} of {received.connections} connections were reset"
    if received.abandoned:
        return (
            Verdict.INFO,
            f"{row.status}; {received.abandoned} of {received.connections} connections ended without QUIT",
        )
    if row.check is None:
        return Verdict.WARN, "it is not checked: HAProxy takes it for UP whatever it does"
    return Verdict.PASS, f"{row.status}: {check}; {received.connections} connections, none reset"


def _bind_row(
    number: int, bind: TrialBind, sent: Sent | None, wanted: Plan, received: Mapping[Place, Received]
) -> TriedBindRecord:
    server, client = "", ""
    for each in wanted.servers:
        for arrival in received[each.server.place].messages:
            if arrival.sender == _sender(number):
                server, client = each.server.name, arrival.client
    if sent is None:
        verdict, reason = Verdict.UNTESTABLE, "the trial was interrupted before its mail"
    elif not sent.accepted:
        verdict, reason = Verdict.FAIL, f"the mail does not get through: {sent.said}"
    elif client != sent.client:
        verdict, reason = Verdict.FAIL, f"the server took the client for {client or 'nobody'}, it was {sent.client}"
    else:
        verdict, reason = Verdict.PASS, f"{server} got the mail, and {client} as its client"
    place = bind.bind.place
    return TriedBindRecord(
        id=f"bind@{place}" + (f"#{bind.index + 1}" if bind.index else ""),
        title=f"a mail to {visible(bind.bind.address.text)} of {visible(bind.proxy)} reaches a server with its client",
        verdict=verdict,
        reason=visible(reason),
        file=place.name,
        line=place.line,
        proxy=visible(bind.proxy),
        address=visible(bind.bind.address.text),
        header=sent.header if sent is not None else bind.accept_proxy,
        server=visible(server),
        client=visible(client),
    )
