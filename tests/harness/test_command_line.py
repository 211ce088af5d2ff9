"""The command line as a user meets it: real servers, exit codes and words."""

from __future__ import annotations

import contextlib
import json
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from proxyspec.haproxy.front import free_ports
from proxyspec.records import CaseRecord, ConformanceRun, load_run
from proxyspec.reference import reference_server
from proxyspec_haproxy import DockerEngine
from tests.harness.program import proxyspec

#: Seconds; the waits of every case scale with it.
#: Seconds; less, and on a busy machine the harness itself is too late.
DEADLINE = 4.0


def judged(out: Path) -> ConformanceRun:
    run = load_run(out)
    assert isinstance(run, ConformanceRun)
    return run


def verdicts(out: Path) -> dict[str, str]:
    return {record.id: record.verdict for record in judged(out).cases}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[str]:
    arguments = ["--trust", "127.0.0.1", "--header-timeout", str(DEADLINE)]
    with reference_server(arguments, tmp_path / "journal.ndjson") as (host, port):
        yield f"smtp://{host}:{port}"


@contextlib.contextmanager
def listener(serve: Callable[[socket.socket], None]) -> Iterator[str]:
    """A server on a thread that does one thing with every connection."""
    with socket.create_server(("127.0.0.1", 0), backlog=512) as listening:
        held: list[socket.socket] = []

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    connection, _ = listening.accept()
                    held.append(connection)
                    serve(connection)

        thread = threading.Thread(target=accept)
        thread.start()
        try:
            yield f"smtp://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            thread.join()
            for connection in held:
                connection.close()


def test_the_reference_server_passes_every_case_within_its_deadline(server: str, tmp_path: Path) -> None:
    ended = proxyspec("run", server, "--header-timeout", str(DEADLINE), "--out", str(tmp_path / "run"))
    assert ended.returncode == 0, ended.stdout + ended.stderr
    run = judged(tmp_path / "run")
    assert len(run.cases) > 700
    assert {record.verdict for record in run.cases} == {"PASS", "INFO", "SKIP"}
    # This server offers no TLS and leaves nothing behind; what needs that is skipped and says so.
    assert all("this capability" in record.reason for record in run.cases if record.verdict == "SKIP")
    assert sum(record.verdict == "SKIP" for record in run.cases) < 40
    assert run.status == "complete"
    assert run.exit_code == 0
    assert DEADLINE <= run.duration < 2 * DEADLINE + 2
    silent = next(record for record in run.cases if record.id == "general/deadline/silent")
    assert b"421" in bytes.fromhex(silent.received)
    assert silent.ending == "fin"
    assert silent.duration >= DEADLINE


def test_the_record_obeys_the_published_schema(server: str, tmp_path: Path) -> None:
    import jsonschema

    proxyspec("run", server, "--header-timeout", str(DEADLINE), "--case", "v1/tcp4", "--out", str(tmp_path / "run"))
    schema = json.loads(proxyspec("schema").stdout)
    assert schema == json.loads(Path("docs/run.schema.json").read_text()), (
        "docs/run.schema.json is not `proxyspec schema`"
    )
    jsonschema.validate(json.loads((tmp_path / "run" / "run.json").read_text()), schema)


def test_selected_cases_bring_their_controls(server: str, tmp_path: Path) -> None:
    ended = proxyspec("run", server, "--case", "v1/port/65536", "--out", str(tmp_path / "run"))
    assert ended.returncode == 0
    assert verdicts(tmp_path / "run") == {"v1/tcp4/ok": "PASS", "v1/port/65536": "PASS"}


def test_a_fault_counts_once(tmp_path: Path) -> None:
    options = ["--trust", "127.0.0.1", "--header-timeout", str(DEADLINE), "--defect", "v1-port-atoi"]
    with reference_server(options, tmp_path / "journal") as (host, port):
        target = f"smtp://{host}:{port}"
        ended = proxyspec(
            "run", target, "--case", "general/abort/*", "--not", "needs-v2", "--out", str(tmp_path / "run")
        )
    assert ended.returncode == 1
    found = {record.id: record for record in judged(tmp_path / "run").cases}
    assert [name for name, record in found.items() if record.verdict == "FAIL"] == ["v1/port/trailing-letter"]
    presuming = [record for record in found.values() if record.premise == "v1/port/trailing-letter"]
    assert {record.id.removeprefix("general/abort/") for record in presuming} == {
        "prompt",
        "soft",
        "nothing-executed",
        "no-second-try",
        "no-second-try-at-once",
    }
    words = "v1/port/trailing-letter was accepted (accepted-proxied 192.0.2.1), so nothing shows how it is refused"
    assert {(record.verdict, record.reason) for record in presuming} == {("UNTESTABLE", words)}
    assert found["general/abort/not-echoed"].verdict == "PASS"


