"""`proxyspec haproxy check` and `try` as a user meets them, with a real HAProxy."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from proxyspec.records import load_run
from proxyspec.records.haproxy_file import HAProxyFileRun
from tests.harness.program import NOTHING, proxyspec

pytestmark = pytest.mark.haproxy

FILES = Path(__file__).parents[2] / "haproxy" / "config" / "files"


def haproxy(*arguments: str | Path, environment: Mapping[str, str] = NOTHING) -> subprocess.CompletedProcess[str]:
    return proxyspec("haproxy", *map(str, arguments), environment=environment)


def run_of(out: Path) -> HAProxyFileRun:
    run = load_run(out)
    assert isinstance(run, HAProxyFileRun)
    return run


def tried(name: str, out: Path, *arguments: str) -> tuple[int, HAProxyFileRun]:
    done = haproxy("try", FILES / name, "--haproxy", "binary", "--time", "3", "--out", out, *arguments)
    assert done.returncode in (0, 1), done.stderr
    assert done.stderr == ""
    return done.returncode, run_of(out)


@pytest.mark.parametrize(
    ("name", "code", "refused"),
    [
        ("documented.cfg", 1, {2, 3}),
        ("corrected.cfg", 0, set()),
        ("always-down.cfg", 1, set()),
        ("impatient.cfg", 1, set()),
        ("credulous.cfg", 1, set()),
        ("two-versions.cfg", 1, set()),
        ("web-defaults.cfg", 1, set()),
    ],
)
def test_check(name: str, code: int, refused: set[int], tmp_path: Path) -> None:
    done = haproxy("check", FILES / name, "--haproxy", "binary", "--out", tmp_path / "run", "--strict")
    assert (done.returncode, done.stderr) == (code, "")
    run = run_of(tmp_path / "run")
    assert run.exit_code == code
    assert {f.line for f in run.findings if f.rule == "haproxy/refuses"} == refused
    missing = [f for f in run.findings if f.rule == "file/missing"]
    assert [(f.line, f.title) for f in missing] == (
        [(22, "/etc/haproxy/mail.pem is not a file that can be read here")] if name == "web-defaults.cfg" else []
    )
    (accepted,) = run.accepted
    assert accepted.verdict == ("FAIL" if refused or missing else "PASS")
    for finding in run.findings:
        assert f"{finding.file}:{finding.line} {finding.verdict}" in done.stdout
        assert finding.remedy in done.stdout


def test_check_reads_several_files_and_maps_haproxys_words_to_them(tmp_path: Path) -> None:
    one, two = tmp_path / "one.cfg", tmp_path / "two.cfg"
    one.write_text("defaults\n mode tcp\n timeout connect 5s\n timeout client 5m\n timeout server 5m\n")
    two.write_text('listen smtp\n bind :25\n frobnicate "${SECRET_WORD}\x1b[2J"\n server a 192.0.2.1:25 check\n')
    done = haproxy("check", one, two, "--haproxy", "binary", "--json", "-", "--out", tmp_path / "run")
    run = json.loads(done.stdout)
    assert run["files"] == [str(one), str(two)]
    refused = [(f["file"], f["line"]) for f in run["findings"] if f["rule"] == "haproxy/refuses"]
    assert refused == [(str(two), 3)]
    assert "\x1b" not in done.stdout + done.stderr
    assert done.returncode == 1


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (["check", "/nowhere.cfg"], 2, "/nowhere.cfg cannot be read: No such file or directory"),
        (["check", "{plain}", "--server-versions", "3"], 2, "write 1, 2 or 1,2"),
        (["check", "{plain}", "--header-timeout", "0"], 2, "--header-timeout 0 is out of range"),
        (["check", "{plain}", "--haproxy", "podman"], 2, "--haproxy: HAProxy engine 'podman'"),
        (["check", "{plain}", "--json", "{plain}/x"], 2, "cannot be written: name a file in a directory that is yours"),
        (["try", "{plain}", "--html", "-", "--junit", "-"], 2, "standard output can hold one result"),
        (["check", "{plain}", "--haproxy", "binary"], 5, ""),
        (["try", "{plain}", "--haproxy", "binary"], 2, "there is no server line in a section of mode tcp"),
        (["try", "{broken}", "--haproxy", "binary"], 2, 'broken.cfg:2: column 7: the quote " is never closed'),
        (["try", "{crowd}", "--haproxy", "binary"], 2, "33 servers and 0 addresses: a trial takes at most 32"),
        (["try", "{plain}", "--time", "601"], 2, "--time 601: between 0 and 600 seconds"),
        (["try", str(FILES / "web-defaults.cfg"), "--haproxy", "binary"], 2, "web-defaults.cfg:22 names /etc/haproxy"),
        (["status", "/nowhere.sock"], 2, "/nowhere.sock: No such file or directory; is that HAProxy running?"),
        (["status", "run", "--interval", "0"], 2, "between 0.1 and 3600 seconds"),
    ],
)
def test_what_cannot_be_done_is_said(arguments: list[str], code: int, words: str, tmp_path: Path) -> None:
    base = "defaults\n timeout connect 1s\n timeout client 1s\n timeout server 1s\n"
    texts = {
        "plain": f"{base}listen web\n mode http\n bind :8080\n server a 192.0.2.1:8080\n",
        "broken": 'listen smtp\n bind ":25\n',
        "crowd": "backend a\n" + "".join(f" server s{n} 192.0.2.1:25\n" for n in range(33)),
    }
    for name, text in texts.items():
        (tmp_path / f"{name}.cfg").write_text(text)
    paths = {name: str(tmp_path / f"{name}.cfg") for name in texts}
    extra = [] if arguments[0] == "status" else ["--out", str(tmp_path / "run")]
    done = haproxy(*(argument.format(**paths) for argument in arguments), *extra)
    assert done.returncode == code, done.stderr
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_a_file_that_cannot_be_written_keeps_no_other_away(tmp_path: Path) -> None:
    out, page, summary = tmp_path / "run", tmp_path / "page.html", tmp_path / "summary.md"
    done = haproxy(
        *("check", FILES / "corrected.cfg", "--haproxy", "binary", "--out", out),
        *("--json", "/dev/full", "--html", page, "--markdown", "auto"),
        environment={"GITHUB_STEP_SUMMARY": str(summary)},
    )
    assert done.returncode == 2
    assert "--json /dev/full cannot be written: No space left on device" in done.stderr
    assert f"run record: {out / 'run.json'}" in done.stdout
    assert page.read_text().startswith("<!DOCTYPE html>")
    assert "accepts it" in summary.read_text()


def test_try_the_documented_listener(tmp_path: Path) -> None:
    code, run = tried("documented.cfg", tmp_path / "run")
    assert code == 0
    assert [(s.server, s.verdict, s.status, s.check[:8]) for s in run.servers] == [
        (f"smtp{n}", "PASS", "UP", "L7OK/221") for n in range(1, 6)
    ]
    for server in run.servers:
        assert server.headers["v1 PROXY TCP4 127.0.0.1 to 127.0.0.1"] >= 2
        assert (server.resets, server.headerless) == (0, 0)
        assert set(server.endings) == {"quit"}
    (bind,) = run.binds
    assert (bind.verdict, bind.client, bind.address) == ("PASS", "127.0.0.7", ":25")
    assert sum(server.messages for server in run.servers) == 1
    assert run.changes[0].what.startswith(":25 on the section's line, which HAProxy refuses, is taken as `bind 127.")
    assert "192.0.2." not in (tmp_path / "run" / "evidence" / "haproxy.cfg").read_text()


def test_try_the_corrected_listener(tmp_path: Path) -> None:
    code, run = tried("corrected.cfg", tmp_path / "run", "--strict")
    assert code == 0
    assert {row.verdict for row in run.judged} == {"PASS"}
    assert {s.check for s in run.servers} == {"L7OK (tcp-check)"}


def test_try_checks_without_a_header(tmp_path: Path) -> None:
    code, run = tried("always-down.cfg", tmp_path / "run")
    assert code == 1
    rows = {server.server: server for server in run.servers}
    assert {name: (row.verdict, row.status) for name, row in rows.items()} == {
        "smtp1": ("FAIL", "DOWN"),
        "smtp2": ("PASS", "UP"),
        "smtp3": ("FAIL", "DOWN"),
    }
    for name in ("smtp1", "smtp3"):
        assert rows[name].check.startswith("L7TOUT")
        assert rows[name].headers == {}
        assert rows[name].headerless == rows[name].connections > 0
    assert [(bind.verdict, bind.server) for bind in run.binds] == [("PASS", "smtp2")]


def test_try_checks_that_prove_nothing(tmp_path: Path) -> None:
    code, run = tried("impatient.cfg", tmp_path / "run")
    assert code == 0
    one, two = run.servers
    assert (one.verdict, one.status, one.check) == ("WARN", "UP", "L4OK")
    assert one.resets >= 3
    assert (two.verdict, two.status, two.check) == ("WARN", "no check", "")


def test_try_who_is_believed(tmp_path: Path) -> None:
    code, run = tried("credulous.cfg", tmp_path / "run")
    assert code == 0
    assert [(bind.proxy, bind.header, bind.client, bind.verdict) for bind in run.binds] == [
        ("public", True, "192.0.2.77", "PASS"),
        ("private", True, "192.0.2.77", "PASS"),
        ("careful", False, "127.0.0.7", "PASS"),
    ]
    assert run.servers[0].resets >= 3


def test_try_shows_which_version_is_sent(tmp_path: Path) -> None:
    code, run = tried("two-versions.cfg", tmp_path / "run")
    assert code == 0
    sent = {server.server: {words.split()[0] for words in server.headers} for server in run.servers}
    assert sent == {"smtp1": {"v2"}, "smtp2": {"v2"}, "smtp3": {"v1"}}
    assert any(words == "v2 LOCAL" for words in run.servers[1].headers)


def test_try_says_what_haproxy_refuses_at_the_line_of_the_original(tmp_path: Path) -> None:
    file = tmp_path / "bad.cfg"
    file.write_text("listen smtp\n mode tcp\n bind :25\n frobnicate\n server a 192.0.2.1:25 check\n")
    done = haproxy("try", file, "--haproxy", "binary", "--out", tmp_path / "run")
    run = run_of(tmp_path / "run")
    assert done.returncode == 1
    assert [(f.rule, f.line) for f in run.findings] == [("haproxy/refuses", 4)]
    assert not run.servers


def test_an_interrupted_trial_keeps_what_it_has_and_leaves_nothing(tmp_path: Path) -> None:
    arguments = ["try", str(FILES / "corrected.cfg"), "--haproxy", "binary", "--time", "300"]
    with subprocess.Popen(
        [sys.executable, "-m", "proxyspec", "haproxy", *arguments, "--out", str(tmp_path / "run")],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("watching"):
                break
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130
    assert "interrupted; what was found so far is kept" in err
    run = run_of(tmp_path / "run")
    assert (run.status, len(run.servers)) == ("interrupted", 5)
    assert run.binds[0].verdict == "PASS"
    marked = [change.what.rpartition(" becomes 127.0.0.1:") for change in run.changes]
    ports = {int(port) for _, mark, port in marked if mark}
    assert len(ports) == 5
    listening = Path("/proc/net/tcp").read_text()
    assert not any(f":{port:04X} 00000000:0000 0A" in listening for port in ports)
