"""One case's evidence as plain lines: the rule, the bytes both ways, how to see it again."""

from __future__ import annotations

from proxyspec.records import CaseRecord, TargetRecord
from proxyspec_reports.cases import ENDINGS, case_view

__all__ = ["evidence_lines"]


def evidence_lines(record: CaseRecord, target: TargetRecord) -> tuple[str, ...]:
    """Return what a failed case has to show for itself, every line printable.

    Raises:
        InvalidRun: bytes of the record are not hexadecimal.
    """
    case = case_view(record, anchor="", control=None, premise=None, target=target, annotate=lambda data: ())
    lines = [
        f"rule      {case.title} ({case.section}, {case.level})",
        f"expected  {' or '.join(case.expected)}",
        f"got       {case.got}",
        f"sent      {case.sent}",
        *(f"received  {line}" for line in case.received[:20]),
        f"ended     {ENDINGS[record.ending]}, after {record.duration:.2f} s",
        f"again     {case.reproduce}",
    ]
    return (*lines, f"by hand   {case.by_hand}") if case.by_hand is not None else tuple(lines)
