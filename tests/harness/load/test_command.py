"""`proxyspec load` as a user calls it."""

from __future__ import annotations

import json
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
    ],
)
def test_usage_errors_name_the_remedy(arguments: list[str], words: str) -> None:
    done = _proxyspec(*arguments)
    assert done.returncode == 2
    assert words in done.stderr
    assert "Traceback" not in done.stderr
