"""A health-check run as a reader sees it: checks against HAProxies, and the evidence of each check."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from proxyspec.model import EventKind, Verdict
from proxyspec.records import EventRecord, InvalidRun
from proxyspec.records.checks import CheckRecord, ChecksRun
from proxyspec_reports.conformance import PROBLEMS
from proxyspec_reports.facts import RunFacts, run_facts
from proxyspec_reports.hexdump import Annotate, HexDump, dump
from proxyspec_reports.printable import show, show_bytes

__all__ = ["CheckCell", "CheckLine", "CheckRow", "ChecksView", "checks_view"]

_LIMIT = 500
#: Bytes of one thing said that are shown.
_SAID = 200
_WHO = {
    EventKind.CONNECTED: "HAProxy connects",
    EventKind.RECEIVED: "HAProxy says",
    EventKind.SENT: "the server says",
    EventKind.CLIENT_FIN: "HAProxy ends the connection (FIN)",
    EventKind.CLIENT_RST: "HAProxy resets the connection (RST)",
    EventKind.SERVER_FIN: "the server ends the connection (FIN)",
}


@dataclass(frozen=True, slots=True)
class CheckCell:
    """One check on one HAProxy, in short; `seconds` and `resets` (per 100 checks) as text, empty where unknown."""

    verdict: Verdict
    state: str
    result: str
    seconds: str
    resets: str


@dataclass(frozen=True, slots=True)
class CheckLine:
    """One thing that happened on the recorded connection, with its bytes made visible."""

    at: str
    who: str
    said: str


@dataclass(frozen=True, slots=True)
class CheckEvidence:
    """What several HAProxies did alike; connection, fields and log are the last one's."""

    haproxies: tuple[str, ...]
    verdict: Verdict
    reason: str
    also: tuple[str, ...]
    #: More than 1: earlier looks deviated.
    looks: int
    endings: str
    lines: tuple[CheckLine, ...]
    dump: HexDump
    fields: tuple[tuple[str, str], ...]
    log: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class CheckRow:
    """One row of the table, with its evidence; `cells` are in the order of the columns, None where nothing was run."""

    anchor: str
    check: str
    proxy: str
    title: str
    server: str
    expected: tuple[str, ...]
    directives: tuple[str, ...]
    cells: tuple[CheckCell | None, ...]
    evidence: tuple[CheckEvidence, ...]

    @property
    def worst(self) -> Verdict | None:
        """The verdict a reader should see first; None where all is well."""
        verdicts = {cell.verdict for cell in self.cells if cell is not None}
        return next((verdict for verdict in PROBLEMS if verdict in verdicts), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class ChecksView:
    """The health-check table."""

    template: ClassVar[str] = "_checks.html.j2"
    name: ClassVar[str] = "Health checks"
    facts: RunFacts
    haproxies: tuple[str, ...]
    rows: tuple[CheckRow, ...]
    skipped: tuple[str, ...]


def checks_view(run: ChecksRun, anchor: str, annotate: Annotate) -> ChecksView:
    """Prepare one run; element ids begin with `anchor`.

    Raises:
        InvalidRun: bytes of a row are not hexadecimal; the message names the row.
    """
    haproxies = tuple(dict.fromkeys(row.haproxy for row in run.rows))
    by_row: dict[tuple[str, str], list[CheckRecord]] = {}
    for row in run.rows:
        by_row.setdefault((row.check, row.proxy), []).append(row)
    return ChecksView(
        facts=run_facts(run, anchor),
        haproxies=tuple(show(haproxy, _LIMIT) for haproxy in haproxies),
        rows=tuple(
            _row(rows, haproxies, f"{anchor}-check-{number}", annotate)
            for number, rows in enumerate(by_row.values(), 1)
        ),
        skipped=tuple(show(words, _LIMIT) for words in run.skipped),
    )


def _row(rows: Sequence[CheckRecord], haproxies: Sequence[str], anchor: str, annotate: Annotate) -> CheckRow:
    by_haproxy = {row.haproxy: row for row in rows}
    alike: dict[tuple[object, ...], list[CheckRecord]] = {}
    for row in rows:
        alike.setdefault(_shape(row), []).append(row)
    newest = rows[-1]
    return CheckRow(
        anchor=anchor,
        check=show(newest.check, _LIMIT),
        proxy=show(newest.proxy, _LIMIT),
        title=show(newest.title, _LIMIT),
        server=show(newest.server, _LIMIT),
        expected=tuple(dict.fromkeys(_expected(row) for row in rows)),
        directives=tuple(show(line, _LIMIT) for line in newest.directives),
        cells=tuple(_cell(by_haproxy.get(haproxy)) for haproxy in haproxies),
        evidence=tuple(_evidence(group, annotate) for group in alike.values()),
    )


def _shape(row: CheckRecord) -> tuple[object, ...]:
    """Return what makes two HAProxies differ: not the counts, which depend on the machine's pace."""
    most = next(iter(row.endings), "")
    return (row.verdict, row.up, row.result, most, tuple(event.kind for event in row.events))


def _expected(row: CheckRecord) -> str:
    wanted = row.expected
    if wanted.up is None:
        return f"{show(wanted.opening, _LIMIT)}; what is reported differs from check to check"
    state = "UP" if wanted.up else "DOWN"
    results = show(" or ".join(wanted.results), _LIMIT)
    return f"{state} with {results}; begins with: {show(wanted.opening, _LIMIT)}; resets: {show(wanted.resets, _LIMIT)}"


def _state(row: CheckRecord) -> str:
    return {True: "UP", False: "DOWN", None: "nothing reported"}[row.up]


def _cell(row: CheckRecord | None) -> CheckCell | None:
    if row is None:
        return None
    return CheckCell(
        verdict=row.verdict,
        state=_state(row),
        result=show(row.result or "", _LIMIT),
        seconds="" if row.seconds is None else f"{row.seconds:.1f} s",
        resets="" if row.per_hundred is None else f"{row.per_hundred:.0f}",
    )


def _evidence(rows: Sequence[CheckRecord], annotate: Annotate) -> CheckEvidence:
    row = rows[-1]
    received = b"".join(_bytes(row, event) for event in row.events if event.kind is EventKind.RECEIVED)
    endings = ", ".join(f"{count} {show(ending, _LIMIT)}" for ending, count in row.endings.items())
    return CheckEvidence(
        haproxies=tuple(show(each.haproxy, _LIMIT) for each in rows),
        verdict=row.verdict,
        reason=show(row.reason, _LIMIT),
        also=tuple(show(words, _LIMIT) for words in row.also),
        looks=row.attempts,
        endings=endings or "none",
        lines=tuple(
            CheckLine(
                f"{event.at * 1000:.1f} ms", _WHO.get(event.kind, event.kind), show_bytes(_bytes(row, event), _SAID)
            )
            for event in row.events
        ),
        dump=dump(received, annotate),
        fields=tuple((show(name, _LIMIT), show(value, _LIMIT)) for name, value in row.fields.items()),
        log=tuple(show(line, _LIMIT) for line in row.log),
    )


def _bytes(row: CheckRecord, event: EventRecord) -> bytes:
    try:
        return bytes.fromhex(event.hex)
    except ValueError as error:
        raise InvalidRun(
            f"row {row.id[:200]!r}: its bytes are not hexadecimal; was the record edited by hand? Run it again."
        ) from error
