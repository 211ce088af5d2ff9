from __future__ import annotations

import io

from rich.console import Console

from proxyspec.checks.console import cell_text, print_checks
from proxyspec.checks.record import exit_code_of
from proxyspec.errors import ExitCode
from proxyspec.model import Verdict
from proxyspec.records.checks import CheckRecord, ExpectedCheck


def row(check: str, haproxy: str, **changes: object) -> CheckRecord:
    fields: dict[str, object] = {
        "id": f"check/{check}/v1@{haproxy}",
        "title": check,
        "verdict": Verdict.PASS,
        "reason": "all is well",
        "check": check,
        "proxy": "v1",
        "haproxy": f"HAProxy {haproxy}",
        "server": "reference",
        "directives": [],
        "expected": ExpectedCheck(up=True, results=["L7OK/221"], opening="v1 line", resets="never"),
        "up": True,
        "result": "L7OK/221",
        "seconds": 0.31,
        "checks": 50,
        "resets": 1,
        "endings": {},
        "fields": {},
        "log": [],
        "events": [],
    }
    return CheckRecord.model_validate({**fields, **changes})


VERSIONS = ("2.2.9", "2.6.12", "2.8.25", "3.0.11", "3.2.26", "3.4.7")
FAILED = {"verdict": Verdict.FAIL, "reason": "it said \x1b[31mNO", "up": False, "result": "L7TOUT"}
ROWS = [row("smtpchk", version) for version in VERSIONS] + [row("l4", "3.4.7", **FAILED)]


def printed(*, width: int, terminal: bool) -> list[str]:
    file = io.StringIO()
    print_checks(Console(file=file, width=width, force_terminal=terminal, color_system=None), ROWS)
    return file.getvalue().splitlines()


def test_off_a_terminal_no_version_is_cut_off() -> None:
    heading, first, second, *_, last = printed(width=40, terminal=False)
    assert heading.split() == ["check", "PROXY", *VERSIONS]
    assert first.count("UP L7OK/221 0.3s 2R") == len(VERSIONS)
    assert second.count("·") == len(VERSIONS) - 1
    assert "DOWN L7TOUT 0.3s 2R FAIL" in second
    assert last == "FAIL       check/l4/v1@3.4.7  it said \\x1b[31mNO"


def test_on_a_narrow_terminal_cells_have_two_lines() -> None:
    lines = printed(width=110, terminal=True)
    assert max(map(len, lines)) <= 110
    told = next(line for line in lines if line.startswith("smtpchk"))
    assert told.count("UP L7OK/221") == len(VERSIONS)
    assert lines[lines.index(told) + 1].count("0.3s 2R") == len(VERSIONS)


def test_a_cell_says_what_is_known() -> None:
    assert cell_text(row("l4", "3.2.26", up=None, result=None, verdict=Verdict.ERROR)) == "ERROR"
    assert cell_text(row("l4", "3.2.26", result="L4OK", checks=0, resets=0)) == "UP L4OK 0.3s"
    assert cell_text(row("l4", "3.2.26", result="L4OK", seconds=None), between="\n") == "UP L4OK\n 2R"


def test_the_exit_code_follows_from_the_verdicts() -> None:
    passed, failed = [Verdict.PASS, Verdict.INFO], [Verdict.PASS, Verdict.UNTESTABLE]
    assert exit_code_of(passed, interrupted=False) is ExitCode.OK
    assert exit_code_of(failed, interrupted=False) is ExitCode.FAILED
    assert exit_code_of([*failed, Verdict.ERROR], interrupted=False) is ExitCode.HARNESS
    assert exit_code_of([], interrupted=False) is ExitCode.NOTHING
    assert exit_code_of([*failed, Verdict.ERROR], interrupted=True) is ExitCode.INTERRUPTED
