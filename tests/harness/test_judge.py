"""The judge, given transcripts by hand: what happened, and what the text says of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from proxyspec.casebook import REAL, REFUSED, REFUSED_IN_WORDS, SOFT_REFUSED, UNSEEN, proxied
from proxyspec.judge import judge, outcome_of
from proxyspec.model import (
    Accept,
    Await,
    Case,
    Event,
    EventKind,
    Judgement,
    Level,
    Outcome,
    OutcomeKind,
    Send,
    Source,
    Target,
    Timing,
    Transcript,
    Verdict,
    Via,
    View,
    Who,
)
from proxyspec.oracle import ehlo_oracle, no_oracle

K = EventKind
ME = View("127.0.0.1", 40000)
TARGET = Target(host="127.0.0.1", port=25)
GOOD = Case(id="c/good", title="t", section="2", level=Level.MUST, steps=(Send(b"GOOD"),), accept=proxied())
BAD = replace(GOOD, id="c/bad", steps=(Send(b"BAD"),), accept=REFUSED, control="c/good")


def seen(*events: tuple[float, EventKind, bytes] | tuple[float, EventKind], client: View | None = ME) -> Transcript:
    """A transcript that begins with the connection and the case's own bytes."""
    rows = [Event(0.0, K.CONNECTED), Event(0.0, K.SENT, b"BAD"), Event(0.001, K.STEPS_DONE)]
    rows += [Event(*event) for event in events]
    return Transcript("c/bad", tuple(rows), client, client)


def session(address: str, *, greeting: float = 0.01) -> Transcript:
    hello = f"250-mx Hello probe [{address}]\r\n250 HELP\r\n".encode()
    return seen(
        (greeting, K.RECEIVED, b"220 mx\r\n"),
        (0.02, K.SENT, b"EHLO a\r\n"),
        (0.03, K.RECEIVED, hello),
        (0.04, K.SENT, b"EHLO b\r\n"),
        (0.05, K.RECEIVED, hello),
        (0.06, K.SENT, b"QUIT\r\n"),
        (0.07, K.RECEIVED, b"221 bye\r\n"),
        (0.07, K.SERVER_FIN),
    )


PROXIED = session("192.0.2.1")
REFUSED_421 = seen((0.2, K.RECEIVED, b"421 no\r\n"), (0.2, K.SERVER_FIN))
CLOSED = seen((0.2, K.SERVER_FIN))
RESET = seen((0.2, K.SERVER_RST))
SILENT = seen((32.0, K.GAVE_UP))
AS_SMTP = seen(
    (0.01, K.RECEIVED, b"220 mx\r\n500 what?\r\n"),
    (0.02, K.SENT, b"EHLO a\r\n"),
    (0.03, K.RECEIVED, b"250 mx\r\n"),
    (0.04, K.RECEIVED, b"250 mx\r\n"),
    (0.05, K.RECEIVED, b"221 bye\r\n"),
    (0.05, K.SERVER_FIN),
)
GREETED_THEN_REFUSED = seen((0.01, K.RECEIVED, b"220 mx\r\n421 not you\r\n"), (0.02, K.SERVER_FIN))
UNREACHABLE = Transcript("c/bad", (Event(0.0, K.CONNECT_FAILED, b"", "refused"),))


