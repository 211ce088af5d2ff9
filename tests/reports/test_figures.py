import math

import pytest

from proxyspec_reports import figures


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0.0031, "3 ms"), (0.0, "0 ms"), (1.5, "1.50 s"), (61.2, "1 min 01 s"), (3600, "60 min 00 s"), (math.nan, "–")],
)
def test_duration(seconds: float, text: str) -> None:
    assert figures.duration(seconds) == text


@pytest.mark.parametrize(
    ("value", "text"), [(None, "–"), (math.inf, "–"), (1.234, "1.23"), (12.34, "12.3"), (1234.5, "1,234")]
)
def test_milliseconds(value: float | None, text: str) -> None:
    assert figures.milliseconds(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [(None, "–"), (0.0, "0 %"), (0.00001, "< 0.1 %"), (0.0071, "0.7 %"), (1.0, "100 %"), (0.9999, "< 100 %")],
)
def test_share(value: float | None, text: str) -> None:
    assert figures.share(value) == text


def test_rate_and_count() -> None:
    assert figures.rate(1234.56) == "1,234.6"
    assert figures.rate(None) == figures.MISSING
    assert figures.count(1234567) == "1,234,567"
