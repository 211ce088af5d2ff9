"""A look at somebody's own haproxy.cfg as a reader sees it: findings by line, then what a trial showed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from proxyspec.model import Verdict
from proxyspec.records.haproxy_file import (
    AcceptanceRecord,
    FindingRecord,
    HAProxyFileRun,
    TriedBindRecord,
    TriedServerRecord,
)
from proxyspec_reports.facts import RunFacts, run_facts
from proxyspec_reports.printable import show

__all__ = ["BindView", "FileView", "FindingView", "ServerView", "haproxy_file_view"]

_LIMIT = 1000
_SHORT = 200


@dataclass(frozen=True, slots=True)
class AcceptanceView:
    """What one HAProxy says of the file as a whole."""

    verdict: Verdict
    title: str
    reason: str


@dataclass(frozen=True, slots=True)
class FindingView:
    """One finding; `versions` is empty when it is true of every release asked."""

    place: str
    verdict: Verdict
    what: str
    why: str
    remedy: str
    rule: str
    text: str
    versions: str


@dataclass(frozen=True, slots=True)
class ServerView:
    """One server of a trial."""

    place: str
    name: str
    verdict: Verdict
    reason: str
    status: str
    check: str
    after: str
    connections: int
    headers: str
    headerless: int
    resets: int
    endings: str
    messages: int


@dataclass(frozen=True, slots=True)
class BindView:
    """One address of a trial."""

    place: str
    name: str
    verdict: Verdict
    reason: str


@dataclass(frozen=True, slots=True)
class ChangeView:
    """What was changed for the trial."""

    place: str
    what: str


@dataclass(frozen=True, slots=True, kw_only=True)
class FileView:
    """All of a run, in the order of the file."""

    template: ClassVar[str] = "_haproxy_file.html.j2"
    name: ClassVar[str] = "haproxy.cfg"
    facts: RunFacts
    services: str
    accepted: tuple[AcceptanceView, ...]
    findings: tuple[FindingView, ...]
    servers: tuple[ServerView, ...]
    binds: tuple[BindView, ...]
    changes: tuple[ChangeView, ...]


def haproxy_file_view(run: HAProxyFileRun, anchor: str) -> FileView:
    """Prepare one run; element ids begin with `anchor`."""
    return FileView(
        facts=run_facts(run, anchor),
        services=show(", ".join(run.services), _LIMIT),
        accepted=tuple(map(_acceptance, run.accepted)),
        findings=tuple(map(_finding, run.findings)),
        servers=tuple(map(_server, run.servers)),
        binds=tuple(map(_bind, run.binds)),
        changes=tuple(
            ChangeView(_place(change.file, change.line), show(change.what, _LIMIT)) for change in run.changes
        ),
    )


def _place(file: str, line: int) -> str:
    return f"{show(file, _SHORT)}:{line}"


def _counts(counted: Mapping[str, int]) -> str:
    return "; ".join(f"{count} × {show(words, _SHORT)}" for words, count in counted.items())


def _acceptance(record: AcceptanceRecord) -> AcceptanceView:
    return AcceptanceView(record.verdict, show(record.title, _LIMIT), show(record.reason, _LIMIT))


def _finding(record: FindingRecord) -> FindingView:
    return FindingView(
        place=_place(record.file, record.line),
        verdict=record.verdict,
        what=show(record.title, _LIMIT),
        why=show(record.reason, _LIMIT),
        remedy=show(record.remedy, _LIMIT),
        rule=show(record.rule, _SHORT),
        text=show(record.text, _LIMIT),
        versions=show(", ".join(record.versions), _SHORT),
    )


def _server(record: TriedServerRecord) -> ServerView:
    return ServerView(
        place=_place(record.file, record.line),
        name=show(f"{record.proxy}/{record.server}", _SHORT),
        verdict=record.verdict,
        reason=show(record.reason, _LIMIT),
        status=show(record.status, _SHORT),
        check=show(record.check, _LIMIT),
        after="never" if record.seconds is None else f"{record.seconds:.1f} s",
        connections=record.connections,
        headers=_counts(record.headers),
        headerless=record.headerless,
        resets=record.resets,
        endings=_counts(record.endings),
        messages=record.messages,
    )


def _bind(record: TriedBindRecord) -> BindView:
    return BindView(
        place=_place(record.file, record.line),
        name=show(f"{record.proxy} {record.address}", _SHORT),
        verdict=record.verdict,
        reason=show(record.reason, _LIMIT),
    )
