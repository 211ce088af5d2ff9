"""Haraka's page on HAProxy, promise by promise, against a server that keeps a list of proxies."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from proxyspec.driver import drive
from proxyspec.layers.authoring import v1
from proxyspec.model import Case, Ending, EventKind, Level, Pause, Send, Target, Transcript, Verdict
from proxyspec.records import EventRecord
from proxyspec.records.page import PromiseRecord
from proxyspec.replies import Reply, parse_replies
from proxyspec.servers.installed import Started, Wish, started
from proxyspec.wire import Road, TcpWire

if TYPE_CHECKING:
    from proxyspec_haproxy import Choice, HAProxy, Listen

__all__ = ["PROMISES", "Finding", "Listener", "Promise", "check_page"]

#: Addresses of ours, and lists of proxies that hold some of them.
LISTED, STRANGER = "127.0.0.1", "127.0.0.2"
RANGE: Final = ("127.0.0.9", "127.0.0.4/30")
#: The page's deadline, and how far from it is still the same, in seconds.
DEADLINE, NEAR = 30.0, 1.0
#: How long a listed peer keeps silent before its header, in seconds.
QUIET: Final = 2.0
#: How long health checks go on before they are counted, in seconds, and their pause.
WATCHED, INTER = 4.0, 0.5
_LOOK: Final = 0.1
_LOG_LINES: Final = 8
_HEADER: Final = v1()


@dataclass(frozen=True, slots=True)
class Finding:
    """What became of a promise."""

    verdict: Verdict
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Promise:
    """One sentence of the page, as a connection from `source` to a server that lists `hosts`."""

    id: str
    title: str
    hosts: tuple[str, ...]
    source: str
    steps: tuple[Send | Pause, ...] = ()
    judge: Callable[[Transcript], Finding] = field(compare=False)


class Listener:
    """Is told of every promise that was looked at; the base class keeps silent."""

    def found(self, record: PromiseRecord) -> None:
        """One more."""


def _replies(transcript: Transcript) -> tuple[Reply, ...]:
    return parse_replies((e.at, e.data) for e in transcript.events if e.kind is EventKind.RECEIVED)


def _said(replies: Sequence[Reply]) -> str:
    told = [f"{reply.code} {reply.lines[-1].decode('ascii', 'backslashreplace')}" for reply in replies if reply.lines]
    return "; ".join(f"{one!r}" for one in told[:3]) or "nothing"


def _verdict(*, kept: bool, reason: str) -> Finding:
    return Finding(Verdict.PASS if kept else Verdict.FAIL, reason)


def _greeted(transcript: Transcript) -> Finding:
    """The server greets without a header, and serves."""
    replies = _replies(transcript)
    early = bool(replies) and replies[0].code == 220 and replies[0].at < QUIET
    served = any(reply.code == 250 for reply in replies[1:])
    return _verdict(kept=early and served, reason=f"it said {_said(replies)}")


def _refused(transcript: Transcript) -> Finding:
    """The header is refused with a temporary failure, never a permanent one, and the connection ends."""
    replies = _replies(transcript)
    errors = [reply for reply in replies if reply.code is not None and reply.code >= 400]
    temporary = bool(errors) and all(400 <= (reply.code or 0) < 500 for reply in errors)
    # One command may have been under way when the refusal was said.
    codes = [reply.code for reply in replies]
    served = codes.count(250) > 1 or codes[1:2] == [250]
    ended = transcript.ending in (Ending.FIN, Ending.RST)
    reason = f"it said {_said(replies)}, the connection ended with {transcript.ending}"
    return _verdict(kept=temporary and ended and not served, reason=reason)


def _waited(transcript: Transcript) -> Finding:
    """Nothing comes before the header, and the greeting soon after it."""
    replies = _replies(transcript)
    sent = next((event.at for event in transcript.events if event.kind is EventKind.SENT), None)
    first = transcript.first(EventKind.RECEIVED)
    if sent is None or first is None or not replies:
        return _verdict(kept=False, reason=f"it said {_said(replies)}, the connection ended with {transcript.ending}")
    silent, after = first.at >= sent, first.at - sent
    served = replies[0].code == 220 and any(reply.code == 250 for reply in replies[1:])
    reason = f"its first byte came {after:+.2f} s from the header, {_said(replies[:1])}"
    return _verdict(kept=silent and served, reason=reason)


def _timed_out(transcript: Transcript) -> Finding:
    """421 comes at the deadline, and the connection ends."""
    replies = _replies(transcript)
    if not replies:
        return _verdict(kept=False, reason=f"it said nothing, the connection ended with {transcript.ending}")
    at, code = replies[0].at, replies[0].code
    ended = transcript.ending in (Ending.FIN, Ending.RST)
    kept = code == 421 and abs(at - DEADLINE) <= NEAR and ended
    return _verdict(
        kept=kept, reason=f"{_said(replies[:1])} after {at:.1f} s, the connection ended with {transcript.ending}"
    )


def _worded(transcript: Transcript) -> Finding:
    """The 421 has the page's words, "PROXY timed out"."""
    replies = _replies(transcript)
    said = _said(replies[:1])
    if "PROXY timed out" in said:
        return Finding(Verdict.PASS, f"it said {said}")
    return Finding(Verdict.INFO, f"the page has '421 PROXY timed out', the server said {said}")


