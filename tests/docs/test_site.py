"""The site builds without a complaint, and its reference holds what the code holds."""

from __future__ import annotations

import os
import re
import runpy
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from proxyspec.errors import ExitCode
from proxyspec_scenarios import catalogue
from proxyspec_scenarios.requirements import REQUIREMENTS
from proxyspec_server.defects import DEFECTS, VARIATIONS

from .blocks import ROOT


@pytest.fixture(scope="module")
def pages() -> dict[str, str]:
    made: Callable[[], dict[str, str]] = runpy.run_path(str(ROOT / "tools" / "reference.py"))["pages"]
    return made()


def test_builds_strictly(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)],
        cwd=ROOT,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    front = (tmp_path / "index.html").read_text(encoding="utf-8")
    assert "tour/" in front
    assert (tmp_path / "reference" / "commands" / "index.html").exists()
    # It is read without a network.
    outside = re.findall(r"""(?:src|href)=["'](?:https?:)?//[^"']+\.(?:js|css|woff2?)\b""", front)
    assert outside == []


def test_every_case_has_its_row(pages: dict[str, str]) -> None:
    cases = "".join(page for path, page in pages.items() if path.startswith("reference/cases/"))
    missing = [case.id for case in catalogue().cases if f"<code>{case.id}</code>" not in cases]
    assert missing == []


def test_a_case_shows_its_bytes(pages: dict[str, str]) -> None:
    line = next(line for line in pages["reference/cases/v1.md"].splitlines() if "<code>v1/port/65536</code>" in line)
    assert r"PROXY TCP4 192.0.2.1 192.0.2.2 1111 65536\r\n" in line
    assert "v1.port.range" in line


def test_requirements_defects_and_codes_are_there(pages: dict[str, str]) -> None:
    for rule in REQUIREMENTS:
        assert f"<code>{rule.id}</code>" in pages["reference/requirements.md"]
    for name in (*DEFECTS, *VARIATIONS):
        assert f"<code>{name}</code>" in pages["reference/defects.md"]
    for code in ExitCode:
        assert f"| {int(code)} | " in pages["reference/exit-codes.md"]


def test_tables_are_rectangular(pages: dict[str, str]) -> None:
    for path, page in pages.items():
        for table in re.findall(r"(?:^\|.*\|\n)+", page, re.MULTILINE):
            widths = {len(re.findall(r"(?<!\\)\|", line)) for line in table.splitlines()}
            assert len(widths) == 1, f"{path}: {table[:200]}"


def test_every_command_has_its_help(pages: dict[str, str]) -> None:
    page = pages["reference/commands.md"]
    for command in ("run", "doctor", "serve", "haproxy check", "export vectors"):
        assert f"## proxyspec {command}\n" in page
    assert "Traceback" not in page
