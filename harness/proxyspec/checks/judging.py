"""What an observation says of a scenario: a pure function of what was expected and what was seen."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from proxyspec.checks.model import Contact, Expected, Observation, Opening, Resets, Sample, Scenario
from proxyspec.checks.openings import begins_as, header_in
from proxyspec.model import Verdict

__all__ = ["FEWEST", "Finding", "judge"]

#: Fewer checks than this say nothing about resets.
FEWEST = 5
#: Resets per 100 checks up to which a check "never" resets: a check that a busy machine delayed beyond its time does.
SELDOM = 5.0
#: Resets per 100 checks from which "every" check resets: a reset that comes before the server looks is lost on it.
NEARLY_ALL = 90.0


@dataclass(frozen=True, slots=True)
class Finding:
    """The verdict, and the figures of the table.

    `result` is what HAProxy reported most often; `also` what it reported besides, with its count. `seconds` passed from
    the first check the server saw (from HAProxy's readiness, if it saw none) to the first result. `resets` were counted
    among `checks`.
    """

    verdict: Verdict
    reason: str
    up: bool | None
    result: str | None
    also: tuple[str, ...]
    seconds: float | None
    checks: int
    resets: int

    @property
    def per_hundred(self) -> float | None:
        """Resets per 100 checks; None where too few were seen."""
        return 100 * self.resets / self.checks if self.checks >= FEWEST else None


def judge(scenario: Scenario, expected: Expected, seen: Observation) -> Finding:
    """Judge one scenario on one HAProxy."""
    resets = sum(contact.reset for contact in seen.contacts)
    ranked = _ranked(seen.samples)
    finding = _Draft(_usual(ranked), ranked, _seconds(scenario, seen), len(seen.contacts), resets)
    if finding.usual is None:
        return finding.of(Verdict.FAIL, "HAProxy reported no finished check")
    missing = scenario.servers - len({sample.server for sample in seen.samples})
    if missing:
        told = f"HAProxy reported no finished check of {missing} of {scenario.servers} servers"
        return finding.of(Verdict.FAIL, told)
    if not _as_expected(finding.usual, expected):
        wanted = f"{_state(bool(expected.up))} with {' or '.join(expected.results)}"
        return finding.of(Verdict.FAIL, f"HAProxy reports {_words(finding.usual)} where {wanted} was expected")
    fault = _opening_fault(expected, seen.witnessed)
    if fault is not None:
        return finding.of(Verdict.FAIL, fault)
    return _judge_resets(expected, finding)


@dataclass(frozen=True, slots=True)
class _Draft:
    """The figures of a finding, before its verdict."""

    usual: tuple[bool, str] | None
    ranked: Sequence[tuple[tuple[bool, str], int]]
    seconds: float | None
    checks: int
    resets: int

    def of(self, verdict: Verdict, reason: str) -> Finding:
        up, result = self.usual if self.usual is not None else (None, None)
        also = tuple(f"{_words(what)} in {count} of its looks" for what, count in self.ranked[1:])
        return Finding(verdict, reason, up, result, also, self.seconds, self.checks, self.resets)


def _ranked(samples: Sequence[Sample]) -> list[tuple[tuple[bool, str], int]]:
    return Counter((sample.up, sample.result) for sample in samples).most_common()


def _usual(ranked: Sequence[tuple[tuple[bool, str], int]]) -> tuple[bool, str] | None:
    return ranked[0][0] if ranked else None


def _seconds(scenario: Scenario, seen: Observation) -> float | None:
    """Seconds to the first result; of several servers to that of the last one."""
    by_server = sorted(seen.samples, key=lambda sample: (sample.server, sample.at))
    firsts = [next(samples).at for _, samples in groupby(by_server, key=lambda sample: sample.server)]
    if len(firsts) < scenario.servers:
        return None
    began = min((contact.at for contact in seen.contacts), default=seen.ready)
    return max(0.0, max(firsts) - began)


def _as_expected(usual: tuple[bool, str], expected: Expected) -> bool:
    up, result = usual
    return expected.up is None or (up is expected.up and result in expected.results)


def _opening_fault(expected: Expected, witnessed: Sequence[Contact]) -> str | None:
    """Say which check began with other bytes than expected."""
    # A reset can come before the server has read what the check began with.
    silent = expected.opening is Opening.NONE
    legible = [contact for contact in witnessed if silent or contact.opening or not contact.reset]
    if not legible and expected.shown:
        return "no check reached the server that records bytes, so what it begins with is unknown"
    for contact in legible:
        if not begins_as(expected.opening, contact.opening, contact.port):
            sent = header_in(contact.opening) or contact.opening[:32]
            return f"a check began with {sent!r} where {expected.opening} was expected"
    return None


def _judge_resets(expected: Expected, finding: _Draft) -> Finding:
    told = f"HAProxy reports {_words(finding.usual)}" if finding.usual is not None else ""
    if not expected.shown and not finding.checks:
        return finding.of(Verdict.PASS, f"{told}; the server sees nothing of it")
    if finding.checks < FEWEST and expected.shown:
        return finding.of(Verdict.UNTESTABLE, f"the server saw {finding.checks} checks, too few to count resets")
    rate = 100 * finding.resets / finding.checks
    figures = f"{finding.resets} of {finding.checks} checks ended with a reset"
    if expected.resets is Resets.NEVER and rate > SELDOM:
        return finding.of(Verdict.FAIL, f"{figures} where none was expected")
    if expected.resets is Resets.EVERY_CHECK and rate < NEARLY_ALL:
        return finding.of(Verdict.FAIL, f"{figures} where every one was expected to")
    if expected.resets is Resets.RECORDED or expected.up is None:
        return finding.of(Verdict.INFO, f"{told}; {figures}")
    return finding.of(Verdict.PASS, f"{told}; {figures}")


def _state(up: bool) -> str:  # noqa: FBT001 - a word for a state
    return "UP" if up else "DOWN"


def _words(what: tuple[bool, str]) -> str:
    up, result = what
    return f"{_state(up)} {result}"
