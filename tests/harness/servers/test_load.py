"""The same load on several servers: rounds, what is measured, and what becomes of a server that cannot be."""

from __future__ import annotations

import asyncio
import importlib.metadata
import os
import signal
import sys
from pathlib import Path

import pytest

from proxyspec.cli import main
from proxyspec.errors import ExitCode
from proxyspec.load.options import HeaderKind
from proxyspec.model import Verdict
from proxyspec.records import LoadRun, load_run
from proxyspec.records.matrix import MatrixRun
from proxyspec.servers.load import Drive, Row, Turn, load_servers, row_record
from tests.reports import samples


@pytest.fixture
def cache(tmp_path: Path) -> Path:
    """A cache of servers that holds aiosmtpd, in the version these tests have themselves."""
    folder = tmp_path / "cache" / "aiosmtpd@1.4.6"
    (folder / "bin").mkdir(parents=True)
    start = folder / "bin/python"
    start.write_text(f'#!/bin/sh\nexec {sys.executable} "$@"\n')
    start.chmod(0o755)
    (folder / ".version").write_text(importlib.metadata.version("aiosmtpd") + "\n")
    return tmp_path / "cache"


def _run(rows: list[Row], out: Path, drive: Drive, *, count: int = 2, header: HeaderKind | None = None) -> ExitCode:
    return asyncio.run(load_servers(rows, count, out, drive, cache=out / "cache", header=header))


def _drive(seen: list[tuple[int, str, HeaderKind | None]], *, code: ExitCode = ExitCode.OK) -> Drive:
    """Stand in for a load: leave the record of one, and keep what it was asked for."""

    def drive(turn: Turn) -> ExitCode:
        seen.append((turn.number, turn.server.version, turn.header))
        turn.folder.mkdir()
        (turn.folder / "run.json").write_text(samples.load_run().model_dump_json())
        return code

    return drive


def test_two_servers_are_loaded_and_compared(tmp_path: Path, cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"
    words = ["--profile", "steady", "--users", "1", "--time", "1s", "--rounds", "1", "--out", str(out)]
    relaxed = ["--expect", "p95(session) < 9s", "--expect", "p99(header_to_banner) < 9s"]

    code = main(["servers", "load", "reference@haraka", "aiosmtpd", "--cache", str(cache), *words, *relaxed])

    told = capsys.readouterr()
    assert code == ExitCode.OK, told
    record = load_run(out)
    assert isinstance(record, MatrixRun)
    assert [(cell.id, cell.verdict) for cell in record.cells] == [
        ("reference@haraka under steady", Verdict.PASS),
        ("aiosmtpd under steady", Verdict.PASS),
    ]
    assert [cell.runs for cell in record.cells] == [
        ["001-reference@haraka"],
        ["001-aiosmtpd"],
    ]
    runs = [load_run(out / name) for cell in record.cells for name in cell.runs]
    loads = [run for run in runs if isinstance(run, LoadRun)]
    assert len(loads) == 2
    assert all(run.sessions > run.failures == 0 for run in loads)
    # Each with the header it reads: this profile of the reference server knows version 1 alone.
    assert {(run.target.name, run.header) for run in loads} == {("reference haraka", "v1"), ("aiosmtpd 1.4.6", "v2")}
    assert all(any(sample.source == "process" for sample in run.samples) for run in loads)
    page = (out / "report.html").read_text()
    assert "Load compared: steady" in page
    assert "v1, reference haraka<br>1 run" in page
    assert "v2, aiosmtpd 1.4.6<br>1 run" in page


def test_a_server_that_cannot_be_had_leaves_its_row_empty_and_the_others_go_on(tmp_path: Path) -> None:
    seen: list[tuple[int, str, HeaderKind | None]] = []
    rows = [Row("reference"), Row("sendmail"), Row("reference@lenient")]

    code = _run(rows, tmp_path, _drive(seen))

    assert code is ExitCode.OK
    assert seen == [(1, "strict", None), (1, "lenient", None), (2, "lenient", None), (2, "strict", None)]
    full, empty, _ = (row_record(row, "steady", None, 2, tmp_path) for row in rows)
    assert empty.verdict is Verdict.UNTESTABLE
    assert empty.runs == []
    assert "there is no server 'sendmail'" in empty.reason
    assert full.verdict is Verdict.PASS
    assert full.reason.startswith("2 of 2 rounds, ")


def test_a_server_that_dies_under_the_load_says_its_last_words_and_is_not_measured(tmp_path: Path) -> None:
    def drive(turn: Turn) -> ExitCode:
        stand_in(turn)
        if turn.number == 1:
            os.kill(turn.server.pid, signal.SIGKILL)
        return ExitCode.OK

    stand_in = _drive([])
    row = Row("reference")

    _run([row], tmp_path, drive)

    (trouble,) = row.troubles
    assert trouble.startswith("round 1: ")
    assert "SIGKILL" in trouble
    assert "the end of its log" in trouble
    assert [path.name for path, _ in row.runs] == ["002-reference"]
    record = row_record(row, "steady", None, 2, tmp_path)
    assert record.verdict is Verdict.FAIL
    assert record.reason.startswith("1 of 2 rounds, ")


def test_a_server_with_which_no_session_succeeds_is_not_measured(tmp_path: Path) -> None:
    row = Row("reference")

    _run([row], tmp_path, _drive([], code=ExitCode.UNJUDGEABLE))

    assert row.runs == []
    assert all("no session succeeded: " in trouble for trouble in row.troubles)
    assert len(row.troubles) == 2
    assert row_record(row, "steady", None, 2, tmp_path).verdict is Verdict.UNTESTABLE


def test_a_header_that_a_server_does_not_read_is_said_and_not_sent(tmp_path: Path) -> None:
    seen: list[tuple[int, str, HeaderKind | None]] = []
    rows = [Row("reference@haraka"), Row("reference")]

    _run(rows, tmp_path, _drive(seen), count=1, header=HeaderKind.V2_TLV)

    assert seen == [(1, "strict", HeaderKind.V2_TLV)]
    assert rows[0].troubles == [
        "round 1: reference@haraka reads no header of version 2: without --header it gets the one it reads"
    ]


def test_an_interruption_ends_all_of_it(tmp_path: Path) -> None:
    rows = [Row("reference"), Row("reference@lenient")]
    seen: list[tuple[int, str, HeaderKind | None]] = []

    code = _run(rows, tmp_path, _drive(seen, code=ExitCode.INTERRUPTED))

    assert code is ExitCode.INTERRUPTED
    assert len(seen) == 1
    assert [row.runs for row in rows] == [[], []]
    assert "interrupted" in row_record(rows[0], "steady", None, 2, tmp_path).reason


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["reference", "reference"], "reference is named twice"),
        (["reference", "--haproxy", "auto", "--header", "v1"], "leave out --header"),
        (["reference", "--time", "soon"], "is no duration"),
        (["reference", "--rounds", "0"], "--rounds 0 is out of range"),
        (["reference", "--profile", "nosuch"], "nosuch"),
    ],
)
def test_usage_errors(words: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "out"

    assert main(["servers", "load", *words, "--cache", str(tmp_path / "cache"), "--out", str(out)]) == ExitCode.USAGE
    assert said in capsys.readouterr().err
