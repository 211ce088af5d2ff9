"""`proxyspec sender` as a user meets it: exit codes, errors, the record, an interrupt."""

from __future__ import annotations

import asyncio
import contextlib
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from proxyspec.cli import main
from proxyspec.errors import ExitCode
from proxyspec.layers.authoring import crc32c, v1, v2
from proxyspec.model import Verdict
from proxyspec.records import load_run
from proxyspec.records.sender import SenderRun
from proxyspec.sender.run import exit_code_of
from tests.harness.sender.scripted import send

SESSION = b"EHLO x\r\nQUIT\r\n"
LISTENING = re.compile(r"listening on 127\.0\.0\.1:(\d+)")


@contextlib.contextmanager
def listening(*arguments: str) -> Iterator[tuple[subprocess.Popen[str], int]]:
    """Run the command until it listens; its port."""
    command = [sys.executable, "-m", "proxyspec", "sender", "--listen", "127.0.0.1:0", *arguments]
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True
    ) as process:
        try:
            assert process.stdout is not None
            first = process.stdout.readline()
            found = LISTENING.search(first)
            assert found is not None, first + process.stdout.read()
            yield process, int(found[1])
        finally:
            process.kill()


def ended(process: subprocess.Popen[str]) -> str:
    said, _ = process.communicate(timeout=60)
    return said


def record(out: Path) -> SenderRun:
    run = load_run(out)
    assert isinstance(run, SenderRun)
    return run


def test_connections_are_judged_until_there_are_enough(tmp_path: Path) -> None:
    with listening("--count", "2", "--expect", "v2", "--tlv", "crc32c", "--out", str(tmp_path / "run")) as (
        process,
        port,
    ):
        asyncio.run(send(port, [v2(tlvs=[crc32c()]), SESSION]))
        asyncio.run(send(port, [v2(), SESSION]))
        said = ended(process)
    assert process.returncode == ExitCode.FAILED
    assert "CRC32C is not there (send.tlv.declared" in said.replace("\n", " ")
    assert "2 connections: 1 PASS, 1 FAIL" in said
    run = record(tmp_path / "run")
    assert [row.verdict for row in run.rows] == [Verdict.PASS, Verdict.FAIL]
    assert (run.status, run.exit_code, run.rows) == ("complete", ExitCode.FAILED, list(run.judged))
    assert bytes.fromhex(run.rows[0].hex) == v2(tlvs=[crc32c()])
    assert bytes.fromhex(run.rows[1].hex) == v2() + SESSION
    events = (tmp_path / "run" / "events.ndjson").read_text().splitlines()
    assert [event.split('"')[3] for event in events] == [
        "run-started",
        "connection-judged",
        "connection-judged",
        "run-finished",
    ]


def test_what_a_peer_says_reaches_the_terminal_escaped(tmp_path: Path) -> None:
    with listening("--count", "1", "--out", str(tmp_path / "run")) as (process, port):
        asyncio.run(send(port, [b"\x1b[31m[bold]\x07\r\n", b"QUIT\r\n"]))
        said = ended(process)
    assert "\x1b" not in said
    assert "\x07" not in said
    assert r"\x1b[31m[bold]\x07" in said


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_keeps_what_was_judged(tmp_path: Path, number: signal.Signals) -> None:
    with listening("--out", str(tmp_path / "run")) as (process, port):
        asyncio.run(send(port, [v1(), SESSION]))
        assert process.stdout is not None
        assert process.stdout.readline().startswith("PASS")
        process.send_signal(number)
        said = ended(process)
    assert process.returncode == ExitCode.INTERRUPTED
    assert "what was judged so far is kept" in said
    run = record(tmp_path / "run")
    assert (run.status, [row.verdict for row in run.rows]) == ("interrupted", [Verdict.PASS])


def test_nobody_came(tmp_path: Path) -> None:
    with listening("--time", "1s", "--out", str(tmp_path / "run")) as (process, _):
        said = ended(process)
    assert process.returncode == ExitCode.NOTHING
    assert "0 connections" in said


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "name what to judge"),
        (["--listen", "1", "--haproxy", "auto"], "name what to judge"),
        (["--listen", "somewhere"], "--listen 'somewhere'"),
        (["--listen", "127.0.0.1:99999"], "--listen '127.0.0.1:99999'"),
        (["--listen", "999.0.0.1:1"], "--listen '999.0.0.1:1'"),
        (["--listen", "0.0.0.0:0"], "--allow-peer"),
        (["--listen", "[::]:0"], "--allow-peer"),
        (["--listen", "0", "--allow-peer", "x"], "--allow-peer 'x'"),
        (["--listen", "0", "--client", "x"], "--client 'x'"),
        (["--listen", "0", "--tlv", "nothing"], "--tlv 'nothing'"),
        (["--listen", "0", "--expect", "v3"], "--expect 'v3'"),
        (["--listen", "0", "--time", "0"], "--time '0'"),
        (["--listen", "0", "--through", "192.0.2.1:25"], "--allow-target"),
        (["--listen", "0", "--setting", "v1"], "--setting goes with --haproxy"),
        (["--haproxy", "auto", "--count", "1"], "--count goes with --listen"),
        (["--haproxy", "auto", "--expect", "v1"], "--expect goes with --listen"),
        (["--haproxy", "auto", "--allow-target", "192.0.2.1"], "--allow-target goes with --listen"),
        (["--haproxy", "auto", "--setting", "nix"], "--setting 'nix' names no setting"),
        (["--haproxy", "auto", "--setting", "v1", "--setting", "v1/nix"], "--setting 'v1/nix' names no setting"),
        (["--haproxy", "nix"], "--haproxy"),
    ],
)
def test_errors_name_the_option_and_the_remedy(
    arguments: list[str], words: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["sender", *arguments]) == ExitCode.USAGE
    said = capsys.readouterr().err
    assert words in said
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("verdicts", "strict", "interrupted", "code"),
    [
        ([Verdict.PASS, Verdict.WARN, Verdict.SKIP], False, False, ExitCode.OK),
        ([Verdict.PASS, Verdict.WARN], True, False, ExitCode.FAILED),
        ([Verdict.PASS, Verdict.FAIL], False, False, ExitCode.FAILED),
        ([Verdict.PASS, Verdict.UNTESTABLE], False, False, ExitCode.FAILED),
        ([Verdict.INFO, Verdict.SKIP], False, False, ExitCode.NOTHING),
        ([], False, False, ExitCode.NOTHING),
        ([Verdict.FAIL], False, True, ExitCode.INTERRUPTED),
    ],
)
def test_exit_codes(verdicts: list[Verdict], strict: bool, interrupted: bool, code: ExitCode) -> None:
    assert exit_code_of(verdicts, strict=strict, interrupted=interrupted) is code


@pytest.mark.haproxy
def test_one_haproxy_and_one_setting(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "run"
    assert main(["sender", "--haproxy", "binary", "--setting", "v2/crc32c/ipv4", "--out", str(out)]) == ExitCode.OK
    said = capsys.readouterr().out
    assert "1 PASS" in said
    run = record(out)
    assert [row.setting for row in run.rows] == ["v2/crc32c/ipv4"]
    assert run.rows[0].directives == ["server … send-proxy-v2 proxy-v2-options crc32c"]
    assert (out / run.haproxies[0].config).exists()
    assert re.fullmatch(r"HAProxy \S+ as a sender", run.subject)
