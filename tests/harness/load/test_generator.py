from __future__ import annotations

import os

from proxyspec.load.generator import Watch, Watched, descriptor_limit, local_ports
from proxyspec.records.load import LoadError


def test_a_process_knows_its_own_needs() -> None:
    watch = Watch()
    before = watch.read()["descriptors"]
    ends = os.pipe()
    try:
        # Until the clock of the processor has moved.
        while not (now := watch.read())["cpu percent"]:
            sum(range(100_000))
        assert now["descriptors"] == before + 2
    finally:
        for end in ends:
            os.close(end)
    assert local_ports() > 0
    assert descriptor_limit() > 0


def test_an_idle_generator_is_at_no_limit() -> None:
    watched = Watched()
    for share in (95.0, 10.0, 12.0):
        watched.add("a", {"cpu percent": share, "descriptors": 20.0})
    record = watched.record([])
    assert (record.processes, record.cpu_percent, record.cpu_percent_max, record.descriptors) == (1, 12.0, 95.0, 20)
    assert record.limits == []


def test_the_busiest_process_counts() -> None:
    watched = Watched()
    for _ in range(3):
        watched.add("a", {"cpu percent": 30.0, "descriptors": 20.0})
        watched.add("b", {"cpu percent": 97.0, "descriptors": 30.0})
    assert watched.now() == {"busiest process, cpu percent": 97.0, "descriptors": 50.0}
    (limit,) = watched.record([]).limits
    assert "97 % of its one processor" in limit
    assert "--processes" in limit


def test_what_sessions_failed_for_is_the_generators_own_want() -> None:
    watched = Watched()
    watched.add("a", {"cpu percent": 1.0, "descriptors": 20.0})
    errors = [
        LoadError(step="connect", error="no free port at connect", count=7),
        LoadError(step="connect", error="no free descriptor at connect", count=3),
        LoadError(step="connect", error="refused at connect", count=9),
    ]
    ports, descriptors = watched.record(errors).limits
    assert ports.startswith("7 connections found no free local port")
    assert "--source" in ports
    assert "ulimit -n" in descriptors


def test_nobody_watched_is_nothing_known() -> None:
    assert Watched().now() == {}
    assert Watched().record([]).processes == 0
