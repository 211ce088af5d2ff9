"""What a baseline made of the verdicts, in the answer, at each case, in the matrix and in the legend."""

from __future__ import annotations

import re

from proxyspec.model import Disposition, Verdict
from proxyspec.records import BaselineRecord, ConformanceRun
from proxyspec_reports import render_html, render_markdown, view
from proxyspec_reports.answer import Word, answers
from proxyspec_reports.baseline import DISPOSITIONS, told
from proxyspec_reports.conformance import ConformanceView

from .samples import case, conformance_run

V, D = Verdict, Disposition
CASES: tuple[tuple[str, Verdict, Disposition | None], ...] = (
    ("v1/x/known-1", V.FAIL, D.KNOWN),
    ("v1/x/known-2", V.FAIL, D.KNOWN),
    ("v1/x/new", V.FAIL, D.NEW),
    ("v1/x/fixed", V.PASS, D.FIXED),
    ("v1/x/plain", V.PASS, None),
)


def measured(
    *, path: str = "known.toml", url: str = "smtp://127.0.0.1:2525", stale: tuple[str, ...] = ()
) -> ConformanceRun:
    run = conformance_run(
        [case(name, verdict).model_copy(update={"disposition": found}) for name, verdict, found in CASES], url=url
    )
    return run.model_copy(update={"baseline": BaselineRecord(path=path, stale=list(stale))})


def test_the_answer_tells_new_from_known() -> None:
    (found,) = answers([measured(stale=("entry 1 (v1/x/fixed) passes now: take the entry out",))])
    assert found.word is Word.NO, "a known failure is a failure all the same"
    assert found.sentence == (
        "smtp://127.0.0.1:2525 broke the rules in 3 cases. By the baseline known.toml: 1 new, 2 known, 1 fixed."
    )
    assert "Baseline known.toml, entry 1 (v1/x/fixed) passes now: take the entry out." in found.caveats


def test_a_baseline_that_says_nothing_of_the_cases_is_not_in_the_answer() -> None:
    run = conformance_run([case("v1/a")]).model_copy(update={"baseline": BaselineRecord(path="known.toml", stale=[])})
    (found,) = answers([run])
    assert found.sentence == "smtp://127.0.0.1:2525 passed 1 case and broke no rule."


def test_baselines_of_several_runs_are_named_once_each() -> None:
    (found,) = answers([measured(path="a.toml"), measured(path="b.toml"), measured(path="a.toml")])
    assert found.sentence.endswith("By the baseline a.toml and b.toml: 3 new, 6 known, 3 fixed.")


def test_what_nobody_knew_comes_first_and_stands_apart() -> None:
    section = view([measured()]).sections[0]
    assert isinstance(section, ConformanceView)
    (failed,) = section.problems
    assert [(cause.disposition, [made.id for made in cause.cases]) for cause in failed.causes] == [
        (D.NEW, ["v1/x/new"]),
        (D.KNOWN, ["v1/x/known-1", "v1/x/known-2"]),
    ]
    assert failed.told == "1 new, 2 known"


def test_every_case_says_in_a_word_what_the_baseline_made_of_it() -> None:
    page = render_html(view([measured()]))
    rows = dict(re.findall(r'<tr><th scope="row"><a href="#run-1-case-\d+">(.*?)</a></th><td>(.*?)</td>', page))
    marks = {name: re.findall(r'class="expected expected-\w+">(\w+)<', cell) for name, cell in rows.items()}
    assert marks == {name: [str(found)] if found else [] for name, _, found in CASES}
    assert '<article class="case case-fail case-new"' in page
    assert '<details class="case case-pass case-fixed">' in page
    assert "Baseline <code>known.toml</code>: 1 new, 2 known, 1 fixed." in page


def test_the_legend_explains_the_words_that_occur_and_no_others() -> None:
    legend = render_html(view([measured()])).partition('id="legend"')[2]
    for kind, meaning in DISPOSITIONS.items():
        assert (meaning in legend) is (kind in {found for _, _, found in CASES})


def test_the_matrix_says_it_in_the_title_of_a_cell() -> None:
    page = render_html(view([measured(), measured(url="smtp://127.0.0.1:2526")]))
    cells = re.findall(r'<td class="f (\w+)"><a href="#run-\d-case-\d+" title="[^"]* \((\w+)\)">F</a></td>', page)
    assert sorted(cells) == sorted([("known", "known")] * 4 + [("new", "new")] * 2)


def test_markdown_lists_what_nobody_knew_first_and_what_is_fixed() -> None:
    text = render_markdown([measured()])
    assert "By the baseline known.toml: 1 new, 2 known, 1 fixed." in text
    assert "- **fixed:** `v1/x/fixed`" in text.splitlines()
    marks = re.findall(r"<summary><code>v1/x/([\w-]+)</code> \((\w+)\)", text)
    assert marks == [("new", "new"), ("known-1", "known"), ("known-2", "known")]


def test_every_disposition_has_words() -> None:
    assert set(DISPOSITIONS) == set(Disposition)
    assert told([D.FIXED, None, D.NEW, D.NEW]) == "2 new, 1 fixed"
    assert told([None]) == ""
