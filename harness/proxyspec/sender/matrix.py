"""The sender table: every setting on one HAProxy, our own clients in front of it and our own server behind."""

from __future__ import annotations

import asyncio
import contextlib
import re
import secrets
import socket
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from proxyspec.haproxy.engines import haproxy_record
from proxyspec.haproxy.front import free_ports
from proxyspec.haproxy.start import on_free_ports_in_thread
from proxyspec.model import Verdict
from proxyspec.records import HAProxyRecord
from proxyspec.records.sender import SenderRecord
from proxyspec.rundir import RunDirectory
from proxyspec.sender.arrival import Arrival
from proxyspec.sender.certificates import Certificates, NoCertificates, make_certificates
from proxyspec.sender.client import CallFailed, Front, call
from proxyspec.sender.expectation import Facts
from proxyspec.sender.judge import judge
from proxyspec.sender.listener import Limits, bind, receiving
from proxyspec.sender.row import Heading, row, unjudged
from proxyspec.sender.run import Findings
from proxyspec.sender.setting import Checking, FrontKind, Setting
from proxyspec.targets import bindable

if TYPE_CHECKING:
    from proxyspec_haproxy import Choice, HAProxy, HAProxyVersion, Listener

__all__ = ["sender_table"]

#: The server, and HAProxy's own end of its connections to it.
HERE: Final = "127.0.0.1"
#: Seconds a health check may take to come, or what our client said once its session is over.
ARRIVAL_PATIENCE: Final = 10.0
#: Seconds a header is waited for before the greeting goes out; less where there should be none.
HEADER_PATIENCE: Final = 8.0
NO_HEADER_PATIENCE: Final = 1.0
#: Seconds HAProxy may take to get ready.
START_PATIENCE: Final = 30.0
#: Sessions held at once on one HAProxy.
_AT_ONCE: Final = 8
_HAPROXIES_AT_ONCE: Final = 2

_CERTIFICATE: Final = "server.pem"
_CLIENT_CA: Final = "client-ca.pem"
_PEM: Final = re.compile(rb"-----BEGIN CERTIFICATE-----.*?-----END CERTIFICATE-----\n?", re.DOTALL)


@dataclass(frozen=True, slots=True)
class _Desk:
    """One setting with its server's socket, and what came there."""

    setting: Setting
    server: socket.socket
    arrivals: list[Arrival]
    came: asyncio.Event

    def take(self, arrival: Arrival) -> None:
        # Checks go on and on; the first few tell.
        if arrival.data and len(self.arrivals) < 8:
            self.arrivals.append(arrival)
            self.came.set()


@dataclass(frozen=True, slots=True)
class _Result:
    setting: Setting
    facts: Facts = field(default_factory=Facts)
    arrival: Arrival | None = None
    #: Why there is nothing to judge.
    reason: str = ""


def _series(version: HAProxyVersion) -> tuple[int, int]:
    return (version.major, version.minor)


def _name(setting: Setting) -> str:
    return setting.id.replace("/", ".")


def _front_address() -> str:
    """Return an address for one HAProxy to listen on.

    HAProxies share a port rather than refuse it (SO_REUSEPORT), and each would get some of the other's clients: so each
    gets an address of its own, where the system has more than one.
    """
    address = f"127.{secrets.randbelow(200) + 20}.{secrets.randbelow(250) + 1}.{secrets.randbelow(250) + 1}"
    return address if bindable(address) else HERE


def _listener(setting: Setting, server_port: int, front: Front) -> Listener:
    from proxyspec_haproxy import FILES_DIR, RUN_DIR, Bind, CheckKind, HostPort, Listener, ProxyHeader, Server

    tls = setting.caller.tls
    where: HostPort | str
    if setting.front is FrontKind.UNIX:
        where = f"unix@{RUN_DIR}/{_name(setting)}.sock"
    else:
        where = HostPort(front.address, front.port)
    # Whoever runs HAProxy, our client must reach the socket; its folder is ours alone.
    extra = "mode 666" if setting.front is FrontKind.UNIX else setting.bind or None
    ca_file = f"{FILES_DIR}/{_CLIENT_CA}" if tls is not None else None
    line = Bind(where, crt=f"{FILES_DIR}/{_CERTIFICATE}" if tls is not None else None, ca_file=ca_file, extra=extra)
    kinds = {None: CheckKind.NONE, Checking.CONNECT: CheckKind.NONE, Checking.SMTP: CheckKind.SMTP}
    server = Server(
        "mail",
        HostPort(HERE, server_port),
        proxy=ProxyHeader.NONE,
        check=False,
        extra=setting.server.replace("{port}", str(server_port)),
    )
    return Listener(
        _name(setting),
        () if setting.check is not None else (line,),
        (server,),
        kinds[setting.check],
        extra=setting.listen,
    )


