"""The gate: the whole suite on every seeded defect, and on every server that differs within what the text allows."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from proxyspec.cli.mutants import all_mutants, chosen
from proxyspec.model import Verdict, Via
from proxyspec.mutants import Kind
from proxyspec.records import MutantsRun, load_run
from proxyspec_scenarios import catalogue
from proxyspec_scenarios.mutants import IDLE, PROFILES
from proxyspec_server.defects import DEFECTS, VARIATIONS
from proxyspec_server.profiles import PROFILES as SERVER_PROFILES

#: Seconds the whole matrix may take; beside the other tests it took six and a half minutes of two cores.
PATIENCE = 1800


def mutants(out: Path, *arguments: str) -> tuple[MutantsRun, str, int]:
    # Deadlines of 4 s: on a machine that is busy with other tests, what is late must still be told from what is wrong.
    command = [sys.executable, "-m", "proxyspec", "mutants", "--out", str(out), "--header-timeout", "4", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=PATIENCE)
    run = load_run(out)
    assert isinstance(run, MutantsRun), done.stderr
    return run, done.stdout + done.stderr, done.returncode


@pytest.mark.matrix
def test_every_defect_is_killed_every_case_kills_and_no_sound_server_is_flagged(tmp_path: Path) -> None:
    run, said, code = mutants(tmp_path / "run", "--parallel", "4")
    wrong = [f"{row.id}: {row.reason}" for row in run.judged if row.verdict in (Verdict.FAIL, Verdict.ERROR)]
    assert wrong == []
    assert code == run.exit_code == 0, said
    assert run.whole
    by_state = {state: [row.id for row in run.mutants if row.state == state] for state in ("killed", "unseen")}
    assert set(by_state["killed"] + by_state["unseen"]) == set(DEFECTS)
    assert by_state["unseen"] == [defect.name for defect in DEFECTS.values() if defect.unseen]
    sound = [row.id for row in run.mutants if row.state == "passed"]
    assert set(sound) >= {"sound", "sound-again", *(f"profile-{profile.name}" for profile in PROFILES), *VARIATIONS}
    direct = [case.id for case in catalogue().cases if case.via is Via.DIRECT]
    assert sorted(row.id for row in run.cases) == sorted(direct)
    assert [row.id for row in run.cases if not row.kills] == sorted(IDLE)


def test_a_part_of_it_blames_no_case(tmp_path: Path) -> None:
    run, said, code = mutants(tmp_path / "run", "--defect", "v1-tab", "--case", "v1/separator/tab")
    assert code == 0, said
    assert not run.whole
    assert {row.id: row.state for row in run.mutants} == {"sound": "passed", "v1-tab": "killed"}
    assert {row.id: row.kills for row in run.cases} == {"v1/tcp4/ok": 0, "v1/separator/tab": 1}
    assert "KILLED    v1-tab: A tab separates fields as well as a space. (v1/separator/tab)" in said
    assert "1 of 1 defects killed" in said


def test_of_a_few_cases_alone_only_those_defects_are_asked_that_they_claim() -> None:
    book = catalogue()
    asked = {mutant.name for mutant in chosen((), [book["v1/separator/tab"]]) if not mutant.unseen}
    sound = {mutant.name for mutant in all_mutants() if mutant.kind is not Kind.DEFECT}
    assert asked - sound == {"v1-tab"}
    assert sound <= asked
    assert chosen((), book.cases) == all_mutants()
    assert [mutant.unseen for mutant in chosen(["v1-tab"], [book["v1/tcp4/ok"]])] == [""]


def test_a_survivor_fails_the_command_and_is_named(tmp_path: Path) -> None:
    run, said, code = mutants(tmp_path / "run", "--defect", "v1-tab", "--case", "v2/tcp4/ok")
    assert code == run.exit_code == 1
    assert [row.state for row in run.mutants] == ["passed", "survived"]
    assert "SURVIVED  v1-tab: A tab separates fields as well as a space." in said


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--defect", "v1-tap"], "'v1-tap' is none; did you mean v1-tab"),
        (["--case", "haproxy/relay/v1"], "those that need HAProxy"),
    ],
)
def test_what_cannot_take_part_is_refused(tmp_path: Path, arguments: list[str], said: str) -> None:
    command = [sys.executable, "-m", "proxyspec", "mutants", "--out", str(tmp_path / "run"), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 2
    assert said in done.stderr


def test_claims_and_reasons_speak_of_cases_that_take_part() -> None:
    direct = {case.id for case in catalogue().cases if case.via is Via.DIRECT}
    claimed = {name for defect in DEFECTS.values() for name in defect.killed_by}
    assert claimed <= direct
    assert set(IDLE) <= direct
    assert {name for profile in PROFILES for name in profile.warned} <= direct
    assert all(len(reason) > 20 for reason in IDLE.values())


def test_mutants_have_names_of_their_own_and_say_what_they_are() -> None:
    known = all_mutants()
    assert len({mutant.name for mutant in known}) == len(known)
    assert all(mutant.description.endswith(".") and mutant.origin for mutant in known)
    assert {mutant.name for mutant in known if mutant.kind is Kind.DEFECT} == set(DEFECTS)
    assert {profile.name for profile in PROFILES} == set(SERVER_PROFILES) - {"strict"}
