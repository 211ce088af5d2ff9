"""The report as data: answers first, then one section per run. No HTML, no files, no clock."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from proxyspec.records import ConformanceRun, LoadRun, Run
from proxyspec_reports.answer import Answer, answers
from proxyspec_reports.conformance import conformance_view
from proxyspec_reports.facts import RunFacts
from proxyspec_reports.hexdump import Annotate, no_annotation
from proxyspec_reports.load import load_view
from proxyspec_reports.scenario import scenario_view

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


@dataclass(frozen=True, slots=True)
class ReportView:
    """Everything a report shows: answers first, then one section per run, in the order of the runs."""

    answers: tuple[Answer, ...]
    sections: tuple[Section, ...]


def view(runs: Sequence[Run], *, annotate: Annotate = no_annotation) -> ReportView:
    """Prepare the report on `runs`.

    Args:
        runs: records of any kinds and targets; none at all makes a report that says so.
        annotate: names the fields of the bytes a case sent, for the hexdumps.

    Raises:
        InvalidRun: bytes of a record are not hexadecimal; the message names the case.
    """
    return ReportView(
        answers=answers(runs),
        sections=tuple(_section(run, f"run-{number}", annotate) for number, run in enumerate(runs, 1)),
    )


def _section(run: Run, anchor: str, annotate: Annotate) -> Section:
    match run:
        case ConformanceRun():
            return conformance_view(run, anchor, annotate)
        case LoadRun():
            return load_view(run, anchor)
        case _:
            return scenario_view(run, anchor)
