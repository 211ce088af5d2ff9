"""The report as data: answers first, then one section per run. No HTML, no files, no clock."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from proxyspec.model import Disposition
from proxyspec.records import ConformanceRun, LoadRun, Run
from proxyspec.records.checks import ChecksRun
from proxyspec.records.haproxy_file import HAProxyFileRun
from proxyspec.records.mutants import MutantsRun
from proxyspec.records.sender import SenderRun
from proxyspec.records.traffic import TrafficRun
from proxyspec_reports.answer import Answer, answers
from proxyspec_reports.attachment import Attachment
from proxyspec_reports.changes import Changed, LoadComparison, changes, load_comparisons
from proxyspec_reports.checks import checks_view
from proxyspec_reports.conformance import PROBLEMS, Room, conformance_view
from proxyspec_reports.facts import RunFacts
from proxyspec_reports.haproxy_file import haproxy_file_view
from proxyspec_reports.hexdump import Annotate, no_annotation
from proxyspec_reports.load import load_view
from proxyspec_reports.matrix import Matrix, matrix
from proxyspec_reports.mutants import mutants_view
from proxyspec_reports.scenario import scenario_view
from proxyspec_reports.sender import sender_view
from proxyspec_reports.traffic import traffic_view

__all__ = ["ReportView", "Section", "view"]


class Section(Protocol):
    """What the page needs of a section; `template` draws it, `name` is its kind in one word."""

    @property
    def facts(self) -> RunFacts:
        """Head of the section."""

    @property
    def template(self) -> str:
        """File name among the templates."""

    @property
    def name(self) -> str:
        """Kind of run, for the navigation."""


#: Cases of one report that show all their evidence because something is wrong with them.
MOST_PROBLEMS = 800
#: Beyond this many cases in one report, those without a problem show none: the run's record has it.
MOST_QUIET = 2500
#: Beyond this many cases in one report, what is far from the eye is laid out when somebody comes near.
MOST_AT_ONCE = 1500
#: Beyond this many conformance runs, cases are listed in the matrix of all runs only.
MOST_LISTED = 3


@dataclass(frozen=True, slots=True)
class ReportView:
    """Everything a report shows: answers, what several runs say together, one section per run in the order of the runs.

    `attachments` go with the sections; `dispositions` are those that some case has; `long` says that the
    page is too long to be laid out at once.
    """

    answers: tuple[Answer, ...]
    matrix: Matrix | None
    changes: tuple[Changed, ...]
    load_comparisons: tuple[LoadComparison, ...]
    sections: tuple[Section, ...]
    attachments: tuple[tuple[Attachment, ...], ...]
    dispositions: tuple[Disposition, ...]
    long: bool


def view(
    runs: Sequence[Run],
    *,
    annotate: Annotate = no_annotation,
    attachments: Sequence[Sequence[Attachment]] = (),
) -> ReportView:
    """Prepare the report on `runs`.

    Args:
        runs: records of any kinds and targets; none at all makes a report that says so.
        annotate: names the fields of the bytes a case sent, for the hexdumps.
        attachments: files of each run's directory, in the order of the runs.

    Raises:
        InvalidRun: bytes of a record are not hexadecimal; the message names the case.
    """
    room = _room(runs)
    named = [(f"run-{number}", run) for number, run in enumerate(runs, 1)]
    return ReportView(
        answers=answers(runs),
        matrix=_matrix([(anchor, run) for anchor, run in named if isinstance(run, ConformanceRun)], room),
        changes=changes(runs),
        load_comparisons=load_comparisons(runs),
        sections=tuple(_section(run, anchor, annotate, room) for anchor, run in named),
        attachments=tuple(map(tuple, attachments)) or ((),) * len(runs),
        dispositions=_dispositions(runs),
        long=sum(len(run.cases) for run in runs if isinstance(run, ConformanceRun)) > MOST_AT_ONCE,
    )


def _dispositions(runs: Sequence[Run]) -> tuple[Disposition, ...]:
    found = {case.disposition for run in runs if isinstance(run, ConformanceRun) for case in run.cases}
    return tuple(kind for kind in Disposition if kind in found)


def _room(runs: Sequence[Run]) -> Room:
    conformance = [run for run in runs if isinstance(run, ConformanceRun)]
    return Room(
        problems=MOST_PROBLEMS // max(len(conformance), 1),
        quiet=sum(len(run.cases) for run in conformance) <= MOST_QUIET,
        listed=len(conformance) <= MOST_LISTED,
    )


def _matrix(runs: Sequence[tuple[str, ConformanceRun]], room: Room) -> Matrix | None:
    """Set runs side by side unless all are of one server behind one HAProxy: then what changed is told instead."""
    haproxies = [run.environment.haproxy for _, run in runs]
    versions = [None if haproxy is None else haproxy.version for haproxy in haproxies]
    names = [run.target.name or run.target.url for _, run in runs]
    if len(set(zip(names, versions, strict=True))) < 2:
        return None
    return matrix(runs, [_with_evidence(run, room) for _, run in runs])


def _with_evidence(run: ConformanceRun, room: Room) -> frozenset[str]:
    """Return the cases a reader can be led to: every problem has a place, others where cases are listed."""
    return frozenset(case.id for case in run.cases if case.verdict in PROBLEMS or room.listed)


def _section(run: Run, anchor: str, annotate: Annotate, room: Room) -> Section:
    match run:
        case ConformanceRun():
            return conformance_view(run, anchor, annotate, room)
        case LoadRun():
            return load_view(run, anchor)
        case TrafficRun():
            return traffic_view(run, anchor)
        case ChecksRun():
            return checks_view(run, anchor, annotate)
        case MutantsRun():
            return mutants_view(run, anchor)
        case SenderRun():
            return sender_view(run, anchor, annotate)
        case HAProxyFileRun():
            return haproxy_file_view(run, anchor)
        case _:
            return scenario_view(run, anchor)
