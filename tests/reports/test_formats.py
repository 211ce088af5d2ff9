"""JUnit, TAP and Markdown: structure that other programs read, and hostile text that must not get out of its place."""

from __future__ import annotations

import re
from xml.etree import ElementTree as ET

import pytest

from proxyspec.model import Disposition, EventKind, Verdict
from proxyspec.records import BaselineRecord, CaseRecord, ConformanceRun
from proxyspec_reports import render_junit, render_markdown, render_tap
from proxyspec_reports.cases import _DID
from proxyspec_reports.evidence import evidence_lines
from proxyspec_reports.markdown import MARKDOWN_LIMIT
from tests.reports.samples import NASTY, TARGET, THRESHOLDS, case, conformance_run, load_run, mixed_run

V, D = Verdict, Disposition


def with_baseline(*, strict: bool = False) -> ConformanceRun:
    """One case of every verdict and disposition that renders in a way of its own."""
    cases: list[tuple[str, Verdict, Disposition | None]] = [
        ("v1/pass", V.PASS, None),
        ("v1/fixed", V.PASS, D.FIXED),
        ("v1/new", V.FAIL, D.NEW),
        ("v1/known", V.FAIL, D.KNOWN),
        ("v1/stale", V.WARN, D.STALE),
        ("v1/regressed", V.FAIL, D.REGRESSED),
        ("v1/warn", V.WARN, None),
        ("v1/info", V.INFO, None),
        ("v1/untestable", V.UNTESTABLE, D.NEW),
        ("v1/skip", V.SKIP, None),
        ("v1/error", V.ERROR, None),
    ]
    run = conformance_run(
        [case(name, verdict).model_copy(update={"disposition": found}) for name, verdict, found in cases]
    )
    baseline = BaselineRecord(path="known.toml", stale=["entry 2 (v1/fixed) passes now: take the entry out"])
    return run.model_copy(update={"baseline": baseline, "strict": strict})


def nasty() -> ConformanceRun:
    fails = case("v1/nasty", V.FAIL, reply=NASTY, reason="it said \x1b[31m ]]> <b> # TODO `x` | @all\r\nnot ok 9")
    return conformance_run([fails])


def junit(*runs: ConformanceRun) -> ET.Element:
    return ET.fromstring(render_junit(runs))


def results(root: ET.Element) -> dict[str, str]:
    found = {}
    for test in root.iter("testcase"):
        kinds = [child.tag for child in test if child.tag != "system-out"]
        assert len(kinds) <= 1
        found[test.attrib["name"]] = kinds[0] if kinds else "passed"
    return found


@pytest.mark.parametrize("strict", [False, True])
def test_junit_fails_what_counts_against_the_target(strict: bool) -> None:
    root = junit(with_baseline(strict=strict))
    assert results(root) == {
        "v1/pass": "passed",
        "v1/fixed": "passed",
        "v1/new": "failure",
        "v1/known": "skipped",
        "v1/stale": "failure",
        "v1/regressed": "failure",
        "v1/warn": "failure" if strict else "passed",
        "v1/info": "passed",
        "v1/untestable": "failure",
        "v1/skip": "skipped",
        "v1/error": "error",
        "entry 2 (v1/fixed) passes now": "failure",
    }


def test_junit_counts_what_it_holds() -> None:
    root = junit(with_baseline(), mixed_run())
    assert root.tag == "testsuites"
    suites = root.findall("testsuite")
    assert len(suites) == 2
    for name, element in {"tests": "testcase", "failures": "failure", "errors": "error", "skipped": "skipped"}.items():
        for suite in suites:
            assert int(suite.attrib[name]) == len(list(suite.iter(element)))
        assert int(root.attrib[name]) == sum(int(suite.attrib[name]) for suite in suites)
    for suite in suites:
        assert suite[0].tag == "properties"
        assert float(suite.attrib["time"]) >= 0
        for test in suite.findall("testcase"):
            assert test.attrib["classname"].startswith("proxyspec")
            assert float(test.attrib["time"]) >= 0


def test_junit_holds_evidence_without_control_characters() -> None:
    text = render_junit([nasty()])
    assert re.search(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e]", text) is None
    (failure,) = ET.fromstring(text).iter("failure")
    assert failure.text is not None
    assert r"220 <script>alert('mx')</script> \x1b[31mred" in failure.text
    assert "printf 'PROXY TCP4" in failure.text
    assert failure.attrib["message"].startswith("it said \\x1b[31m ]]>")


def test_junit_of_a_load_run_has_a_test_a_threshold() -> None:
    assert list(results(ET.fromstring(render_junit([load_run()]))).values()) == ["failure", "passed", "error"]


