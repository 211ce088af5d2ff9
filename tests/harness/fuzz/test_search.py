"""The search against the reference server, healthy and with a seeded defect, and against servers that die."""

from __future__ import annotations

import asyncio
import json
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from proxyspec.errors import ExitCode
from proxyspec.fuzz.record import FuzzRun
from proxyspec.fuzz.rules import Class, classify
from proxyspec.fuzz.search import Finding, Listener, Search, search
from proxyspec.fuzz.trials import Prober, SettlingWire, case_of
from proxyspec.layers.authoring import v1, v2
from proxyspec.malform import malformed
from proxyspec.model import Accept, OutcomeKind, Target
from proxyspec.oracle import ehlo_oracle
from proxyspec.records import ConformanceRun, load_run
from proxyspec.reference import reference_server
from proxyspec.wire import Road
from tests.harness.program import proxyspec

#: Seconds; no frame may need it on a server that settles what a FIN ends.
DEADLINE = 2.0
BOTH = frozenset({1, 2})


@contextmanager
def server(tmp_path: Path, *defects: str) -> Iterator[Target]:
    arguments = ["--trust", "127.0.0.1", "--header-timeout", str(DEADLINE)]
    for defect in defects:
        arguments += ["--defect", defect]
    with reference_server(arguments, tmp_path / "journal.ndjson") as (host, port):
        yield Target(host=host, port=port, header_timeout=DEADLINE)


class Collector(Listener):
    def __init__(self) -> None:
        self.found: list[Finding] = []

    def finding(self, found: Finding, number: int) -> None:
        assert number == len(self.found) + 1
        self.found.append(found)


def test_the_healthy_server_has_no_findings(tmp_path: Path) -> None:
    with server(tmp_path) as target:
        results = search(Search(target, "healthy", 30.0, frames=400, parallel=32), Collector())
    assert results.unjudgeable is None
    assert not results.interrupted
    assert 390 <= results.frames <= 400
    assert results.as_expected == results.sent
    assert min(results.sent[verdict] for verdict in Class) >= 20
    assert results.findings == []
    assert results.strays == []


@pytest.mark.parametrize(
    ("defect", "verdict", "reason", "most"),
    [
        ("v1-port-leading-zero", Class.REJECT, "a port has a leading zero", 44),
        ("v2-command-ignored", Class.REJECT, "the command is neither LOCAL nor PROXY", 52),
        ("v1-port-65535-refused", Class.ACCEPT, "line", 104),
    ],
)
def test_a_defect_is_found_made_small_and_confirmed(
    tmp_path: Path, defect: str, verdict: Class, reason: str, most: int
) -> None:
    collector = Collector()
    with server(tmp_path, defect) as target:
        results = search(Search(target, "bite", 60.0, frames=1500, parallel=32), collector)
    matching = [
        found
        for found in results.findings
        if found.trial.expectation.verdict is verdict and reason in found.trial.expectation.reason
    ]
    assert matching
    assert len(results.findings) == len(collector.found)
    assert min(len(found.trial.data) for found in matching) <= most
    for found in matching:
        # Fewest malformations come first: without one that cuts, a frame is as long as the others make it.
        base, chain = found.found.base, found.found.chain
        sizes = [len(base), len(found.found.data), *(len(malformed(base, one)) for one in chain)]
        assert len(found.trial.data) <= max(sizes)
        assert classify(found.trial.data, BOTH) == found.trial.expectation
        assert found.trial.contradicts
        assert found.alike >= 1