@pytest.mark.haproxy
@pytest.mark.docker
def test_docker_and_binary_give_the_same_verdicts(server: str, tmp_path: Path, docker_engine: DockerEngine) -> None:
    found: dict[str, dict[str, str]] = {}
    for engine in (f"docker:{docker_engine.image}", "binary"):
        name = engine.partition(":")[0]
        ended = proxyspec(
            "run", server, "--header-timeout", str(DEADLINE), "--haproxy", engine, "--out", str(tmp_path / name)
        )
        assert ended.returncode == 0, ended.stdout + ended.stderr
        run = judged(tmp_path / name)
        haproxy = run.environment.haproxy
        assert haproxy is not None
        assert haproxy.engine == name
        assert "send-proxy-v2" in (tmp_path / name / haproxy.config).read_text()
        assert (tmp_path / name / haproxy.log).stat().st_size > 0
        found[name] = verdicts(tmp_path / name)
    assert found["docker"] == found["binary"]
    through = [case_id for case_id in found["docker"] if case_id.startswith("haproxy/")]
    assert len(through) >= 16
    assert {found["docker"][case_id] for case_id in through} == {"PASS"}


@pytest.mark.haproxy
def test_a_broken_template_is_named(server: str, tmp_path: Path) -> None:
    (tmp_path / "templates").mkdir()
    (tmp_path / "templates" / "listen.cfg.j2").write_text("global\n{% if %}\n")
    ended = proxyspec("run", server, "--haproxy", "binary", "--haproxy-templates", str(tmp_path / "templates"))
    assert ended.returncode == 2
    assert "listen.cfg.j2" in ended.stderr
    assert "line 2" in ended.stderr or ":2" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.haproxy
def test_a_refused_configuration_shows_haproxys_own_words(server: str, tmp_path: Path) -> None:
    (tmp_path / "listen.cfg.j2").write_text("global\n    no-such-keyword\n")
    ended = proxyspec("run", server, "--haproxy", "binary", "--haproxy-templates", str(tmp_path))
    assert ended.returncode == 2
    assert "no-such-keyword" in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize(
    ("engine", "word"),
    [
        ("binary:/nowhere/haproxy", "/nowhere/haproxy"),
        pytest.param("docker:no/such:image", "no/such:image", marks=pytest.mark.docker),
        ("vm", "vm"),
    ],
)
def test_a_missing_haproxy_is_named(server: str, engine: str, word: str) -> None:
    ended = proxyspec("run", server, "--haproxy", engine)
    assert ended.returncode == 2
    assert word in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_server_that_hangs_up_on_everybody_passes_nothing(tmp_path: Path) -> None:
    with listener(lambda connection: connection.close()) as target:
        ended = proxyspec("run", target, "--out", str(tmp_path / "run"))
    assert ended.returncode == 3
    assert "greets nobody" in ended.stdout
    assert set(verdicts(tmp_path / "run").values()) == {"UNTESTABLE"}


def test_a_silent_server_cannot_be_judged(tmp_path: Path) -> None:
    with listener(lambda connection: None) as target:
        ended = proxyspec("run", target, "--header-timeout", "1", "--out", str(tmp_path / "run"))
    assert ended.returncode == 3
    assert "stays silent" in ended.stdout