@pytest.mark.parametrize(
    ("transcript", "outcome"),
    [
        (PROXIED, Outcome(OutcomeKind.ACCEPTED_PROXIED, view=View("192.0.2.1"))),
        (session("127.0.0.1"), Outcome(OutcomeKind.ACCEPTED_REAL, view=View("127.0.0.1"))),
        (session("IPv6:2001:DB8::1"), Outcome(OutcomeKind.ACCEPTED_PROXIED, view=View("2001:db8::1"))),
        (session("no address"), Outcome(OutcomeKind.ACCEPTED_UNSEEN)),
        (CLOSED, Outcome(OutcomeKind.REJECTED_SILENT, after=0.2)),
        (RESET, Outcome(OutcomeKind.REJECTED_SILENT, after=0.2)),
        (REFUSED_421, Outcome(OutcomeKind.REJECTED_REPLY, code=421, after=0.2)),
        (seen((0.2, K.RECEIVED, b"SSH-2\r\n"), (0.2, K.SERVER_FIN)), Outcome(OutcomeKind.REJECTED_REPLY, after=0.2)),
        (seen((0.2, K.RECEIVED, b"554 no\r\n"), (3.0, K.GAVE_UP)), Outcome(OutcomeKind.HUNG, code=554, after=0.2)),
        (SILENT, Outcome(OutcomeKind.HUNG)),
        (AS_SMTP, Outcome(OutcomeKind.TREATED_AS_SMTP, code=500, greeted=True)),
        (GREETED_THEN_REFUSED, Outcome(OutcomeKind.REJECTED_REPLY, code=421, after=0.01, greeted=True)),
        (UNREACHABLE, Outcome(OutcomeKind.TARGET_DOWN)),
    ],
)
def test_what_happened(transcript: Transcript, outcome: Outcome) -> None:
    assert outcome_of(BAD, transcript, ehlo_oracle) == outcome


def test_a_banner_before_the_last_byte_of_the_header_is_speaking_first() -> None:
    early = Transcript(
        "c/bad",
        (
            Event(0, K.CONNECTED),
            Event(0.5, K.RECEIVED, b"220 mx\r\n"),
            Event(2, K.SENT, b"BAD"),
            Event(2, K.STEPS_DONE),
        ),
        ME,
        ME,
    )
    assert outcome_of(BAD, early, ehlo_oracle).kind is OutcomeKind.SPOKE_FIRST
    unlisted = replace(BAD, source=Source.UNTRUSTED)
    assert outcome_of(unlisted, early, ehlo_oracle).kind is not OutcomeKind.SPOKE_FIRST
    relayed = replace(BAD, via=Via.RELAY_V1)
    assert outcome_of(relayed, early, ehlo_oracle).kind is not OutcomeKind.SPOKE_FIRST


def test_a_greeting_behind_a_whole_line_is_no_speaking_first_whatever_comes_later() -> None:
    def greeted(first: bytes) -> OutcomeKind:
        rows = [
            Event(0.0, K.CONNECTED),
            Event(0.0, K.SENT, first),
            Event(0.01, K.RECEIVED, b"220 mx\r\n"),
            Event(0.2, K.SENT, b"PROXY TCP4 198.51.100.9 192.0.2.2 1 25\r\n"),
            Event(0.2, K.STEPS_DONE),
            Event(0.21, K.RECEIVED, b"500 what?\r\n"),
            *(Event(0.2 + event.at, event.kind, event.data) for event in PROXIED.events[4:]),
        ]
        case = replace(BAD, expected_errors=1)
        return outcome_of(case, Transcript("c/bad", tuple(rows), ME, ME), ehlo_oracle).kind

    assert greeted(b"PROXY TCP4 192.0.2.1 192.0.2.2 1 x\r\n") is OutcomeKind.ACCEPTED_PROXIED
    assert greeted(b"PROXY TCP4 192.0.2.1 192.0.2.2 1 x") is OutcomeKind.SPOKE_FIRST
    assert greeted(b"NOOP\r\n") is OutcomeKind.SPOKE_FIRST


def test_a_session_that_the_target_cuts_is_none_unless_an_oracle_showed_its_address() -> None:
    cut = (*PROXIED.events[:6], Event(0.5, K.SERVER_FIN))
    transcript = Transcript("c/bad", cut, ME, ME)
    assert outcome_of(GOOD, transcript, no_oracle) == Outcome(OutcomeKind.REJECTED_SILENT, after=0.5, greeted=True)
    assert outcome_of(GOOD, transcript, ehlo_oracle).kind is OutcomeKind.ACCEPTED_PROXIED


