"""Run directories: never overwritten, never half written."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from proxyspec.errors import HarnessError, UsageError
from proxyspec.records import ConformanceRun, InvalidRun, load_run, run_schema
from proxyspec.rundir import RunDirectory


def test_events_are_on_disk_at_once(tmp_path: Path) -> None:
    with RunDirectory.create("conformance", tmp_path / "run") as out:
        out.event("one", {"a": 1})
        (line,) = (out.path / "events.ndjson").read_text().splitlines()
    event = json.loads(line)
    assert (event["event"], event["a"]) == ("one", 1)


def test_a_default_directory_lies_below_reports_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    first, second = RunDirectory.create("load", None), RunDirectory.create("load", None)
    assert first.path.parent == Path("reports/out")
    assert first.path != second.path


def test_an_existing_run_is_never_overwritten(tmp_path: Path) -> None:
    (tmp_path / "run.json").write_text("{}")
    with pytest.raises(UsageError, match="is not empty"):
        RunDirectory.create("conformance", tmp_path)


def test_a_file_in_the_way_is_named(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="file"):
        RunDirectory.create("conformance", tmp_path / "file" / "run")


def test_a_failed_write_leaves_nothing_behind(tmp_path: Path) -> None:
    out = RunDirectory.create("conformance", tmp_path / "run")
    (out.path / "taken").mkdir()
    with pytest.raises(HarnessError, match="taken"):
        out.write("taken", "text")
    assert [path.name for path in out.path.iterdir()] == ["taken"]


def test_a_full_disk_is_an_error_of_one_line(tmp_path: Path) -> None:
    (tmp_path / "events.ndjson").symlink_to("/dev/full")
    with RunDirectory(tmp_path, "x") as out, pytest.raises(HarnessError, match=r"events\.ndjson.*No space left"):
        out.event("one", {})


@pytest.mark.parametrize(
    ("content", "word"),
    [
        (b"", "not a run record"),
        (b"{}", "not a run record"),
        (b'{"kind": "conformance"', "not a run record"),
        (None, "no run record"),
    ],
)
def test_what_is_no_run_is_named(tmp_path: Path, content: bytes | None, word: str) -> None:
    if content is not None:
        (tmp_path / "run.json").write_bytes(content)
    with pytest.raises(InvalidRun, match=word) as caught:
        load_run(tmp_path)
    assert str(tmp_path) in str(caught.value)


def test_the_schema_describes_every_field() -> None:
    schema = json.loads(run_schema())
    assert {"ConformanceRun", "LoadRun", "CaseRecord"} <= set(schema["$defs"])
    fields = schema["$defs"]["CaseRecord"]["properties"]
    assert set(fields) == set(ConformanceRun.model_fields["cases"].annotation.__args__[0].model_fields)  # type: ignore[union-attr]
