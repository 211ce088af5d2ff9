from __future__ import annotations

from proxyspec.load.figures import Figures
from proxyspec.load.judging import Evidence, happened, no_growth, recovered, served
from proxyspec.records.load import LoadPoint, LoadSample


def _line(*times: float | None) -> tuple[LoadPoint, ...]:
    return tuple(
        LoadPoint(at=float(at), users=1, rate=1, failure_rate=0, p95_ms=time) for at, time in enumerate(times, start=1)
    )


def _evidence(*times: float | None) -> Evidence:
    return Evidence(Figures(), _line(*times))


def _processes(*values: tuple[float, float]) -> Evidence:
    samples = tuple(
        LoadSample(at=float(at), source="process", values={"descriptors": descriptors, "memory MiB": memory})
        for at, (descriptors, memory) in enumerate(values)
    )
    return Evidence(Figures(), (), samples)


def test_as_quick_as_before_is_recovered() -> None:
    (verdict,) = recovered(0.3, 0.3, factor=2)(_evidence(100, 100, 100, 900, 900, 900, 900, 150, 150, 150))
    assert verdict.met
    assert verdict.actual == 150
    assert verdict.expression == "p95(session) at the end <= 200ms, 2 times that of the beginning"


def test_slow_for_good_is_not() -> None:
    (verdict,) = recovered(0.3, 0.3, factor=2)(_evidence(100, 100, 100, 900, 900, 900, 900, 900, 900, 900))
    assert not verdict.met
    (verdict,) = recovered(0.3, 0.3, factor=2)(_evidence(100, 100, 100, 900, 900, 900, 900, None, None, None))
    assert (verdict.met, verdict.actual) == (False, None)


def test_nobody_notices_a_few_milliseconds() -> None:
    (verdict,) = recovered(0.3, 0.3, factor=2)(_evidence(1, 1, 1, 9, 9, 9, 9, 40, 40, 40))
    assert verdict.met


def test_a_load_without_a_beginning_is_not_judged() -> None:
    assert recovered(0.3, 0.3, factor=2)(_evidence()) == []
    assert recovered(0.3, 0.3, factor=2)(_evidence(None, None, None, None)) == []


def test_descriptors_come_back() -> None:
    (verdict,) = no_growth()(_processes((20, 1), (500, 1), (21, 1)))
    assert (verdict.met, verdict.actual) == (True, 21)
    (verdict,) = no_growth()(_processes((20, 1), (500, 1), (31, 1)))
    assert not verdict.met


def test_memory_that_grows_and_grows() -> None:
    flat = no_growth(memory=0.1)(_processes(*((20, 30 if at < 3 else 50) for at in range(12))))
    grown = no_growth(memory=0.1)(_processes(*((20, 30 + 5 * at) for at in range(12))))
    assert [verdict.met for verdict in flat] == [True, True]
    assert [verdict.met for verdict in grown] == [True, False]


def test_without_a_process_there_is_nothing_to_judge() -> None:
    assert no_growth(memory=0.1)(Evidence(Figures())) == []


def test_what_never_happened_was_not_tested() -> None:
    figures = Figures()
    (verdict,) = happened("421 at banner", "turned away")(Evidence(figures))
    assert (verdict.expression, verdict.actual, verdict.met) == ("turned away >= 1", 0, False)
    figures.planned["421 at banner"] += 2
    assert happened("421 at banner", "turned away")(Evidence(figures))[0].met


def test_who_was_served_did_not_fail() -> None:
    figures = Figures()
    figures.add("quit", 5, "closed at quit")
    assert not served("quit", "served")(Evidence(figures))[0].met
    figures.add("quit", 5)
    assert served("quit", "served")(Evidence(figures))[0].met
