"""The pytest plugin, as somebody else's project meets it: a pytest of its own in a process of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path

import pytest

from proxyspec.reference import reference_server

#: Seconds; what the waiting cases wait for.
DEADLINE = 2.0


@pytest.fixture
def target(tmp_path: Path) -> Iterator[str]:
    arguments = ["--trust", "127.0.0.1", "--header-timeout", str(DEADLINE)]
    with reference_server(arguments, tmp_path / "journal.ndjson") as (host, port):
        yield f"smtp://{host}:{port}"


@pytest.fixture
def project(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "test_own.py").write_text("def test_own():\n    assert True\n")
    return folder


def pytest_in(folder: Path, *arguments: str) -> tuple[subprocess.CompletedProcess[str], dict[str, ET.Element]]:
    report = folder / "report.xml"
    # Loaded by name, so that the test also holds where the entry point is installed.
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-p", "proxyspec.pytest_plugin", "-q"]
    ended = subprocess.run(
        [*command, f"--junit-xml={report}", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "COLUMNS": "300", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
    )
    found = ET.fromstring(report.read_text()).iter("testcase") if report.exists() else ()
    return ended, {test.attrib["name"]: test for test in found}


def state(test: ET.Element) -> str:
    return next((child.tag for child in test if child.tag in ("failure", "error", "skipped")), "passed")


def test_cases_are_items_beside_the_projects_own(target: str, project: Path) -> None:
    selected = ["--proxyspec-case", "v1/port", "--proxyspec-case", "general/deadline/silent"]
    timeout = ["--proxyspec-header-timeout", str(DEADLINE)]
    ended, tests = pytest_in(project, "--proxyspec-target", target, *timeout, *selected)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert {"test_own", "v1/tcp4/ok", "v1/port/65536", "general/deadline/silent"} <= set(tests)
    assert {state(test) for test in tests.values()} == {"passed"}


def test_all_cases_run_in_one_wave(target: str, project: Path) -> None:
    waiting = ["--proxyspec-case", "general/deadline", "--proxyspec-case", "v1/line-end"]
    timeout = ["--proxyspec-header-timeout", str(DEADLINE)]
    kept = ["--proxyspec-out", str(project / "kept")]
    ended, tests = pytest_in(project, "--proxyspec-target", target, *timeout, *waiting, *kept)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert len(tests) > 6
    run = json.loads((project / "kept" / "run.json").read_text())
    assert sum(record["duration"] >= DEADLINE - 0.1 for record in run["cases"]) >= 3
    assert run["duration"] < 2 * DEADLINE
    assert {record["id"] for record in run["cases"]} == set(tests) - {"test_own"}


def test_deselected_cases_do_not_run(target: str, project: Path) -> None:
    kept = ["--proxyspec-out", str(project / "kept")]
    chosen = ["-k", "65536 and not 65535"]
    ended, tests = pytest_in(project, "--proxyspec-target", target, "--proxyspec-case", "v1", *chosen, *kept)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert tests
    assert all("65536" in name for name in tests)
    run = json.loads((project / "kept" / "run.json").read_text())
    assert {record["id"] for record in run["cases"]} == {*tests, "v1/tcp4/ok"}


def test_failures_come_with_evidence_and_warnings_warn(project: Path) -> None:
    from aiosmtpd.controller import Controller
    from aiosmtpd.handlers import Sink

    from proxyspec.haproxy.front import free_ports

    (port,) = free_ports(1)
    controller = Controller(Sink(), hostname="127.0.0.1", port=port)
    controller.start()
    try:
        selected = ["--proxyspec-case", "v1/port/65536", "--proxyspec-case", "v1/unknown/short"]
        ended, tests = pytest_in(project, "--proxyspec-target", f"127.0.0.1:{port}", *selected)
    finally:
        controller.stop()
    assert ended.returncode == 1
    assert state(tests["v1/port/65536"]) == "failure"
    assert state(tests["test_own"]) == "passed"
    assert "FAIL: expected rejected-silent or rejected-reply; got treated-as-smtp" in ended.stdout
    assert "sent      PROXY TCP4 192.0.2.1 192.0.2.2 " in ended.stdout
    assert "Traceback" not in ended.stdout
    assert "pytest_plugin.py" not in ended.stdout.partition("warnings summary")[0]
    assert state(tests["v1/unknown/short"]) == "passed"
    assert "ProxyspecWarning: v1/unknown/short: expected" in ended.stdout


def test_what_does_not_apply_is_skipped(target: str, project: Path) -> None:
    untrusted = ["--proxyspec-untrusted", "none", "--proxyspec-case", "general/trust/unlisted-v1"]
    _, tests = pytest_in(project, "--proxyspec-target", target, *untrusted)
    assert state(tests["general/trust/unlisted-v1"]) == "skipped"


def test_a_target_that_cannot_be_judged_fails_every_case_with_the_reason(project: Path) -> None:
    ended, tests = pytest_in(project, "--proxyspec-target", "127.0.0.1:1", "--proxyspec-case", "v1/tcp4/ok")
    assert ended.returncode == 1
    assert state(tests["v1/tcp4/ok"]) == "failure"
    assert "UNTESTABLE: 127.0.0.1:1 cannot be reached" in ended.stdout


def test_options_count_more_than_the_profile_and_reproduce_what_failed(project: Path, target: str) -> None:
    profile = project / "mx.toml"
    profile.write_text(f'[target]\nurl = "{target}"\nheader_timeout = 9\n')
    said = ["--proxyspec-header-timeout", "7", "--proxyspec-trusted", "127.0.0.5", "--proxyspec-untrusted", "none"]
    ended, tests = pytest_in(project, "--proxyspec-target", str(profile), *said, "--proxyspec-case", "v1/tcp4/ok")
    assert state(tests["v1/tcp4/ok"]) == "failure", "it trusts another"
    again = f"proxyspec run {target} --header-timeout 7 --trusted 127.0.0.5 --untrusted none --case v1/tcp4/ok"
    assert again in ended.stdout


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--proxyspec-target", "nonsense"], "no target"),
        (["--proxyspec-target", "192.0.2.1:25"], "--proxyspec-allow-target 192.0.2.1"),
        (["--proxyspec-target", "127.0.0.1:1", "--proxyspec-case", "v9"], "--proxyspec-case 'v9' names no case"),
        (["--proxyspec-target", "127.0.0.1:1", "--proxyspec-oracle", "delphi"], "the oracle 'delphi' is unknown"),
        (["--proxyspec-target", "127.0.0.1:1", "--proxyspec-case", "haproxy/relay"], "--haproxy"),
    ],
)
def test_bad_options_are_usage_errors(project: Path, arguments: list[str], words: str) -> None:
    ended, _ = pytest_in(project, *arguments)
    assert ended.returncode == pytest.ExitCode.USAGE_ERROR
    assert words in ended.stderr + ended.stdout
    assert "Traceback" not in ended.stderr + ended.stdout


def test_unused_it_imports_nothing(project: Path) -> None:
    (project / "test_own.py").write_text(
        "import sys\n"
        "def test_own():\n"
        "    assert 'proxyspec.pytest_plugin' in sys.modules\n"
        "    ours = {name for name in sys.modules if name.startswith('proxyspec')}\n"
        "    assert ours == {'proxyspec', 'proxyspec.pytest_plugin'}\n"
        "    assert not {'pydantic', 'scapy', 'typer', 'jinja2', 'asyncio.runners'} & set(sys.modules)\n"
    )
    ended, tests = pytest_in(project)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert list(tests) == ["test_own"]
