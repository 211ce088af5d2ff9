"""Case files: what is written is read again, and what is wrong with one is said."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from proxyspec.errors import UsageError
from proxyspec.fuzz.casefile import CaseFile, catalogue_from, entry_of
from proxyspec.fuzz.rules import classify
from proxyspec.fuzz.trials import case_of, control_of
from proxyspec.layers.authoring import local, v1, v2
from proxyspec.model import Case, HalfClose, Send

BOTH = frozenset({1, 2})


def written(path: Path, data: bytes, case_id: str = "fuzz/001", *, fin: bool = False) -> Case:
    control = control_of(data, BOTH)
    case = case_of(case_id, data, classify(data, BOTH), control=control.id, fin=fin)
    entry = entry_of(case, control, made="by hand", seen="hung")
    path.write_text(CaseFile(cases=[entry]).model_dump_json())
    return case


@pytest.mark.parametrize("data", [v1(dport="025"), v2(length=11), local(), v2(family=0x12), v1() + b"NOOP\r\n"])
@pytest.mark.parametrize("fin", [False, True])
def test_a_case_comes_back_as_it_was(tmp_path: Path, data: bytes, fin: bool) -> None:
    case = written(tmp_path / "case.json", data, fin=fin)
    catalogue = catalogue_from([tmp_path / "case.json"])
    again = catalogue["fuzz/001"]
    assert again.steps == case.steps == ((Send(data), HalfClose()) if fin else (Send(data),))
    assert (again.accept, again.level, again.title) == (case.accept, case.level, case.title)
    assert again.expected_errors == case.expected_errors
    assert again.control is not None
    assert catalogue[again.control].header == (v1() if data.startswith(b"P") else v2())


def test_files_share_their_controls_and_may_not_disagree(tmp_path: Path) -> None:
    written(tmp_path / "a.json", v1(dport="025"), "fuzz/a")
    written(tmp_path / "b.json", v1(dport="x"), "fuzz/b")
    written(tmp_path / "c.json", v1(dport="y"), "fuzz/b")
    both = catalogue_from([tmp_path / "a.json", tmp_path / "b.json", tmp_path / "a.json"])
    assert [case.id for case in both.cases] == ["control/1", "fuzz/a", "fuzz/b"]
    with pytest.raises(UsageError, match="another case fuzz/b"):
        catalogue_from([tmp_path / "b.json", tmp_path / "c.json"])


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"send": "xyz"}, "cases.0.send"),
        ({"send": ""}, "cases.0.send"),
        ({"level": "LOUD"}, "cases.0.level"),
        ({"accepts": []}, "cases.0.accepts"),
        ({"accepts": [{"kind": "accepted-proxied", "address": "not-an-address"}]}, "address"),
        ({"id": "../../etc"}, "cases.0.id"),
        ({"surplus": 1}, "surplus"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, change: dict[str, object], words: str) -> None:
    path = tmp_path / "case.json"
    written(path, v1(dport="025"))
    content = json.loads(path.read_text())
    content["cases"][0].update(change)
    path.write_text(json.dumps(content))
    with pytest.raises(UsageError) as caught:
        catalogue_from([path])
    assert str(path) in str(caught.value)
    assert words in str(caught.value)


def test_a_file_that_is_none_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"nowhere\.json cannot be read"):
        catalogue_from([tmp_path / "nowhere.json"])
    (tmp_path / "text.json").write_text("PROXY TCP4")
    with pytest.raises(UsageError, match="is not a case file"):
        catalogue_from([tmp_path / "text.json"])