def test_a_finding_is_saved_and_can_be_replayed(tmp_path: Path) -> None:
    out, again, healthy = tmp_path / "fuzz", tmp_path / "again", tmp_path / "healthy"
    options = ["--header-timeout", str(DEADLINE)]
    with server(tmp_path, "v2-version-ignored") as target:
        ended = proxyspec("fuzz", target.url, "--frames", "600", "--seed", "s", "--out", str(out), *options)
        assert ended.returncode == ExitCode.FAILED, ended.stderr
        run = FuzzRun.model_validate_json((out / "fuzz.json").read_text())
        assert run.seed == "s"
        assert run.exit_code == 1
        saved = [found for found in run.findings if "version" in found.reason]
        assert saved
        file = out / saved[0].file
        assert f"--replay {file}" in ended.stdout
        entry = json.loads(file.read_text())["cases"][0]
        assert bytes.fromhex(entry["send"])[12] >> 4 != 2
        ended = proxyspec("fuzz", target.url, "--replay", str(file), "--out", str(again), *options)
        assert ended.returncode == ExitCode.FAILED
    with server(tmp_path) as target:
        ended = proxyspec("fuzz", target.url, "--replay", str(file), "--out", str(healthy), *options)
        assert ended.returncode == ExitCode.OK, ended.stdout
    for path, worst in ((again, "FAIL"), (healthy, "PASS")):
        replayed = load_run(path)
        assert isinstance(replayed, ConformanceRun)
        assert {record.id: record.verdict for record in replayed.cases} == {"control/1": "PASS", entry["id"]: worst}


def test_what_waits_for_the_deadline_is_settled_by_a_fin(tmp_path: Path) -> None:
    async def tried(target: Target) -> tuple[float, OutcomeKind]:
        road = Road(target.host, target.port)
        prober = Prober(target, road, ehlo_oracle)
        trial = await prober.screen(v2()[:20])
        return trial.transcript.duration, trial.outcome

    with server(tmp_path) as target:
        took, outcome = asyncio.run(tried(target))
    assert outcome is OutcomeKind.REJECTED_SILENT
    assert took < DEADLINE / 2


def test_a_wire_keeps_open_what_is_answered() -> None:
    def serve(listener: socket.socket) -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(100)
            connection.sendall(b"220 mx\r\n")
            connection.sendall(b"221 bye\r\n" if connection.recv(100) == b"QUIT\r\n" else b"500 what\r\n")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        thread = threading.Thread(target=serve, args=(listener,))
        thread.start()
        # Slow to settle, so that the greeting is first whatever else this machine does.
        target = Target(host="127.0.0.1", port=listener.getsockname()[1])

        async def patient() -> tuple[bytes, bytes]:
            wire = SettlingWire(Road(target.host, target.port), settle=30.0)
            await wire.connect()
            try:
                await wire.send(v1())
                greeting = await wire.receive()
                await wire.send(b"QUIT\r\n")
                return greeting, await wire.receive()
            finally:
                wire.close()

        assert asyncio.run(patient()) == (b"220 mx\r\n", b"221 bye\r\n")
        thread.join(10)


def test_a_target_that_dies_ends_the_search_with_its_suspects(tmp_path: Path) -> None:
    out = tmp_path / "fuzz"
    journal = tmp_path / "journal"
    arguments = [sys.executable, "-m", "proxyspec_server", "--listen", "127.0.0.1:0", "--trust", "127.0.0.1"]
    arguments += ["--log", str(journal)]
    with subprocess.Popen(arguments, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        line = process.stderr.readline()
        port = line.rsplit(":", 1)[1].split()[0]
        done = threading.Event()

        def kill_in_mid_search() -> None:
            while not done.wait(0.01) and journal.read_bytes().count(b'"connected"') < 100:
                pass
            process.kill()

        killer = threading.Thread(target=kill_in_mid_search)
        killer.start()
        try:
            ended = proxyspec("fuzz", f"127.0.0.1:{port}", "--time", "40s", "--out", str(out), "--header-timeout", "1")
        finally:
            done.set()
            killer.join()
    assert ended.returncode == ExitCode.UNJUDGEABLE, ended.stdout
    assert "serves no plain header any more" in ended.stdout
    suspects = json.loads((out / "findings" / "suspects.json").read_text())["cases"]
    assert suspects
    assert FuzzRun.model_validate_json((out / "fuzz.json").read_text()).exit_code == 3


def test_an_interrupted_search_keeps_what_it_found(tmp_path: Path) -> None:
    out = tmp_path / "fuzz"
    with server(tmp_path, "v2-command-ignored") as target:
        command = [sys.executable, "-m", "proxyspec", "fuzz", target.url, "--time", "60s", "--seed", "s"]
        command += ["--out", str(out), "--header-timeout", str(DEADLINE)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            events = out / "events.ndjson"
            while process.poll() is None and (not events.exists() or '"finding"' not in events.read_text()):
                with suppress(subprocess.TimeoutExpired):
                    process.wait(0.05)
            process.send_signal(signal.SIGINT)
            _, errors = process.communicate(timeout=30)
    assert process.returncode == ExitCode.INTERRUPTED
    assert "interrupted" in errors
    run = FuzzRun.model_validate_json((out / "fuzz.json").read_text())
    assert run.status == "interrupted"
    assert run.findings
    assert all((out / found.file).exists() for found in run.findings)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["127.0.0.1"], "no target"),
        (["192.0.2.1:25"], "--allow-target 192.0.2.1"),
        (["127.0.0.1:1", "--time", "soon"], "--time 'soon'"),
        (["127.0.0.1:1", "--time", "0"], "--time '0'"),
        (["127.0.0.1:1", "--parallel", "100000"], "--parallel 100000"),
        (["127.0.0.1:1", "--seed", ""], "--seed is empty"),
        (["127.0.0.1:1", "--versions", "3"], "--versions '3'"),
        (["127.0.0.1:1", "--oracle", "delphi"], "'delphi'"),
        (["127.0.0.1:1", "--replay", "/nowhere.json"], "/nowhere.json"),
    ],
)
def test_bad_input_is_named_with_its_remedy(arguments: list[str], words: str) -> None:
    ended = proxyspec("fuzz", *arguments)
    assert ended.returncode == ExitCode.USAGE
    assert words in ended.stderr
    assert "Traceback" not in ended.stderr


