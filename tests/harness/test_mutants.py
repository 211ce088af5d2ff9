"""The mutant runner: who kills, who survives, what is broken."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from proxyspec.errors import HarnessError
from proxyspec.mutants import KillMatrix, Mutant, MutantResult, kill_matrix, seeded_defects

CASES = ["v1/tcp4/ok", "v2/tcp4/ok", "v2/tlv/crc32c"]


def run(mutants: list[Mutant], out: Path) -> tuple[KillMatrix, list[MutantResult]]:
    reported: list[MutantResult] = []
    matrix = asyncio.run(kill_matrix(mutants, out, reported.append, header_timeout=2.0, parallel=4, patterns=CASES))
    return matrix, reported


def test_a_defect_is_killed_by_the_case_it_breaks_and_by_no_other(tmp_path: Path) -> None:
    seeded = {mutant.name: mutant for mutant in seeded_defects()}
    chosen = [
        seeded["crc32c-byte-swapped"],
        Mutant("none", "Nothing is wrong with it.", "", ()),
        Mutant("unborn", "It does not start.", "", ("--no-such-option",)),
    ]
    matrix, reported = run(chosen, tmp_path)
    assert matrix.healthy == "passes"
    assert matrix.cases == CASES
    by_name = {result.name: result for result in matrix.mutants}
    assert sorted(result.name for result in reported) == sorted(by_name)
    assert (by_name["crc32c-byte-swapped"].state, by_name["crc32c-byte-swapped"].killers) == (
        "killed",
        ["v2/tlv/crc32c"],
    )
    assert (by_name["none"].state, by_name["none"].killers) == ("survived", [])
    assert by_name["unborn"].state == "broken"
    assert "--no-such-option" in by_name["unborn"].note
    assert matrix.kills == {"v1/tcp4/ok": 0, "v2/tcp4/ok": 0, "v2/tlv/crc32c": 1}
    assert matrix.idle_cases == ["v1/tcp4/ok", "v2/tcp4/ok"]
    assert [mutant.name for mutant in matrix.survivors] == ["none", "unborn"]


def test_any_server_of_other_habits_can_be_a_mutant(tmp_path: Path) -> None:
    matrix, _ = run([Mutant("version-1-only", "It does not speak version 2.", "", ("--profile", "haraka"))], tmp_path)
    assert matrix.mutants[0].killers == ["v2/tcp4/ok", "v2/tlv/crc32c"]


def test_a_healthy_server_that_does_not_start_is_the_harnesss_fault(tmp_path: Path) -> None:
    with pytest.raises(HarnessError, match="does not start"):
        asyncio.run(kill_matrix([], tmp_path, lambda result: None, options=["--no-such-option"]))


def test_every_seeded_defect_says_where_it_comes_from() -> None:
    seeded = seeded_defects()
    assert len(seeded) >= 60
    assert len({mutant.name for mutant in seeded}) == len(seeded)
    assert all(mutant.description and mutant.origin for mutant in seeded)
