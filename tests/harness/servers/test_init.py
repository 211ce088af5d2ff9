"""`proxyspec init`: what a first look at a server shows, and the profile it makes of it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from proxyspec.cli import main
from proxyspec.errors import ExitCode
from proxyspec.reference import reference_server
from proxyspec.servers.acquaintance import get_acquainted
from proxyspec.targets import load_target, make_target

TRUSTING = ["--trust", "127.0.0.1", "--header-timeout", "2", "--hostname", "mx.test"]


def test_a_look_shows_versions_oracle_and_deadline(tmp_path: Path) -> None:
    with reference_server([*TRUSTING, "--profile", "haraka"], tmp_path / "log") as (host, port):
        found = asyncio.run(get_acquainted(make_target(f"{host}:{port}"), deadline=True, longest=30.0))

    assert found.versions == (1,)
    assert found.oracle == "ehlo"
    assert not found.speaks_first
    assert found.deadline is not None
    assert 1.9 < found.deadline < 10.0
    assert found.unjudgeable is None


def test_a_server_that_expects_no_header_cannot_be_judged(tmp_path: Path) -> None:
    with reference_server(["--hostname", "mx.test"], tmp_path / "log") as (host, port):
        found = asyncio.run(get_acquainted(make_target(f"{host}:{port}"), deadline=False))

    assert found.speaks_first
    assert found.unjudgeable == "it greets without a header: it does not expect PROXY"


def test_the_profile_describes_the_server(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    profile = tmp_path / "mx.toml"
    with reference_server(TRUSTING, tmp_path / "log") as (host, port):
        words = ["init", f"smtp://{host}:{port}", "-o", str(profile), "--name", "our MX", "--header-timeout", "2"]
        code = main([*words, "--capabilities", "no-crc32c"])

    assert code == ExitCode.OK
    target = load_target(str(profile))
    assert target.name == "our MX"
    assert target.header_timeout == 2.0
    assert target.versions == {1, 2}
    assert target.oracle == "ehlo"
    assert target.lacks == {"crc32c"}
    assert "it takes headers of version 1 and 2" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "declared", "said"),
    [
        ([], ["starttls", "crc32c"], "it checks the CRC32C"),
        (["--defect", "crc32c-ignored"], ["starttls"], "it takes a header with a wrong CRC32C"),
        (["--profile", "haraka"], ["starttls"], ""),
    ],
    ids=["checks", "takes wrong ones", "no version 2"],
)
def test_checksums_are_declared_where_they_are_shown(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str], declared: list[str], said: str
) -> None:
    profile = tmp_path / "mx.toml"
    with reference_server([*TRUSTING, *arguments], tmp_path / "log") as (host, port):
        words = ["init", f"smtp://{host}:{port}", "-o", str(profile), "--header-timeout", "2"]
        assert main([*words, "--capabilities", "starttls"]) == ExitCode.OK

    assert load_target(str(profile)).capabilities == set(declared)
    told = capsys.readouterr().err
    assert said in told
    assert ("CRC32C" in told) == bool(said)


def test_a_profile_of_a_server_that_is_not_there_is_written_and_said(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    profile = tmp_path / "mx.toml"

    code = main(["init", "smtp://127.0.0.1:1", "-o", str(profile), "--header-timeout", "30"])

    assert code == ExitCode.UNJUDGEABLE
    assert load_target(str(profile)).port == 1
    assert "cannot be reached" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["init"], "no target: write smtp://HOST:PORT"),
        (["init", "mx"], "is no target"),
        (["init", "smtp://127.0.0.1:1", "-o", "mx.conf"], "-o mx.conf: the name of a target profile ends in .toml"),
        (["init", "smtp://127.0.0.1:1", "--oracle", "tarot"], "the oracle 'tarot' is unknown"),
        (["matrix", "/nonexistent.toml"], "cannot be read"),
        (["servers", "start", "sendmail"], "there is no server 'sendmail'"),
        (["servers", "start", "postfix@3"], "postfix@3: postfix comes from the distribution, which decides"),
        (["servers", "start", "reference", "--trust", "127.0.0.1", "--trust-nobody"], "give one of them"),
    ],
)
def test_usage_errors(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(words) == ExitCode.USAGE
    assert said in capsys.readouterr().err


def test_a_file_that_is_there_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    profile = tmp_path / "mx.toml"
    profile.write_text("mine")

    assert main(["init", "smtp://127.0.0.1:1", "-o", str(profile), "--no-probe"]) == ExitCode.USAGE
    assert profile.read_text() == "mine"
    assert "exists: name another file" in capsys.readouterr().err


def test_a_server_that_cannot_be_had_is_said_and_the_rest_is_installed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    code = main(["servers", "install", "sendmail", "reference@lenient", "--cache", str(tmp_path)])

    told = capsys.readouterr()
    assert code == ExitCode.FAILED
    assert "there is no server 'sendmail'" in told.err
    assert "reference@lenient lenient" in told.out


def test_doctor_says_what_is_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["servers", "install", "reference", "--cache", str(tmp_path)]) == ExitCode.OK
    main(["servers", "doctor", "--cache", str(tmp_path)])

    lines = {line.split()[0]: line for line in capsys.readouterr().out.splitlines()}
    assert "ready, strict" in lines["reference"]
    assert {"haraka", "aiosmtpd", "exim"} <= lines.keys()
