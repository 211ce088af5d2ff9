"""What a release consists of: the same bytes from any copy of the sources; an action, an image, a sample that fit."""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import stat
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.specifiers import SpecifierSet

from proxyspec import __version__
from proxyspec.records import load_run
from proxyspec.reference import reference_server

from .blocks import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
BUILD = PROJECT["tool"]["hatch"]["build"]["targets"]


def sources(folder: Path, mode: int) -> Path:
    """Copy what a build reads, with other times and other rights."""
    names = [name.lstrip("/") for name in BUILD["sdist"]["include"]]
    for name in {*names, "pyproject.toml", ".gitignore"}:
        target = folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        if (ROOT / name).is_dir():
            shutil.copytree(ROOT / name, target, ignore=shutil.ignore_patterns("__pycache__", "out"))
        else:
            shutil.copyfile(ROOT / name, target)
    for path in folder.rglob("*"):
        if path.is_file():
            path.chmod(mode | (0o111 if os.access(ROOT / path.relative_to(folder), os.X_OK) else 0))
            os.utime(path, (mode, mode))
    return folder


def built(folder: Path) -> dict[str, bytes]:
    done = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-d", str(folder / "dist")],
        cwd=folder,
        env={**os.environ, "SOURCE_DATE_EPOCH": "1700000000"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return {path.name: path.read_bytes() for path in (folder / "dist").iterdir()}


@pytest.fixture(scope="module")
def builds(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, bytes], dict[str, bytes]]:
    return (
        built(sources(tmp_path_factory.mktemp("one"), 0o644)),
        built(sources(tmp_path_factory.mktemp("another"), 0o600)),
    )


def test_builds_are_equal(builds: tuple[dict[str, bytes], dict[str, bytes]]) -> None:
    assert sorted(builds[0]) == [f"proxyspec-{__version__}-py3-none-any.whl", f"proxyspec-{__version__}.tar.gz"]
    digests = [{name: hashlib.sha256(data).hexdigest() for name, data in build.items()} for build in builds]
    assert digests[0] == digests[1]


def test_wheel_holds_every_room_and_its_data(builds: tuple[dict[str, bytes], dict[str, bytes]], tmp_path: Path) -> None:
    wheel = tmp_path / "w.whl"
    wheel.write_bytes(builds[0][f"proxyspec-{__version__}-py3-none-any.whl"])
    names = set(zipfile.ZipFile(wheel).namelist())
    wanted = [
        "proxyspec/py.typed",
        "proxyspec_scenarios/load/throughput.py",
        "proxyspec_reports/templates/report.html.j2",
        "proxyspec_haproxy/templates/listen.cfg.j2",
        "proxyspec_server/py.typed",
    ]
    assert names.issuperset(wanted)
    assert not any(name.startswith(("tests/", "docs/", "tools/")) or "__pycache__" in name for name in names)


def test_sdist_holds_what_its_documents_and_tests_want(
    builds: tuple[dict[str, bytes], dict[str, bytes]], tmp_path: Path
) -> None:
    archive = tmp_path / "s.tar.gz"
    archive.write_bytes(builds[0][f"proxyspec-{__version__}.tar.gz"])
    with tarfile.open(archive) as opened:
        names = {name.partition("/")[2] for name in opened.getnames()}
    assert names.issuperset({"proxyspec", "LICENSE", "docs/tour.md", "tests/conftest.py", "tools/test"})


class Composite:
    """The composite action, and its steps as a runner would start them."""

    def __init__(self) -> None:
        self.text = (ROOT / "action.yml").read_text(encoding="utf-8")
        self.data: dict[str, Any] = yaml.safe_load(self.text)
        self.judge = next(step for step in self.data["runs"]["steps"] if step.get("id") == "judge")


@pytest.fixture
def action() -> Composite:
    return Composite()


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    with reference_server(["--trust", "127.0.0.1", "--header-timeout", "3"], tmp_path / "s.ndjson") as (host, port):
        yield f"smtp://{host}:{port}"


