"""How far the rules of the text were tried in one run, and which of them were broken."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass

from proxyspec.model import Verdict
from proxyspec.records import ConformanceRun
from proxyspec_reports.printable import show

__all__ = ["RuleView", "rules"]

_WORST_FIRST = (
    Verdict.FAIL,
    Verdict.ERROR,
    Verdict.WARN,
    Verdict.UNTESTABLE,
    Verdict.PASS,
    Verdict.INFO,
    Verdict.SKIP,
)


@dataclass(frozen=True, slots=True)
class RuleView:
    """One rule: `verdict` is the worst among its cases, None if it has none; `first` leads to a case with it."""

    id: str
    section: str
    level: str
    sentence: str
    verdict: Verdict | None
    counts: tuple[tuple[Verdict, int], ...]
    first: str | None
    untested: str | None


def rules(run: ConformanceRun, anchors: Mapping[str, str]) -> tuple[RuleView, ...]:
    """Gather every rule the record names, broken ones first; `anchors` gives each case's element id."""
    views = [_rule(run, rule.id, rule.section, rule.level, rule.sentence, rule.untested, anchors) for rule in run.rules]
    return tuple(sorted(views, key=_urgency))


def _urgency(rule: RuleView) -> int:
    return len(_WORST_FIRST) if rule.verdict is None else _WORST_FIRST.index(rule.verdict)


def _rule(
    run: ConformanceRun,
    name: str,
    section: str,
    level: str,
    sentence: str,
    untested: str | None,
    anchors: Mapping[str, str],
) -> RuleView:
    of_rule = [case for case in run.cases if name in case.requirements]
    counts = Counter(case.verdict for case in of_rule)
    ranked = tuple((verdict, counts[verdict]) for verdict in _WORST_FIRST if counts[verdict])
    worst = ranked[0][0] if ranked else None
    first = next((anchors[case.id] for case in of_rule if case.verdict is worst), None)
    return RuleView(
        id=show(name, 100),
        section=show(section, 100),
        level=show(level, 20),
        sentence=show(sentence, 500),
        verdict=worst,
        counts=ranked,
        first=first,
        untested=None if untested is None else show(untested, 500),
    )
