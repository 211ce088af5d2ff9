"""What a CI job calls: formats, baseline, judge, replay, diff, send, decode, export; real processes, real servers."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path

import pytest

from proxyspec.haproxy.front import free_ports
from proxyspec.layers.authoring import v1, v2
from proxyspec.reference import reference_server
from tests.harness.program import proxyspec
from tests.harness.test_command_line import judged, listener, verdicts

DEADLINE = 2.0


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    arguments = ["--trust", "127.0.0.1", "--header-timeout", str(DEADLINE)]
    with reference_server(arguments, tmp_path_factory.mktemp("server") / "journal.ndjson") as (host, port):
        yield f"smtp://{host}:{port}"


@pytest.fixture(scope="module")
def lenient(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server that takes every header for SMTP commands."""
    from aiosmtpd.controller import Controller
    from aiosmtpd.handlers import Sink

    (port,) = free_ports(1)
    controller = Controller(Sink(), hostname="127.0.0.1", port=port)
    controller.start()
    yield f"smtp://127.0.0.1:{port}"
    controller.stop()


@pytest.fixture(scope="module")
def good(server: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("good") / "run"
    ended = proxyspec("run", server, "--header-timeout", "2", "--case", "v1/port", "--out", str(out), "--pcap")
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return out


@pytest.fixture(scope="module")
def bad(lenient: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("bad") / "run"
    ended = proxyspec("run", lenient, "--header-timeout", "2", "--case", "v1/port", "--out", str(out))
    assert ended.returncode == 1, ended.stdout + ended.stderr
    return out


def test_cases_are_selected_by_section_level_and_tag(server: str, tmp_path: Path) -> None:
    chosen = ["--section", "2.1", "--level", "MUST", "--tag", "rejects", "--not", "waits", "--not", "v1/ip6"]
    listed = json.loads(proxyspec("list", "v1", *chosen, "--format", "json").stdout)
    assert len(listed) > 10
    assert {case["level"] for case in listed} == {"MUST"}
    assert all("rejects" in case["tags"] and not case["waits"] for case in listed)
    ended = proxyspec("run", server, "--case", "v1/port", *chosen, "--out", str(tmp_path / "run"))
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert set(verdicts(tmp_path / "run")) <= {case["id"] for case in listed} | {"v1/tcp4/ok", "v1/tcp6/ok"}


def test_one_run_writes_every_format(lenient: str, tmp_path: Path) -> None:
    files = {name: tmp_path / f"deep/{name}" for name in ("junit", "tap", "markdown", "json", "html")}
    options = [word for name, path in files.items() for word in (f"--{name}", str(path))]
    ended = proxyspec("run", lenient, "--case", "v1/port/65536", "--out", str(tmp_path / "run"), *options)
    assert ended.returncode == 1
    assert f"proxyspec report {tmp_path / 'run'} -o report.html" in ended.stdout.splitlines()[-1]
    assert {test.attrib["name"] for test in ET.parse(files["junit"]).getroot().iter("testcase")} == {
        "v1/port/65536",
        "v1/tcp4/ok",
    }
    assert files["tap"].read_text().startswith("TAP version 14\n1..2\nnot ok 1 - v1/tcp4/ok")
    assert files["markdown"].read_text().startswith("# proxyspec\n\n**No:**")
    assert json.loads(files["json"].read_text()) == json.loads((tmp_path / "run" / "run.json").read_text())
    assert "<html" in files["html"].read_text()


def test_standard_output_belongs_to_one_format(server: str, tmp_path: Path) -> None:
    ended = proxyspec("run", server, "--case", "v1/tcp4/ok", "--tap", "-", "--out", str(tmp_path / "run"))
    assert ended.returncode == 0
    assert ended.stdout == "TAP version 14\n1..1\nok 1 - v1/tcp4/ok\n"
    assert "run record" in ended.stderr


def test_ndjson_tells_the_run_as_it_goes(server: str, tmp_path: Path) -> None:
    ended = proxyspec("run", server, "--case", "v1/port/65536", "--ndjson", "--out", str(tmp_path / "run"))
    events = [json.loads(line) for line in ended.stdout.splitlines()]
    assert [event["event"] for event in events] == ["preflight", "case-judged", "case-judged", "run-finished"]
    assert {event["id"]: event["verdict"] for event in events[1:3]} == {"v1/tcp4/ok": "PASS", "v1/port/65536": "PASS"}
    assert events[3]["exit_code"] == 0


def test_markdown_auto_appends_to_the_steps_summary(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    summary = tmp_path / "summary.md"
    summary.write_text("before\n")
    chosen = ["--case", "v1/tcp4/ok", "--markdown", "auto", "--out"]
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    assert proxyspec("run", server, *chosen, str(tmp_path / "one")).returncode == 0
    assert summary.read_text().startswith("before\n# proxyspec\n\n**Yes:**")
    monkeypatch.delenv("GITHUB_STEP_SUMMARY")
    ended = proxyspec("run", server, *chosen, str(tmp_path / "two"))
    assert ended.returncode == 0
    assert "GITHUB_STEP_SUMMARY is not set" in ended.stderr


ENTRY = '[[entry]]\ncase = "{case}"\nkind = "{kind}"\nreason = "so"\nlink = "https://example.org/1"\n{more}\n'


@pytest.mark.parametrize(
    ("entries", "code", "words"),
    [
        ([("v1/port/65536", "known-failure", ""), ("v1/tcp4/ok", "wont-fix", "")], 0, ["2 known"]),
        ([("v1/port/65536", "known-failure", "")], 1, ["1 known, 1 new", "new v1/tcp4/ok"]),
        ([("v1", "wont-fix", "expires = 2020-01-01")], 1, ["2 stale", "expired on 2020-01-01"]),
        ([("v1", "wont-fix", 'outcome = "hung"')], 1, ["2 regressed"]),
        ([("v1", "flaky", "")], 0, ["2 known"]),
    ],
)
def test_a_baseline_excuses_what_it_describes(
    lenient: str, tmp_path: Path, entries: list[tuple[str, str, str]], code: int, words: list[str]
) -> None:
    known = tmp_path / "known.toml"
    known.write_text("".join(ENTRY.format(case=case, kind=kind, more=more) for case, kind, more in entries))
    ended = proxyspec(
        "run", lenient, "--case", "v1/port/65536", "--baseline", str(known), "--out", str(tmp_path / "run")
    )
    assert ended.returncode == code, ended.stdout + ended.stderr
    for word in words:
        assert word in ended.stdout
    assert judged(tmp_path / "run").exit_code == code


def test_an_entry_whose_case_passes_fails_the_run(server: str, tmp_path: Path) -> None:
    known = tmp_path / "known.toml"
    known.write_text(ENTRY.format(case="v1/port/65536", kind="known-failure", more=""))
    chosen = ["--case", "v1/port/65536", "--baseline", str(known), "--out", str(tmp_path / "run")]
    ended = proxyspec("run", server, *chosen)
    assert ended.returncode == 1
    assert "stale entry 1 (v1/port/65536) passes now: take the entry out" in ended.stdout
    run = judged(tmp_path / "run")
    assert run.baseline is not None
    assert len(run.baseline.stale) == 1
    assert {record.id: record.disposition for record in run.cases} == {"v1/tcp4/ok": None, "v1/port/65536": "fixed"}


def test_strict_takes_a_warning_for_a_failure(lenient: str, tmp_path: Path) -> None:
    options = ["--case", "v1/unknown/short", "--out"]
    assert proxyspec("run", lenient, *options, str(tmp_path / "one")).returncode == 0
    ended = proxyspec("run", lenient, "--strict", *options, str(tmp_path / "two"))
    assert ended.returncode == 1
    assert verdicts(tmp_path / "two") == {"v1/unknown/short": "WARN"}


def test_a_capture_of_every_connection_is_kept(good: Path) -> None:
    captures = {path.name for path in (good / "evidence").iterdir()}
    assert captures == {f"{case.replace('/', '.')}.reconstructed.pcapng" for case in verdicts(good)}
    ended = proxyspec("decode", str(good / "evidence" / "v1.port.65536.reconstructed.pcapng"))
    assert ended.returncode == 0
    assert "stream 1: 127.0.0.1" in ended.stdout
    assert "65536" in ended.stdout
    assert "from 0 to 65535" in ended.stdout


@pytest.mark.parametrize(("form", "name"), [("junit", "junit.xml"), ("tap", "report.tap"), ("markdown", "report.md")])
def test_a_report_has_a_format_and_a_name(good: Path, bad: Path, tmp_path: Path, form: str, name: str) -> None:
    command = [sys.executable, "-m", "proxyspec", "report", str(good), str(bad), "--format", form]
    ended = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=True)
    text = (tmp_path / name).read_text()
    assert f"report: {name}" in ended.stdout
    assert text.count("v1/port/65536") >= 2 or form == "markdown"
    piped = subprocess.run([*command, "-o", "-"], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert piped.stdout == text


def test_what_holds_no_record_is_left_out_among_others_and_named(good: Path, tmp_path: Path) -> None:
    (tmp_path / "killed").mkdir()
    output = tmp_path / "report.json"
    report = ["report", "--format", "json", "-o", str(output), str(tmp_path / "killed")]
    ended = proxyspec(*report, str(good))
    assert ended.returncode == 0, ended.stderr
    assert f"{tmp_path / 'killed'} holds no run record: left out" in ended.stderr
    assert json.loads(output.read_text())["kind"] == "conformance"
    assert proxyspec(*report, str(good), str(tmp_path / "misspelt")).returncode == 2


@pytest.mark.parametrize("name", ["run.json", "events.ndjson"])
def test_a_report_never_takes_the_place_of_its_runs_record(good: Path, name: str) -> None:
    before = (good / name).read_bytes()
    ended = proxyspec("report", str(good), "-o", str(good / name))
    assert ended.returncode == 2
    assert f"-o {good / name} is a run's own file" in ended.stderr
    assert (good / name).read_bytes() == before


def test_replay_on_a_target_of_the_other_family_leaves_the_old_addresses(good: Path, tmp_path: Path) -> None:
    ended = proxyspec("replay", str(good), "smtp://[::1]:1", "--out", str(tmp_path / "run"))
    assert ended.returncode == 3, ended.stdout + ended.stderr
    assert "cannot be reached" in ended.stdout
    assert "family" not in ended.stdout


def test_replay_of_a_case_file_names_the_way_to_send_it_again(good: Path, tmp_path: Path) -> None:
    record = json.loads((good / "run.json").read_text())
    for case in record["cases"]:
        case["id"] = f"mine/{case['id']}"
    (tmp_path / "run.json").write_text(json.dumps(record))
    ended = proxyspec("replay", str(tmp_path))
    assert ended.returncode == 2
    assert "`run --case-file`" in ended.stderr
    assert "--haproxy" not in ended.stderr


def test_several_runs_make_a_json_array(good: Path, bad: Path) -> None:
    runs = json.loads(proxyspec("report", str(good), str(bad), "--format", "json", "-o", "-").stdout)
    assert [run["kind"] for run in runs] == ["conformance", "conformance"]


def test_a_run_is_judged_again_without_its_server(good: Path, tmp_path: Path) -> None:
    record = json.loads((good / "run.json").read_text())
    for case in record["cases"]:
        case["verdict"] = "FAIL" if case["id"] == "v1/port/65536" else case["verdict"]
    altered = tmp_path / "altered"
    altered.mkdir()
    (altered / "run.json").write_text(json.dumps(record))
    ended = proxyspec("judge", str(altered), "--out", str(tmp_path / "again"))
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "better v1/port/65536 (verdict)" in ended.stdout
    assert "1 changed: 0 worse, 1 better" in ended.stdout
    assert verdicts(tmp_path / "again") == verdicts(good)
    assert verdicts(altered)["v1/port/65536"] == "FAIL"
    refused = proxyspec("judge", str(altered), "--out", str(tmp_path / "again"))
    assert (refused.returncode, refused.stdout) == (2, ""), "it is refused before anything is shown"


def test_a_failed_run_stays_failed_unless_a_baseline_excuses_it(bad: Path, tmp_path: Path) -> None:
    assert proxyspec("judge", str(bad)).returncode == 1
    known = tmp_path / "known.toml"
    known.write_text(ENTRY.format(case="v1", kind="wont-fix", more=""))
    assert proxyspec("judge", str(bad), "--baseline", str(known)).returncode == 0


def test_diff_fails_on_a_verdict_that_got_worse(good: Path, bad: Path) -> None:
    same = proxyspec("diff", str(good), str(good))
    assert same.returncode == 0
    assert ", 0 changed: 0 worse, 0 better" in same.stdout
    worse = proxyspec("diff", str(good), str(bad))
    assert worse.returncode == 1
    assert "worse  v1/port/65536 (verdict, outcome" in worse.stdout
    better = proxyspec("diff", str(bad), str(good))
    assert better.returncode == 0
    assert " 0 worse, " in better.stdout


def test_replay_sends_the_same_cases_to_the_same_or_another_target(
    good: Path, server: str, lenient: str, tmp_path: Path
) -> None:
    again = proxyspec("replay", str(good), "--case", "v1/port/65536", "--out", str(tmp_path / "again"))
    assert again.returncode == 0, again.stdout + again.stderr
    assert verdicts(tmp_path / "again") == {"v1/tcp4/ok": "PASS", "v1/port/65536": "PASS"}
    assert judged(tmp_path / "again").target == judged(good).target
    profile = tmp_path / "other.toml"
    profile.write_text(f'[target]\nurl = "{lenient}"\nheader_timeout = 2.0\n')
    other = proxyspec("replay", str(good), str(profile), "--case", "v1/port/65536", "--out", str(tmp_path / "other"))
    assert other.returncode == 1, other.stdout + other.stderr
    assert "worse  v1/port/65536" in other.stdout
    assert server != lenient


def test_replay_of_a_failing_run_is_no_regression(bad: Path, tmp_path: Path) -> None:
    ended = proxyspec("replay", str(bad), "--case", "v1/port/65536", "--out", str(tmp_path / "again"))
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert verdicts(tmp_path / "again")["v1/port/65536"] == "FAIL"


def test_send_shows_a_case_field_by_field_and_what_came_back(server: str) -> None:
    ended = proxyspec("send", server, "v1/port/65536")
    assert ended.returncode == 0
    assert "v1.sport" in ended.stdout
    assert "421 4.3.2" in ended.stdout
    assert "outcome: rejected-reply 421; ended: fin" in ended.stdout


def test_send_takes_bytes_of_ones_own(server: str) -> None:
    ended = proxyspec("send", server, v2().hex(" "))
    assert ended.returncode == 0
    assert "v2.signature" in ended.stdout
    assert "outcome: accepted-proxied 192.0.2.1; ended: fin" in ended.stdout


def test_send_lets_no_escape_through() -> None:
    def hostile(connection: socket.socket) -> None:
        connection.sendall(b"220 \x1b[31mred\x07\xff\r\n")
        connection.close()

    with listener(hostile) as target:
        ended = proxyspec("send", target, "v1/tcp4/ok")
    assert r"220 \x1b[31mred\x07\xff\r\n" in ended.stdout
    assert "\x1b" not in ended.stdout + ended.stderr


def test_send_to_nobody_exits_with_3() -> None:
    (port,) = free_ports(1)
    ended = proxyspec("send", f"127.0.0.1:{port}", "v1/tcp4/ok")
    assert ended.returncode == 3
    assert "connect-failed  Connection refused\n" in ended.stdout


@pytest.mark.parametrize("how", ["argument", "hex file", "raw file", "standard input", "pipe"])
def test_decode_reads_bytes_from_anywhere(tmp_path: Path, how: str) -> None:
    path = tmp_path / "header"
    path.write_bytes(v1() if how != "hex file" else v1().hex(" ").encode())
    source = {"argument": v1().hex(), "standard input": "-", "pipe": "/dev/stdin"}.get(how, str(path))
    command = [sys.executable, "-m", "proxyspec", "decode", source]
    ended = subprocess.run(command, input=v1(), capture_output=True, check=True)
    lines = ended.stdout.decode().splitlines()
    assert lines[0] == "40 bytes"
    assert [line.split()[1] for line in lines[1:4]] == ["v1.prefix", "v1.sep1", "v1.protocol"]
    assert sum(int(line.split()[0].partition("+")[2]) for line in lines[1:]) == 40


def test_vectors_are_exported_to_a_file_or_standard_output(tmp_path: Path) -> None:
    ended = proxyspec("export", "vectors", "-o", str(tmp_path / "v.json"))
    assert ended.returncode == 0
    assert (tmp_path / "v.json").read_text() == proxyspec("export", "vectors").stdout
    assert proxyspec("export", "vectors", "--schema").stdout == Path("docs/vectors.schema.json").read_text()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["run", "127.0.0.1:1", "--baseline", "/nowhere.toml"], ["/nowhere.toml cannot be read"]),
        (["run", "127.0.0.1:1", "--junit", "/proc/none/j.xml"], ["--junit /proc/none/j.xml cannot be written"]),
        (["run", "127.0.0.1:1", "--tap", "-", "--ndjson"], ["standard output", "name files"]),
        (["run", "127.0.0.1:1", "--level", "MUSTY"], ["--level 'MUSTY'", "MUST"]),
        (["list", "--tag", "nothing"], ["--tag 'nothing'", "rejects"]),
        (["judge", "/nowhere"], ["/nowhere", "no run record"]),
        (["diff", "/nowhere", "/nowhere"], ["/nowhere", "no run record"]),
        (["replay", "/nowhere"], ["/nowhere", "no run record"]),
        (["send", "127.0.0.1:1", "v1/tcp4/okay"], ["'v1/tcp4/okay' is no case", "v1/tcp4/ok"]),
        (["send", "127.0.0.1:1", "0d0"], ["3 hexadecimal digits"]),
        (["send", "192.0.2.1:25", "0d0a"], ["--allow-target 192.0.2.1"]),
        (["send", "127.0.0.1:1", "haproxy/relay/v1"], ["goes through HAProxy", "--haproxy"]),
        (["send", "127.0.0.1:1", "tcp/whole/v1"], ["segment by segment", "`proxyspec tcp --case tcp/whole/v1`"]),
        (["send", "127.0.0.1:1", "nonsense"], ["'nonsense' is no case and no hexadecimal digits; `proxyspec list`"]),
        (["run", "127.0.0.1:1", "--junit", "x", "--tap", "./x"], ["--junit x and --tap ./x are one file"]),
        (["run", "127.0.0.1:1", "--out", "o", "--html", "o/run.json"], ["--html o/run.json is the run's own file"]),
        (["decode", "PROXY TCP4"], ["'PROXY TCP4' is no file and no hexadecimal digits"]),
        (["decode", "x" * 5000], ["is no file and no hexadecimal digits"]),
        (["export", "vectors", "-o", "/proc/none/v.json"], ["-o /proc/none/v.json cannot be written"]),
    ],
)
def test_bad_input_is_named_with_its_remedy(arguments: list[str], words: list[str]) -> None:
    ended = proxyspec(*arguments)
    assert ended.returncode == 2, ended.stdout + ended.stderr
    for word in words:
        assert word in ended.stderr
    assert "Traceback" not in ended.stderr


@pytest.mark.parametrize("kind", ["load", "mutants"])
def test_a_run_of_another_kind_has_no_cases_to_compare(kind: str, good: Path, tmp_path: Path) -> None:
    from tests.reports.samples import load_run
    from tests.reports.test_mutants import sample

    run = load_run() if kind == "load" else sample()
    (tmp_path / "run.json").write_text(run.model_dump_json())
    ended = proxyspec("diff", str(good), str(tmp_path))
    assert ended.returncode == 2
    assert f"is a {kind} run" in ended.stderr
