"""What a plot shows, before it is drawn: lines over time or over something else, and the same as a table."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["SECONDS", "Line", "Panel", "Plot"]

#: Name of the axis that all plots over time share.
SECONDS = "seconds since the load began"


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a plot: (seconds, value) pairs; None leaves a gap."""

    name: str
    points: tuple[tuple[float, float | None], ...]


@dataclass(frozen=True, slots=True)
class Plot:
    """Lines that share both axes; `axis` names x, which ends at `until`, if that is given."""

    title: str
    unit: str
    lines: tuple[Line, ...]
    axis: str = SECONDS
    until: float | None = None


@dataclass(frozen=True, slots=True)
class Panel:
    """A plot and its figures as a table of text; the first column heads the rows. `remark` is said below the plot."""

    plot: Plot
    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]
    remark: str | None = None
