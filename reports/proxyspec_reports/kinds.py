"""Which way a format writes a run: by its cases, by its thresholds, or by the rows of any other kind."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from proxyspec.records import ConformanceRun, LoadRun, Run, ScenarioRun

__all__ = ["by_kind"]

_T = TypeVar("_T")


def by_kind(
    run: Run,
    conformance: Callable[[ConformanceRun], _T],
    load: Callable[[LoadRun], _T],
    scenario: Callable[[ScenarioRun], _T],
) -> _T:
    """Return what the function for this kind of run makes of it."""
    match run:
        case ConformanceRun():
            return conformance(run)
        case LoadRun():
            return load(run)
        case _:
            return scenario(run)