def test_an_unreachable_target_cannot_be_judged(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    ended = proxyspec("run", f"127.0.0.1:{port}", "--out", str(tmp_path / "run"))
    assert ended.returncode == 3
    assert "is the server running" in ended.stdout
    assert judged(tmp_path / "run").unjudgeable is not None


def test_a_server_without_proxy_fails_with_bytes_as_evidence(tmp_path: Path) -> None:
    from aiosmtpd.controller import Controller
    from aiosmtpd.handlers import Sink

    (port,) = free_ports(1)
    controller = Controller(Sink(), hostname="127.0.0.1", port=port)
    controller.start()
    try:
        selected = ["--case", "v1/port", "--case", "general/deadline/silent", "--case", "general/header-before-banner"]
        out = ["--out", str(tmp_path / "run")]
        ended = proxyspec("run", f"127.0.0.1:{port}", "--header-timeout", "2", *selected, *out)
    finally:
        controller.stop()
    assert ended.returncode == 1
    records = {record.id: record for record in judged(tmp_path / "run").cases}
    assert {record.verdict for record in records.values()} == {"FAIL", "WARN"}
    control = records["v1/tcp4/ok"]
    assert control.outcome is not None
    assert control.outcome.kind == "treated-as-smtp"
    assert b"PROXY TCP4 192.0.2.1" in bytes.fromhex(control.sent)
    assert b'command "PROXY" not recognized' in bytes.fromhex(control.received)
    assert r"sent     PROXY TCP4 192.0.2.1" in ended.stdout
    early = records["general/header-before-banner"].outcome
    assert early is not None
    assert early.kind == "spoke-first"


def test_terminal_escapes_of_a_server_never_reach_the_terminal(tmp_path: Path) -> None:
    def hostile(connection: socket.socket) -> None:
        connection.sendall(b"220 \x1b[31mred\x07\xff\r\n")
        connection.shutdown(socket.SHUT_WR)

    with listener(hostile) as target:
        ended = proxyspec("run", target, "--case", "v1/tcp4/ok", "--out", str(tmp_path / "run"))
    assert ended.returncode in (1, 3)
    assert "\x1b" not in ended.stdout + ended.stderr
    assert "\x07" not in ended.stdout + ended.stderr


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_keeps_what_was_judged(tmp_path: Path, how: signal.Signals) -> None:
    with reference_server(["--trust", "127.0.0.1"], tmp_path / "journal.ndjson") as (host, port):
        command = [sys.executable, "-m", "proxyspec", "run", f"{host}:{port}", "--out", str(tmp_path / "run")]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
            events = tmp_path / "run" / "events.ndjson"
            while process.poll() is None and (not events.exists() or '"id": "v2/tcp4/ok"' not in events.read_text()):
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(0.01)
            process.send_signal(how)
            _, errors = process.communicate(timeout=20)
    assert process.returncode == 130
    assert "interrupted" in errors
    run = judged(tmp_path / "run")
    assert run.status == "interrupted"
    by_id = {record.id: record for record in run.cases}
    assert by_id["v2/tcp4/ok"].verdict == "PASS"
    waiting: CaseRecord = by_id["general/deadline/silent"]
    assert waiting.verdict == "UNTESTABLE"
    assert "interrupted" in waiting.reason


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run", "127.0.0.1"], ["no target", "smtp://HOST:PORT"]),
        (["run", "127.0.0.1:1", "--case", "v1/prot"], ["'v1/prot' names no case", "proxyspec list"]),
        (["run", "127.0.0.1:1", "--versions", "3"], ["--versions '3'"]),
        (["run", "127.0.0.1:1", "--oracle", "delphi"], ["'delphi'", "ehlo"]),
        (["run", "192.0.2.1:25"], ["--allow-target 192.0.2.1"]),
        (["run", "no-such-host.invalid:25"], ["no-such-host.invalid"]),
        (["run", "127.0.0.1:1", "--untrusted", "192.0.2.9"], ["--untrusted 192.0.2.9"]),
        (["explain", "v1/tcp4/okay"], ["'v1/tcp4/okay' is no case", "v1/tcp4/ok"]),
        (["explain", "v1/port"], ["'v1/port' names ", " cases: `proxyspec list v1/port` shows them"]),
        (["explain", "v1/*/ok"], ["`proxyspec list 'v1/*/ok'` shows them"]),
        (["explain", "nonsense"], ["'nonsense' is no case; `proxyspec list` shows all cases"]),
        (["report", "/nowhere"], ["/nowhere", "no run record"]),
        (["serve", "--listen", "nonsense"], ["nonsense"]),
        (["no-such-command"], ["no-such-command"]),
    ],
)
def test_bad_input_is_named_with_its_remedy(arguments: list[str], words: list[str]) -> None:
    ended = proxyspec(*arguments)
    assert ended.returncode == 2
    for word in words:
        assert word in ended.stderr
    assert "Traceback" not in ended.stderr


def test_a_port_in_use_is_named(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        ended = proxyspec("serve", "--listen", f"127.0.0.1:{port}")
    assert ended.returncode == 2
    assert f"127.0.0.1:{port}" in ended.stderr
    assert "in use" in ended.stderr


def test_every_case_can_be_listed_and_explained() -> None:
    listed = json.loads(proxyspec("list", "--format", "json").stdout)
    assert len(listed) >= 100
    assert len({case["id"] for case in listed}) == len(listed)
    plain = proxyspec("list", "v1/port").stdout
    assert "v1/port/65536" in plain
    assert "v2/tcp4/ok" not in plain
    assert proxyspec("list", "--case", "v1/port").stdout == plain
    presuming = proxyspec("explain", "general/abort/soft").stdout
    assert "premise   v1/port/trailing-letter asks whether it is refused at all" in presuming
    explained = proxyspec("explain", "v2/tlv/crc32c-mismatch").stdout
    assert "premise" not in explained
    assert "2.2.3" in explained
    assert "v2/tlv/crc32c must be accepted" in explained
    assert "047edc6f" in explained.replace(" ", "")


def test_the_caller_gets_its_sigterm_handler_back(server: str, tmp_path: Path) -> None:
    program = (
        "import signal, sys\n"
        "from proxyspec.cli.run import RunOptions, judge_target\n"
        "from proxyspec.selection import Selection\n"
        "from proxyspec.targets import make_target\n"
        "from pathlib import Path\n"
        "signal.signal(signal.SIGTERM, print)\n"
        "judge_target(make_target(sys.argv[1]), Path(sys.argv[2]), RunOptions(selection=Selection(['v1/tcp4/ok'])))\n"
        "sys.exit(signal.getsignal(signal.SIGTERM) is not print)\n"
    )
    subprocess.run([sys.executable, "-c", program, server, str(tmp_path / "run")], check=True, capture_output=True)
