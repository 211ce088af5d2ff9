"""The kill matrix as arithmetic: who is killed, who objects, which case is idle, what a second run may change."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from proxyspec.casebook import Chapter
from proxyspec.model import Case, HalfClose, Send, Verdict
from proxyspec.mutants import SOUND, Kind, Mutant
from proxyspec.mutants.matrix import (
    Finding,
    MutantOutcome,
    best_of,
    doubtful,
    judge_mutant,
    tallies,
    worst_of,
)
from proxyspec.records import MutantRecord
from proxyspec_scenarios.headers import NEXT_V1

PASS, FAIL, WARN, INFO = Verdict.PASS, Verdict.FAIL, Verdict.WARN, Verdict.INFO
UNTESTABLE, SKIP, ERROR = Verdict.UNTESTABLE, Verdict.SKIP, Verdict.ERROR


def mutant(name: str = "wrong", kind: Kind = Kind.DEFECT, **claims: object) -> Mutant:
    fields: dict[str, object] = {"description": "It is.", "origin": "here", "arguments": ()}
    return Mutant(name=name, kind=kind, **(fields | claims))  # type: ignore[arg-type]


def outcome(of: Mutant, verdicts: Mapping[str, Verdict], unjudgeable: str | None = None) -> MutantOutcome:
    findings = tuple(Finding(case, verdict, f"{case} is {verdict}") for case, verdict in verdicts.items())
    return MutantOutcome(of, findings, unjudgeable, died=unjudgeable is not None, seconds=1.25)


HEALTHY = outcome(SOUND, {"a": PASS, "b": INFO, "c": WARN, "d": PASS})


def judged(verdicts: Mapping[str, Verdict], of: Mutant | None = None, unjudgeable: str | None = None) -> MutantRecord:
    return judge_mutant(outcome(of if of is not None else mutant(), verdicts, unjudgeable), HEALTHY)


@pytest.mark.parametrize(
    ("verdicts", "killers", "only_warned"),
    [
        ({"a": FAIL, "b": INFO, "c": WARN, "d": PASS}, ["a"], False),
        ({"a": WARN, "b": WARN, "c": WARN, "d": PASS}, ["a", "b"], True),
        ({"a": PASS, "b": INFO, "c": FAIL, "d": PASS}, ["c"], False),
    ],
)
def test_a_defect_is_killed_by_what_is_worse_than_on_the_sound_server(
    verdicts: Mapping[str, Verdict], killers: list[str], only_warned: bool
) -> None:
    record = judged(verdicts)
    assert (record.state, record.verdict) == ("killed", PASS)
    assert (record.killers, record.only_warned, record.seconds) == (killers, only_warned, 1.25)


@pytest.mark.parametrize("verdict", [PASS, INFO, SKIP, UNTESTABLE, ERROR])
def test_a_defect_survives_what_tells_nothing(verdict: Verdict) -> None:
    record = judged({"a": verdict, "b": INFO, "c": WARN, "d": PASS})
    assert (record.state, record.verdict, record.killers) == ("survived", FAIL, [])


def test_a_defect_that_no_case_can_see_says_why_and_may_be_killed_all_the_same() -> None:
    hidden = mutant(unseen="nobody looks there")
    record = judged({"a": PASS}, hidden)
    assert (record.state, record.verdict) == ("unseen", INFO)
    assert "nobody looks there" in record.reason
    assert judged({"a": FAIL}, hidden).state == "killed"


def test_a_server_that_dies_is_killed_and_credits_nobody() -> None:
    record = judged({"a": FAIL, "d": FAIL}, unjudgeable="the server did not survive the run")
    assert (record.state, record.verdict, record.died, record.killers) == ("killed", PASS, True, [])
    assert record.reason == "the server did not survive the run"


def test_a_claim_must_hold() -> None:
    claimed = mutant(killed_by=("a", "d"))
    record = judged({"a": FAIL, "d": PASS}, claimed)
    assert (record.state, record.verdict, record.killers) == ("killed", FAIL, ["a"])
    assert "not by d" in record.reason
    assert judged({"a": FAIL, "d": WARN}, claimed).verdict is PASS
    assert judged({"a": FAIL, "d": PASS}, mutant(killed_by=("a", "z"))).verdict is PASS, "z did not take part"
    assert judged({"a": FAIL, "d": PASS}, mutant(killed_by=("d",), spreads=True)).verdict is PASS, "chance decides"


@pytest.mark.parametrize("verdict", [FAIL, WARN, UNTESTABLE, ERROR])
@pytest.mark.parametrize("kind", [Kind.SOUND, Kind.VARIATION])
def test_nothing_may_flag_a_sound_server(verdict: Verdict, kind: Kind) -> None:
    record = judged({"a": PASS, "d": verdict}, mutant(kind=kind))
    assert (record.state, record.verdict, record.killers) == ("flagged", FAIL, ["d"])
    assert f"d is {verdict}" in record.reason


def test_a_sound_server_passes_with_what_is_recorded_or_declared_absent_or_advised_against() -> None:
    quiet = mutant(kind=Kind.VARIATION, warned=("d",))
    assert judged({"a": INFO, "b": SKIP, "d": WARN}, quiet).state == "passed"
    assert judged({"a": INFO, "b": SKIP, "d": FAIL}, quiet).state == "flagged"
    assert judged({}, quiet, unjudgeable="it greets nobody").state == "flagged"


def test_what_does_not_run_is_broken() -> None:
    record = judge_mutant(MutantOutcome(mutant(), broken="no such option"), HEALTHY)
    assert (record.state, record.verdict, record.reason) == ("broken", ERROR, "no such option")


def test_a_second_run_is_for_what_counts_against_a_mutant() -> None:
    assert doubtful(judged({"a": PASS}))
    assert doubtful(judge_mutant(MutantOutcome(mutant(), broken="late"), HEALTHY))
    assert not doubtful(judged({"a": FAIL}))
    assert not doubtful(judged({"a": PASS}, mutant(unseen="a reason")))


def test_two_runs_are_joined_for_or_against() -> None:
    one, two = outcome(mutant(), {"a": FAIL, "b": PASS, "c": SKIP}), outcome(mutant(), {"a": WARN, "b": UNTESTABLE})
    assert [finding.verdict for finding in worst_of(one, two).findings] == [FAIL, UNTESTABLE, SKIP]
    assert [finding.verdict for finding in best_of(one, two).findings] == [WARN, PASS, SKIP]
    broken = MutantOutcome(mutant(), broken="late")
    for join in (worst_of, best_of):
        assert join(broken, two) is two
        assert join(one, broken) is one


def cases() -> list[Case]:
    chapter = Chapter("c", section="2")
    return [
        chapter.accepts("plain", b"x", "T"),
        chapter.accepts("after", (Send(b"x"), HalfClose()), "T", then=NEXT_V1),
        chapter.accepts("idle", b"y", "T"),
        chapter.accepts("excused", b"z", "T"),
    ]


def test_cases_are_counted_the_weakest_first() -> None:
    sound = outcome(SOUND, {f"c/{name}": PASS for name in ("plain", "after", "idle", "excused")})
    broad = outcome(mutant("broad"), {"c/plain": FAIL, "c/after": FAIL})
    narrow = outcome(mutant("narrow"), {"c/after": WARN})
    loud = outcome(mutant("loud", spreads=True), {"c/plain": FAIL, "c/after": FAIL})
    flagged = outcome(mutant("varied", kind=Kind.VARIATION), {"c/idle": FAIL})
    outcomes = [sound, broad, narrow, loud, flagged]
    records = [judge_mutant(one, sound) for one in outcomes]
    rows = tallies(cases(), outcomes, records, {"c/excused": "it only records"}, whole=True)
    assert [(row.id, row.kills, row.narrowest, row.narrowest_killers, row.verdict) for row in rows] == [
        ("c/excused", 0, None, 0, INFO),
        ("c/idle", 0, None, 0, FAIL),
        ("c/plain", 1, "broad", 2, PASS),
        ("c/after", 3, "narrow", 1, PASS),
    ]
    assert rows[0].reason == "it only records"
    assert {row.chapter for row in rows} == {"c"}
    part = tallies(cases(), outcomes, records, {}, whole=False)
    assert {row.verdict for row in part if not row.kills} == {INFO}, "not every defect took part"
