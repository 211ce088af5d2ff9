"""Numbers as people read them."""

from __future__ import annotations

import math

__all__ = ["MISSING", "count", "duration", "milliseconds", "rate", "share", "size"]

#: Stands for a figure that was not measured.
MISSING = "–"


def count(number: int) -> str:
    """Write a whole number with its thousands apart."""
    return f"{number:,}"


def duration(seconds: float) -> str:
    """Write a time in milliseconds, seconds, or minutes and seconds, as suits its size."""
    if not math.isfinite(seconds):
        return MISSING
    if abs(seconds) < 1:
        return f"{seconds * 1000:.0f} ms"
    if abs(seconds) < 60:
        return f"{seconds:.2f} s"
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes:,} min {rest:02d} s"


def milliseconds(value: float | None) -> str:
    """Write milliseconds without the unit, three significant digits below 100."""
    if value is None or not math.isfinite(value):
        return MISSING
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def rate(value: float | None) -> str:
    """Write a rate with one decimal."""
    return MISSING if value is None or not math.isfinite(value) else f"{value:,.1f}"


def share(value: float | None) -> str:
    """Write a share of 1 as per cent; a tiny one does not become nothing, nor an almost whole one all."""
    if value is None or not math.isfinite(value):
        return MISSING
    if 0 < value < 0.001:
        return "< 0.1 %"
    if 0.9995 <= value < 1:
        return "< 100 %"
    return f"{value * 100:.1f} %" if 0 < value < 1 else f"{value * 100:.0f} %"


def size(number: int) -> str:
    """Write a number of bytes in the unit that suits it."""
    if number < 1024:
        return f"{number} B"
    return f"{number / 1024:,.0f} KiB" if number < 1024 * 1024 else f"{number / 1024 / 1024:,.1f} MiB"
