"""The registry and the catalogue: every rule has a case or a reason, every case a rule."""

from __future__ import annotations

import json
import re

import pytest

from proxyspec.model import Case, Level, Requirement
from proxyspec_scenarios import catalogue
from proxyspec_scenarios.requirements import REQUIREMENTS, coverage

CASES = catalogue().cases
COVERED = coverage(CASES)
KNOWN = {requirement.id for requirement in REQUIREMENTS}


@pytest.mark.parametrize("requirement", REQUIREMENTS, ids=lambda requirement: requirement.id)
def test_a_requirement_has_cases_or_a_reason(requirement: Requirement) -> None:
    if requirement.untested is None:
        assert COVERED[requirement.id], "no case tests it, and nothing says why"
    else:
        assert not COVERED[requirement.id], "a case tests it, whatever the reason says"
        assert len(requirement.untested) > 20


@pytest.mark.parametrize("requirement", REQUIREMENTS, ids=lambda requirement: requirement.id)
def test_a_requirement_is_well_formed(requirement: Requirement) -> None:
    assert re.fullmatch(r"[a-z][a-z0-9]*(\.[a-z0-9-]+)+", requirement.id)
    assert re.fullmatch(r"(RFC \d{4}, )?\d(\.\d+)*(, \d(\.\d+)*)*", requirement.section)
    assert not requirement.sentence.endswith(".")
    assert set(requirement.conflicts) <= KNOWN - {requirement.id}


def test_conflicts_are_recorded_never_scored_on_one_side_at_least() -> None:
    by_id = {requirement.id: requirement for requirement in REQUIREMENTS}
    for requirement in REQUIREMENTS:
        for other in requirement.conflicts:
            pair = {requirement.level, by_id[other].level}
            shared = [case for case in CASES if {requirement.id, other} <= set(case.requirements)]
            assert Level.EITHER in pair or shared, (requirement.id, other)
            assert all(case.level is Level.EITHER for case in shared), (requirement.id, other)


def test_ids_are_unique() -> None:
    assert len(KNOWN) == len(REQUIREMENTS)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_a_case_tests_requirements_that_exist(case: Case) -> None:
    assert case.requirements
    assert set(case.requirements) <= KNOWN
    assert len(set(case.requirements)) == len(case.requirements)


def test_coverage_counts_the_cases_it_is_given() -> None:
    some = coverage(case for case in CASES if case.id == "v1/tcp4/ok")
    assert some["v1.line.grammar"] == ("v1/tcp4/ok",)
    assert some["v2.version"] == ()


def test_the_list_shows_it(capsys: pytest.CaptureFixture[str]) -> None:
    from proxyspec.cli import main

    assert main(["list", "--requirements", "--format", "json"]) == 0
    rows = json.loads(capsys.readouterr().out)
    assert [row["id"] for row in rows] == [requirement.id for requirement in REQUIREMENTS]
    assert all(row["cases"] or row["untested"] for row in rows)
    assert main(["list", "--requirements", "v1"]) == 0
    shown = capsys.readouterr().out
    assert "v1.line.crlf" in shown
    assert re.search(rf"{len(REQUIREMENTS)} requirements: \d+ tested by \d+ cases, \d+ with a reason why not", shown)
