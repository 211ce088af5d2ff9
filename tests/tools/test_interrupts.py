"""`tools/interrupts`: a command ended early leaves nothing, and the table says so."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

TOOL = Path(__file__).parents[2] / "tools/interrupts"


def interrupts(*arguments: str, shell: Sequence[str] = ()) -> subprocess.CompletedProcess[str]:
    words = [*shell, sys.executable, str(TOOL), *arguments]
    return subprocess.run(words, capture_output=True, text=True, timeout=240, check=False)


def test_a_command_that_is_ended_leaves_nothing() -> None:
    ended = interrupts("--times", "2", "listen")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    header, whole, *rows, verdict = ended.stdout.splitlines()
    assert header.split()[:2] == ["command", "signal"]
    assert whole.split()[:2] == ["listen", "none"]
    assert [row.split()[0] for row in rows] == ["listen"] * 3, "two endings and what they come to"
    assert verdict == "every ending was clean"


def test_in_a_background_job_which_ignores_sigint_the_commands_get_it() -> None:
    ended = interrupts("--times", "1", "--within", "1", "listen", shell=("sh", "-c", 'trap "" INT; exec "$@"', "sh"))
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert [line.split()[1:] for line in ended.stdout.splitlines() if line.startswith("listen")][-1] == ["1", "130"]


def test_a_command_it_does_not_know_is_named() -> None:
    ended = interrupts("no-such-command")
    assert ended.returncode == 2
    assert "no such command: no-such-command; there are run, " in ended.stderr