def pipelined(replies: bytes) -> Transcript:
    """A command behind the header, and then a session of the probe."""
    return seen(
        (0.01, K.RECEIVED, replies),
        (0.02, K.SENT, b"EHLO first.probe.test\r\n"),
        (0.03, K.RECEIVED, b"250 mx [192.0.2.1]\r\n"),
        (0.04, K.SENT, b"EHLO second.probe.test\r\n"),
        (0.05, K.RECEIVED, b"250 mx [192.0.2.1]\r\n"),
        (0.06, K.SENT, b"QUIT\r\n"),
        (0.07, K.RECEIVED, b"221 bye\r\n"),
        (0.07, K.SERVER_FIN),
    )


def test_what_the_steps_waited_for_is_answered_before_the_probe_says_more() -> None:
    case = replace(GOOD, steps=(*GOOD.steps, Await(2)), extra_replies=1)
    answered, lost = pipelined(b"220 mx\r\n250 mx\r\n"), pipelined(b"220 mx\r\n")
    assert verdict(case, answered).verdict is Verdict.PASS
    assert verdict(GOOD, lost).verdict is Verdict.PASS
    found = verdict(case, lost)
    assert (found.verdict, found.reason) == (Verdict.FAIL, "a command was not answered before more was said")
    refused_later = Transcript(
        "c/bad",
        (*lost.events[:5], Event(0.03, K.RECEIVED, b"500 no pipelining\r\n"), Event(0.03, K.SERVER_FIN)),
        ME,
        ME,
    )
    in_words = replace(case, accept=(*proxied(), *REFUSED_IN_WORDS), control="c/good")
    assert outcome_of(in_words, refused_later, no_oracle).kind is OutcomeKind.REJECTED_REPLY
    assert verdict(in_words, refused_later).verdict is Verdict.FAIL
    assert verdict(in_words, REFUSED_421).verdict is Verdict.PASS


def test_a_handshake_that_was_refused_in_words_has_not_failed() -> None:
    def outcome(answer: bytes) -> Outcome:
        rows = [(0.01, K.RECEIVED, b"220 mx\r\n"), (0.02, K.SENT, b"STARTTLS\r\n"), (0.03, K.RECEIVED, answer)]
        return outcome_of(GOOD, seen(*rows, (0.04, K.TLS_FAILED), (0.05, K.SERVER_FIN)), no_oracle)

    assert outcome(b"220 go\r\n").kind is OutcomeKind.TLS_FAILED
    assert outcome(b"554 what is that behind it\r\n") == Outcome(
        OutcomeKind.REJECTED_REPLY, code=554, after=0.03, greeted=True
    )


def test_a_session_whose_address_nobody_shows_passes_where_a_case_is_not_about_it_and_a_wrong_one_fails() -> None:
    case = replace(GOOD, accept=(*proxied(), *UNSEEN))
    assert verdict(case, session("no address")).verdict is Verdict.PASS
    assert verdict(case, session("192.0.2.1")).verdict is Verdict.PASS
    assert verdict(case, session("127.0.0.1")).verdict is Verdict.FAIL


def test_an_early_talker_may_be_turned_away_in_words_and_not_answered_with_an_error() -> None:
    case = replace(GOOD, id="c/early", accept=(*proxied(), *REFUSED_IN_WORDS), control="c/good", extra_replies=1)
    for transcript, expected in (
        (REFUSED_421, Verdict.PASS),
        (GREETED_THEN_REFUSED, Verdict.PASS),
        (CLOSED, Verdict.FAIL),
        (AS_SMTP, Verdict.FAIL),
    ):
        assert verdict(case, transcript).verdict is expected
    assert verdict(case, REFUSED_421, CLOSED).verdict is Verdict.UNTESTABLE


def test_an_address_that_changes_in_mid_session_is_the_one_that_counts() -> None:
    first, last = b"250 mx [192.0.2.1]\r\n", b"250 mx [198.51.100.9]\r\n"
    changed = seen(
        (0.01, K.RECEIVED, b"220 mx\r\n"), (0.02, K.RECEIVED, first), (0.03, K.RECEIVED, last), (1, K.SERVER_FIN)
    )
    assert outcome_of(GOOD, changed, ehlo_oracle).view == View("198.51.100.9")