def judged(action: Composite, folder: Path, **inputs: str) -> tuple[int, dict[str, str], str]:
    """Run the step that judges; return its exit code, its outputs and the job's summary."""
    venv = folder / "venv" / "bin"
    venv.mkdir(parents=True)
    program = venv / "proxyspec"
    program.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m proxyspec "$@"\n')
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    defaults = {name.upper(): str(value.get("default", "")) for name, value in action.data["inputs"].items()}
    done = subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", action.judge["run"]],
        cwd=folder,
        env={
            **os.environ,
            **{name: value for name, value in defaults.items() if name in action.judge["env"]},
            **inputs,
            "VENV": str(folder / "venv"),
            "GITHUB_OUTPUT": str(folder / "output"),
            "GITHUB_STEP_SUMMARY": str(folder / "summary"),
        },
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    lines = (folder / "output").read_text().splitlines()
    summary = folder / "summary"
    return (
        done.returncode,
        dict(line.split("=", 1) for line in lines),
        summary.read_text(encoding="utf-8") if summary.exists() else "",
    )


def test_action_judges_and_keeps_what_it_found(action: Composite, server: str, tmp_path: Path) -> None:
    code, outputs, summary = judged(
        action, tmp_path, TARGET=server, ARGUMENTS="--case=v1/tcp4/ok\n--header-timeout=3\n"
    )
    assert (code, outputs["exit-code"]) == (0, "0")
    assert "v1" in summary
    assert load_run(tmp_path / "proxyspec-run").exit_code == 0
    for name in ("report", "junit"):
        assert (tmp_path / outputs[name]).stat().st_size > 0


def test_action_passes_the_exit_code_on(action: Composite, tmp_path: Path) -> None:
    code, outputs, _ = judged(action, tmp_path, TARGET="no target $(touch pwned)", ARGUMENTS="--case=v1/tcp4/ok")
    assert (code, outputs["exit-code"]) == (2, "2")
    assert not (tmp_path / "pwned").exists()


def test_action_never_pastes_an_input_into_a_script(action: Composite) -> None:
    for step in action.data["runs"]["steps"]:
        assert "${{" not in step["run"]
    used = set(re.findall(r"inputs\.([\w-]+)", action.text))
    assert used == set(action.data["inputs"])


def test_constraints_suit_the_oldest_interpreter() -> None:
    """Debian 12's Python is older than the one that wrote them down may be."""
    names = [
        line.partition("==")[0] for line in (ROOT / "constraints.txt").read_text("utf-8").splitlines() if "==" in line
    ]
    assert len(names) > 50
    unsuited = {
        name: wanted
        for name in names
        if (wanted := _requires_python(name)) is not None and not SpecifierSet(wanted).contains("3.11.2")
    }
    assert unsuited == {}


def _requires_python(name: str) -> str | None:
    try:
        wanted: list[str] = metadata(name).get_all("Requires-Python", [])
    except PackageNotFoundError:
        # For another interpreter or another extra.
        return None
    return wanted[0] if wanted else None


def test_image_is_made_of_what_there_is() -> None:
    text = (ROOT / "Dockerfile").read_text(encoding="utf-8")
    assert (ROOT / "constraints.txt").exists()
    assert "USER proxyspec" in text
    assert 'ENTRYPOINT ["proxyspec"]' in text
    assert PROJECT["project"]["scripts"]["proxyspec"] == "proxyspec.cli:main"


def test_sample_report_is_small_and_whole() -> None:
    sample = ROOT / "docs" / "sample"
    page = sample / "report.html"
    assert page.stat().st_size < 1_500_000
    assert page.read_text(encoding="utf-8").rstrip().endswith("</html>")
    for name in ("answer", "failure", "load"):
        for scheme in ("light", "dark"):
            assert (sample / f"{name}-{scheme}.png").read_bytes().startswith(b"\x89PNG")
    assert sum(path.stat().st_size for path in sample.iterdir()) < 3_000_000
