from __future__ import annotations

from dataclasses import replace

import pytest

from proxyspec.checks.judging import judge
from proxyspec.checks.model import (
    Contact,
    Expected,
    Kind,
    Observation,
    Opening,
    Proxy,
    Resets,
    Sample,
    Scenario,
    expected_of,
    selected,
)
from proxyspec.model import Verdict

LINE = b"PROXY TCP4 127.0.0.1 127.0.0.1 53258 2525\r\nHELO localhost\r\n"
UP = Expected(up=True, results=("L7OK/221",), opening=Opening.V1)
DOWN = Expected(up=False, results=("L7TOUT",), opening=Opening.NONE, resets=Resets.EVERY_CHECK)
SCENARIO = Scenario(
    check="smtpchk-helo", proxy=Proxy.V1, title="smtpchk", kind=Kind.SMTPCHK, expected={(2, 2, 0): UP, (2, 6, 6): DOWN}
)


def sample(result: str, *, up: bool, at: float = 100.5, server: str = "smtp1") -> Sample:
    return Sample(at, server, up, result, "bye", 3)


def contacts(ending: str, count: int, *, at: float = 100.0) -> tuple[Contact, ...]:
    return tuple(Contact(at + 0.1 * n, ending, 2525) for n in range(count))


WITNESSED = (Contact(100.0, "quit", 2525, LINE),)
HEALTHY = Observation(99.0, (sample("L7OK/221", up=True),) * 3, contacts("quit", 100), WITNESSED)


def test_a_check_that_does_as_it_should_passes_with_its_figures() -> None:
    found = judge(SCENARIO, UP, HEALTHY)
    assert (found.verdict, found.up, found.result) == (Verdict.PASS, True, "L7OK/221")
    assert (found.checks, found.resets, found.per_hundred, found.also) == (100, 0, 0.0, ())
    assert found.seconds == pytest.approx(0.5)
    assert found.reason == "HAProxy reports UP L7OK/221; 0 of 100 checks ended with a reset"


@pytest.mark.parametrize(
    ("seen", "reason"),
    [
        (replace(HEALTHY, samples=()), "HAProxy reported no finished check"),
        (
            replace(HEALTHY, samples=(sample("L7STS/421", up=False),)),
            "HAProxy reports DOWN L7STS/421 where UP with L7OK/221 was expected",
        ),
        (
            replace(HEALTHY, samples=(sample("L7OK/250", up=True),)),
            "HAProxy reports UP L7OK/250 where UP with L7OK/221 was expected",
        ),
        (
            replace(HEALTHY, witnessed=(Contact(100.0, "quit", 2525, b"HELO localhost\r\n"),)),
            "a check began with b'HELO localhost\\r\\n' where v1 line was expected",
        ),
        (
            replace(HEALTHY, witnessed=(*WITNESSED, Contact(100.0, "quit", 2526, LINE))),
            f"a check began with {LINE[:43]!r} where v1 line was expected",
        ),
        (
            replace(HEALTHY, witnessed=()),
            "no check reached the server that records bytes, so what it begins with is unknown",
        ),
        (
            replace(HEALTHY, contacts=contacts("rst-after-header", 6) + contacts("quit", 94)),
            "6 of 100 checks ended with a reset where none was expected",
        ),
    ],
)
def test_whatever_deviates_fails_and_says_so(seen: Observation, reason: str) -> None:
    found = judge(SCENARIO, UP, seen)
    assert (found.verdict, found.reason) == (Verdict.FAIL, reason)


def test_what_is_reported_most_often_counts_and_the_rest_is_told() -> None:
    seen = replace(HEALTHY, samples=(sample("L7OK/221", up=True),) * 9 + (sample("L7TOUT", up=False),))
    found = judge(SCENARIO, UP, seen)
    assert (found.verdict, found.result) == (Verdict.PASS, "L7OK/221")
    assert found.also == ("DOWN L7TOUT in 1 of its looks",)