def _impossible(setting: Setting, certificates: Certificates | str) -> str | None:
    """Say why a setting cannot be tried here; None: it can."""
    if setting.caller.tls is not None and isinstance(certificates, str):
        return certificates
    if setting.front is FrontKind.IPV6 and not bindable(setting.front.value):
        return "this machine has no IPv6 loopback address"
    return None


def _files(certificates: Certificates | None) -> dict[str, bytes]:
    if certificates is None:
        return {}
    authority = _PEM.search(certificates.client.read_bytes())
    assert authority is not None, "openssl wrote no certificate"
    return {_CERTIFICATE: certificates.server.read_bytes(), _CLIENT_CA: authority[0]}


async def _check_arrival(desk: _Desk) -> _Result:
    try:
        async with asyncio.timeout(ARRIVAL_PATIENCE):
            await desk.came.wait()
    except TimeoutError:
        return _Result(desk.setting, reason=f"no health check came within {ARRIVAL_PATIENCE:g} s")
    return _Result(desk.setting, arrival=desk.arrivals[0])


async def _call(desk: _Desk, front: Front, certificates: Certificates | None, room: asyncio.Semaphore) -> _Result:
    # The name tells this session from any other that may reach the same socket.
    name = f"{secrets.token_hex(8)}.client.proxyspec.test"
    client = None if certificates is None else certificates.client
    async with room:
        try:
            facts = await call(desk.setting.caller, front, name, client)
        except CallFailed as error:
            return _Result(desk.setting, reason=f"our client's session failed: {error}")
        mine: list[Arrival] = []
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(ARRIVAL_PATIENCE):
                while not (mine := [one for one in desk.arrivals if name.encode() in one.data]):
                    desk.came.clear()
                    await desk.came.wait()
    if not mine:
        return _Result(desk.setting, reason="our client had its session, but none of it came to our server")
    values = dict(facts.values) | ({} if certificates is None else certificates.facts)
    return _Result(desk.setting, replace(facts, values=values), mine[0])


def _reachable(setting: Setting, front: Front, haproxy: HAProxy) -> Front:
    """Where our client finds the front: a socket lies beside HAProxy's own."""
    if setting.front is FrontKind.UNIX:
        return Front.unix(Path(haproxy.runtime.address).with_name(f"{_name(setting)}.sock"))
    return front


@dataclass(frozen=True, slots=True)
class _Trial:
    """One HAProxy with settings that agree on what is global."""

    choice: Choice
    settings: tuple[Setting, ...]
    certificates: Certificates | None
    #: Seconds a header is waited for.
    patience: float
    #: Takes its configuration and its log.
    note: Callable[[str, str], None]

    async def run(self) -> list[_Result]:
        """Have every setting visited once.

        Raises:
            HAProxyError: HAProxy does not start, or refuses the configuration.
        """
        from proxyspec_haproxy import Listen, Settings, Timeouts, render_topology

        room = asyncio.Semaphore(_AT_ONCE)
        async with contextlib.AsyncExitStack() as stack:
            desks = [_Desk(setting, bind(HERE, 0), [], asyncio.Event()) for setting in self.settings]
            for desk in desks:
                patience = NO_HEADER_PATIENCE if desk.setting.expects.version == 0 else self.patience
                await stack.enter_async_context(receiving(desk.server, desk.take, Limits(patience=patience)))
            address = _front_address()
            addresses = {FrontKind.IPV4: address, FrontKind.IPV6: FrontKind.IPV6.value, FrontKind.UNIX: address}
            settings = Settings(
                timeouts=Timeouts(client=30.0, server=30.0),
                hard_stop=0.3,
                never_send_local=self.settings[0].never_send_local,
            )
            engine, files = self.choice.engine, _files(self.certificates)
            fronts: list[Front] = []

            def start() -> HAProxy:
                fronts[:] = [
                    Front(addresses[desk.setting.front], port)
                    for desk, port in zip(desks, free_ports(len(desks)), strict=True)
                ]
                listeners = [
                    _listener(desk.setting, desk.server.getsockname()[1], front)
                    for desk, front in zip(desks, fronts, strict=True)
                ]
                text = render_topology(Listen(tuple(listeners), settings), engine.version())
                return engine.start(text, files=files, timeout=START_PATIENCE)

            haproxy = await on_free_ports_in_thread(start)
            try:
                calls = [
                    _check_arrival(desk)
                    if desk.setting.check is not None
                    else _call(desk, _reachable(desk.setting, front, haproxy), self.certificates, room)
                    for desk, front in zip(desks, fronts, strict=True)
                ]
                return list(await asyncio.gather(*calls))
            finally:
                self.note(haproxy.config_text, "\n".join(haproxy.log_lines) + "\n")
                haproxy.kill()


@dataclass(frozen=True, slots=True)
class _Column:
    """One HAProxy of the table; `name` tells two of one release apart."""

    choice: Choice
    version: HAProxyVersion
    name: str