_NOBODY: Final[tuple[str, ...]] = ()
_ONE: Final = (LISTED,)
_HELLO: Final = (Send(_HEADER),)

PROMISES: Final = (
    Promise(
        id="page/off/served",
        title="With an empty list everybody is greeted without a header",
        hosts=_NOBODY,
        source=LISTED,
        steps=(Pause(QUIET),),
        judge=_greeted,
    ),
    Promise(
        id="page/off/refused",
        title="With an empty list a PROXY line is refused temporarily and the connection ends",
        hosts=_NOBODY,
        source=LISTED,
        steps=_HELLO,
        judge=_refused,
    ),
    Promise(
        id="page/unlisted/served",
        title="A host that is not listed is greeted without a header",
        hosts=_ONE,
        source=STRANGER,
        steps=(Pause(QUIET),),
        judge=_greeted,
    ),
    Promise(
        id="page/unlisted/refused",
        title="A host that is not listed and sends PROXY is refused temporarily and disconnected",
        hosts=_ONE,
        source=STRANGER,
        steps=_HELLO,
        judge=_refused,
    ),
    Promise(
        id="page/listed/silent",
        title="A listed host gets no greeting until its PROXY line has come",
        hosts=_ONE,
        source=LISTED,
        steps=(Pause(QUIET), *_HELLO),
        judge=_waited,
    ),
    Promise(
        id="page/listed/late",
        title="A PROXY line that comes 5 s before the deadline is in time",
        hosts=_ONE,
        source=LISTED,
        steps=(Pause(DEADLINE - 5), *_HELLO),
        judge=_waited,
    ),
    Promise(
        id="page/deadline/421",
        title="A listed host that sends nothing gets 421 after 30 s and is disconnected",
        hosts=_ONE,
        source=LISTED,
        judge=_timed_out,
    ),
    Promise(
        id="page/deadline/wording",
        title="That reply reads '421 PROXY timed out'",
        hosts=_ONE,
        source=LISTED,
        judge=_worded,
    ),
    Promise(
        id="page/deadline/not-extended",
        title="Bytes that come meanwhile do not put the deadline off",
        hosts=_ONE,
        source=LISTED,
        steps=(Send(_HEADER[:8]), Pause(12.0), Send(_HEADER[8:12]), Pause(12.0), Send(_HEADER[12:16])),
        judge=_timed_out,
    ),
    Promise(
        id="page/list/address",
        title="An IPv4 address on the list is listed",
        hosts=RANGE,
        source="127.0.0.9",
        steps=(Pause(QUIET), *_HELLO),
        judge=_waited,
    ),
    Promise(
        id="page/list/range",
        title="An address within a CIDR range on the list is listed",
        hosts=RANGE,
        source="127.0.0.5",
        steps=(Pause(QUIET), *_HELLO),
        judge=_waited,
    ),
    Promise(
        id="page/list/outside",
        title="The address next to a CIDR range is not listed",
        hosts=RANGE,
        source="127.0.0.8",
        steps=_HELLO,
        judge=_refused,
    ),
)


@dataclass(frozen=True, slots=True)
class _Check:
    """A health check of the page; `header`: PROXY goes before it."""

    id: str
    title: str
    tcp: bool
    header: bool
    #: What HAProxy must report; None: recorded.
    up: bool


_CHECKS: Final = (
    _Check("smtpchk", "option smtpchk with check-send-proxy finds the server up", tcp=False, header=True, up=True),
    _Check("tcp-check", "tcp-check 220, QUIT, 221 with check-send-proxy finds it up", tcp=True, header=True, up=True),
    _Check(
        "no-header", "option smtpchk without check-send-proxy never sees a banner", tcp=False, header=False, up=False
    ),
)


async def _promise(promise: Promise, server: Started, port: int) -> PromiseRecord:
    target = Target(host="127.0.0.1", port=port, header_timeout=DEADLINE + NEAR)
    case = Case(id=promise.id, title=promise.title, section="2", level=Level.IMPLIED, steps=promise.steps, accept=())
    road = Road(target.host, port, promise.source)
    transcript = await drive(case, target, road, TcpWire(road))
    finding = promise.judge(transcript)
    if transcript.ending is Ending.NEVER:
        finding = Finding(Verdict.UNTESTABLE, f"{server.label} could not be reached from {promise.source}")
    events = [EventRecord(at=round(e.at, 4), kind=e.kind, hex=e.data.hex(), note=e.note) for e in transcript.events]
    return PromiseRecord(
        id=promise.id, title=promise.title, verdict=finding.verdict, reason=finding.reason, events=events
    )


