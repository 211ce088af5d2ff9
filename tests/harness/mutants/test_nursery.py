"""Processes that judge mutants: what comes out of servers that do not start, die, or never end, and what is left."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]
import pytest

#: Forking wants a process without threads, which a worker of a parallel test run is not.
SCRIPT = """
import json, os, sys
from pathlib import Path
from proxyspec.mutants import SOUND, Bench, Mutant, kill_matrix
from proxyspec_scenarios import catalogue
from proxyspec_server.command import main

def serve(arguments):
    match arguments[-1]:
        case "--silent":
            sys.exit(0)
        case "--shouts":
            sys.stderr.write("no such thing\\n")
            return 2
        case "--dies":
            os._exit(9)
    return main(arguments)

folder, parallel, names = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3:]
known = catalogue()
cases = known.with_prerequisites(known[name] for name in ("v1/port/wrap16", "v2/tlv/crc32c"))
mutants = [
    Mutant(name=name, description="D.", origin="o", arguments=tuple(name.split("=")) if "=" in name else (f"--{name}",))
    for name in names
]
bench = Bench(serve=serve, catalogue=known, cases=cases, folder=folder)
print("begun", flush=True)
report = lambda record: print(json.dumps(record.model_dump(mode="json")), flush=True)
matrix = kill_matrix(bench, mutants, report, parallel=parallel, reasons={}, whole=True)
print(json.dumps({"interrupted": matrix.interrupted, "cases": [case.model_dump(mode="json") for case in matrix.cases]}))
"""


def command(folder: Path, *names: str, parallel: int = 4) -> list[str]:
    return [sys.executable, "-c", SCRIPT, str(folder), str(parallel), *names]


def run(folder: Path, *names: str) -> tuple[dict[str, dict[str, Any]], dict[str, Any]]:
    done = subprocess.run(command(folder, *names), capture_output=True, text=True, check=False, timeout=180)
    assert done.returncode == 0, done.stderr
    lines = [json.loads(line) for line in done.stdout.splitlines()[1:]]
    return {record["id"]: record for record in lines[:-1]}, lines[-1]


def test_a_defect_is_killed_by_the_case_it_breaks_and_by_no_other(tmp_path: Path) -> None:
    records, end = run(
        tmp_path, "--defect=crc32c-byte-swapped", "--defect=v1-port-wraps-16", "--variation=refusal-silent"
    )
    assert records["sound"]["state"] == "passed"
    assert records["--defect=crc32c-byte-swapped"]["killers"] == ["v2/tlv/crc32c"]
    assert records["--defect=v1-port-wraps-16"]["killers"] == ["v1/port/wrap16"]
    assert records["--variation=refusal-silent"]["state"] == "survived", "as a defect it would be none"
    assert all(0 < record["seconds"] < 60 for record in records.values())
    assert {case["id"]: case["kills"] for case in end["cases"]} == {
        "v1/tcp4/ok": 0,
        "v1/port/wrap16": 1,
        "v2/tlv/crc32c": 1,
    }


def test_a_server_that_does_not_start_is_broken_and_says_so(tmp_path: Path) -> None:
    records, _ = run(tmp_path, "silent", "shouts", "dies")
    assert {name: record["state"] for name, record in records.items()} == {
        "sound": "passed",
        "silent": "broken",
        "shouts": "broken",
        "dies": "broken",
    }
    assert "no such thing" in records["shouts"]["reason"]
    assert "no word from it" in records["silent"]["reason"]


def test_a_server_that_dies_of_a_header_is_killed(tmp_path: Path) -> None:
    records, end = run(tmp_path, "--defect=tlv-overrun-panics", "--defect=v2-refused")
    assert records["--defect=tlv-overrun-panics"]["state"] == "survived", "nothing here overruns"
    assert records["--defect=v2-refused"]["killers"] == ["v2/tlv/crc32c"]
    assert not end["interrupted"]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_keeps_what_there_is_and_leaves_nothing_running(tmp_path: Path, number: int) -> None:
    names = [f"--defect={name}" for name in ("v1-port-wraps-16", "v1-tab", "v2-refused")]
    with subprocess.Popen(command(tmp_path, *names, parallel=1), stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        assert json.loads(process.stdout.readline())["id"] == "sound"
        until = time.monotonic() + 60
        while len(family := psutil.Process(process.pid).children(recursive=True)) < 2:
            assert time.monotonic() < until, "no server and no judge have begun"
        process.send_signal(number)
        rest = process.stdout.read().splitlines()
        assert process.wait(60) == 0
    end = json.loads(rest[-1])
    assert end["interrupted"]
    assert len(rest) < 1 + len(names)
    # The system may take a moment to bury an orphan.
    _, alive = psutil.wait_procs(family, 20)
    assert alive == []
