"""`proxyspec tcp` as root: a namespace, a server in it, verdicts, and nothing left behind."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from proxyspec.errors import ExitCode
from proxyspec.records import ConformanceRun, load_run
from proxyspec.tcp import namespace

PYTHON = sys.executable
SERVER = f"{PYTHON} -m proxyspec_server --listen {{address}} --trust {{network}} --header-timeout 2"


def proxyspec(*arguments: str) -> subprocess.CompletedProcess[str]:
    command = [PYTHON, "-m", "proxyspec", "tcp", "--header-timeout", "2", *arguments]
    environment = {**os.environ, "COLUMNS": "200"}
    return subprocess.run(command, capture_output=True, text=True, timeout=90, check=False, env=environment)


def verdicts(out: Path) -> dict[str, str]:
    run = load_run(out)
    assert isinstance(run, ConformanceRun)
    return {record.id: record.verdict for record in run.cases}


def interfaces() -> set[str]:
    return set(os.listdir("/sys/class/net"))  # noqa: PTH208 - names alone


def test_the_reference_server_passes_and_nothing_is_left(tmp_path: Path) -> None:
    before = interfaces()
    ended = proxyspec("--out", str(tmp_path / "run"))
    assert ended.returncode == ExitCode.OK, ended.stdout + ended.stderr
    found = verdicts(tmp_path / "run")
    assert len(found) > 150
    assert set(found.values()) == {"PASS", "INFO"}
    assert interfaces() == before


def test_a_server_that_serves_fragments_without_their_header_is_caught(tmp_path: Path) -> None:
    cases = ["--case", "tcp/segments/v1/halves", "--case", "tcp/order/v1"]
    ended = proxyspec("--out", str(tmp_path / "run"), *cases, "--start", f"{SERVER} --defect fragment-served")
    assert ended.returncode == ExitCode.FAILED, ended.stdout + ended.stderr
    found = verdicts(tmp_path / "run")
    assert found["tcp/segments/v1/halves"] == "FAIL"
    assert found["tcp/whole/v1"] == "PASS"
    # What TCP itself puts in order is one read to the server.
    assert found["tcp/order/v1/reversed-halves"] == "PASS"


def test_a_server_that_greets_a_fin_is_caught(tmp_path: Path) -> None:
    ended = proxyspec(
        "--out", str(tmp_path / "run"), "--case", "tcp/fin/v1/with-byte-05", "--start", f"{SERVER} --defect fin-greeted"
    )
    assert ended.returncode == ExitCode.FAILED, ended.stdout + ended.stderr
    assert verdicts(tmp_path / "run")["tcp/fin/v1/with-byte-05"] == "FAIL"


@pytest.mark.parametrize(
    ("start", "code", "words"),
    [
        ("/no/such/server {address}", ExitCode.USAGE, "'/no/such/server' cannot be run"),
        ("server {adress}", ExitCode.USAGE, "{address}, {host}, {port}, {network}"),
        ("server {address.port}", ExitCode.USAGE, "it may hold {address}"),
        ("server 'unbalanced", ExitCode.USAGE, "cannot be read"),
        (f"{PYTHON} -c 'print(chr(27) + chr(91) + str(7 * 6)); exit(3)'", ExitCode.HARNESS, "ended with 3"),
    ],
)
def test_a_server_that_does_not_start_is_named(tmp_path: Path, start: str, code: ExitCode, words: str) -> None:
    ended = proxyspec("--out", str(tmp_path / "run"), "--start", start)
    assert ended.returncode == code
    assert words in ended.stderr
    assert "\x1b" not in ended.stderr
    assert "Traceback" not in ended.stderr


def test_an_interrupted_run_stops_its_server(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    start = f"sh -c 'echo $$ > {pid}; exec {SERVER} --defect deadline-none'"
    command = [PYTHON, "-m", "proxyspec", "tcp", "--header-timeout", "30", "--start", start]
    command += ["--out", str(tmp_path / "run"), "--case", "tcp/fin/v1/with-byte-05", "--case", "tcp/rst/v1"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        events = tmp_path / "run" / "events.ndjson"
        while process.poll() is None and (not events.exists() or '"run-started"' not in events.read_text()):
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(0.01)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=30)
    assert process.returncode == ExitCode.INTERRUPTED, errors
    with pytest.raises(ProcessLookupError):
        os.kill(int(pid.read_text()), 0)


def test_without_the_privilege_the_reason_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(namespace, "_unshare", lambda flags: errno.EPERM)
    with pytest.raises(namespace.Unprivileged, match="run as root, or allow user namespaces"):
        namespace.enter()
