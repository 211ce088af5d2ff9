"""The report as data: answers first, then one section per run. No HTML, no files, no clock."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from proxyspec.records import ConformanceRun, LoadRun
from proxyspec_reports.answer import Answer, answer
from proxyspec_reports.conformance import ConformanceView, conformance_view
from proxyspec_reports.hexdump import Annotate, no_annotation
from proxyspec_reports.load import LoadView, load_view

__all__ = ["ReportView", "view"]


@dataclass(frozen=True, slots=True)
class ReportView:
    """Everything a report shows: one answer per target, one section per run, in the order of the runs."""

    answers: tuple[Answer, ...]
    sections: tuple[ConformanceView | LoadView, ...]


def view(runs: Sequence[ConformanceRun | LoadRun], *, annotate: Annotate = no_annotation) -> ReportView:
    """Prepare the report on `runs`.

    Args:
        runs: records of any kinds and targets; none at all makes a report that says so.
        annotate: names the fields of the bytes a case sent, for the hexdumps.

    Raises:
        InvalidRun: bytes of a record are not hexadecimal; the message names the case.
    """
    by_target: dict[str, list[ConformanceRun | LoadRun]] = {}
    for run in runs:
        by_target.setdefault(run.target.url, []).append(run)
    return ReportView(
        answers=tuple(answer(target, of_target) for target, of_target in by_target.items()),
        sections=tuple(
            conformance_view(run, f"run-{number}", annotate)
            if isinstance(run, ConformanceRun)
            else load_view(run, f"run-{number}")
            for number, run in enumerate(runs, 1)
        ),
    )
