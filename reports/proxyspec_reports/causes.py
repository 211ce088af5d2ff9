"""Problems grouped by cause: cases of one chapter that expected the same, got the same and are known or are not."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from proxyspec.model import Disposition
from proxyspec_reports.cases import CaseView

__all__ = ["Cause", "causes"]


@dataclass(frozen=True, slots=True)
class Cause:
    """Cases that share a cause; the first is the simplest, which stands for the others."""

    chapter: str
    expected: str
    got: str
    disposition: Disposition | None
    cases: tuple[CaseView, ...]


def causes(cases: Iterable[CaseView]) -> tuple[Cause, ...]:
    """Group the cases: what nobody knew first, then the largest group; within one the case that sends least leads."""
    groups: dict[tuple[str, str, str, Disposition | None], list[CaseView]] = {}
    for case in cases:
        expected = " or ".join(case.expected)
        groups.setdefault((_chapter(case.id), expected, case.got_kind, case.disposition), []).append(case)
    ranked = sorted(
        groups.items(), key=lambda item: (item[0][3] is Disposition.KNOWN, -len(item[1]), tuple(map(str, item[0])))
    )
    return tuple(
        Cause(*key, tuple(sorted(members, key=lambda case: (case.dump.total, case.id)))) for key, members in ranked
    )


def _chapter(case_id: str) -> str:
    return "/".join(case_id.split("/")[:2]) if case_id.count("/") > 1 else case_id.partition("/")[0]