def test_health_checks_have_outcomes_of_their_own() -> None:
    up = Transcript("c/bad", (Event(0, K.OBSERVED, b"", "up: L7OK"),))
    down = Transcript("c/bad", (Event(0, K.OBSERVED, b"", "down: L7TOUT"),))
    assert outcome_of(BAD, up, ehlo_oracle).kind is OutcomeKind.CHECK_UP
    assert outcome_of(BAD, down, ehlo_oracle).kind is OutcomeKind.CHECK_DOWN


def verdict(case: Case, transcript: Transcript, control: Transcript | None = PROXIED) -> Judgement:
    return judge(case, transcript, control, GOOD if control is not None else None, TARGET, ehlo_oracle)


@pytest.mark.parametrize("transcript", [CLOSED, RESET, REFUSED_421])
def test_every_kind_of_refusal_passes_if_the_control_was_accepted(transcript: Transcript) -> None:
    assert verdict(BAD, transcript).verdict is Verdict.PASS


@pytest.mark.parametrize(
    "transcript", [PROXIED, session("127.0.0.1"), session("?"), SILENT, AS_SMTP, GREETED_THEN_REFUSED]
)
def test_what_is_no_refusal_fails(transcript: Transcript) -> None:
    assert verdict(BAD, transcript).verdict is Verdict.FAIL


def test_a_target_that_hangs_up_on_everybody_passes_nothing() -> None:
    judged = verdict(BAD, CLOSED, CLOSED)
    assert judged.verdict is Verdict.UNTESTABLE
    assert "c/good" in judged.reason
    assert verdict(BAD, CLOSED, None).verdict is Verdict.UNTESTABLE
    assert verdict(GOOD, CLOSED).verdict is Verdict.FAIL


def test_an_accepted_bad_header_fails_even_without_its_control() -> None:
    assert verdict(BAD, PROXIED, CLOSED).verdict is Verdict.FAIL


def crashed(transcript: Transcript, why: str = "") -> Transcript:
    event = Event(transcript.duration, K.CRASHED, b"mx: child 9\x1b died", why)
    return replace(transcript, events=(*transcript.events, event))


@pytest.mark.parametrize("case", [BAD, GOOD, replace(BAD, level=Level.SHOULD), replace(BAD, level=Level.EITHER)])
@pytest.mark.parametrize("transcript", [CLOSED, RESET, REFUSED_421, PROXIED, SILENT])
def test_a_crash_is_a_failure_whatever_the_connection_shows(case: Case, transcript: Transcript) -> None:
    judged = verdict(case, crashed(transcript))
    assert judged.verdict is Verdict.FAIL
    assert judged.reason == r"a process of the target crashes, which no header may cause: mx: child 9\x1b died"
    assert judged.outcome == outcome_of(case, transcript, ehlo_oracle)


@pytest.mark.parametrize(("transcript", "expected"), [(CLOSED, Verdict.UNTESTABLE), (PROXIED, Verdict.FAIL)])
def test_a_crash_of_nobody_knows_whom_makes_no_failure_and_hides_none(
    transcript: Transcript, expected: Verdict
) -> None:
    judged = verdict(BAD, crashed(transcript, "nobody did it again"))
    assert judged.verdict is expected
    assert ("while this case ran; nobody did it again: mx: child 9" in judged.reason) == (expected is not Verdict.FAIL)


HOW = replace(BAD, id="c/how", level=Level.SECURITY, forbid=(b"220 ",), premise="c/bad")


def presuming(
    transcript: Transcript, premise: Transcript | None, case: Case = HOW, premise_case: Case = BAD
) -> Judgement:
    return judge(
        case,
        transcript,
        PROXIED,
        GOOD,
        TARGET,
        ehlo_oracle,
        premise=premise,
        premise_case=premise_case if premise is not None else None,
    )


@pytest.mark.parametrize("transcript", [PROXIED, CLOSED, AS_SMTP, SILENT])
def test_how_a_header_is_refused_is_not_judged_where_it_is_accepted(transcript: Transcript) -> None:
    judged = presuming(transcript, PROXIED)
    assert judged.verdict is Verdict.UNTESTABLE
    assert judged.reason == "c/bad was accepted (accepted-proxied 192.0.2.1), so nothing shows how it is refused"
    assert judged.outcome == outcome_of(HOW, transcript, ehlo_oracle)


