"""`proxyspec load` as a user calls it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from .fake_smtp import fake_smtp


def _proxyspec(*arguments: str) -> subprocess.CompletedProcess[str]:
    program = "import sys; from proxyspec.cli import main; sys.exit(main())"
    return subprocess.run(
        [sys.executable, "-c", program, "load", *arguments], capture_output=True, text=True, timeout=60, check=False
    )


def test_a_missed_threshold_is_exit_code_1_and_the_record_is_written(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with fake_smtp(header=False) as fake:
        done = _proxyspec(
            fake.url,
            "--users",
            "1",
            "--time",
            "1s",
            "--header",
            "none",
            "--expect",
            "rate > 1000000/s",
            "--out",
            str(out),
        )
    assert done.returncode == 1, done.stderr
    assert "MISSED rate > 1000000/s" in done.stdout
    assert "MET    errors < 0.1%" in done.stdout
    assert str(out / "run.json") in done.stdout
    record = json.loads((out / "run.json").read_text())
    assert (record["kind"], record["exit_code"], record["header"]) == ("load", 1, "none")
    assert record["command"][0] == "load"
    assert record["sessions"] == len(fake.messages) > 0


def test_a_target_profile_says_what_the_options_would(tmp_path: Path) -> None:
    profile, out = tmp_path / "mine.toml", tmp_path / "out"
    with fake_smtp(header=True) as fake:
        profile.write_text(f'[target]\nurl = "{fake.url}"\nversions = [1]\nheader_timeout = 7.0\npid = {os.getpid()}\n')
        done = _proxyspec(str(profile), "--users", "1", "--time", "1s", "--out", str(out))
    assert done.returncode == 0, done.stderr
    record = json.loads((out / "run.json").read_text())
    assert (record["header"], record["target"]["header_timeout"]) == ("v1", 7.0)
    assert record["sessions"] == len(fake.messages) > 0
    assert "process" in {sample["source"] for sample in record["samples"]}


def test_the_profiles_are_listed_without_a_target() -> None:
    done = _proxyspec("--list")
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert {"connreset", "throughput", "timeout"} <= {line.split()[0] for line in lines}
    assert all(len(line) > 30 for line in lines)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "no target"),
        (["smtp://127.0.0.1:25", "--profile", "trouput"], "did you mean throughput?"),
        (["smtp://127.0.0.1:25", "--expect", "fast"], "the expectation 'fast'"),
        (["smtp://127.0.0.1:25", "--time", "long"], "--time 'long'"),
        (["smtp://192.0.2.1:25"], "--allow-target 192.0.2.1"),
        (["smtp://127.0.0.1:25", "--pid", "0"], "--pid 0 is no process of this machine"),
        (["smtp://127.0.0.1:25", "--users", "1000000"], "--users 1000000 is out of range"),
        (["smtp://127.0.0.1:25", "--compare", "v1"], "two at least"),
        (["smtp://127.0.0.1:25", "--compare", "v1,v2", "--header", "v1"], "leave out --header"),
        (["smtp://127.0.0.1:25", "--compare", "v1,v2", "--rounds", "0"], "--rounds 0"),
        (["smtp://127.0.0.1:25", "--rounds", "2"], "--rounds goes with --compare"),
        (["smtp://127.0.0.1:25", "--via", "chain-v1"], "--via goes with --haproxy"),
        (["smtp://127.0.0.1:25", "--compare", "v1,binary", "--via", "relay-v1"], "--via goes with --haproxy"),
        (["smtp://127.0.0.1:25", "--master", "--processes", "2"], "give --processes to the workers"),
        (["smtp://127.0.0.1:25", "--master", "--expect-workers", "0"], "--expect-workers 0"),
        (["smtp://127.0.0.1:25", "--master", "--master-bind", ":1"], "':1' is no address of a master"),
        (["smtp://127.0.0.1:25", "--worker"], "--worker gets target"),
        (["smtp://127.0.0.1:25", "--haproxy", "binary", "--haproxy-stats", "/x"], "leave out --haproxy-stats"),
        (["smtp://127.0.0.1:25", "--haproxy", "binary", "--via", "direct"], "--via direct: one of"),
        (["smtp://127.0.0.1:25", "--haproxy", "binary", "--users", "100000"], "through HAProxy need"),
    ],
)
def test_usage_errors_name_the_remedy(arguments: list[str], words: str) -> None:
    done = _proxyspec(*arguments)
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--pid", "2147483647"], "--pid 2147483647 is no process"),
        (["--haproxy-stats", "/nowhere/haproxy.sock"], "--haproxy-stats '/nowhere/haproxy.sock'"),
        (["--users", "60000", "--processes", "8"], "60000 users need as many local ports"),
        (["--users", "100000"], "open files"),
        (["--source", "127.0.0.1", "--source", "192.0.2.0/24"], "--source '192.0.2.0/24' is no address of this"),
        (["--source", "192.0.2.1", "--processes", "2"], "--source '192.0.2.1' is no address of this machine"),
        (["--compare", "v1,binary:/nowhere"], "--compare 'binary:/nowhere': /nowhere: no such file"),
    ],
)
def test_what_the_machine_does_not_have_is_told_before_the_load(
    tmp_path: Path, arguments: list[str], words: str
) -> None:
    with fake_smtp() as fake:
        done = _proxyspec(fake.url, "--profile", "steady", "--time", "1", "--out", str(tmp_path / "out"), *arguments)
    assert done.returncode == 2, done.stdout
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_a_comparison_that_cannot_begin_leaves_nothing_behind(tmp_path: Path) -> None:
    profile, out = tmp_path / "mine.py", tmp_path / "out"
    profile.write_text('"""Nobody in it."""\n')
    with fake_smtp() as fake:
        done = _proxyspec(fake.url, "--profile", str(profile), "--compare", "v1,v2", "--out", str(out))
    assert done.returncode == 2, done.stdout
    assert f"the locustfile {profile} declares no profile" in done.stderr
    assert not out.exists()


def test_roads_are_compared_in_rounds(tmp_path: Path) -> None:
    out = tmp_path / "out"
    with fake_smtp() as fake:
        done = _proxyspec(
            *(fake.url, "--profile", "steady", "--users", "1", "--time", "1", "--out", str(out)),
            *("--compare", "v1,v2@127.0.0.9", "--rounds", "2"),
        )
    assert done.returncode == 0, done.stderr
    assert [path.name for path in sorted(out.iterdir())] == ["001-v1", "001-v2-127.0.0.9", "002-v1", "002-v2-127.0.0.9"]
    records = [json.loads((path / "run.json").read_text()) for path in sorted(out.iterdir())]
    assert [record["header"] for record in records] == ["v1", "v2", "v1", "v2"]
    assert records[0]["started"] < records[1]["started"] < records[3]["started"] < records[2]["started"]
    assert {address for address in fake.peers if address != "127.0.0.1"} == {"127.0.0.9"}
    rows = [line.split() for line in done.stdout.splitlines() if line.startswith(("v1 ", "v2@"))]
    assert [row[:2] for row in rows] == [["v1", "2"], ["v2@127.0.0.9", "2"]]
    assert "1.00 [1.00 – 1.00]" in done.stdout
