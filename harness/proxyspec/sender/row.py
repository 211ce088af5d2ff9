"""A judged arrival in the words of the run record."""

from __future__ import annotations

from dataclasses import dataclass

from proxyspec.model import Ending, Verdict
from proxyspec.records.sender import FindingRecord, SenderRecord
from proxyspec.sender.arrival import Arrival
from proxyspec.sender.judge import Judged

__all__ = ["Heading", "row", "unjudged"]

#: Bytes of a connection that go into its record where something is wrong: the header and what stands around it.
_KEPT = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Heading:
    """What a row is about, whatever came of it; the fields are those of the record."""

    id: str
    title: str
    setting: str
    sender: str
    expected: str
    directives: tuple[str, ...] = ()
    visitor: str = ""


def row(heading: Heading, judged: Judged, arrival: Arrival) -> SenderRecord:
    """Record one judged connection."""
    first = arrival.looks[0] if arrival.looks else None
    header = judged.header
    # What the client said behind the header is evidence only where something is wrong.
    sound = header is not None and judged.verdict in (Verdict.PASS, Verdict.WARN)
    return SenderRecord(
        id=heading.id,
        title=heading.title,
        verdict=judged.verdict,
        reason=judged.reason,
        setting=heading.setting,
        sender=heading.sender,
        directives=list(heading.directives),
        visitor=heading.visitor,
        expected=heading.expected,
        header=None if header is None else str(header),
        hex=arrival.data[: header.size if sound and header is not None else _KEPT].hex(),
        size=0 if header is None else header.size,
        first=0 if first is None else len(first.data),
        segments=None if first is None else first.segments,
        after=None if first is None else round(first.at, 5),
        peer=f"{arrival.peer.address} {arrival.peer.port}",
        ending=arrival.ending,
        findings=[
            FindingRecord(
                rule=one.rule.id,
                section=one.rule.section,
                level=one.rule.level,
                sentence=one.rule.sentence,
                verdict=one.verdict,
                words=one.words,
            )
            for one in judged.findings
        ],
    )


def unjudged(heading: Heading, verdict: Verdict, reason: str) -> SenderRecord:
    """Record that nothing came that could be judged."""
    return SenderRecord(
        id=heading.id,
        title=heading.title,
        verdict=verdict,
        reason=reason,
        setting=heading.setting,
        sender=heading.sender,
        directives=list(heading.directives),
        visitor=heading.visitor,
        expected=heading.expected,
        header=None,
        hex="",
        size=0,
        first=0,
        segments=None,
        after=None,
        peer=None,
        ending=Ending.NEVER,
    )