@pytest.mark.parametrize("premise", [CLOSED, RESET, REFUSED_421, SILENT, AS_SMTP, GREETED_THEN_REFUSED])
def test_how_a_header_is_refused_is_judged_where_it_is_not_accepted(premise: Transcript) -> None:
    assert presuming(CLOSED, premise).verdict is Verdict.PASS
    for broken in (PROXIED, AS_SMTP, GREETED_THEN_REFUSED):
        judged = presuming(broken, premise)
        assert judged.verdict is Verdict.FAIL
        assert judged.reason == "the target says b'220 ', which it must not"
    assert presuming(SILENT, premise).verdict is Verdict.FAIL


def test_a_premise_that_did_not_run_shows_nothing() -> None:
    for premise, words in ((None, "its premise c/bad did not run"), (UNREACHABLE, "its premise c/bad did not run (")):
        for transcript in (CLOSED, PROXIED):
            judged = presuming(transcript, premise)
            assert judged.verdict is Verdict.UNTESTABLE
            assert judged.reason.startswith(words)
    assert "could not be reached" in presuming(UNREACHABLE, PROXIED).reason


def test_to_be_served_as_oneself_is_no_acceptance_of_a_header_with_an_address() -> None:
    real = session("127.0.0.1")
    assert presuming(real, real).verdict is Verdict.FAIL
    unlisted = replace(BAD, accept=(*REAL, *REFUSED))
    softly = replace(HOW, accept=(*REAL, *SOFT_REFUSED), forbid=(), level=Level.SHOULD)
    assert presuming(real, real, softly, unlisted).verdict is Verdict.PASS
    assert presuming(PROXIED, real, softly, unlisted).verdict is Verdict.WARN
    assert presuming(PROXIED, PROXIED, softly, unlisted).verdict is Verdict.UNTESTABLE


def test_to_be_served_as_oneself_is_how_a_header_without_an_address_is_accepted() -> None:
    real = session("127.0.0.1")
    judged = judge(HOW, real, real, replace(GOOD, accept=REAL), TARGET, ehlo_oracle, premise=real, premise_case=BAD)
    assert judged.verdict is Verdict.UNTESTABLE
    assert "c/bad was accepted (accepted-real 127.0.0.1)" in judged.reason


def test_without_an_oracle_any_session_is_an_acceptance() -> None:
    judged = judge(HOW, PROXIED, PROXIED, GOOD, TARGET, no_oracle, premise=PROXIED, premise_case=BAD)
    assert judged.verdict is Verdict.UNTESTABLE
    assert "c/bad was accepted (accepted-unseen)" in judged.reason


def test_an_unreachable_target_is_untestable() -> None:
    assert verdict(GOOD, UNREACHABLE).verdict is Verdict.UNTESTABLE


def test_the_right_session_with_the_wrong_address_fails() -> None:
    assert verdict(GOOD, PROXIED).verdict is Verdict.PASS
    assert verdict(GOOD, session("192.0.2.2")).verdict is Verdict.FAIL
    assert verdict(GOOD, session("127.0.0.1")).verdict is Verdict.FAIL


def test_addresses_known_at_run_time() -> None:
    real = replace(GOOD, accept=REAL)
    assert verdict(real, session("127.0.0.1")).verdict is Verdict.PASS
    assert verdict(real, PROXIED).verdict is Verdict.FAIL
    relayed = replace(GOOD, via=Via.RELAY_V1, accept=proxied(Who.CLIENT))
    through = replace(session("127.0.0.7"), client=View("127.0.0.7", 5), peer=View("127.0.0.1"))
    assert verdict(relayed, through).verdict is Verdict.PASS
    assert verdict(relayed, replace(through, client=View("127.0.0.8", 5))).verdict is Verdict.FAIL


