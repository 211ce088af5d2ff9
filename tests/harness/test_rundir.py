"""Run directories: never overwritten, never half written."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path

import pytest

from proxyspec.errors import HarnessError, UsageError
from proxyspec.records import ConformanceRun, InvalidRun, load_run, run_schema
from proxyspec.rundir import RunDirectory, is_own_file


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


def test_what_ends_before_it_begins_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    for name in ("made", "mine"):
        with pytest.raises(UsageError, match="no engine"), RunDirectory.create("conformance", tmp_path / name):
            raise UsageError("no engine")
    assert [path.name for path in tmp_path.rglob("*")] == ["mine"]


def test_a_usage_error_behind_the_first_event_is_one_before_it_begins(tmp_path: Path) -> None:
    def refused(out: RunDirectory) -> None:
        out.event("run-started", {})
        if out.path.name == "two":
            out.event("load-started", {})
        raise UsageError("no users")

    for name in ("one", "two"):
        with pytest.raises(UsageError, match="no users"), RunDirectory.create("load", tmp_path / name) as out:
            refused(out)
    assert [str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*")] == ["two", "two/events.ndjson"]


def test_what_ends_later_leaves_all_it_has(tmp_path: Path) -> None:
    def died(out: RunDirectory) -> None:
        if out.path.name == "logged":
            (out.path / "server.log").write_text("why")
        else:
            out.event("one", {})
        raise HarnessError("it died")

    for name in ("begun", "logged"):
        with pytest.raises(HarnessError, match="died"), RunDirectory.create("conformance", tmp_path / name) as out:
            died(out)
    assert (tmp_path / "begun" / "events.ndjson").stat().st_size
    assert [path.name for path in (tmp_path / "logged").iterdir()] == ["server.log"]


@pytest.mark.parametrize("name", ["run.json", "events.ndjson"])
def test_a_runs_own_files_are_known_by_any_path(tmp_path: Path, name: str) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "run")
    assert is_own_file(tmp_path / "run" / "3.2" / name, tmp_path / "run")
    assert is_own_file(tmp_path / "link" / ".." / "run" / name, tmp_path / "run")
    assert not is_own_file(tmp_path / name, tmp_path / "run")
    assert not is_own_file(tmp_path / "run" / "report.html", tmp_path / "run")


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    return folder


def full(path: Path) -> Path:
    """A run directory on a disk that takes nothing more: neither events nor the record."""
    path.mkdir()
    (path / "events.ndjson").symlink_to("/dev/full")
    (path / "run.json").mkdir()
    return path


def crowded(run: Path, end: BaseException | None = None) -> None:
    """A run whose directory takes nothing, and which `end` may end."""
    with RunDirectory(run, "x") as out:
        out.event("one", {"a": 1})
        out.event("two", {"a": 2})
        out.write("run.json", "{}")
        if end is not None:
            raise end


def test_a_full_disk_ends_no_run_and_loses_nothing(tmp_path: Path, temporary: Path) -> None:
    with pytest.raises(HarnessError, match=r"run cannot be written: No space left") as caught:
        crowded(full(tmp_path / "run"))
    (spare,) = temporary.iterdir()
    assert str(spare) in str(caught.value)
    assert "\n" not in str(caught.value)
    assert (spare / "run.json").read_text() == "{}"
    assert [json.loads(line)["a"] for line in (spare / "events.ndjson").read_text().splitlines()] == [1, 2]


def test_what_ended_a_run_on_a_full_disk_is_still_said(tmp_path: Path, temporary: Path) -> None:
    run = full(tmp_path / "run")
    with pytest.raises(HarnessError, match=r"^HAProxy died; and .*run cannot be written"):
        crowded(run, HarnessError("HAProxy died"))
    with pytest.raises(KeyboardInterrupt):
        crowded(run, KeyboardInterrupt())
    assert len(list(temporary.iterdir())) == 2


def test_where_the_temporary_directory_is_gone_too_the_run_ends(
    tmp_path: Path, temporary: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(temporary / "gone"))
    with RunDirectory(full(tmp_path / "run"), "x") as out:
        with pytest.raises(HarnessError, match=r"run cannot be written: No space left on device; make room"):
            out.event("one", {})
        with pytest.raises(HarnessError, match=r"run cannot be written"):
            out.write("run.json", "{}")


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
