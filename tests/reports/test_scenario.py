"""A run of scenarios whose kind has no section of its own still answers, counts and escapes in every format."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Literal

import pytest

from proxyspec.model import Verdict
from proxyspec.records import Environment, JudgedRecord, ScenarioRun
from proxyspec_reports import render_html, render_junit, render_markdown, render_tap, view
from proxyspec_reports.answer import Word, scenario_answer


class Weather(ScenarioRun):
    kind: Literal["weather"] = "weather"
    rows: list[JudgedRecord]

    @property
    def judged(self) -> Sequence[JudgedRecord]:
        return self.rows


def row(name: str, verdict: Verdict, reason: str = "because") -> JudgedRecord:
    return JudgedRecord(id=f"weather/{name}", title=f"Looks at {name}", verdict=verdict, reason=reason)


def run(*rows: JudgedRecord, status: Literal["complete", "interrupted"] = "complete") -> Weather:
    return Weather(
        id="weather-1",
        started=datetime(2026, 5, 1, 12, tzinfo=UTC),
        duration=1.5,
        status=status,
        command=["weather"],
        environment=Environment(proxyspec="0", python="3.11", platform="Linux", haproxy=None),
        exit_code=0,
        subject="HAProxy <3.2> in the rain",
        rows=list(rows),
    )


@pytest.mark.parametrize(
    ("verdicts", "word"),
    [
        ([Verdict.PASS, Verdict.INFO], Word.YES),
        ([Verdict.PASS, Verdict.FAIL], Word.NO),
        ([Verdict.PASS, Verdict.ERROR], Word.CANNOT_TELL),
        ([Verdict.PASS, Verdict.UNTESTABLE], Word.CANNOT_TELL),
        ([Verdict.SKIP], Word.CANNOT_TELL),
        ([], Word.CANNOT_TELL),
    ],
)
def test_the_answer_follows_from_the_rows(verdicts: list[Verdict], word: Word) -> None:
    found = scenario_answer(run(*(row(f"{n}", verdict) for n, verdict in enumerate(verdicts))))
    assert found.word is word
    assert found.total == len(verdicts)


def test_an_interrupted_run_is_no_yes() -> None:
    assert scenario_answer(run(row("sun", Verdict.PASS), status="interrupted")).word is Word.CANNOT_TELL


def test_every_format_shows_every_row_and_escapes_it() -> None:
    record = run(row("sun", Verdict.PASS), row("rain", Verdict.FAIL, "<b>wet</b> # x"), row("fog", Verdict.SKIP))
    page = render_html(view([record]))
    assert page.count("weather/rain") == 1
    assert "&lt;b&gt;wet&lt;/b&gt;" in page
    assert "<b>wet" not in page
    assert "HAProxy &lt;3.2&gt; in the rain" in page
    markdown = render_markdown([record])
    assert "❌ FAIL" in markdown
    assert "<b>" not in markdown
    junit = render_junit([record])
    assert 'tests="3" failures="1" errors="0" skipped="1"' in junit
    tap = render_tap([record])
    assert "not ok 2 - weather/rain: FAIL: <b>wet</b> \\# x" in tap
    assert "ok 3 - weather/fog # SKIP because" in tap
