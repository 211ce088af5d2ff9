"""The catalogue as a whole: every case has what a verdict needs."""

from __future__ import annotations

import pytest

from proxyspec.casebook import Chapter, catalogue_of
from proxyspec.model import ACCEPTED, REJECTED, Case, Level, OutcomeKind, Send, Source, Via
from proxyspec_scenarios import catalogue

CASES = catalogue().cases


def refuses(case: Case) -> bool:
    return all(accept.kind in REJECTED for accept in case.accept)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_a_case_says_what_it_is(case: Case) -> None:
    assert case.title[0].isupper() or case.title.startswith("107")
    assert not case.title.endswith(".")
    assert case.accept
    assert case.section
    assert case.id.count("/") >= 1
    assert not any(isinstance(step, Send) and not step.data for step in case.steps)


@pytest.mark.parametrize("case", [case for case in CASES if refuses(case)], ids=lambda case: case.id)
def test_a_refusal_has_a_control_that_must_be_accepted(case: Case) -> None:
    assert case.control is not None
    control = catalogue()[case.control]
    assert any(accept.kind in ACCEPTED for accept in control.accept)
    assert not refuses(control)
    assert (control.steps, control.source) != (case.steps, case.source)
    assert control.versions <= case.versions, "a control that is skipped makes its case untestable"


def test_both_versions_and_every_road_are_covered() -> None:
    assert {case.via for case in CASES} == set(Via)
    assert {case.source for case in CASES} == set(Source)
    assert {level for level in Level if any(case.level is level for case in CASES)} >= {
        Level.MUST,
        Level.SHOULD,
        Level.SECURITY,
        Level.EITHER,
    }
    assert sum(case.waits for case in CASES) >= 6
    kinds = {accept.kind for case in CASES for accept in case.accept}
    assert kinds >= {OutcomeKind.ACCEPTED_PROXIED, OutcomeKind.ACCEPTED_REAL, OutcomeKind.REJECTED_SILENT}


def test_two_cases_of_one_name_are_refused() -> None:
    chapter = Chapter("c", section="2")
    chapter.accepts("same", b"x", "T")
    chapter.accepts("same", b"y", "T")
    with pytest.raises(ValueError, match="two cases are called c/same"):
        catalogue_of([chapter])


def test_a_control_that_does_not_exist_is_refused() -> None:
    chapter = Chapter("c", section="2")
    chapter.rejects("bad", b"x", "T", control="c/none")
    with pytest.raises(ValueError, match="c/none, which does not exist"):
        catalogue_of([chapter])


def test_a_chapter_can_be_selected_with_its_controls_from_other_chapters() -> None:
    chosen = catalogue().with_controls(case for case in CASES if case.id == "general/deadline/silent")
    assert [case.id for case in chosen] == ["general/deadline/silent", "v1/tcp4/ok"]