def test_an_unreachable_target_cannot_be_judged(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    ended = proxyspec("fuzz", f"127.0.0.1:{port}", "--out", str(tmp_path / "fuzz"))
    assert ended.returncode == ExitCode.UNJUDGEABLE
    assert "is the server running" in ended.stdout


def test_an_address_that_is_the_peers_own_cannot_be_told_apart() -> None:
    case = case_of("x", v1("192.0.2.7"), classify(v1("192.0.2.7"), BOTH))
    assert set(case.accept) == {
        Accept(OutcomeKind.ACCEPTED_PROXIED, "192.0.2.7"),
        Accept(OutcomeKind.ACCEPTED_REAL, "192.0.2.7"),
    }


def fuzzed(tmp_path: Path, *arguments: str) -> FuzzRun:
    out = tmp_path / "fuzz"
    ended = proxyspec("fuzz", *arguments, "--frames", "200", "--seed", "declared", "--out", str(out))
    run = FuzzRun.model_validate_json((out / "fuzz.json").read_text())
    assert ended.returncode == run.exit_code, ended.stdout + ended.stderr
    assert run.frames > 150
    return run


def test_a_server_of_one_version_is_searched_by_what_it_declares(tmp_path: Path) -> None:
    arguments = ["--trust", "127.0.0.1", "--header-timeout", str(DEADLINE), "--profile", "haraka"]
    deadline = ("--header-timeout", str(DEADLINE))
    with reference_server(arguments, tmp_path / "journal.ndjson") as (host, port):
        url = f"smtp://{host}:{port}"
        assert fuzzed(tmp_path / "one", url, "--versions", "1", *deadline).exit_code == ExitCode.OK
        undeclared = fuzzed(tmp_path / "both", url, *deadline)
    assert undeclared.exit_code in (ExitCode.FAILED, ExitCode.UNJUDGEABLE), "what it lacks was not noticed"


def test_a_profile_and_its_capabilities_are_taken_at_their_word(tmp_path: Path) -> None:
    profile = tmp_path / "target.toml"
    with server(tmp_path, "crc32c-ignored") as target:
        lines = [f'url = "{target.url}"', f"header_timeout = {DEADLINE}", "versions = [2]"]
        profile.write_text("\n".join(["[target]", *lines]))
        assert fuzzed(tmp_path / "unsaid", str(profile)).exit_code == ExitCode.OK
        run = fuzzed(tmp_path / "supported", str(profile), "--capabilities", "crc32c")
        assert run.exit_code == ExitCode.FAILED
        assert {found.section for found in run.findings} == {"2.2.3"}
        assert fuzzed(tmp_path / "flag", str(profile), "--capabilities", "no-crc32c").exit_code == ExitCode.OK
        profile.write_text("\n".join(["[target]", *lines, 'capabilities = ["no-crc32c"]']))
        assert fuzzed(tmp_path / "profile", str(profile)).exit_code == ExitCode.OK
