"""Expectations of a load, written as `p99(header_to_banner) < 50ms`: a small grammar and their judgement.

    expression  = measure operator number [unit]
    measure     = ("min" | "p50" | "p90" | "p95" | "p99" | "max" | "mean") "(" step ")"     unit: ms (default) or s
                | "errors" ["(" step ")"]                                            unit: % or none, a count
                | "rate" ["(" step ")"]                                              unit: /s (default)
    operator    = "<" | "<=" | ">" | ">=" | "=="

Without a step, `errors` and `rate` are those of whole sessions.
"""

from __future__ import annotations

import operator
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from proxyspec.errors import UsageError
from proxyspec.load.dialogue import Step
from proxyspec.records import LoadStep, Threshold

__all__ = ["Expectation", "judge", "merge", "parse_expectation"]

_PERCENTILES: Final = {"p50": "0.5", "p90": "0.9", "p95": "0.95", "p99": "0.99", "max": "1.0"}
_OPERATORS: Final[dict[str, Callable[[float, float], bool]]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
}
#: Milliseconds in a unit of time.
_TIMES: Final = {"ms": 1.0, "s": 1000.0}
#: Units of a figure, the one it has without saying so first.
_UNITS: Final = {
    "errors": ("", "%"),
    "rate": ("/s",),
    "mean": ("ms", "s"),
    "min": ("ms", "s"),
    **dict.fromkeys(_PERCENTILES, ("ms", "s")),
}

_EXPRESSION: Final = re.compile(
    r"\s*(?P<figure>[a-z][a-z0-9]*)\s*(?:\(\s*(?P<step>[a-z_]+)\s*\))?\s*(?P<operator>[<>]=?|==)"
    r"\s*(?P<number>[0-9]{1,12}(?:\.[0-9]{1,9})?)\s*(?P<unit>%|ms|s|/s)?\s*"
)

_ALLOWED: Final = (
    "write FIGURE(STEP) OPERATOR NUMBER UNIT, for instance 'p99(header_to_banner) < 50ms', 'errors < 0.1%', "
    f"'rate > 100/s'; figures: {', '.join(_UNITS)}; steps: {', '.join(Step)}; operators: {' '.join(_OPERATORS)}"
)


@dataclass(frozen=True, slots=True)
class Expectation:
    """One parsed expression; `limit` is in `unit`."""

    text: str
    figure: str
    step: str
    operator: str
    limit: float
    unit: str

    @property
    def measure(self) -> tuple[str, str, bool]:
        """What is measured: two expectations of one measure differ in the limit alone."""
        return self.figure, self.step, self.unit == "%"

    def actual(self, steps: Iterable[LoadStep]) -> float | None:
        """Return what was measured, in the unit of the limit; None if the step never occurred."""
        found = next((step for step in steps if step.name == self.step and step.count), None)
        if found is None:
            return None
        match self.figure:
            case "errors":
                return 100 * found.failures / found.count if self.unit == "%" else float(found.failures)
            case "rate":
                return found.rate
            case "mean":
                return found.mean_ms / _TIMES[self.unit]
            case "min":
                return None if found.min_ms is None else found.min_ms / _TIMES[self.unit]
            case _:
                return found.percentiles_ms[_PERCENTILES[self.figure]] / _TIMES[self.unit]

    def judge(self, steps: Sequence[LoadStep]) -> Threshold:
        """Compare; what was not measured is not met."""
        actual = self.actual(steps)
        met = actual is not None and _OPERATORS[self.operator](actual, self.limit)
        return Threshold(expression=self.text, actual=actual, met=met)


def parse_expectation(text: str) -> Expectation:
    """Read one expression.

    Raises:
        UsageError: it is none; the message names it and what is allowed.
    """
    match = _EXPRESSION.fullmatch(text)
    if match is None:
        raise UsageError(f"the expectation {text!r} cannot be read: {_ALLOWED}")
    figure, step = match["figure"], match["step"]
    units = _UNITS.get(figure)
    if units is None:
        raise UsageError(f"the expectation {text!r} names no figure of ours, {figure!r}: {_ALLOWED}")
    if step is None and figure not in ("errors", "rate"):
        raise UsageError(f"the expectation {text!r} names no step: write {figure}(STEP); steps: {', '.join(Step)}")
    if step is not None and step not in list(Step):
        raise UsageError(f"the expectation {text!r} names the step {step!r}; there are {', '.join(Step)}")
    unit = match["unit"] or units[0]
    if unit not in units:
        allowed = " or ".join(repr(known) if known else "no unit" for known in units)
        raise UsageError(f"the expectation {text!r} has the unit {unit!r}; {figure} goes with {allowed}")
    return Expectation(
        text=text.strip(),
        figure=figure,
        step=step or Step.SESSION.value,
        operator=match["operator"],
        limit=float(match["number"]),
        unit=unit,
    )


def merge(profile: Iterable[Expectation], user: Sequence[Expectation]) -> list[Expectation]:
    """Return the profile's expectations, save those whose measure the user set an own limit for, and the user's."""
    own = {expectation.measure for expectation in user}
    return [expectation for expectation in profile if expectation.measure not in own] + list(user)


def judge(expectations: Iterable[Expectation], steps: Sequence[LoadStep]) -> list[Threshold]:
    """Judge every expectation by the figures of a load."""
    return [expectation.judge(steps) for expectation in expectations]
