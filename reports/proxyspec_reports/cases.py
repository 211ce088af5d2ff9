"""One judged case as a reader sees it: what was sent, expected and got, with the bytes as evidence."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import takewhile

from proxyspec.model import Disposition, Ending, EventKind, Source, Verdict, Via
from proxyspec.records import CaseRecord, EventRecord, InvalidRun, TargetRecord
from proxyspec_reports.byhand import by_hand
from proxyspec_reports.hexdump import Annotate, HexDump, differences, dump
from proxyspec_reports.printable import show, show_bytes, show_lines
from proxyspec_reports.strip import Strip, strip

__all__ = ["ENDINGS", "ROADS", "CaseView", "Detail", "Moment", "Prerequisite", "case_view", "prerequisite"]

ENDINGS: Mapping[Ending, str] = {
    Ending.FIN: "server closed (FIN)",
    Ending.RST: "server reset (RST)",
    Ending.OPEN: "still open when proxyspec left",
    Ending.NEVER: "never connected",
}

ROADS: Mapping[Via, str] = {
    Via.DIRECT: "direct",
    Via.RELAY_V1: "HAProxy adds v1",
    Via.RELAY_V2: "HAProxy adds v2",
    Via.CHAIN_V1: "HAProxy reads, sends v1",
    Via.CHAIN_V2: "HAProxy reads, sends v2",
    Via.CHECK: "HAProxy health check",
    Via.PACKETS: "segment by segment",
}

_PROXYSPEC, _SERVER, _NETWORK, _HAPROXY = "proxyspec", "server", "connection", "HAProxy"
_ORACLE, _OTHERS = "oracle", "other connections"
_DID: Mapping[EventKind, tuple[str, str]] = {
    EventKind.CONNECTED: (_NETWORK, "established"),
    EventKind.CONNECT_FAILED: (_NETWORK, "failed"),
    EventKind.SENT: (_PROXYSPEC, "sent"),
    EventKind.RECEIVED: (_SERVER, "sent"),
    EventKind.STEPS_DONE: (_PROXYSPEC, "case's own steps done, probe follows"),
    EventKind.CLIENT_FIN: (_PROXYSPEC, "closed (FIN)"),
    EventKind.CLIENT_RST: (_PROXYSPEC, "reset (RST)"),
    EventKind.TLS_STARTED: (_NETWORK, "TLS from here on"),
    EventKind.TLS_FAILED: (_NETWORK, "TLS handshake failed"),
    EventKind.SERVER_FIN: (_SERVER, "closed (FIN)"),
    EventKind.SERVER_RST: (_SERVER, "reset (RST)"),
    EventKind.GAVE_UP: (_PROXYSPEC, "stopped waiting"),
    EventKind.OBSERVED: (_HAPROXY, "reported"),
    EventKind.SEEN: (_ORACLE, "found its trace"),
    EventKind.BESIDE: (_OTHERS, "beside it: told"),
    EventKind.AFTERWARDS: (_OTHERS, "after it: told"),
    EventKind.CROWD: (_OTHERS, "stood before the server"),
    EventKind.PROCESSOR: (_SERVER, "processor time: seconds used, seconds watched"),
    EventKind.CRASHED: (_SERVER, "a process crashed, says its log"),
}

_SENT_LIMIT = 160
_EVENT_LIMIT = 1024
_SENTENCE_LIMIT = 1000


class Detail(Enum):
    """How much of a case a report has room for."""

    #: Everything, and the bytes compared with the control's.
    COMPARED = "compared"
    #: Everything.
    FULL = "full"
    #: What was sent, expected and got, in a line each; the record holds the rest.
    BRIEF = "brief"


@dataclass(frozen=True, slots=True)
class Moment:
    """One entry of the transcript; `share` places it on the case's own time line, 0 to 1."""

    at: float
    share: float
    who: str
    what: str
    text: str
    note: str


@dataclass(frozen=True, slots=True)
class Prerequisite:
    """A case this one rests on, its control or its premise; `anchor` is None if it did not run.

    `sent` are its own bytes, without the probe.
    """

    id: str
    anchor: str | None
    verdict: Verdict | None
    got: str
    sent: bytes | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class CaseView:
    """One case, every text of it printable; durations in seconds.

    `ran` says whether anything happened between proxyspec and the server; `got_kind` is the outcome without its
    particulars. In brief, the bytes and the transcript are left out.
    """

    detail: Detail
    ran: bool
    anchor: str
    id: str
    title: str
    section: str
    level: str
    road: str
    source: str
    verdict: Verdict
    disposition: Disposition | None
    sent: str
    expected: tuple[str, ...]
    got: str
    got_kind: str
    reason: str
    requirements: tuple[str, ...]
    ending: str
    duration: float
    client: str
    peer: str
    dump: HexDump
    probe_bytes: int
    received: tuple[str, ...]
    received_bytes: int
    dropped: int
    moments: tuple[Moment, ...]
    strip: Strip | None
    control: Prerequisite | None
    premise: Prerequisite | None
    reproduce: str
    by_hand: str | None

    @property
    def group(self) -> str:
        """First part of the id."""
        return self.id.partition("/")[0]