def test_without_an_oracle_addresses_are_missing_coverage() -> None:
    blind = judge(GOOD, PROXIED, None, None, TARGET, no_oracle)
    assert blind.verdict is Verdict.UNTESTABLE
    assert "oracle" in blind.reason
    assert judge(BAD, PROXIED, PROXIED, GOOD, TARGET, no_oracle).verdict is Verdict.FAIL
    assert judge(BAD, CLOSED, PROXIED, GOOD, TARGET, no_oracle).verdict is Verdict.PASS


@pytest.mark.parametrize(
    ("level", "expected"),
    [
        (Level.MUST, Verdict.FAIL),
        (Level.SECURITY, Verdict.FAIL),
        (Level.IMPLIED, Verdict.FAIL),
        (Level.SHOULD, Verdict.WARN),
        (Level.MAY, Verdict.INFO),
        (Level.EITHER, Verdict.FAIL),
    ],
)
def test_what_a_violation_is_worth(level: Level, expected: Verdict) -> None:
    assert verdict(replace(BAD, level=level), PROXIED).verdict is expected


def test_either_cases_record_what_happened() -> None:
    either = replace(BAD, level=Level.EITHER, accept=(*REFUSED, *proxied()))
    assert verdict(either, CLOSED).verdict is Verdict.INFO
    assert verdict(either, PROXIED).verdict is Verdict.INFO
    assert verdict(either, CLOSED, CLOSED).verdict is Verdict.UNTESTABLE


def test_soft_refusals_are_4xx_or_silent() -> None:
    soft = replace(BAD, accept=SOFT_REFUSED)
    assert verdict(soft, REFUSED_421).verdict is Verdict.PASS
    assert verdict(soft, CLOSED).verdict is Verdict.PASS
    hard = seen((0.2, K.RECEIVED, b"554 no\r\n"), (0.2, K.SERVER_FIN))
    assert verdict(soft, hard).verdict is Verdict.FAIL


def test_a_late_refusal_is_a_warning_where_promptness_is_asked_for() -> None:
    prompt = replace(BAD, timing=Timing.PROMPT)
    assert verdict(prompt, CLOSED).verdict is Verdict.PASS
    assert verdict(prompt, seen((30.0, K.SERVER_FIN))).verdict is Verdict.WARN


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        (30.0, Verdict.PASS),
        # A clock of whole seconds.
        (29.0, Verdict.PASS),
        (28.9, Verdict.WARN),
        (12.0, Verdict.WARN),
        (1.0, Verdict.FAIL),
        (0.0, Verdict.FAIL),
    ],
)
def test_the_deadline(moment: float, expected: Verdict) -> None:
    waits = replace(BAD, timing=Timing.AT_DEADLINE)
    assert verdict(waits, seen((moment, K.SERVER_FIN))).verdict is expected


def test_forbidden_bytes_fail_whatever_else_happened() -> None:
    strict = replace(BAD, forbid=(b"secret",))
    assert verdict(strict, REFUSED_421).verdict is Verdict.PASS
    echo = seen((0.2, K.RECEIVED, b"421 what is secret?\r\n"), (0.2, K.SERVER_FIN))
    assert verdict(strict, echo).verdict is Verdict.FAIL


def test_provoked_errors_are_not_the_headers() -> None:
    second = replace(BAD, accept=(*proxied(), *REFUSED), expected_errors=1)
    rows = list(PROXIED.events)
    rows.insert(4, Event(0.015, K.RECEIVED, b"503 again?\r\n"))
    once = replace(PROXIED, events=tuple(rows))
    assert verdict(second, once).verdict is Verdict.PASS
    assert verdict(replace(second, expected_errors=0), once).verdict is Verdict.FAIL


def test_treated_as_smtp_conforms_where_a_case_says_so() -> None:
    unlisted = replace(BAD, source=Source.UNTRUSTED, accept=(*REFUSED, Accept(OutcomeKind.TREATED_AS_SMTP)))
    assert verdict(unlisted, AS_SMTP).verdict is Verdict.PASS
    assert verdict(unlisted, GREETED_THEN_REFUSED).verdict is Verdict.PASS
    assert verdict(unlisted, PROXIED).verdict is Verdict.FAIL
