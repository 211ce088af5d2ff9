"""Each expectation holds, fails and refuses to judge on literal evidence."""

from __future__ import annotations

from dataclasses import replace

import pytest

from proxyspec.model import Verdict
from proxyspec.traffic.accounting import account
from proxyspec.traffic.expectations import (
    LATE,
    Carried,
    CutShort,
    Down,
    Expectation,
    Faults,
    Intact,
    NoFaults,
    NoFaultsOnceDown,
    NoNewSessions,
    Offered,
    OldSessionsFinish,
    Queued,
    Recorded,
    Redispatched,
    Returns,
    RightClients,
    Shares,
    judge,
)
from proxyspec.traffic.model import Action, Change, Counters, Ended, Evidence, Fault, Mark, Pool, Step

from .evidence import KILLED, SCENARIO, attempt, broken, delivery, evidence

NOTHING = evidence()
UP, DOWN, BACK = Change(0.0, "s1", "UP", ""), Change(1.4, "s1", "DOWN", "L4CON"), Change(3.2, "s1", "UP", "L7OK")
STARTED = Mark(3.0, Action.START, "s1")
DRAINED, READY = Mark(1.0, Action.DRAIN, "s1"), Mark(5.0, Action.READY, "s1")
RELOADED = Mark(1.0, Action.RELOAD, None)
WEIGHTED = replace(SCENARIO, pool=Pool(count=2, weights=(1, 2)))
CUT = CutShort("closed at banner", 1.0, "cD")


def cut(*, after: float = 1.0, ended: Ended = Ended.FIN, code: str = "cD", what: str = "closed") -> Evidence:
    tried = attempt("a", seconds=after, fault=Fault(Step.BANNER, what), dot_sent=False, ended=ended)
    return evidence([tried], counters=Counters(terminations={code: 1}))


BEGUN = [attempt(f"m{n}", at=n / 10) for n in range(21)]

PASSES: list[tuple[Expectation, Evidence]] = [
    (Intact(), evidence([attempt("a")], [delivery("a")])),
    (RightClients(), evidence([attempt("a")], [delivery("a")])),
    (Carried(), evidence([attempt("a"), broken("b", Step.END_OF_DATA, "reset")])),
    (Carried(0.5), evidence([attempt("a"), broken("b", Step.MAIL, "reset")])),
    (Shares(), evidence([], [delivery("a"), delivery("b", "s2")])),
    (Shares(0.1), evidence([], [delivery("a"), *[delivery(m, "s2") for m in "bc"]], scenario=WEIGHTED)),
    (NoFaults(), evidence([attempt("a")])),
    (Faults(("421 at banner",), least=2), evidence([broken(m, Step.BANNER, "421") for m in "ab"])),
    (Down(within=0.5), evidence(marks=[KILLED], changes=[UP, DOWN])),
    (Returns(within=0.5), evidence([], [delivery("a", at=3.5)], marks=[STARTED], changes=[UP, DOWN, BACK])),
    (
        NoFaultsOnceDown(),
        evidence([broken("a", Step.MAIL, "closed", at=1.2), attempt("b", at=1.5)], changes=[UP, DOWN]),
    ),
    (
        NoNewSessions(),
        evidence([attempt("a", at=2.0)], [delivery("a", "s2")], marks=[DRAINED, READY]),
    ),
    (OldSessionsFinish(1.0), evidence([attempt("a", at=0.5, seconds=2.0)], marks=[RELOADED])),
    (Redispatched(), evidence(counters=Counters(redispatched=1))),
    (Queued(3), evidence(counters=Counters(queue_max=3))),
    (CUT, cut()),
    (replace(CUT, ended=None), cut(ended=Ended.RST)),
    (Offered(), evidence(BEGUN, rate=10.0)),
]
FAILS: list[tuple[Expectation, Evidence]] = [
    (Intact(), evidence([attempt("a"), attempt("b")], [delivery("b")])),
    (Intact(), evidence([attempt("a")], [delivery("a"), delivery("a", "s2")])),
    (Intact(), evidence([attempt("a")], [delivery("a"), delivery("z")])),
    (RightClients(), evidence([attempt("a")], [delivery("a", client="127.0.0.1:4000")])),
    (Carried(), evidence([attempt("a"), broken("b", Step.MAIL, "reset")])),
    (Shares(), evidence([], [delivery(m) for m in "abcd"])),
    (NoFaults(), evidence([attempt("a"), broken("a", Step.BANNER, "421")])),
    (Faults(("421 at banner",), least=2), evidence([broken("a", Step.BANNER, "421")])),
    (Faults(("421 at banner",)), evidence([broken("a", Step.BANNER, "421"), broken("b", Step.MAIL, "closed")])),
    (Down(within=0.3), evidence(marks=[KILLED], changes=[UP, DOWN])),
    (Down(within=0.5), evidence(marks=[KILLED], changes=[UP])),
    (Down(within=0.5), evidence(marks=[KILLED, Mark(5.0, Action.STOP, "s1")], changes=[UP, DOWN])),
    (Returns(within=0.5), evidence([], [delivery("a", at=2.5)], marks=[STARTED], changes=[UP, DOWN, BACK])),
    (Returns(within=0.1), evidence([], [delivery("a", at=3.5)], marks=[STARTED], changes=[UP, DOWN, BACK])),
    (NoFaultsOnceDown(), evidence([broken("a", Step.BANNER, "closed", at=1.5)], changes=[UP, DOWN])),
    (NoNewSessions(), evidence([attempt("a", at=2.0)], [delivery("a", "s1")], marks=[DRAINED, READY])),
    (
        OldSessionsFinish(1.0),
        evidence([broken("a", Step.MAIL, "closed", at=0.5, seconds=2.0)], marks=[RELOADED]),
    ),
    (Redispatched(2), evidence(counters=Counters(redispatched=1))),
    (Queued(3), evidence(counters=Counters(queue_max=2))),
    (CUT, cut(after=0.5)),
    (CUT, cut(after=2.0)),
    (CUT, cut(ended=Ended.RST)),
    (CUT, cut(code="sD")),
    (CUT, cut(what="421")),
]
CANNOT_TELL: list[tuple[Expectation, Evidence]] = [
    (Intact(), evidence([broken("a", Step.MAIL, "closed")])),
    *[
        (expectation, NOTHING)
        for expectation in (
            Intact(),
            RightClients(),
            Carried(),
            Shares(),
            NoFaults(),
            Down(1.0),
            Returns(1.0),
            NoFaultsOnceDown(),
            NoNewSessions(),
            OldSessionsFinish(1.0),
            CUT,
            Offered(),
        )
    ],
    (NoNewSessions(), evidence([attempt("a", at=0.5)], [], marks=[DRAINED, READY])),
    (NoFaultsOnceDown(), evidence([attempt("a", at=1.0)], changes=[UP, DOWN])),
]