def case_view(
    record: CaseRecord,
    *,
    anchor: str,
    control: Prerequisite | None,
    premise: Prerequisite | None,
    target: TargetRecord,
    annotate: Annotate,
    detail: Detail = Detail.FULL,
) -> CaseView:
    """Prepare one case, in as much detail as there is room for.

    Raises:
        InvalidRun: bytes of the record are not hexadecimal; the message names the case and the field.
    """
    sent = _bytes(record, "sent", record.sent)
    received = _bytes(record, "received", record.received)
    segments = _own_segments(record)
    own = b"".join(data for _, data in segments)
    brief = detail is Detail.BRIEF
    marked: frozenset[int] = frozenset()
    if detail is Detail.COMPARED and control is not None and control.sent:
        marked = differences(own, control.sent)
    return CaseView(
        detail=detail,
        ran=bool(record.events),
        anchor=anchor,
        id=show(record.id, 200),
        title=show(record.title, _SENTENCE_LIMIT),
        section=_section(show(record.section, 200)),
        level=str(record.level),
        road=ROADS[record.via],
        source=f"{record.source} peer",
        verdict=record.verdict,
        disposition=record.disposition,
        sent=show_bytes(own, _SENT_LIMIT) if own else "nothing",
        expected=tuple(show(words, 200) for words in record.accepts),
        got=_got(record),
        got_kind=str(record.outcome.kind) if record.outcome else "did not run",
        reason=show(record.reason, _SENTENCE_LIMIT),
        requirements=tuple(show(name, 200) for name in record.requirements),
        ending=ENDINGS[record.ending],
        duration=record.duration,
        client=show(record.client or "", 200),
        peer=show(record.peer or "", 200),
        dump=HexDump((), len(own), len(own)) if brief else dump(own, annotate, marked=marked),
        probe_bytes=max(len(sent) - len(own), 0),
        received=() if brief else show_lines(received),
        received_bytes=len(received) + record.dropped,
        dropped=record.dropped,
        moments=() if brief else _moments(record),
        strip=strip(record.events, target.header_timeout) if detail is Detail.COMPARED else None,
        control=control,
        premise=premise,
        reproduce=show(record.reproduce, _SENTENCE_LIMIT),
        by_hand=_by_hand(record, segments, target),
    )


def prerequisite(name: str | None, cases: Mapping[str, tuple[str, CaseRecord]]) -> Prerequisite | None:
    """Look up a control or premise, if there is one, among the cases of the run, given by id with their anchors."""
    if name is None:
        return None
    if name not in cases:
        return Prerequisite(show(name, 200), None, None, "did not run")
    anchor, record = cases[name]
    sent = b"".join(data for _, data in _own_segments(record))
    return Prerequisite(show(record.id, 200), anchor, record.verdict, _got(record), sent)


def _own_segments(record: CaseRecord) -> list[tuple[float, bytes]]:
    """Return what the case itself sent, piece by piece with its time: the probe that follows is not part of it."""
    return [
        (event.at, _bytes(record, "events", event.hex))
        for event in takewhile(lambda event: event.kind is not EventKind.STEPS_DONE, record.events)
        if event.kind is EventKind.SENT
    ]


def _got(record: CaseRecord) -> str:
    return show(record.outcome.text, 500) if record.outcome else "did not run"


def _section(text: str) -> str:
    return f"section {text}" if text[:1].isdigit() else text


def _bytes(record: CaseRecord, field: str, digits: str) -> bytes:
    try:
        return bytes.fromhex(digits)
    except ValueError as error:
        raise InvalidRun(
            f"case {show(record.id, 200)}: `{field}` holds {show(digits, 40)!r}, which is not hexadecimal; was the "
            "record edited by hand? Run the case again."
        ) from error


def _moments(record: CaseRecord) -> tuple[Moment, ...]:
    last = max((event.at for event in record.events), default=0.0)
    return tuple(_moment(record, event, last) for event in record.events)


def _moment(record: CaseRecord, event: EventRecord, last: float) -> Moment:
    who, what = _DID[event.kind]
    data = _bytes(record, "events", event.hex)
    return Moment(
        at=event.at,
        share=min(max(event.at / last, 0.0), 1.0) if last > 0 else 0.0,
        who=who,
        what=f"{what} {len(data):,} byte{'' if len(data) == 1 else 's'}" if data else what,
        text=show_bytes(data, _EVENT_LIMIT),
        note=show(event.note, _SENTENCE_LIMIT),
    )


def _by_hand(record: CaseRecord, segments: Sequence[tuple[float, bytes]], target: TargetRecord) -> str | None:
    # Through HAProxy the bytes go to a listener that is gone when the run is over.
    if record.via is not Via.DIRECT or record.ending is Ending.NEVER:
        return None
    source = target.trusted_source if record.source is Source.TRUSTED else target.untrusted_source
    line = by_hand(target.url, segments, source)
    return None if line is None else show(line)
