"""A run of scenarios as a reader sees it where its kind has no section of its own: row by row."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from proxyspec.model import Verdict
from proxyspec.records import ScenarioRun
from proxyspec_reports.facts import RunFacts, run_facts
from proxyspec_reports.printable import show

__all__ = ["RowView", "ScenarioView", "scenario_view"]

_LIMIT = 500


@dataclass(frozen=True, slots=True)
class RowView:
    """One judged row."""

    id: str
    title: str
    verdict: Verdict
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ScenarioView:
    """The rows of a run, in the run's own order."""

    template: ClassVar[str] = "_scenario.html.j2"
    name: ClassVar[str] = "Scenarios"
    facts: RunFacts
    rows: tuple[RowView, ...]


def scenario_view(run: ScenarioRun, anchor: str) -> ScenarioView:
    """Prepare one run; element ids begin with `anchor`."""
    return ScenarioView(
        facts=run_facts(run, anchor),
        rows=tuple(
            RowView(show(row.id, _LIMIT), show(row.title, _LIMIT), row.verdict, show(row.reason, _LIMIT))
            for row in run.judged
        ),
    )
