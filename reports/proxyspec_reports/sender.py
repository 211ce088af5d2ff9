"""A sender run as a reader sees it: settings against versions, and the bytes of each header field by field."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar

from proxyspec.model import Verdict
from proxyspec.records import InvalidRun
from proxyspec.records.sender import SenderRecord, SenderRun
from proxyspec_reports.conformance import PROBLEMS
from proxyspec_reports.facts import RunFacts, run_facts
from proxyspec_reports.hexdump import Annotate, HexDump, dump
from proxyspec_reports.printable import show

__all__ = ["SenderCell", "SenderSetting", "SenderView", "sender_view"]

_LIMIT = 500
#: Ends of a connection within a header's text, which differ from run to run.
_ENDS = re.compile(r" \S+:\S+ > \S+:\S+")
_NUMBER = re.compile(r"[0-9]+")


@dataclass(frozen=True, slots=True)
class SenderCell:
    """One setting on one sender; `short` is its header where that differs from the row's."""

    verdict: Verdict
    short: str


@dataclass(frozen=True, slots=True)
class SenderFinding:
    """A rule that was broken."""

    verdict: Verdict
    rule: str
    #: Where the rule stands.
    section: str
    sentence: str
    words: str


@dataclass(frozen=True, slots=True)
class SenderEvidence:
    """A header that several senders sent alike but for addresses and ports; the bytes are the last one's."""

    senders: tuple[str, ...]
    verdict: Verdict
    header: str
    reason: str
    #: How it arrived, in words.
    arrival: str
    findings: tuple[SenderFinding, ...]
    dump: HexDump


@dataclass(frozen=True, slots=True)
class SenderSetting:
    """One row of the table with its evidence; `cells` are in the order of the columns, None where nothing was tried."""

    anchor: str
    id: str
    title: str
    directives: tuple[str, ...]
    visitor: str
    expected: tuple[str, ...]
    #: The header without its addresses, as most of them sent it.
    header: str
    cells: tuple[SenderCell | None, ...]
    evidence: tuple[SenderEvidence, ...]

    @property
    def worst(self) -> Verdict | None:
        """The verdict a reader should see first; None where all is well."""
        verdicts = {cell.verdict for cell in self.cells if cell is not None}
        return next((verdict for verdict in PROBLEMS if verdict in verdicts), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class SenderView:
    """The sender table."""

    template: ClassVar[str] = "_sender.html.j2"
    name: ClassVar[str] = "Senders"
    facts: RunFacts
    senders: tuple[str, ...]
    settings: tuple[SenderSetting, ...]
    skipped: tuple[str, ...]
    #: Headers whose every byte was there at the first look, as the kernel counted one segment; of all headers read.
    in_one_segment: int
    in_first_look: int
    headers: int


def sender_view(run: SenderRun, anchor: str, annotate: Annotate) -> SenderView:
    """Prepare one run; element ids begin with `anchor`.

    Raises:
        InvalidRun: bytes of a row are not hexadecimal; the message names the row.
    """
    senders = tuple(dict.fromkeys(row.sender for row in run.rows))
    of_setting: dict[str, list[SenderRecord]] = {}
    for row in run.rows:
        of_setting.setdefault(row.setting, []).append(row)
    read = [row for row in run.rows if row.size]
    whole = [row for row in read if row.first >= row.size]
    return SenderView(
        facts=run_facts(run, anchor),
        senders=tuple(show(sender, _LIMIT) for sender in senders),
        settings=tuple(
            _setting(rows, senders, f"{anchor}-sender-{number}", annotate)
            for number, rows in enumerate(of_setting.values(), 1)
        ),
        skipped=tuple(show(words, _LIMIT) for words in run.skipped),
        in_one_segment=sum(row.segments == 1 for row in whole),
        in_first_look=len(whole),
        headers=len(read),
    )


def _setting(rows: Sequence[SenderRecord], senders: Iterable[str], anchor: str, annotate: Annotate) -> SenderSetting:
    by_sender = {row.sender: row for row in rows}
    alike: dict[tuple[str, ...], list[SenderRecord]] = {}
    for row in rows:
        alike.setdefault(_shape(row), []).append(row)
    newest = rows[-1]
    shorts = Counter(_short(row) for row in rows if row.header is not None)
    header = shorts.most_common(1)[0][0] if shorts else ""
    return SenderSetting(
        anchor=anchor,
        id=show(newest.setting, _LIMIT),
        title=show(newest.title, _LIMIT),
        directives=tuple(show(line, _LIMIT) for line in newest.directives),
        visitor=show(newest.visitor, _LIMIT),
        expected=tuple(dict.fromkeys(show(row.expected, _LIMIT) for row in rows)),
        header=header,
        cells=tuple(_cell(by_sender.get(sender), header) for sender in senders),
        evidence=tuple(_evidence(group, annotate) for group in alike.values()),
    )


def _shape(row: SenderRecord) -> tuple[str, ...]:
    # Addresses and ports differ everywhere, and with them the length of a version 1 line.
    size = "" if (row.header or "").startswith("v1") else str(row.size)
    return (row.verdict, _NUMBER.sub("#", row.header or ""), _NUMBER.sub("#", row.reason), size, str(row.segments))


def _short(row: SenderRecord) -> str:
    return show(_ENDS.sub("", row.header), _LIMIT) if row.header is not None else ""


def _cell(row: SenderRecord | None, header: str) -> SenderCell | None:
    if row is None:
        return None
    short = _short(row)
    return SenderCell(row.verdict, "" if short == header else short or "no header" if row.peer is not None else "")


def _evidence(rows: Sequence[SenderRecord], annotate: Annotate) -> SenderEvidence:
    row = rows[-1]
    try:
        data = bytes.fromhex(row.hex)
    except ValueError as error:
        raise InvalidRun(
            f"row {row.id[:200]!r}: its bytes are not hexadecimal; was the record edited by hand? Run it again."
        ) from error
    return SenderEvidence(
        senders=tuple(show(each.sender, _LIMIT) for each in rows),
        verdict=row.verdict,
        header=show(row.header, _LIMIT) if row.header is not None else "no header",
        reason=show(row.reason, _LIMIT),
        arrival=_arrival(row),
        findings=tuple(
            SenderFinding(
                one.verdict,
                show(one.rule, _LIMIT),
                "the setting" if one.section == "setting" else f"section {show(one.section, _LIMIT)}",
                show(one.sentence, _LIMIT),
                show(one.words, _LIMIT),
            )
            for one in row.findings
        ),
        dump=dump(data, annotate),
    )


def _arrival(row: SenderRecord) -> str:
    if row.after is None:
        return "no byte came"
    counted = {None: "segments not counted", 1: "in one segment"}.get(row.segments, f"in {row.segments} segments")
    part = f"{min(row.first, row.size)} of {row.size} bytes" if row.size else f"{row.first} bytes"
    return f"{part} at the first look, {row.after * 1000:.2f} ms after accept, {counted}"
