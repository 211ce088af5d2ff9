"""The whole table for real, on every HAProxy of this machine; and the command around it."""

from __future__ import annotations

import contextlib
import json
import os
import select
import signal
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import pytest

from proxyspec.checks.model import selected
from proxyspec.checks.record import rows_of
from proxyspec.checks.runner import Watched, run_checks
from proxyspec.cli import main
from proxyspec.model import Verdict
from proxyspec.records import load_run
from proxyspec.records.checks import CheckRecord, ChecksRun
from proxyspec_haproxy import MATRIX, BinaryEngine, Choice, HAProxy, HAProxyVersion, StartFailed, choose_all
from proxyspec_scenarios.checks import CHECK_SCENARIOS

#: What a hundred checks take is what a run watches; here the rows need only be enough to count.
SECONDS = 7.0


class Kept:
    def __init__(self) -> None:
        self.began_with: list[str] = []
        self.watched: list[Watched] = []

    def began(self, choice: Choice) -> None:
        self.began_with.append(choice.engine.describe())

    def ended(self, watched: Watched) -> None:
        self.watched.append(watched)


def run(choices: Sequence[Choice], *, seconds: float, documented: bool) -> list[Watched]:
    kept = Kept()
    wanted = [scenario for scenario in CHECK_SCENARIOS if scenario.documented is documented]
    run_checks(wanted, choices, kept, seconds=seconds)
    assert sorted(kept.began_with) == sorted(choice.engine.describe() for choice in choices)
    return kept.watched


@pytest.mark.haproxy
@pytest.mark.docker
def test_every_haproxy_of_this_machine_does_as_its_release_is_known_to() -> None:
    choices = choose_all([MATRIX], missing=lambda reason: None)
    watched = run(choices, seconds=SECONDS, documented=False)
    assert len(watched) == len(choices)
    for one in watched:
        version = one.choice.engine.version()
        rows = rows_of(one, f"HAProxy {version}")
        deviant = [(row.id, row.reason) for row in rows if row.verdict in (Verdict.FAIL, Verdict.ERROR)]
        assert deviant == []
        verdicts = Counter(row.verdict for row in rows)
        assert verdicts[Verdict.PASS] > 0.9 * len(rows), verdicts
        _what_the_seed_says_of_smtpchk(rows, version)


def _what_the_seed_says_of_smtpchk(rows: Sequence[CheckRecord], version: HAProxyVersion) -> None:
    """smtpchk resets the connection before the HELO response is written: true of old releases, no longer of others."""
    by_id = {(row.check, row.proxy): row for row in rows}
    slow = by_id["smtpchk-ehlo-slow", "v1"]
    legacy = by_id["smtpchk-legacy", "v1"]
    assert (slow.result, legacy.result) == (
        "L7OK/250" if (version.major, version.minor) == (2, 2) else "L7OK/221",
        "L7OK",
    )
    if slow.checks:
        assert (slow.resets > slow.checks / 2) is ((version.major, version.minor) == (2, 2))
    assert legacy.resets > legacy.checks / 2
    kinds = [event.kind for event in legacy.events]
    assert kinds[-1] == "client-rst"
    header = next(bytes.fromhex(event.hex) for event in legacy.events if event.kind == "received")
    assert header.startswith(b"PROXY TCP4 127.0.0.1 127.0.0.1 ")
    assert slow.fields["check_status"] == "L7OK"
    assert any("Health check for server smtpchk-ehlo-slow.v1/smtp1 succeeded" in line for line in slow.log)


@pytest.mark.haproxy
def test_the_documented_listener_alone_keeps_its_own_pace(binary_engine: BinaryEngine) -> None:
    choice = Choice(binary_engine, "binary", "it is the one on PATH.")
    (watched,) = run([choice], seconds=12.0, documented=True)
    smtpchk, tcpcheck = rows_of(watched, "HAProxy 2.6")
    assert (smtpchk.verdict, tcpcheck.verdict) == (Verdict.PASS, Verdict.PASS), (smtpchk.reason, tcpcheck.reason)
    assert smtpchk.directives[6:] == [
        line for line in smtpchk.directives if line.endswith("check-send-proxy check inter 10s send-proxy")
    ]
    # Five servers and 10 s between checks: first checks are spread, and nobody is checked a third time.
    assert smtpchk.seconds is not None
    assert smtpchk.seconds > 1.0
    assert 5 <= smtpchk.checks <= 15


