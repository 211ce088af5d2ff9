"""What a run suggests: the remedies for what was taken for granted and is not so, and nothing of a run in order."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import pytest
from rich.console import Console

from proxyspec.console import print_hints, print_run
from proxyspec.hints import hints
from proxyspec.model import Timing, Verdict
from proxyspec.records import CaseRecord
from tests.reports.samples import PROXIED, SILENT, case, conformance_run

V = Verdict


def told(cases: Sequence[CaseRecord], *, oracle: str = "ehlo") -> list[str]:
    return list(hints(conformance_run(cases, oracle=oracle), Path("reports/out/my run")))


def test_a_run_in_order_suggests_nothing() -> None:
    assert told([case("v1/tcp4/ok"), case("v2/tcp4/ok"), case("smtp/tls/ok", V.SKIP)]) == []
    assert told([case("v1/tcp4/ok")], oracle="none") == []


@pytest.mark.parametrize(("served", "refused", "spoken"), [("v1", "v2", 1), ("v2", "v1", 2)])
def test_a_version_that_is_never_served_suggests_to_declare_the_other(served: str, refused: str, spoken: int) -> None:
    cases = [case(f"{served}/tcp4/ok"), case(f"{refused}/tcp4/ok", V.FAIL), case(f"{refused}/tcp6/ok", V.UNTESTABLE)]
    first, _ = told(cases)
    assert first.endswith(f"say --versions {spoken}")


@pytest.mark.parametrize(
    "cases",
    [
        [case("v1/tcp4/ok"), case("v2/tcp4/ok", V.FAIL), case("v2/tcp6/ok")],
        [case("v1/tcp4/ok", V.FAIL), case("v2/tcp4/ok", V.FAIL)],
        [case("v2/tcp4/ok", V.FAIL)],
    ],
    ids=["some of it works", "nothing works", "the other was not asked"],
)
def test_other_failures_are_not_taken_for_a_missing_version(cases: list[CaseRecord]) -> None:
    assert not any("--versions" in hint for hint in told(cases))


def waits(verdict: Verdict, lasts: float) -> CaseRecord:
    record = case("general/deadline/silent", verdict, steps=(), reply=b"", got=SILENT, lasts=lasts)
    return record.model_copy(update={"timing": Timing.AT_DEADLINE})


def test_a_deadline_other_than_assumed_is_told_in_seconds() -> None:
    assert told([waits(V.WARN, 5.01)]) == [
        "the target waits 5.0 s for a header, and 30 s were assumed: say --header-timeout as the target has it"
    ]
    assert told([waits(V.PASS, 30.0)]) == []
    assert len([hint for hint in told([waits(V.WARN, 5.01), waits(V.WARN, 5.02)]) if "--header-timeout" in hint]) == 1


def test_who_has_no_oracle_is_told_where_they_are_listed() -> None:
    (hint,) = told([case("v1/tcp4/ok", V.UNTESTABLE, got=PROXIED)], oracle="none")
    assert "proxyspec list --oracles" in hint


def test_a_failure_suggests_the_next_commands_as_they_can_be_pasted() -> None:
    (hint,) = told([case("v1/port/65536", V.FAIL), case("v1/port/65537", V.FAIL)])
    assert "`proxyspec explain v1/port/65536`" in hint
    assert "`proxyspec report 'reports/out/my run' -o report.html`" in hint


def test_the_summary_says_why_cases_were_skipped_and_hints_cannot_steer_the_terminal() -> None:
    shown = io.StringIO()
    console = Console(file=shown, width=60, color_system=None)
    lacks = "the target lacks [bold]starttls\x1b[2J, which this case needs to be judged at all"
    print_run(console, conformance_run([case(f"smtp/tls/{name}", V.SKIP, reason=lacks) for name in "abc"]))
    print_hints(console, ["say [bold]that[/]\x1b[2J"])
    first, *_, last = shown.getvalue().splitlines()
    assert first == "3 skipped: the target lacks [bold]starttls\\x1b[2J, which this case needs to be judged at all"
    assert last == "→ say [bold]that[/]\\x1b[2J"