def test_a_target_that_cannot_be_judged_is_an_error_of_its_own() -> None:
    run = conformance_run([case("v1/a", V.UNTESTABLE)], unjudgeable="nobody\x1b there")
    assert results(junit(run))["the target can be judged"] == "error"
    assert "not ok 1 - the target can be judged: nobody\\\\x1b there" in render_tap([run])
    assert "**Cannot be judged:** nobody" in render_markdown([run])


POINT = re.compile(r"(not )?ok (\d+) - ([^#]*?)(?: # (SKIP|TODO) .*)?")


def points(text: str) -> dict[str, tuple[bool, str | None]]:
    """Read TAP as its specification says: escaped hashes are text, diagnostics are indented."""
    version, plan, *lines = text.splitlines()
    assert version == "TAP version 14"
    found, numbers = {}, []
    for line in lines:
        if line.startswith("  "):
            continue
        match = POINT.fullmatch(line.replace("\\\\", "/").replace("\\#", "/"))
        assert match is not None, line
        numbers.append(int(match[2]))
        found[match[3].partition(":")[0]] = (match[1] is None, match[4])
    assert numbers == list(range(1, len(numbers) + 1))
    assert plan == f"1..{len(numbers)}"
    return found


def test_tap_says_not_ok_to_what_counts() -> None:
    found = points(render_tap([with_baseline()]))
    assert found == {
        "v1/pass": (True, None),
        "v1/fixed": (True, None),
        "v1/new": (False, None),
        "v1/known": (False, "TODO"),
        "v1/stale": (False, None),
        "v1/regressed": (False, None),
        "v1/warn": (True, None),
        "v1/info": (True, None),
        "v1/untestable": (False, None),
        "v1/skip": (True, "SKIP"),
        "v1/error": (False, None),
        "baseline": (False, None),
    }
    assert points(render_tap([with_baseline(strict=True)]))["v1/warn"] == (False, None)


def test_tap_text_of_a_server_makes_no_points_and_no_directives() -> None:
    assert points(render_tap([nasty()])) == {"v1/nasty": (False, None)}
    assert points(render_tap([mixed_run()])).keys() == {record.id for record in mixed_run().cases}
    assert [good for good, _ in points(render_tap([load_run(thresholds=THRESHOLDS[1:2])])).values()] == [True]
    assert render_tap([]).splitlines()[1].startswith("1..0 # SKIP")


def test_markdown_answers_first_and_counts() -> None:
    text = render_markdown([with_baseline(), load_run()])
    lines = text.splitlines()
    assert lines[0] == "# proxyspec"
    assert lines[2].startswith("**No:** smtp://127.0.0.1:2525 broke the rules in 3 cases")
    assert "| v1 | 3 | 1 | 2 | 1 | 2 | 1 | 1 |" in lines
    assert "Baseline `known.toml`: 2 new, 1 known, 1 stale, 1 fixed, 1 regressed." in lines
    assert "- **stale:** entry 2 (v1/fixed) passes now: take the entry out" in lines
    assert any("missed" in line and line.startswith("|") for line in lines)
    assert text.count("<details>") == text.count("</details>") == 7


def test_markdown_text_of_a_server_stays_where_it_is() -> None:
    text = render_markdown([nasty()])
    outside = re.sub(r"```text\n.*?\n```", "", text, flags=re.DOTALL)
    assert "<script" not in outside
    assert "<b>" not in outside
    assert "\x1b" not in text
    assert "&lt;b&gt;" in outside


def test_a_fence_is_longer_than_any_in_the_evidence() -> None:
    run = conformance_run([case("v1/a", V.FAIL, reply=b"220 ````` <img src=x>\r\n")])
    assert "\n``````text\n" in render_markdown([run])


def test_markdown_is_cut_between_cases() -> None:
    fails = [case(f"v1/{n}", V.FAIL, reply=b"220 " + b"x" * 2000 + b"\r\n") for n in range(600)]
    text = render_markdown([conformance_run(fails)])
    assert MARKDOWN_LIMIT * 0.9 < len(text.encode()) < MARKDOWN_LIMIT + 4096
    assert text.count("<details>") == text.count("</details>")
    assert "cut here" in text.splitlines()[-1]


def test_evidence_shows_the_rule_the_bytes_and_how_to_see_it_again() -> None:
    record: CaseRecord = nasty().cases[0]
    lines = evidence_lines(record, TARGET)
    assert [line.split()[0] for line in lines][:4] == ["rule", "expected", "got", "sent"]
    assert any(line.startswith("by hand   printf") for line in lines)
    assert all(line.isprintable() for line in lines)


def test_every_event_has_words() -> None:
    assert set(_DID) == set(EventKind)