def _columns(choices: Sequence[Choice]) -> list[_Column]:
    columns: list[_Column] = []
    for choice in choices:
        version = choice.engine.version()
        again = sum(column.version == version and str(column.version) == str(version) for column in columns)
        columns.append(_Column(choice, version, f"{version}-{again + 1}" if again else str(version)))
    return columns


def _heading(setting: Setting, column: _Column) -> Heading:
    return Heading(
        id=f"{setting.id}@{column.name}",
        title=setting.title,
        setting=setting.id,
        sender=f"HAProxy {column.name}",
        expected=str(setting.expected_of(_series(column.version))),
        directives=setting.directives,
        visitor=setting.visitor,
    )


def _judged(result: _Result, column: _Column) -> SenderRecord:
    heading = _heading(result.setting, column)
    if result.arrival is None:
        return unjudged(heading, Verdict.UNTESTABLE, result.reason)
    wanted = result.setting.expected_of(_series(column.version))
    return row(heading, judge(result.arrival, wanted, result.facts), result.arrival)


async def _table_of(
    column: _Column,
    settings: Sequence[Setting],
    certificates: Certificates | str,
    out: RunDirectory,
    patience: float,
    took_part: Callable[[HAProxyRecord], None],
) -> list[SenderRecord]:
    """Return the rows of one HAProxy, in the order of `settings`."""
    version = column.version
    rows: dict[str, SenderRecord] = {}
    able: list[Setting] = []
    for setting in settings:
        why = _impossible(setting, certificates)
        if setting.since is not None and _series(version) < setting.since:
            since = ".".join(map(str, setting.since))
            reason = f"HAProxy {version} does not have this; {since} is the first that does"
            rows[setting.id] = unjudged(_heading(setting, column), Verdict.SKIP, reason)
        elif why is not None:
            rows[setting.id] = unjudged(_heading(setting, column), Verdict.UNTESTABLE, why)
        else:
            able.append(setting)
    made = None if isinstance(certificates, str) else certificates
    for never, suffix in ((False, ""), (True, "-never-send-local")):
        group = tuple(setting for setting in able if setting.never_send_local is never)
        if not group:
            continue
        stem = f"evidence/haproxy-{column.name}{suffix}"

        def note(text: str, log: str, stem: str = stem) -> None:
            out.write(f"{stem}.cfg", text)
            out.write(f"{stem}.log", log)

        for result in await _Trial(column.choice, group, made, patience, note).run():
            rows[result.setting.id] = _judged(result, column)
        took_part(haproxy_record(column.choice, f"{stem}.cfg", f"{stem}.log"))
    return [rows[setting.id] for setting in settings]


async def sender_table(
    settings: Sequence[Setting],
    choices: Sequence[Choice],
    out: RunDirectory,
    findings: Findings,
    told: Callable[[str, Sequence[SenderRecord]], None],
    *,
    header_patience: float = HEADER_PATIENCE,
) -> None:
    """Have every HAProxy send every setting, two of them at a time, and put the rows into `findings`.

    `told` hears of each HAProxy when its rows are there; the order in the table is that of `choices`. One that does not
    start or refuses its configuration has rows that say so in its own words. `header_patience` is how long a header is
    waited for, in seconds.

    Raises:
        UsageError: there is no port to be had.
    """
    from proxyspec_haproxy import HAProxyError

    columns = await asyncio.to_thread(_columns, choices)
    room = asyncio.Semaphore(_HAPROXIES_AT_ONCE)
    found: list[list[SenderRecord]] = [[] for _ in choices]
    haproxies: list[list[HAProxyRecord]] = [[] for _ in choices]
    with tempfile.TemporaryDirectory(prefix="proxyspec-sender-") as folder:
        certificates: Certificates | str = "no setting needs a certificate"
        if any(setting.caller.tls is not None for setting in settings):
            try:
                certificates = await asyncio.to_thread(make_certificates, Path(folder))
            except NoCertificates as error:
                certificates = str(error)

        async def one(place: int, column: _Column) -> None:
            async with room:
                try:
                    rows = await _table_of(
                        column, settings, certificates, out, header_patience, haproxies[place].append
                    )
                except HAProxyError as error:
                    reason = f"HAProxy cannot be tried: {error}"
                    rows = [unjudged(_heading(each, column), Verdict.UNTESTABLE, reason) for each in settings]
            found[place] = rows
            for record in rows:
                out.event("setting-judged", record)
            told(column.choice.engine.describe(), rows)

        try:
            async with asyncio.TaskGroup() as group:
                for place, column in enumerate(columns):
                    group.create_task(one(place, column))
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from None
        finally:
            findings.rows += [record for records in found for record in records]
            findings.haproxies += [record for records in haproxies for record in records]