def _topology(port: int, check: _Check) -> Listen:
    from proxyspec_haproxy import CheckKind, HostPort, Listen, Listener, ProxyHeader, Server, Settings, Timeouts

    line = Server(
        "smtp",
        HostPort("127.0.0.1", port),
        proxy=ProxyHeader.V1,
        check_proxy=check.header,
        check_port=None if check.header else port,
        inter=INTER,
        rise=1,
        fall=1,
    )
    kind = CheckKind.TCP if check.tcp else CheckKind.SMTP
    listener = Listener("page", (), (line,), kind, extra=("timeout check 1500ms",))
    return Listen((listener,), Settings(timeouts=Timeouts(connect=2.0), nbthread=1, hard_stop=0.5))


def _resets(lines: Sequence[str]) -> tuple[int, int]:
    """Count checks that a server's own log shows to have ended by a reset, and by a FIN in mid-session."""
    reset = sum("ECONNRESET" in line or "EPIPE" in line or '"ending": "rst' in line for line in lines)
    half = sum("half closed" in line or '"ending": "fin' in line for line in lines)
    return reset, half


def _begun(lines: Sequence[str]) -> int:
    return sum(" connect ip=" in line or '"event": "connected"' in line for line in lines)


async def _watch(check: _Check, choice: Choice, server: Started) -> PromiseRecord:
    """Let one HAProxy check the server for a while and see what both say of it."""
    from proxyspec_haproxy import HAProxyError, render_topology

    release = choice.engine.version().release
    port = int(str(server.profile["url"]).rpartition(":")[2])
    start = server.log.stat().st_size
    try:
        text = render_topology(_topology(port, check), choice.engine.version())
        haproxy = await asyncio.to_thread(choice.engine.start, text)
    except HAProxyError as error:
        return _check_record(check, release, Finding(Verdict.UNTESTABLE, f"HAProxy {release} did not run: {error}"), [])
    try:
        status = None
        for _ in range(round(WATCHED / _LOOK)):
            await asyncio.sleep(_LOOK)
            # A check that is under way shows no result: the last one that was finished counts.
            status = await asyncio.to_thread(_status, haproxy) or status
        with server.log.open("rb") as file:
            file.seek(start)
            lines = file.read().decode("utf-8", "replace").splitlines()
    finally:
        await asyncio.shield(asyncio.to_thread(haproxy.stop))
    if status is None:
        return _check_record(check, release, Finding(Verdict.UNTESTABLE, "no check was finished in time"), lines)
    up, said = status
    reset, half = _resets(lines)
    told = f"{said}; the server's log: {_begun(lines)} connections, {reset} resets, {half} ended in mid-session"
    return _check_record(check, release, _verdict(kept=up is check.up, reason=told), lines)


def _check_record(check: _Check, release: str, finding: Finding, lines: Sequence[str]) -> PromiseRecord:
    telling = [line for line in lines if "rror" in line or "half" in line or '"closed"' in line] or list(lines)
    return PromiseRecord(
        id=f"page/check/{check.id}@{release}",
        title=check.title,
        verdict=finding.verdict,
        reason=finding.reason,
        haproxy=release,
        log=telling[:_LOG_LINES],
    )


def _status(haproxy: HAProxy) -> tuple[bool, str] | None:
    row = haproxy.runtime.server("page", "smtp")
    check = row.check
    if check is None or not check.finished:
        return None
    code = f"/{check.code}" if check.code else ""
    return row.up, f"HAProxy says {'UP' if row.up else 'DOWN'} {check.status}{code} {check.last}".strip()


@contextlib.asynccontextmanager
async def _servers(server: str, cache: Path | None, logs: Path) -> AsyncIterator[dict[tuple[str, ...], Started]]:
    """Run one server for each list of proxies a promise wants."""
    async with contextlib.AsyncExitStack() as stack:
        found: dict[tuple[str, ...], Started] = {}
        for number, hosts in enumerate(dict.fromkeys(promise.hosts for promise in PROMISES), 1):
            wish = Wish(server=server, cache=cache, log=logs / f"server-{number}.log", hosts=hosts)
            found[hosts] = await stack.enter_async_context(started(wish))
        yield found


async def check_page(
    server: str,
    choices: Sequence[Choice],
    records: list[PromiseRecord],
    listener: Listener,
    *,
    cache: Path | None,
    logs: Path,
) -> str:
    """Put every promise to the test, and every health check on each HAProxy; `records` gets each as it is found.

    Promises run side by side, so that the whole page takes about one deadline; checks run one after the other, as the
    server's log does not tell them apart. Returns the server's name with its version.

    Raises:
        ServerFailed: the server cannot be had or started.
    """

    def found(record: PromiseRecord) -> None:
        records.append(record)
        listener.found(record)

    async with _servers(server, cache, logs) as running:

        async def look(promise: Promise) -> None:
            one = running[promise.hosts]
            found(await _promise(promise, one, int(str(one.profile["url"]).rpartition(":")[2])))

        async with asyncio.TaskGroup() as group:
            for promise in PROMISES:
                group.create_task(look(promise))
        subject = running[_ONE]
        for choice in choices:
            for check in _CHECKS:
                found(await _watch(check, choice, subject))
    return subject.label
