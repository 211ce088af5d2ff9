"""Problems grouped by cause: cases of one chapter that expected the same and got the same."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from proxyspec_reports.cases import CaseView

__all__ = ["Cause", "causes"]


@dataclass(frozen=True, slots=True)
class Cause:
    """Cases that share a cause; the first is the simplest, which stands for the others."""

    chapter: str
    expected: str
    got: str
    cases: tuple[CaseView, ...]


def causes(cases: Iterable[CaseView]) -> tuple[Cause, ...]:
    """Group the cases, the largest group first; within a group the case that sends least comes first."""
    groups: dict[tuple[str, str, str], list[CaseView]] = {}
    for case in cases:
        expected = " or ".join(case.expected)
        groups.setdefault((_chapter(case.id), expected, case.got_kind), []).append(case)
    return tuple(
        Cause(chapter, expected, got, tuple(sorted(members, key=lambda case: (case.dump.total, case.id))))
        for (chapter, expected, got), members in sorted(groups.items(), key=lambda item: (-len(item[1]), item[0]))
    )


def _chapter(case_id: str) -> str:
    return "/".join(case_id.split("/")[:2]) if case_id.count("/") > 1 else case_id.partition("/")[0]
