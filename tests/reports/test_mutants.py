"""The section of a kill matrix: what is wrong first, the weakest cases, who kills whom by chapter."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Literal

import pytest

from proxyspec.model import Verdict
from proxyspec.records import CaseTally, MutantRecord, MutantsRun, load_run
from proxyspec_reports import render_html, view
from proxyspec_reports.answer import Word
from proxyspec_reports.mutants import MutantsView, mutants_view
from tests.reports.samples import ENVIRONMENT

State = Literal["passed", "flagged", "killed", "survived", "unseen", "broken"]


def mutant(name: str, state: State, *killers: str, kind: Literal["sound", "defect", "variation"]) -> MutantRecord:
    verdict = {"survived": Verdict.FAIL, "flagged": Verdict.FAIL, "broken": Verdict.ERROR, "unseen": Verdict.INFO}
    return MutantRecord(
        id=name,
        title=f"{name} <b>is</b> wrong.",
        verdict=verdict.get(state, Verdict.PASS),
        reason=f"why {name} is {state}",
        kind=kind,
        origin="section 2",
        state=state,
        killers=list(killers),
        seconds=1.5,
    )


def case(name: str, kills: int, narrowest: str | None = None, verdict: Verdict = Verdict.PASS) -> CaseTally:
    return CaseTally(
        id=name,
        title=f"{name} is a case",
        verdict=verdict,
        reason=f"why {name} kills {kills}",
        chapter=name.partition("/")[0],
        kills=kills,
        narrowest=narrowest,
        narrowest_killers=kills,
    )


def sample(extra: int = 0, *, wrong: bool = True) -> MutantsRun:
    mutants = [
        mutant("sound", "passed", kind="sound"),
        mutant("broad", "killed", "v1/a", "v1/b", "v2/c", kind="defect"),
        mutant("narrow", "killed", "v1/b", kind="defect"),
        mutant("hidden", "unseen", kind="defect"),
        *(mutant(f"more-{number:02}", "killed", "v2/c", kind="defect") for number in range(extra)),
        mutant("varied", "passed", kind="variation"),
    ]
    if wrong:
        mutants += [
            mutant("tough", "survived", kind="defect"),
            mutant("harmless", "flagged", "v1/a", kind="variation"),
        ]
    return MutantsRun(
        id="mutants-1",
        started=datetime(2026, 11, 22, tzinfo=UTC),
        duration=180.0,
        status="complete",
        command=["mutants"],
        environment=ENVIRONMENT.model_copy(update={"haproxy": None}),
        exit_code=1 if wrong else 0,
        subject="The suite",
        header_timeout=3.0,
        parallel=6,
        whole=True,
        mutants=mutants,
        cases=[
            *([case("v2/idle", 0, verdict=Verdict.FAIL)] if wrong else []),
            case("v1/a", 1, "broad"),
            case("v1/b", 2, "narrow"),
            case("v2/c", 1 + extra, "broad"),
        ],
    )


def test_numbers_and_what_is_wrong() -> None:
    shown = mutants_view(sample(), "run-1")
    assert (shown.defects, shown.killed, shown.unseen, shown.kills) == (4, 2, 1, 4)
    assert (shown.sound, shown.passed, shown.cases, shown.busy) == (3, 2, 4, 3)
    assert shown.seconds == pytest.approx(1.5)
    assert [row.id for row in shown.wrong] == ["tough", "harmless"]
    assert [row.id for row in shown.weakest] == ["v2/idle", "v1/a", "v1/b", "v2/c"]


def test_the_matrix_by_chapter_has_survivors_first_and_then_the_weakest() -> None:
    shown = mutants_view(sample(), "run-1")
    assert [chapter.name for chapter in shown.chapters] == ["v1", "v2"]
    assert [(row.id, row.by_chapter) for row in shown.defect_rows] == [
        ("tough", (0, 0)),
        ("hidden", (0, 0)),
        ("narrow", (1, 0)),
        ("broad", (2, 1)),
    ]
    assert [row.id for row in shown.sound_rows] == ["sound", "varied", "harmless"]
    first, second = shown.chapters
    assert [(view.id, view.killed) for view in first.cases] == [("v1/a", ("broad",)), ("v1/b", ("narrow", "broad"))]
    assert (first.wrong, second.wrong, first.kills) == (0, 1, 3)


def test_no_more_names_than_can_be_read() -> None:
    (row,) = (view for view in mutants_view(sample(30), "run-1").chapters[1].cases if view.id == "v2/c")
    assert len(row.killed) == 12
    assert row.more == 31 - 12


def test_the_page_escapes_links_and_folds() -> None:
    page = render_html(view([sample()]))
    assert "<b>is</b>" not in page
    assert "tough &lt;b&gt;is&lt;/b&gt; wrong." in page
    for anchor in re.findall(r'href="#(run-1-chapter-\d)"', page):
        assert f'<details id="{anchor}"' in page
    assert '<details id="run-1-chapter-2" open>' in page, "a chapter with an idle case is open"
    assert '<details id="run-1-chapter-1">' in page
    calm = render_html(view([sample(wrong=False)]))
    assert "Not as it has to be" in page
    assert "Not as it has to be" not in calm


def test_the_answer_is_no_with_a_survivor_and_yes_without() -> None:
    assert view([sample()]).answers[0].word is Word.NO
    shown = view([sample(wrong=False)])
    assert shown.answers[0].word is Word.YES
    assert isinstance(shown.sections[0], MutantsView)


def test_the_record_is_read_back(tmp_path: Path) -> None:
    run = sample()
    (tmp_path / "run.json").write_text(run.model_dump_json())
    assert load_run(tmp_path) == run
    assert [row.id for row in run.judged][:2] == ["sound", "broad"]
    assert run.judged[-1].id == "v2/c"
