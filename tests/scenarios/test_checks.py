from __future__ import annotations

import pytest

from proxyspec.checks.model import Behind, Opening, Proxy, Resets, expected_of
from proxyspec_haproxy.sources import PACKAGE_SOURCES
from proxyspec_scenarios.checks import CHECK_SCENARIOS

RELEASES = [
    (2, 2, 9),
    (2, 2, 33),
    (2, 6, 0),
    (2, 6, 12),
    *((int(s.series[0]), int(s.series[2]), 0) for s in PACKAGE_SOURCES),
]


def test_ids_are_unique_and_the_rows_of_a_check_stand_together() -> None:
    ids = [scenario.id for scenario in CHECK_SCENARIOS]
    assert len(set(ids)) == len(ids)
    checks = [scenario.check for scenario in CHECK_SCENARIOS]
    together = [check for check, before in zip(checks, [None, *checks[:-1]], strict=True) if check != before]
    assert len(set(together)) == len(together)


@pytest.mark.parametrize("release", RELEASES)
def test_every_scenario_says_what_to_expect_of_every_series(release: tuple[int, int, int]) -> None:
    for scenario in CHECK_SCENARIOS:
        expected = expected_of(scenario, release)
        assert expected.results or expected.up is None


def test_the_kinds_of_check_come_without_a_header_and_with_either() -> None:
    for check in ("smtpchk-helo", "smtpchk-ehlo", "tcp-check-quit", "tcp-check-220", "tcp-check-220-linger", "l4"):
        proxies = [scenario.proxy for scenario in CHECK_SCENARIOS if scenario.check == check]
        assert proxies == [Proxy.NONE, Proxy.V1, Proxy.V2]


def test_every_opening_every_server_and_both_ends_are_covered() -> None:
    expectations = [expected for scenario in CHECK_SCENARIOS for expected in scenario.expected.values()]
    assert {expected.opening for expected in expectations} == set(Opening)
    assert {expected.resets for expected in expectations} == set(Resets)
    assert {scenario.behind for scenario in CHECK_SCENARIOS} == set(Behind)
    assert {expected.up for expected in expectations} == {True, False, None}


def test_the_documented_listener_has_its_five_servers() -> None:
    documented = [scenario for scenario in CHECK_SCENARIOS if scenario.documented]
    assert [(scenario.check, scenario.servers) for scenario in documented] == [
        ("documented-smtpchk", 5),
        ("documented-tcp-check", 5),
    ]
