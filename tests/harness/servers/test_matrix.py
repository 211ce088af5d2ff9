"""The matrix: its file, its cells, what is kept, and a run of two servers and one that cannot be had."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import tomllib
from datetime import UTC, datetime
from pathlib import Path

import pytest

from proxyspec.cli import main
from proxyspec.errors import ExitCode, UsageError
from proxyspec.model import Verdict
from proxyspec.records import ConformanceRun, load_run
from proxyspec.records.matrix import CellRecord, MatrixRun
from proxyspec.servers.installed import ServerFailed, Wish, install, offers, profile_text, started
from proxyspec.servers.matrix import Cell, Outcome, cell_record, cells_of, ordered, run_matrix
from proxyspec.servers.matrix_file import load_matrix
from proxyspec.targets import load_target
from proxyspec_reports import render_html, view
from tests.reports.samples import ENVIRONMENT, case, conformance_run

EXAMPLES = Path(__file__).parents[3] / "scenarios/proxyspec_scenarios/matrices"


def _file(folder: Path, text: str) -> Path:
    path = folder / "matrix.toml"
    path.write_text(text)
    return path


class _Silent:
    def installing(self, server: str) -> None:
        pass

    def began(self, cell: Cell) -> None:
        pass

    def ended(self, cell: Cell, outcome: Outcome) -> None:
        pass


def test_cells_are_servers_times_fronts(tmp_path: Path) -> None:
    matrix = load_matrix(
        _file(tmp_path, 'haproxy = ["a", "b"]\n[[servers]]\nserver = "x"\n[[servers]]\ntarget = "y.toml"\n')
    )

    cells = cells_of(matrix, ["a", "b"])

    assert [cell.id for cell in cells] == [
        *("x straight", "x behind a", "x behind b"),
        *("y straight", "y behind a", "y behind b"),
    ]
    assert cells[3].entry.target == str(tmp_path / "y.toml")
    assert cells[0].choice == ("--tag", "direct")
    assert cells[1].choice == ("--tag", "haproxy")


def test_topologies_and_cases_choose(tmp_path: Path) -> None:
    text = (
        'haproxy = ["a"]\ntopologies = ["relay", "check"]\ncases = ["v1"]\nnot = ["waits"]\n'
        '[[servers]]\nserver = "x"\nnot = ["v1/port"]\n'
    )

    (cell,) = cells_of(load_matrix(_file(tmp_path, text)), ["a"])

    assert cell.haproxy == "a"
    words = "--case v1 --not waits --not v1/port --tag haproxy --not chain"
    assert cell.choice == tuple(words.split())


def test_without_haproxy_every_road_is_straight(tmp_path: Path) -> None:
    matrix = load_matrix(_file(tmp_path, '[[servers]]\nserver = "x"\n'))

    assert [cell.id for cell in cells_of(matrix, [])] == ["x straight"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("servers = []", "servers"),
        ("[[servers]]\n", "give either server or target"),
        ('[[servers]]\nserver = "x"\ntarget = "y"\n', "give either server or target"),
        ('[[servers]]\ntarget = "y"\nheader_timeout = 3\n', "stands in its profile"),
        ('[[servers]]\nserver = "x"\n[[servers]]\nserver = "x"\n', "two servers are called 'x'"),
        ('colour = 1\n[[servers]]\nserver = "x"\n', "the keys are servers, haproxy, topologies, cases, not"),
        ('repeat = 0\n[[servers]]\nserver = "x"\n', "repeat"),
        ('topologies = ["ring"]\n[[servers]]\nserver = "x"\n', "topologies"),
        ('topologies = ["relay"]\n[[servers]]\nserver = "x"\n', "need haproxy"),
        ("servers = [", "is no TOML file"),
        ("x = '" + "a" * 1024 * 1024 + "'", "is larger than"),
    ],
)
def test_bad_files_are_named_with_the_place(tmp_path: Path, text: str, said: str) -> None:
    path = _file(tmp_path, text)

    with pytest.raises(UsageError, match=r"matrix\.toml") as caught:
        load_matrix(path)
    assert said in str(caught.value)


def test_a_file_that_is_missing(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="cannot be read"):
        load_matrix(tmp_path / "none.toml")


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.toml")), ids=lambda path: path.name)
def test_the_examples_name_servers_there_are(path: Path) -> None:
    known = {offer.name for offer in asyncio.run(offers())}

    named = {(entry.server or "").partition("@")[0] for entry in load_matrix(path).servers}

    assert named
    assert named <= known


def test_another_wish_is_another_cell(tmp_path: Path) -> None:
    def key(text: str) -> str:
        return cells_of(load_matrix(_file(tmp_path, text)), [])[0].key

    plain = key('[[servers]]\nserver = "x"\n')
    assert plain == key('parallel = 3\n[[servers]]\nserver = "x"\n')
    assert plain == key('[[servers]]\nserver = "x"\nalone = true\n')
    assert plain != key('repeat = 2\n[[servers]]\nserver = "x"\n')
    assert plain != key('cases = ["v1"]\n[[servers]]\nserver = "x"\n')
    assert plain != key('[[servers]]\nserver = "x"\nheader_timeout = 3\n')


def test_a_server_that_wants_to_be_alone_comes_last_and_by_itself(tmp_path: Path) -> None:
    (tmp_path / "t.toml").write_text('[target]\nurl = "smtp://127.0.0.1:1"\n')
    text = "".join(
        f'[[servers]]\ntarget = "t.toml"\nname = "nothing-{place}"\nalone = {alone}\n'
        for place, alone in ((1, "true"), (2, "false"), (3, "true"))
    )
    told: list[str] = []

    class Telling(_Silent):
        def began(self, cell: Cell) -> None:
            told.append(f"+{cell.entry.name}")

        def ended(self, cell: Cell, outcome: Outcome) -> None:
            told.append(f"-{cell.entry.name}")

    cells = cells_of(load_matrix(_file(tmp_path, text)), [])
    asyncio.run(run_matrix(cells, tmp_path / "out", Telling(), [], cache=tmp_path / "cache", parallel=3))

    assert told == [f"{sign}nothing-{place}" for place in (2, 1, 3) for sign in "+-"]


def test_a_matrix_judges_what_can_be_had_and_goes_on_where_it_stopped(tmp_path: Path) -> None:
    text = (
        'cases = ["v1/tcp4", "v1/port/65536"]\n'
        '[[servers]]\nserver = "reference@haraka"\n'
        '[[servers]]\nserver = "reference@v1-port-wraps-16"\n'
        '[[servers]]\nserver = "sendmail"\n'
    )
    cells, out = cells_of(load_matrix(_file(tmp_path, text)), []), tmp_path / "out"
    outcomes: list[Outcome] = []

    asyncio.run(run_matrix(cells[1:], out, _Silent(), outcomes, cache=tmp_path / "cache", parallel=2))

    healthy, broken, missing = ordered(cells, outcomes)
    assert "was interrupted" in healthy.record.reason
    assert healthy.run is None
    assert broken.run is not None
    run = load_run(broken.run)
    assert isinstance(run, ConformanceRun)
    assert run.target.name == "reference v1-port-wraps-16"
    assert [case.id for case in run.cases if case.verdict is Verdict.FAIL] == ["v1/port/65536"]
    assert broken.record.counts[Verdict.FAIL] == 1
    assert missing.record.verdict is Verdict.UNTESTABLE
    assert "there is no server 'sendmail'" in missing.record.reason

    again: list[Outcome] = []
    asyncio.run(run_matrix(cells, out, _Silent(), again, cache=tmp_path / "cache", parallel=2))

    healthy, broken, _ = ordered(cells, again)
    assert healthy.record.verdict is Verdict.PASS
    assert not healthy.record.kept
    assert set(healthy.record.counts) <= {Verdict.PASS, Verdict.INFO}
    assert broken.record.kept


def test_a_target_that_is_not_there_leaves_its_cell_empty_with_the_reason(tmp_path: Path) -> None:
    (tmp_path / "gone.toml").write_text('[target]\nurl = "smtp://127.0.0.1:1"\n')
    cells = cells_of(load_matrix(_file(tmp_path, 'cases = ["v1/tcp4"]\n[[servers]]\ntarget = "gone.toml"\n')), [])
    outcomes: list[Outcome] = []

    asyncio.run(run_matrix(cells, tmp_path / "out", _Silent(), outcomes, cache=None, parallel=1))

    (outcome,) = outcomes
    assert outcome.run is None
    assert "127.0.0.1:1 cannot be reached" in outcome.record.reason


def _cell(number: int, **fields: object) -> CellRecord:
    known: dict[str, object] = {
        "id": f"server {number} straight",
        "title": "it is judged",
        "verdict": Verdict.PASS,
        "reason": "2 PASS",
        "server": f"server {number}",
        "version": None,
        "haproxy": None,
        "runs": ["a/run-1"],
        "seconds": 1.0,
    }
    return CellRecord.model_validate(known | fields)


def test_the_record_is_read_again_and_shown(tmp_path: Path) -> None:
    empty = _cell(2, verdict=Verdict.UNTESTABLE, reason="it does not start <b>", runs=[])
    run = MatrixRun(
        id="matrix-1",
        started=datetime(2026, 1, 2, tzinfo=UTC),
        duration=1.0,
        status="complete",
        command=["matrix", "x.toml"],
        environment=ENVIRONMENT,
        exit_code=3,
        subject="matrix of two",
        cells=[_cell(1), empty],
    )
    (tmp_path / "run.json").write_text(run.model_dump_json())

    read = load_run(tmp_path)

    assert read == run
    page = render_html(view([read]))
    assert "it does not start &lt;b&gt;" in page


def test_a_profile_of_a_started_server_is_a_target(tmp_path: Path) -> None:
    async def look() -> str:
        async with started(Wish(server="reference@haraka", cache=tmp_path / "cache")) as server:
            path = tmp_path / "target.toml"
            path.write_text(profile_text(server.profile))
            target = load_target(str(path))
            assert target.name == "reference haraka"
            assert target.versions == {1}
            assert target.untrusted_source == "127.0.0.2"
            return target.url

    assert asyncio.run(look()).startswith("smtp://127.0.0.1:")


def test_profiles_survive_awkward_values() -> None:
    keys = {
        "url": "smtp://[::1]:25",
        "name": 'a "b" \\ c\n',
        "versions": [1, 2],
        "header_timeout": 3.5,
        "oracle_file": None,
    }

    assert tomllib.loads(profile_text(keys)) == {
        "target": {key: value for key, value in keys.items() if value is not None}
    }


def test_what_cannot_be_had_is_said_in_its_own_words(tmp_path: Path) -> None:
    with pytest.raises(ServerFailed, match="no profile or defect is called 'sloppy'"):
        asyncio.run(install("reference@sloppy", tmp_path))


def test_repetitions_that_are_alike_pass_the_cell(tmp_path: Path) -> None:
    text = 'repeat = 2\ncases = ["v1/tcp4"]\n[[servers]]\nserver = "reference"\n'
    cells, outcomes = cells_of(load_matrix(_file(tmp_path, text)), []), list[Outcome]()
    out = tmp_path / "out"

    asyncio.run(run_matrix(cells, out, _Silent(), outcomes, cache=tmp_path / "cache", parallel=1))

    record = outcomes[0].record
    assert record.verdict is Verdict.PASS
    assert record.reason.endswith("2 times alike")
    assert len(record.runs) == 2
    said = json.loads((out / cells[0].folder / "cell.json").read_text())
    assert said["key"] == cells[0].key


def test_repetitions_that_differ_fail_the_cell_and_are_named_with_every_verdict(tmp_path: Path) -> None:
    (cell,) = cells_of(load_matrix(_file(tmp_path, 'repeat = 3\n[[servers]]\nserver = "reference"\n')), [])
    found = [
        conformance_run([case("v1/same"), case("v1/racy", verdict)])
        for verdict in (Verdict.PASS, Verdict.FAIL, Verdict.PASS)
    ]

    record = cell_record(cell, "strict", found, ["a", "b", "c"], 1.0)

    assert record.verdict is Verdict.FAIL
    assert record.unsteady == {"v1/racy": [Verdict.PASS, Verdict.FAIL, Verdict.PASS]}
    assert record.reason == "2 PASS; 3 times, 1 verdicts differ"


def test_a_server_that_dies_in_mid_run_is_named_with_its_end_and_the_rest_goes_on(tmp_path: Path) -> None:
    text = (
        'cases = ["v1/tcp4", "general/deadline/silent"]\n'
        '[[servers]]\nserver = "reference"\nheader_timeout = 20\n'
        '[[servers]]\nserver = "reference@lenient"\nheader_timeout = 3\n'
    )
    cells, out = cells_of(load_matrix(_file(tmp_path, text)), []), tmp_path / "out"
    outcomes: list[Outcome] = []
    events = out / cells[0].folder / "run-1/events.ndjson"

    def begun() -> bool:
        return events.exists() and "run-started" in events.read_text()

    async def kill_in_mid_run() -> None:
        judging = asyncio.create_task(run_matrix(cells, out, _Silent(), outcomes, cache=tmp_path / "cache", parallel=2))
        # The silent connection is watched for 20 s from the start of the run, which is told before.
        while not (begun() or judging.done()):  # noqa: ASYNC110  (another process writes it)
            await asyncio.sleep(0.05)
        profile = tomllib.loads((out / cells[0].folder / "target.toml").read_text())
        os.kill(profile["target"]["pid"], signal.SIGKILL)
        await judging

    asyncio.run(kill_in_mid_run())

    dead, alive = (outcome.record for outcome in ordered(cells, outcomes))
    assert dead.verdict is Verdict.UNTESTABLE
    assert dead.runs == []
    assert "has ended (signal SIGKILL); the end of its log" in dead.reason
    assert alive.runs != []


def test_the_command_line_repeats_and_two_matrices_are_compared(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = _file(tmp_path, 'cases = ["v1/port/65536"]\n[[servers]]\nserver = "reference"\n')
    before, after = tmp_path / "before", tmp_path / "after"
    words = ["matrix", str(path), "--cache", str(tmp_path / "cache")]

    assert main([*words, "--repeat", "2", "--out", str(before)]) == ExitCode.OK
    path.write_text(path.read_text() + 'name = "other"\n')
    assert main([*words, "--out", str(after)]) == ExitCode.OK

    record = load_run(before)
    assert isinstance(record, MatrixRun)
    assert record.cells[0].runs == ["reference_straight/run-1", "reference_straight/run-2"]
    assert record.cells[0].reason.endswith("2 times alike")
    capsys.readouterr()

    assert main(["diff", str(before), str(after)]) == ExitCode.NOTHING
    assert f"other straight: not judged in {before}" in capsys.readouterr().out

    assert main(["diff", str(before), str(before)]) == ExitCode.OK
    told = capsys.readouterr().out
    assert "reference straight, repetition 2:\n2 cases compared, 0 changed" in told

    later = before / record.cells[0].runs[1] / "run.json"
    altered = json.loads(later.read_text())
    for each in altered["cases"]:
        each["verdict"] = "FAIL" if each["id"] == "v1/port/65536" else each["verdict"]
    later.write_text(json.dumps(altered))

    assert main(["diff", str(before), str(before)]) == ExitCode.FAILED
    told = capsys.readouterr().out
    assert "reference straight, repetition 1:\n2 cases compared, 0 changed" in told
    assert "reference straight, repetition 2:\nworse  v1/port/65536 (verdict)" in told

    assert main(["diff", str(before), str(later.parent)]) == ExitCode.USAGE
    assert "one is a matrix, the other is not" in capsys.readouterr().err
