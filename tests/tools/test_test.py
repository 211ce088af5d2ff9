"""`tools/test`: its exit code says what its steps said."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
STEPS = ("ruff", "mypy", "lint-imports", "python")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout whose steps are programs that only note how they were called, and fail where a word says so."""
    (tmp_path / "tools").mkdir()
    shutil.copy(ROOT / "tools/test", tmp_path / "tools/test")
    (tmp_path / ".venv/bin").mkdir(parents=True)
    step = '#!/bin/sh\necho "$0 $*" >>"$CALLS"\ncase "$0 $*" in *"$FAILS"*) exit 3 ;; esac\n'
    programs = [tmp_path / ".venv/bin" / name for name in STEPS]
    host_setup = tmp_path / "tools/host-setup"
    host_setup.write_text("#!/bin/sh\nexit 0\n")
    for program in programs:
        program.write_text(step)
    for program in (*programs, host_setup):
        program.chmod(0o755)
    return tmp_path


def run(checkout: Path, fails: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "CALLS": str(checkout / "calls"), "FAILS": fails}
    return subprocess.run([checkout / "tools/test"], env=environment, capture_output=True, text=True, timeout=30)


def test_no_step_compiles_the_program_again_for_each_process(checkout: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONDONTWRITEBYTECODE", "1")
    python = checkout / ".venv/bin/python"
    python.write_text(python.read_text().replace("$0 $*", "$0 $* bytecode:${PYTHONDONTWRITEBYTECODE-written}", 1))
    run(checkout, fails="no step is called so")
    calls = (checkout / "calls").read_text().splitlines()
    assert [call.split()[-1] for call in calls if "/python " in call] == ["bytecode:written"] * 2


def test_every_step_is_run_and_success_is_zero(checkout: Path) -> None:
    ended = run(checkout, fails="no step is called so")
    assert (ended.returncode, "failed" in ended.stderr) == (0, False), ended.stderr
    calls = (checkout / "calls").read_text()
    for called in ("ruff check", "ruff format", "mypy", "lint-imports", "-m matrix", "-m not matrix"):
        assert called in calls


@pytest.mark.parametrize("step", ["ruff format", "mypy", "lint-imports", "-m matrix", "-m not matrix"])
def test_a_step_that_fails_is_named_and_the_others_still_run(checkout: Path, step: str) -> None:
    ended = run(checkout, fails=step)
    assert ended.returncode == 1
    assert ended.stderr.count("test: failed:") == 1
    assert step in ended.stderr.split("test: failed:")[1]
    assert len((checkout / "calls").read_text().splitlines()) == 6
