import pytest

from proxyspec.model import Ending, Verdict, Via
from proxyspec.records import ConformanceRun, LoadRun, Threshold
from proxyspec_reports.answer import Answer, NotJudged, Word, answer

from .samples import TARGET, case, clean_run, conformance_run, load_run, mixed_run

MET = Threshold(expression="p95(session) < 250 ms", actual=104.0, met=True)
MISSED = Threshold(expression="failures == 0", actual=3.0, met=False)
UNMEASURED = Threshold(expression="421 within 30 s", actual=None, met=False)


def of(*runs: ConformanceRun | LoadRun) -> Answer:
    return answer(TARGET.url, runs)


def test_all_passed_is_yes() -> None:
    result = of(conformance_run([case("v1/a"), case("v1/b", via=Via.RELAY_V1)]))
    assert result.word is Word.YES
    assert result.sentence == "smtp://127.0.0.1:2525 passed 2 cases and broke no rule."
    assert (result.passed, result.failed, result.not_judged, result.total) == (2, 0, 0, 2)
    assert result.caveats == ()


def test_the_numbers_of_a_mixed_run_add_up() -> None:
    run = mixed_run()
    result = of(run)
    assert result.word is Word.NO
    assert result.sentence == "smtp://127.0.0.1:2525 broke the rules in 3 cases."
    assert (result.passed, result.failed, result.not_judged, result.warned, result.recorded) == (31, 3, 4, 1, 1)
    assert result.total == len(run.cases) == 40


def test_reasons_for_not_judging_are_counted_errors_first() -> None:
    assert of(mixed_run()).why_not_judged == (
        NotJudged(
            Verdict.ERROR, "the TLS handshake ended with an error of the harness: UNEXPECTED_EOF_WHILE_READING", 1
        ),
        NotJudged(Verdict.UNTESTABLE, "the local address 127.0.0.66 cannot be bound", 2),
        NotJudged(Verdict.SKIP, "the target declares no UNIX family", 1),
    )


def test_what_the_target_declares_absent_does_not_stand_against_a_yes() -> None:
    result = of(clean_run())
    assert result.word is Word.YES
    assert result.not_judged == 1


@pytest.mark.parametrize(
    ("verdict", "sentence"),
    [
        (Verdict.UNTESTABLE, "A prerequisite was missing for 1 case."),
        (Verdict.ERROR, "On 1 case proxyspec itself failed."),
    ],
)
def test_one_case_not_judged_forbids_a_yes(verdict: Verdict, sentence: str) -> None:
    result = of(conformance_run([case("v1/a"), case("v1/b", verdict, got=None, ending=Ending.NEVER)]))
    assert (result.word, result.sentence) == (Word.CANNOT_TELL, sentence)


def test_a_warning_does_not_forbid_a_yes_but_is_told() -> None:
    result = of(conformance_run([case("v1/a"), case("v1/b", Verdict.WARN)]))
    assert result.word is Word.YES
    assert "The server ignored advice of the text in 1 case." in result.caveats


@pytest.mark.parametrize("verdict", [Verdict.INFO, Verdict.SKIP, Verdict.WARN])
def test_nothing_passed_is_no_yes(verdict: Verdict) -> None:
    result = of(conformance_run([case("v1/a", verdict)]))
    assert (result.word, result.sentence) == (Word.CANNOT_TELL, "No case passed.")


def test_an_empty_run_cannot_tell() -> None:
    result = of(conformance_run([]))
    assert (result.word, result.sentence, result.total) == (Word.CANNOT_TELL, "No case was run.", 0)


def test_an_unjudgeable_target_cannot_be_told_and_says_why() -> None:
    result = of(conformance_run([], unjudgeable="connection refused\x1b[2J."))
    assert result.word is Word.CANNOT_TELL
    assert result.sentence == r"The target could not be judged: connection refused\x1b[2J."
    assert result.caveats == ()


def test_an_interrupted_run_cannot_tell_unless_a_rule_was_broken() -> None:
    assert of(conformance_run([case("v1/a")], status="interrupted")).word is Word.CANNOT_TELL
    broken = of(conformance_run([case("v1/a", Verdict.FAIL)], status="interrupted"))
    assert broken.word is Word.NO
    assert "A run was interrupted, so cases or figures are missing." in broken.caveats


def test_every_doubt_is_told_beside_a_no_and_all_but_the_first_beside_a_doubt() -> None:
    doubtful = [case("v1/b", Verdict.ERROR), case("v1/c", Verdict.UNTESTABLE), case("v1/d", via=Via.RELAY_V1)]
    told = ("On 1 case proxyspec itself failed.", "A prerequisite was missing for 1 case.")
    assert of(conformance_run([case("v1/a", Verdict.FAIL), *doubtful])).caveats == told
    unsure = of(conformance_run(doubtful))
    assert (unsure.sentence, *unsure.caveats) == told


def test_load_alone_cannot_tell() -> None:
    result = of(load_run(thresholds=[MET], failures=0))
    assert (result.word, result.sentence) == (Word.CANNOT_TELL, "No conformance run is part of this report.")


def test_thresholds_weigh_beside_the_cases() -> None:
    good = clean_run()
    assert of(good, load_run(thresholds=[MET])).sentence.endswith(
        "passed 31 cases, broke no rule and met 1 load threshold."
    )
    missed = of(good, load_run(thresholds=[MET, MISSED]))
    assert (missed.word, missed.sentence) == (Word.NO, "smtp://127.0.0.1:2525 missed 1 load threshold.")
    unmeasured = of(good, load_run(thresholds=[MET, UNMEASURED]))
    assert (unmeasured.word, unmeasured.sentence) == (
        Word.CANNOT_TELL,
        "Nothing was measured for 1 load threshold.",
    )


def test_missing_coverage_and_failed_sessions_are_told() -> None:
    caveats = of(conformance_run([case("v1/a")], oracle="none"), load_run(thresholds=[], failures=37)).caveats
    assert any("No case went through a real HAProxy" in caveat for caveat in caveats)
    assert any("Nothing told whom the server believes" in caveat for caveat in caveats)
    assert "37 of 5,213 sessions failed under load." in caveats
