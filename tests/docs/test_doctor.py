"""`proxyspec doctor`, and what `--help` costs."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer.main

from proxyspec.cli import doctor
from proxyspec.cli.doctor import CHECKS, Finding, State
from proxyspec.cli.program import app
from proxyspec.errors import ExitCode, UsageError


def program(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "proxyspec", *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


def test_says_of_each_check_how_it_stands() -> None:
    done = program("doctor", "--json")
    found = json.loads(done.stdout)
    assert list(found) == list(CHECKS)
    assert done.returncode == ExitCode.OK, done.stdout
    for finding in found.values():
        assert finding["what"]
        assert bool(finding["remedy"]) == (finding["state"] != "ok")


def test_a_check_by_name_must_be_ok(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    lacking = Finding(State.LACKING, "not here", "get it")
    monkeypatch.setattr(doctor, "CHECKS", {"thing": lambda: lacking, "other": lambda: Finding(State.OK, "here")})
    assert doctor.doctor() == ExitCode.OK
    assert doctor.doctor(["other"]) == ExitCode.OK
    assert doctor.doctor(["thing"]) == ExitCode.FAILED
    said = capsys.readouterr().out
    assert "○ lacking" in said
    assert "→ get it" in said


def test_what_is_broken_fails_unasked(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(doctor, "CHECKS", {"thing": lambda: Finding(State.BROKEN, "gone", "get it")})
    assert doctor.doctor() == ExitCode.FAILED
    assert "✗ broken" in capsys.readouterr().out


def test_an_unknown_check_names_the_known_ones() -> None:
    with pytest.raises(UsageError, match=r"no check 'dokcer'.*docker"):
        doctor.doctor(["dokcer"])


def test_without_docker(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    finding = CHECKS["docker"]()
    assert finding.state is State.LACKING
    assert "does not answer" in finding.what


def test_without_haproxy(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("proxyspec_haproxy.engines.binary.find_on_path", lambda: None)
    finding = CHECKS["haproxy-binary"]()
    assert (finding.state, finding.what) == (State.LACKING, "no haproxy on PATH")


def test_a_broken_haproxy(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "haproxy").write_text("#!/bin/sh\necho nonsense\n")
    (tmp_path / "haproxy").chmod(0o755)
    monkeypatch.setattr("proxyspec_haproxy.engines.binary.find_on_path", lambda: tmp_path / "haproxy")
    finding = CHECKS["haproxy-binary"]()
    assert finding.state is State.LACKING
    assert str(tmp_path) in finding.what


@pytest.mark.parametrize(("hard", "state"), [(1024, State.LACKING), (65536, State.OK), (-1, State.OK)])
def test_descriptors(monkeypatch: pytest.MonkeyPatch, hard: int, state: State) -> None:
    assert resource.RLIM_INFINITY == -1
    monkeypatch.setattr("resource.getrlimit", lambda _: (1024, hard))
    assert CHECKS["descriptors"]().state is state


@pytest.mark.parametrize(("settings", "state"), [([32768, 33767], State.LACKING), ([32768, 60999], State.OK)])
def test_a_narrow_range_of_ports(monkeypatch: pytest.MonkeyPatch, settings: list[int], state: State) -> None:
    monkeypatch.setattr(doctor, "_kernel_numbers", lambda _: settings)
    finding = CHECKS["ports"]()
    assert str(settings[1] - settings[0] + 1) in finding.what
    assert finding.state is state or "below 1024" in finding.what


def test_a_package_that_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "_distributions", lambda: {"": {"typer", "no-such-package"}, "extra": {"neither"}})
    finding = CHECKS["python"]()
    assert finding.state is State.BROKEN
    assert "without no-such-package" in finding.what
    assert "not there: extra" in CHECKS["extras"]().what


def test_a_terminal_without_unicode() -> None:
    done = program("doctor", "locale", "loopback", PYTHONIOENCODING="ascii")
    assert done.returncode == ExitCode.FAILED
    assert "not UTF-8: the terminal: ascii" in done.stdout
    assert "Traceback" not in done.stderr


def test_no_color_is_respected() -> None:
    loud = program("doctor", "loopback", FORCE_COLOR="1", NO_COLOR="")
    quiet = program("doctor", "loopback", FORCE_COLOR="1", NO_COLOR="1")
    assert "\x1b[32m" in loud.stdout
    assert "\x1b[3" not in quiet.stdout


def leaves(command: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, str]]:
    """Yield the path and the help of every command that is no group of others."""
    below = getattr(command, "commands", {})
    if not below:
        yield " ".join(path), command.help or ""
    for name, sub in below.items():
        yield from leaves(sub, (*path, name))


def test_every_command_has_an_example() -> None:
    # `serve` has a command line of its own, and `list` and `doctor` of servers take nothing worth one.
    bare = {"serve", "servers list", "servers doctor"}
    without = [path for path, said in leaves(typer.main.get_command(app)) if "Example" not in said]
    assert set(without) <= bare


def test_help_imports_nothing_heavy() -> None:
    """What makes `--help` quick, without a clock: on this the 0.3 s rest."""
    heavy = ["asyncio", "docker", "jinja2", "locust", "gevent", "pydantic", "rich", "scapy", "leather", "ssl"]
    done = subprocess.run(
        [sys.executable, "-c", f"import sys, proxyspec.cli.program\nprint([m for m in {heavy} if m in sys.modules])"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stdout.strip() == "[]"