def test_a_reset_expected_of_every_check_must_come() -> None:
    down = Observation(99.0, (sample("L7TOUT", up=False),), contacts("rst-before-header", 20), contacts("fin", 1))
    assert judge(SCENARIO, DOWN, down).verdict is Verdict.PASS
    assert judge(SCENARIO, DOWN, down).per_hundred == 100
    fewer = replace(down, contacts=contacts("rst-before-header", 17) + contacts("quit", 3))
    found = judge(SCENARIO, DOWN, fewer)
    assert (found.verdict, found.reason) == (
        Verdict.FAIL,
        "17 of 20 checks ended with a reset where every one was expected to",
    )


def test_what_is_recorded_is_never_a_pass() -> None:
    recorded = replace(UP, resets=Resets.RECORDED)
    assert judge(SCENARIO, recorded, HEALTHY).verdict is Verdict.INFO
    either = Expected(up=None, results=(), opening=Opening.V1)
    assert judge(SCENARIO, either, HEALTHY).verdict is Verdict.INFO
    assert judge(SCENARIO, either, replace(HEALTHY, samples=())).verdict is Verdict.FAIL


def test_too_few_checks_prove_nothing() -> None:
    found = judge(SCENARIO, UP, replace(HEALTHY, contacts=contacts("quit", 4)))
    assert (found.verdict, found.per_hundred) == (Verdict.UNTESTABLE, None)
    assert found.reason == "the server saw 4 checks, too few to count resets"


def test_a_check_the_server_need_not_see_passes_unseen_and_is_timed_from_readiness() -> None:
    unseen = Expected(up=True, results=("L4OK",), opening=Opening.NONE, resets=Resets.RECORDED, shown=False)
    found = judge(SCENARIO, unseen, Observation(99.0, (sample("L4OK", up=True),), (), ()))
    assert (found.verdict, found.checks) == (Verdict.PASS, 0)
    assert found.seconds == pytest.approx(1.5)
    seen = Observation(99.0, (sample("L4OK", up=True),), contacts("rst-before-header", 2), ())
    assert judge(SCENARIO, unseen, seen).verdict is Verdict.INFO


def test_of_several_servers_all_are_needed_and_the_last_one_gives_the_time() -> None:
    five = replace(SCENARIO, servers=2)
    late = sample("L7OK/221", up=True, at=104.0, server="smtp2")
    found = judge(five, UP, replace(HEALTHY, samples=(*HEALTHY.samples, late)))
    assert found.verdict is Verdict.PASS
    assert found.seconds == pytest.approx(4.0)
    found = judge(five, UP, HEALTHY)
    assert (found.verdict, found.reason) == (Verdict.FAIL, "HAProxy reported no finished check of 1 of 2 servers")


def test_a_reset_before_the_header_was_read_says_nothing_of_the_header() -> None:
    lost = Contact(100.0, "rst-before-header", 2525)
    assert judge(SCENARIO, UP, replace(HEALTHY, witnessed=(lost, *WITNESSED))).verdict is Verdict.PASS
    assert judge(SCENARIO, UP, replace(HEALTHY, witnessed=(lost,))).verdict is Verdict.FAIL
    whole = Contact(100.0, "quit", 2525)
    assert judge(SCENARIO, UP, replace(HEALTHY, witnessed=(whole,))).verdict is Verdict.FAIL


def test_expectations_hold_from_a_release_on() -> None:
    assert expected_of(SCENARIO, (2, 2, 9)) is UP
    assert expected_of(SCENARIO, (2, 6, 5)) is UP
    assert expected_of(SCENARIO, (2, 6, 6)) is DOWN
    assert expected_of(SCENARIO, (3, 4, 7)) is DOWN
    with pytest.raises(ValueError, match=r"smtpchk-helo/v1 says nothing of HAProxy 1\.8\.0"):
        expected_of(SCENARIO, (1, 8, 0))


def test_scenarios_are_selected_by_name_beginning_or_glob() -> None:
    other = replace(SCENARIO, check="l4", proxy=Proxy.NONE)
    both = (SCENARIO, other)
    assert selected(both, ()) == [SCENARIO, other]
    assert selected(both, ["l4"]) == [other]
    assert selected(both, ["smtpchk-helo/v1"]) == [SCENARIO]
    assert selected(both, ["smtpchk*", "l4/none"]) == [SCENARIO, other]
    assert selected(both, ["smtpchk"]) == []
