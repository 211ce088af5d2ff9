"""The record of a matrix: which server was judged or loaded behind what, where its runs are, why a cell is empty."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from proxyspec.model import Verdict
from proxyspec.records.base import JudgedRecord, ScenarioRun

__all__ = ["CellRecord", "MatrixRun"]


class CellRecord(JudgedRecord):
    """One cell: PASS where there is a run of every repetition, whatever was found, UNTESTABLE where there is none.

    FAIL where their verdicts differ, or a load came to nothing in one of them.
    """

    server: str = Field(description="the server, as the matrix file calls it")
    version: str | None = Field(description="its version; null: not known")
    haproxy: str | None = Field(description="the HAProxy in front, as the matrix file calls it; null: none")
    runs: list[str] = Field(description="run directories of its repetitions, relative to this one")
    counts: dict[Verdict, int] = Field(default={}, description="cases of the first repetition by verdict")
    unsteady: dict[str, list[Verdict]] = Field(
        default={}, description="cases whose verdict differs between repetitions: the verdict of each, in turn"
    )
    seconds: float = Field(description="from the server's start to its end, seconds")
    kept: bool = Field(default=False, description="it was there from an earlier run of the same matrix")


class MatrixRun(ScenarioRun):
    """What `proxyspec matrix` and `proxyspec servers load` leave behind, beside the runs of their cells."""

    kind: Literal["matrix"] = "matrix"
    cells: list[CellRecord]

    @property
    def judged(self) -> Sequence[JudgedRecord]:
        """Every cell, server by server."""
        return self.cells
