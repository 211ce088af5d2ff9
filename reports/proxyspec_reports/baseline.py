"""What a baseline makes of a run's verdicts, in words."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from proxyspec.model import Disposition
from proxyspec.records import CaseRecord, ConformanceRun
from proxyspec_reports.printable import show

__all__ = ["DISPOSITIONS", "BaselineView", "baseline_view", "known_last", "told"]

#: What each disposition says.
DISPOSITIONS: Mapping[Disposition, str] = {
    Disposition.NEW: "a failure the baseline does not name",
    Disposition.KNOWN: "the failure the baseline describes; it does not count in the exit code",
    Disposition.STALE: "a failure whose entry in the baseline has expired",
    Disposition.FIXED: "passed, though the baseline says it fails",
    Disposition.REGRESSED: "fails in another way than the baseline describes",
}


@dataclass(frozen=True, slots=True)
class BaselineView:
    """A run measured by its baseline; `fixed` are cases, `stale` entries that have outlived their reason, in words."""

    path: str
    told: str
    fixed: tuple[str, ...]
    stale: tuple[str, ...]


def baseline_view(run: ConformanceRun) -> BaselineView | None:
    """Tell what the baseline made of a run; None: the run had none."""
    if run.baseline is None:
        return None
    return BaselineView(
        path=show(run.baseline.path, 200),
        told=told(record.disposition for record in run.cases) or "nothing to tell",
        fixed=tuple(show(record.id, 200) for record in run.cases if record.disposition is Disposition.FIXED),
        stale=tuple(show(words, 500) for words in run.baseline.stale),
    )


def told(dispositions: Iterable[Disposition | None]) -> str:
    """Count them in words, `2 new, 1 known`; empty where there is nothing to count."""
    counts = Counter(dispositions)
    return ", ".join(f"{counts[kind]:,} {kind}" for kind in Disposition if counts[kind])


def known_last(records: Iterable[CaseRecord]) -> list[CaseRecord]:
    """Put what somebody knows behind what nobody does, otherwise in the order given."""
    return sorted(records, key=lambda record: record.disposition is Disposition.KNOWN)