@pytest.mark.parametrize(
    ("expectation", "seen", "verdict"),
    [
        *((one, seen, Verdict.PASS) for one, seen in PASSES),
        *((one, seen, Verdict.FAIL) for one, seen in FAILS),
        *((one, seen, Verdict.UNTESTABLE) for one, seen in CANNOT_TELL),
        (Offered(), evidence(BEGUN, rate=20.0), Verdict.WARN),
        (Recorded(), NOTHING, Verdict.INFO),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, Verdict) else str(value),
)
def test_an_expectation_judges(expectation: Expectation, seen: Evidence, verdict: Verdict) -> None:
    found = expectation.judge(seen, account(seen.attempts, seen.deliveries))
    assert found.verdict is verdict, found.text
    assert found.text


def test_every_expectation_is_seen_to_hold_and_to_fail() -> None:
    kinds = {type(one) for one, _ in PASSES}
    assert kinds == {type(one) for one, _ in FAILS} | {Offered}


@pytest.mark.parametrize("expectation", [Down(within=0.3), Returns(within=0.1)])
def test_a_machine_that_is_late_itself_blames_nobody(expectation: Expectation) -> None:
    seen = evidence([], [delivery("a", at=3.5)], marks=[KILLED, STARTED], changes=[UP, DOWN, BACK], late=0.4)
    seen = replace(seen, scenario=replace(SCENARIO, expects=(expectation,)))
    assert judge(seen).verdict is Verdict.WARN
    assert "0.4 s late itself" in judge(seen).reason
    assert judge(replace(seen, late=LATE)).verdict is Verdict.FAIL


@pytest.mark.parametrize(("expectation", "seen"), FAILS[:6])
def test_no_lateness_excuses_lost_mail(expectation: Expectation, seen: Evidence) -> None:
    seen = replace(seen, late=10.0, scenario=replace(seen.scenario, expects=(expectation,)))
    assert judge(seen).verdict is Verdict.FAIL


def test_a_drained_server_is_back_when_it_is_made_ready() -> None:
    changes = [UP, DOWN, Change(5.2, "s1", "UP", "L7OK")]
    seen = evidence([], [delivery("a", at=5.5)], marks=[STARTED, READY], changes=changes)
    assert Returns(within=0.5).judge(seen, account((), seen.deliveries)).verdict is Verdict.PASS


def test_the_worst_finding_is_the_verdict_and_its_text_the_reason() -> None:
    scenario = replace(SCENARIO, expects=(Intact(), NoFaults(), Recorded()))
    good = judge(evidence([attempt("a")], [delivery("a")], scenario=scenario))
    assert good.verdict is Verdict.PASS
    assert "every one delivered once" in good.reason
    bad = judge(evidence([attempt("a"), broken("b", Step.MAIL, "reset")], [delivery("a")], scenario=scenario))
    assert bad.verdict is Verdict.FAIL
    assert bad.reason == "1 × reset at mail"
    lost = judge(evidence([attempt("a")], [], scenario=scenario))
    assert lost.verdict is Verdict.FAIL
    assert lost.reason == "1 acknowledged and lost: a"