@pytest.mark.haproxy
def test_the_command_prints_the_table_and_writes_the_run(
    binary_engine: BinaryEngine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "run"
    absent = f"binary:{tmp_path / 'none'}"
    arguments = ["haproxy", "checks", "--haproxy", f"binary:{binary_engine.path}", "--haproxy", absent]
    code = main([*arguments, "--check", "busy-*", "--check", "l4/none", "--time", "3", "--out", str(out)])
    printed = capsys.readouterr().out
    record = load_run(out)
    assert isinstance(record, ChecksRun)
    assert code == record.exit_code == 0, printed
    assert [row.check for row in record.rows] == ["l4", "busy-smtpchk", "busy-tcp-check", "busy-l4"]
    assert record.haproxies[0].version == str(binary_engine.version())
    assert record.skipped == [f"{absent}: {tmp_path / 'none'}: no such file; give the path of a haproxy executable"]
    assert f"not here: {record.skipped[0]}" in printed
    assert "busy-smtpchk" in printed
    assert "DOWN L7STS/421" in printed
    for row in record.rows:
        assert row.directives[0] == f"backend {row.check}.{row.proxy}"
    for name in record.haproxies[0].config.split(", "):
        assert "\ndefaults\n" in (out / name).read_text()
    judged = [json.loads(line) for line in (out / "events.ndjson").read_text().splitlines()]
    assert [event["id"] for event in judged if event["event"] == "check-judged"] == [row.id for row in record.rows]


@contextlib.contextmanager
def watching(engine: BinaryEngine, out: Path) -> Iterator[subprocess.Popen[str]]:
    """Start a long run in a process of its own; the context begins when its servers stand and its HAProxy is next."""
    arguments = ["haproxy", "checks", "--haproxy", f"binary:{engine.path}", "--check", "l4", "--out", str(out)]
    with subprocess.Popen(
        [sys.executable, "-m", "proxyspec", *arguments, "--time", "600"],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
        env={"PATH": "/usr/bin:/bin", "PYTHONUNBUFFERED": "1"},
    ) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline().startswith("watching binary ")
            yield process
        finally:
            process.kill()


def left_by(process: subprocess.Popen[str]) -> list[Path]:
    return list(Path(tempfile.gettempdir()).glob(f"proxyspec-*-{process.pid}-*"))


@pytest.mark.haproxy
def test_an_interrupted_run_keeps_what_it_has_and_leaves_nothing(binary_engine: BinaryEngine, tmp_path: Path) -> None:
    with watching(binary_engine, tmp_path / "run") as process:
        assert left_by(process) != []
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
        assert process.returncode == 130, said
    assert said == "proxyspec: interrupted; the HAProxies that were done are kept\n"
    record = load_run(tmp_path / "run")
    assert (record.status, record.exit_code) == ("interrupted", 130)
    assert left_by(process) == []


@pytest.mark.haproxy
def test_a_killed_run_leaves_no_process_and_the_next_one_sweeps_up_the_rest(
    binary_engine: BinaryEngine, tmp_path: Path
) -> None:
    with watching(binary_engine, tmp_path / "run") as process, contextlib.ExitStack() as stack:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        assert len(children) >= 2  # both reference servers
        ends = [os.pidfd_open(int(child)) for child in children]
        for end in ends:
            stack.callback(os.close, end)
        process.kill()
        process.wait()
        assert all(select.select([end], [], [], 10.0)[0] for end in ends)
    assert left_by(process) != []
    binary = f"binary:{binary_engine.path}"
    arguments = ["--haproxy", binary, "--check", "l4/none", "--time", "2", "--out", str(tmp_path / "next")]
    assert main(["haproxy", "checks", *arguments]) == 0
    assert left_by(process) == []


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--time", "1"], "--time 1 is out of range: 2 to 600 seconds"),
        (["--check", "nosuch"], "--check 'nosuch' fits no check: there are documented-smtpchk, "),
        (["--haproxy", "podman"], "--haproxy: HAProxy engine 'podman': expected auto, "),
        (["--haproxy", "binary:/nonexistent"], "--haproxy: binary:/nonexistent: /nonexistent: no such file"),
    ],
)
def test_bad_options_are_named(arguments: list[str], complaint: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["haproxy", "checks", *arguments]) == 2
    assert complaint in capsys.readouterr().err


def test_the_checks_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["haproxy", "checks", "--list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == [scenario.id for scenario in CHECK_SCENARIOS]


class Refusing(BinaryEngine):
    """An HAProxy that never starts."""

    def start(self, text: str, *, files: Mapping[str, bytes] = MappingProxyType({}), timeout: float = 10.0) -> HAProxy:
        raise StartFailed("it will not", "no room")


@pytest.mark.haproxy
def test_an_haproxy_that_does_not_start_makes_its_rows_errors_and_the_others_go_on(
    binary_engine: BinaryEngine, wheel_engine: BinaryEngine
) -> None:
    kept = Kept()
    choices = [Choice(Refusing(wheel_engine.path), "binary", "a test"), Choice(binary_engine, "binary", "a test")]
    run_checks(selected(CHECK_SCENARIOS, ["l4/none"]), choices, kept, seconds=2.0)
    verdicts = {one.choice.engine: [row.finding.verdict for row in one.rows] for one in kept.watched}
    assert verdicts == {choices[0].engine: [Verdict.ERROR], choices[1].engine: [Verdict.PASS]}
    (broken,) = [one for one in kept.watched if one.choice is choices[0]]
    assert broken.rows[0].finding.reason == "HAProxy did not run: it will not\nno room"
    (record,) = rows_of(broken, "HAProxy")
    assert (record.up, record.events, record.fields) == (None, [], {})
