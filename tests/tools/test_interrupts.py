"""`tools/interrupts`: a command ended early leaves nothing, and the table says so."""

import subprocess
import sys
from pathlib import Path

TOOL = Path(__file__).parents[2] / "tools/interrupts"


def interrupts(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, TOOL, *arguments], capture_output=True, text=True, timeout=240, check=False)


def test_a_command_that_is_ended_leaves_nothing() -> None:
    ended = interrupts("--times", "2", "listen")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    header, whole, *rows, verdict = ended.stdout.splitlines()
    assert header.split()[:2] == ["command", "signal"]
    assert whole.split()[:2] == ["listen", "none"]
    assert [row.split()[0] for row in rows] == ["listen"] * 3, "two endings and what they come to"
    assert verdict == "every ending was clean"


def test_a_command_it_does_not_know_is_named() -> None:
    ended = interrupts("no-such-command")
    assert ended.returncode == 2
    assert "no such command: no-such-command; there are run, " in ended.stderr
