"""Exit codes and the words of the record."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from proxyspec.conformance import case_record, exit_code_of
from proxyspec.console import SHOWN, RunConsole, show_bytes
from proxyspec.errors import ExitCode
from proxyspec.model import Event, EventKind, Judgement, Outcome, OutcomeKind, Transcript, Verdict, View
from proxyspec.scheduler import Judged
from proxyspec_scenarios import catalogue

V = Verdict


@pytest.mark.parametrize(
    ("verdicts", "unjudgeable", "interrupted", "code"),
    [
        ([V.PASS, V.INFO, V.WARN, V.SKIP], False, False, ExitCode.OK),
        ([V.PASS, V.FAIL], False, False, ExitCode.FAILED),
        ([V.PASS, V.UNTESTABLE], False, False, ExitCode.FAILED),
        ([V.SKIP, V.SKIP], False, False, ExitCode.NOTHING),
        ([], False, False, ExitCode.NOTHING),
        ([V.UNTESTABLE], True, False, ExitCode.UNJUDGEABLE),
        ([V.FAIL, V.ERROR], True, False, ExitCode.HARNESS),
        ([V.FAIL, V.ERROR], True, True, ExitCode.INTERRUPTED),
    ],
)
def test_the_first_code_that_applies(
    verdicts: list[Verdict], unjudgeable: bool, interrupted: bool, code: ExitCode
) -> None:
    failed = V.FAIL in verdicts or V.UNTESTABLE in verdicts
    assert exit_code_of(verdicts, failed=failed, unjudgeable=unjudgeable, interrupted=interrupted) is code


def failed() -> Judged:
    events = (
        Event(0.0, EventKind.CONNECTED),
        Event(0.0, EventKind.SENT, b"PROXY\r\n"),
        Event(0.0, EventKind.STEPS_DONE),
        Event(0.5, EventKind.RECEIVED, b"220 \x1b[2J [bold]mx[/]\r\n"),
        Event(1.0, EventKind.SERVER_RST, b"", "gone\x1b"),
    )
    transcript = Transcript("v1/field/only-prefix", events, View("127.0.0.1", 7), View("127.0.0.1", 7), 3)
    outcome = Outcome(OutcomeKind.ACCEPTED_PROXIED, view=View("192.0.2.1", 5), after=0.5)
    return Judged(catalogue()["v1/field/only-prefix"], transcript, Judgement(V.FAIL, outcome, "because\x1b[2J"))


def test_a_record_holds_the_bytes_both_ways_and_the_end() -> None:
    record = case_record(failed(), "proxyspec run …")
    assert bytes.fromhex(record.sent) == b"PROXY\r\n"
    assert bytes.fromhex(record.received).startswith(b"220 ")
    assert (record.ending, record.duration, record.dropped) == ("rst", 1.0, 3)
    assert record.outcome is not None
    assert (record.outcome.address, record.outcome.port, record.outcome.after) == ("192.0.2.1", 5, 0.5)
    assert record.client == "127.0.0.1 7"


@pytest.mark.parametrize("terminal", [True, False])
def test_what_a_server_says_cannot_steer_the_terminal(terminal: bool) -> None:
    shown = io.StringIO()
    console = Console(file=shown, force_terminal=terminal, width=100, color_system=None)
    with RunConsole(console, 1, 30.0) as listener:
        listener.judged(case_record(failed(), ""))
    text = shown.getvalue()
    assert "220 \\x1b[2J [bold]mx[/]" in text
    assert "because\\x1b[2J" in text
    assert "\x1b[2J" not in text


def test_long_evidence_is_cut() -> None:
    assert show_bytes(b"x" * (SHOWN + 5)) == "x" * SHOWN + "… 5 bytes more"
