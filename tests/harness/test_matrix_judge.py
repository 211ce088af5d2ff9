"""Habits of real servers that say nothing of headers, and must not be held against them."""

from __future__ import annotations

from proxyspec.casebook import proxied
from proxyspec.judge import outcome_of
from proxyspec.model import Case, Event, EventKind, Level, Outcome, OutcomeKind, Send, Transcript
from proxyspec.oracle import ORACLES

HEADER = b"PROXY TCP4 192.0.2.1 192.0.2.2 1111 25\r\n"
CASE = Case(id="v1/tcp4/ok", title="served", section="2.1", level=Level.MUST, steps=(Send(HEADER),), accept=proxied())
HELLO = b"250-mx.test Hello [192.0.2.1]\r\n250 HELP\r\n"
REFUSED = b"503 5.5.1 Invalid command: Already identified\r\n"


def _outcome(*replies: bytes) -> Outcome:
    """The greeting, then a reply to each of EHLO, EHLO and QUIT."""
    asked = [HEADER, b"EHLO first.probe.test\r\n", b"EHLO second.probe.test\r\n", b"QUIT\r\n"]
    events = [Event(0.0, EventKind.CONNECTED)]
    for number, (said, told) in enumerate(zip(asked, replies, strict=True), 1):
        events.append(Event(number * 0.1, EventKind.SENT, said))
        if number == 1:
            events.append(Event(0.11, EventKind.STEPS_DONE))
        events.append(Event(number * 0.1 + 0.05, EventKind.RECEIVED, told))
    events.append(Event(0.5, EventKind.SERVER_FIN))
    return outcome_of(CASE, Transcript(CASE.id, tuple(events)), ORACLES["ehlo"])


def test_a_second_ehlo_may_be_refused() -> None:
    found = _outcome(b"220 mx\r\n", HELLO, REFUSED, b"221 bye\r\n")

    assert str(found) == "accepted-proxied 192.0.2.1"


def test_left_over_bytes_are_seen_all_the_same() -> None:
    found = _outcome(b"220 mx\r\n500 what\r\n", HELLO, REFUSED, b"221 bye\r\n")

    assert found.kind is OutcomeKind.TREATED_AS_SMTP
    assert found.code == 500


def test_a_refusal_of_both_is_none_of_the_second_alone() -> None:
    found = _outcome(b"220 mx\r\n", REFUSED, REFUSED, b"221 bye\r\n")

    assert found.kind is OutcomeKind.TREATED_AS_SMTP


def test_another_refusal_of_the_second_ehlo_counts() -> None:
    found = _outcome(b"220 mx\r\n", HELLO, b"500 what\r\n", b"221 bye\r\n")

    assert found.kind is OutcomeKind.TREATED_AS_SMTP


def test_a_session_that_421_ends_is_a_refusal() -> None:
    found = _outcome(b"220 mx\r\n", HELLO, b"421 gone\r\n", b"221 bye\r\n")

    assert (found.kind, found.code) == (OutcomeKind.REJECTED_REPLY, 421)
