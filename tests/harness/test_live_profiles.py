"""Whole target profiles against the reference server: oracles, TLS, the watch on its processes."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from proxyspec.model import EventKind
from proxyspec.records import CaseRecord, ConformanceRun, load_run
from tests.harness.program import proxyspec

DEADLINE = 4.0


@contextmanager
def reference(tmp_path: Path, *arguments: str) -> Iterator[str]:
    """Run the server; yield the beginning of a target profile for it."""
    (tmp_path / "mail").mkdir()
    command = [
        *(sys.executable, "-m", "proxyspec_server", "--listen", "127.0.0.1:0", "--trust", "127.0.0.1"),
        *("--header-timeout", str(DEADLINE), "--log", str(tmp_path / "log"), "--maildir", str(tmp_path / "mail")),
        *arguments,
    ]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            lines = [f"[target]\nheader_timeout = {DEADLINE}"]
            for key, count in (("url", 1), ("tls_port", "--listen-tls" in arguments)):
                for _ in range(count):
                    found = re.search(r"127\.0\.0\.1:(\d+)", process.stderr.readline())
                    assert found is not None
                    lines.append(f'{key} = "smtp://{found[0]}"' if key == "url" else f"{key} = {found[1]}")
            yield "\n".join([*lines, f"pid = {process.pid}", ""])
        finally:
            process.kill()


def run(tmp_path: Path, profile: str, *cases: str) -> dict[str, CaseRecord]:
    (tmp_path / "target.toml").write_text(profile)
    chosen = [word for case in cases for word in ("--case", case)]
    ended = proxyspec("run", str(tmp_path / "target.toml"), *chosen, "--out", str(tmp_path / "run"))
    assert ended.returncode in (0, 1), ended.stdout + ended.stderr
    record = load_run(tmp_path / "run")
    assert isinstance(record, ConformanceRun)
    return {case.id: case for case in record.cases}


def test_tls_before_and_within_the_session(tmp_path: Path) -> None:
    with reference(tmp_path, "--tls-self-signed", "--listen-tls", "127.0.0.1:0") as profile:
        judged = run(tmp_path, profile, "smtp", "isolation", "v2/tlv/crc32c-mismatch")
    odd = {case.id for case in judged.values() if case.verdict not in ("PASS", "INFO")}
    assert odd == {"smtp/address/received-tcp4", "smtp/address/received-tcp6"}, "there is no such oracle here"
    for name in ("starttls/v1", "implicit-tls/v1", "implicit-tls/v2-one-segment", "starttls/injection-v1"):
        events = [event.kind for event in judged[f"smtp/{name}"].events]
        assert events.count(EventKind.TLS_STARTED) == 1, name
    assert judged["smtp/implicit-tls/v1-tcp6"].outcome is not None
    assert judged["smtp/implicit-tls/v1-tcp6"].outcome.address == "2001:db8::1"


def test_without_tls_its_cases_are_skipped_not_passed(tmp_path: Path) -> None:
    with reference(tmp_path) as profile:
        judged = run(tmp_path, profile + 'capabilities = ["no-crc32c"]\n', "smtp", "v2/tlv/crc32c-mismatch")
    skipped = {case.id for case in judged.values() if case.verdict == "SKIP"}
    gated = {name for name in judged if "tls/" in name or "still-clear" in name or "address/received" in name}
    assert skipped == gated - {"smtp/starttls/instead-of-header"} | {"v2/tlv/crc32c-mismatch"}
    assert judged["smtp/starttls/v1"].reason.endswith("this capability: starttls")


ADDRESSES = ("v1/tcp4", "v1/tcp6", "v1/unknown", "general/second-header", "general/mid-session", "smtp/address")


@pytest.mark.parametrize(
    "oracle",
    [
        'oracle = "received"\noracle_file = "mail"\nrecipient = "probe@example.test"\n',
        r"""oracle = "log"
oracle_file = "log"
oracle_pattern = '"event":"helo".*"client":"\[?(?P<address>[0-9a-f.:]+?)\]?:\d+"'
""",
        r"""oracle = "reply"
oracle_pattern = 'Hello \S+ \[(?:IPv6:)?(?P<address>[0-9a-f.:]+)\]'
""",
    ],
    ids=["received", "log", "reply"],
)
def test_every_oracle_shows_the_addresses(tmp_path: Path, oracle: str) -> None:
    with reference(tmp_path) as profile:
        judged = run(tmp_path, profile + oracle, *ADDRESSES)
    assert len(judged) > 30
    odd = {case.id: case.reason for case in judged.values() if case.verdict not in ("PASS", "INFO")}
    assert not {name for name in odd if judged[name].verdict != "SKIP"}, odd
    skipped = {name for name in odd if judged[name].verdict == "SKIP"}
    assert skipped == (set() if "received" in oracle else {"smtp/address/received-tcp4", "smtp/address/received-tcp6"})
    assert any(event.kind == "seen" for event in judged["v1/tcp6/ok"].events)


def test_a_server_that_shows_the_proxy_in_received_is_told_by_that_oracle_alone(tmp_path: Path) -> None:
    oracle = 'oracle = "received"\noracle_file = "mail"\nrecipient = "probe@example.test"\n'
    with reference(tmp_path, "--defect", "received-names-proxy") as profile:
        judged = run(tmp_path, profile + oracle, "v1/tcp4/ok")
    assert judged["v1/tcp4/ok"].verdict == "FAIL"
    assert judged["v1/tcp4/ok"].outcome is not None
    assert judged["v1/tcp4/ok"].outcome.kind == "accepted-real"


def test_an_oracle_that_shows_nothing_is_a_configuration_error(tmp_path: Path) -> None:
    with reference(tmp_path) as profile:
        (tmp_path / "other.log").touch()
        oracle = 'oracle = "log"\noracle_file = "other.log"\noracle_pattern = "(?P<address>x)"\n'
        (tmp_path / "target.toml").write_text(profile + oracle)
        ended = subprocess.run(
            [sys.executable, "-m", "proxyspec", "run", str(tmp_path / "target.toml"), "--out", str(tmp_path / "run")],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
    assert ended.returncode == 3
    assert "shows nothing of a session with a valid header" in ended.stdout
    assert "other.log" in ended.stdout


def test_a_server_that_spins_is_told_by_its_processes(tmp_path: Path) -> None:
    with reference(tmp_path, "--defect", "fin-spins") as profile:
        judged = run(tmp_path, profile, "aftermath/half-close/v1-20", "aftermath/half-close/v2-16")
    for name in ("v1-20", "v2-16"):
        case = judged[f"aftermath/half-close/{name}"]
        assert case.verdict == "FAIL"
        assert re.search(r"of processor time in \d\.\d\d s with nothing to do", case.reason)


def test_no_other_case_is_blamed_for_a_server_that_spins(tmp_path: Path) -> None:
    guilty = {"aftermath/half-close/v1-20"}
    others = {f"aftermath/{name}" for name in ("reset/v1-20", "malformed/v1-nul", "waiting/silent")}
    with reference(tmp_path, "--defect", "fin-spins") as profile:
        judged = run(tmp_path, profile, *guilty, *others, "general/half-close/partial")
    assert {name for name in guilty | others if judged[name].verdict == "FAIL"} == guilty
    assert {judged[name].verdict for name in others} == {"PASS"}


def test_an_idle_server_is_seen_to_be_idle(tmp_path: Path) -> None:
    with reference(tmp_path) as profile:
        judged = run(tmp_path, profile, "aftermath")
    assert {case.id: case.reason for case in judged.values() if case.verdict not in ("PASS", "INFO")} == {}
    watched = [case for case in judged.values() if any(event.kind == "processor" for event in case.events)]
    assert len(watched) >= 60


def test_checksums_are_judged_where_they_are_declared_or_shown(tmp_path: Path) -> None:
    wrong = ("v2/tlv/crc32c-mismatch", "malformed/v2/broken-seal/flipped-16")
    with reference(tmp_path, "--defect", "crc32c-ignored") as profile:
        unsaid = run(tmp_path / "mail", profile, *wrong)
        declared = run(tmp_path, profile + 'capabilities = ["crc32c"]\n', *wrong)
    for name in wrong:
        assert unsaid[name].verdict == "SKIP"
        assert "nor shows this capability (by refusing a header for its wrong CRC32C)" in unsaid[name].reason
        assert declared[name].verdict == "FAIL"
    assert unsaid["v2/tlv/crc32c"].verdict == "PASS"
