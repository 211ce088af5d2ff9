"""The commands where the machine is against them: one line says what is wrong, and nothing measured is lost."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from proxyspec.records import load_run
from proxyspec.reference import reference_server
from tests.harness import program

SHORT = ("--header-timeout", "2")
CASE = ("--case", "v1/tcp4/ok", *SHORT)
#: A name that is no UTF-8, with what would move and colour the text of a terminal.
ODD = os.fsdecode(b"n\xff\xe9\n\x1b[31mred")


def proxyspec(
    *arguments: str, environment: dict[str, str] | None = None, shell: str | None = None
) -> subprocess.CompletedProcess[bytes]:
    """Run the program; `shell` is put around it, where "$@" is the command."""
    command = [sys.executable, "-m", "proxyspec", *arguments]
    return subprocess.run(
        command if shell is None else ["sh", "-c", shell, "sh", *command],
        capture_output=True,
        timeout=120,
        check=False,
        env={**os.environ, **(environment or {})},
    )


def sober(ended: subprocess.CompletedProcess[bytes] | subprocess.CompletedProcess[str]) -> str:
    """Return what was said on standard error, which shows no defect, traceback or escape."""
    said = ended.stderr.decode() if isinstance(ended.stderr, bytes) else ended.stderr
    assert not any(word in said for word in ("Traceback", "defect", "Exception ignored", "\x1b")), said
    return said


@pytest.fixture(scope="module")
def target(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    journal = tmp_path_factory.mktemp("server") / "journal.ndjson"
    with reference_server(["--trust", "127.0.0.1", "--header-timeout", "2"], journal) as (host, port):
        yield f"smtp://{host}:{port}"


@pytest.fixture(scope="module")
def done(target: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that is over."""
    out = tmp_path_factory.mktemp("done") / "run"
    assert proxyspec("run", target, *CASE, "--out", str(out)).returncode == 0
    return out


def filled(arguments: Sequence[str], target: str, done: Path, tmp_path: Path) -> list[str]:
    """Return the arguments with the target, an old run and files in their places."""
    (tmp_path / "haproxy.cfg").write_text("listen smtp\n bind 127.0.0.1:2599\n server s1 127.0.0.1:2525 send-proxy\n")
    (tmp_path / "target.toml").write_text(f'[target]\nurl = "{target}"\n')
    (tmp_path / "matrix.toml").write_text(f'[[servers]]\ntarget = "{tmp_path / "target.toml"}"\n')
    return [word.format(target=target, done=done, here=tmp_path) for word in arguments]


@pytest.mark.parametrize(
    "arguments",
    [
        ("run", "{target}", *CASE),
        ("load", "{target}", "--users", "1", "--time", "1s"),
        ("fuzz", "{target}", *SHORT, "--time", "1s"),
        ("mutants", "--defect", "v1-port-wraps-16"),
        ("sender", "--listen", "127.0.0.1:0", "--time", "1s"),
        ("matrix", "{here}/matrix.toml"),
        ("judge", "{done}"),
        ("replay", "{done}"),
        pytest.param(("sender", "--haproxy", "binary"), marks=pytest.mark.haproxy),
        pytest.param(("haproxy", "checks", "--haproxy", "binary"), marks=pytest.mark.haproxy),
        pytest.param(("haproxy", "traffic", "--haproxy", "binary"), marks=pytest.mark.haproxy),
        pytest.param(("haproxy", "try", "{here}/haproxy.cfg", "--haproxy", "binary"), marks=pytest.mark.haproxy),
        pytest.param(("haproxy", "check", "{here}/haproxy.cfg", "--haproxy", "binary"), marks=pytest.mark.haproxy),
        pytest.param(("demo", "--haproxy", "binary"), marks=pytest.mark.haproxy),
        pytest.param(("servers", "page", "reference@haraka", "--haproxy", "binary"), marks=pytest.mark.haproxy),
    ],
    ids=lambda arguments: " ".join(word for word in arguments if word.isalpha()),
)
def test_a_run_directory_that_cannot_be_is_named(
    arguments: Sequence[str], target: str, done: Path, tmp_path: Path
) -> None:
    ended = program.proxyspec(*filled(arguments, target, done, tmp_path), "--out", "/dev/null/run")
    assert ended.returncode == 2
    (line,) = sober(ended).splitlines()
    assert "/dev/null/run cannot be made: Not a directory" in line
    assert "--out" in line


@pytest.mark.parametrize(
    ("arguments", "option"),
    [
        (("run", "{target}", *CASE, "--out", "{here}/run", "--html"), "--html"),
        (("run", "{target}", *CASE, "--out", "{here}/run", "--junit"), "--junit"),
        (("report", "{done}", "-o"), "-o"),
        (("report", "{done}", "--format", "tap", "-o"), "-o"),
        (("export", "vectors", "-o"), "-o"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else value,
)
def test_a_file_on_a_full_disk_is_named(
    arguments: Sequence[str], option: str, target: str, done: Path, tmp_path: Path
) -> None:
    ended = program.proxyspec(*filled(arguments, target, done, tmp_path), "/dev/full")
    assert ended.returncode == 2
    line = sober(ended).splitlines()[-1]
    assert f"{option} /dev/full cannot be written: No space left on device; name another file" in line
    if arguments[0] == "run":
        assert load_run(tmp_path / "run").exit_code == 0


FULL, CLOSED, NO_READER = '"$@" >/dev/full', '"$@" >&-', '{ "$@"; echo "$?" >&2; } | true'


@pytest.mark.parametrize(
    ("arguments", "shell", "code", "words"),
    [
        (("list",), FULL, 4, "standard output cannot be written: No space left on device"),
        (("report", "{done}", "-o", "-"), FULL, 4, "standard output cannot be written: No space left on device"),
        (("run", "{target}", *CASE, "--out", "{here}/run"), FULL, 4, "standard output cannot be written"),
        (("list",), CLOSED, 0, ""),
        (("doctor",), CLOSED, 0, ""),
        (("report", "{done}", "-o", "-"), CLOSED, 2, "standard output is closed"),
        (("export", "vectors"), CLOSED, 2, "standard output is closed"),
        (("run", "{target}", *CASE, "--ndjson"), CLOSED, 2, "standard output is closed"),
        (("run", "{target}", *CASE, "--out", "{here}/run"), CLOSED, 0, ""),
        (("run", "{target}", *CASE, "--out", "{here}/run"), NO_READER, 0, "0\n"),
        (("run", "{target}", *CASE, "--out", "{here}/run", "--ndjson"), NO_READER, 0, "0\n"),
        (("report", "{done}", "-o", "-"), NO_READER, 0, "0\n"),
        (("list",), NO_READER, 0, "0\n"),
        (("--help",), NO_READER, 0, "0\n"),
        (("run", "127.0.0.1"), '"$@" 2>/dev/full', 2, ""),
        (("run", "127.0.0.1"), '"$@" 2>&-', 2, ""),
    ],
)
def test_standard_output_never_ends_a_run(
    arguments: Sequence[str], shell: str, code: int, words: str, target: str, done: Path, tmp_path: Path
) -> None:
    ended = proxyspec(*filled(arguments, target, done, tmp_path), shell=shell)
    said = sober(ended)
    assert ended.returncode == code, said
    assert words in said
    if "{here}/run" in arguments:
        assert load_run(tmp_path / "run").exit_code == 0


@pytest.mark.parametrize(
    "environment",
    [{"LC_ALL": "C", "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}, {"LC_ALL": "xx_YY"}],
    ids=["ascii", "no such locale"],
)
def test_a_locale_changes_no_result(environment: dict[str, str], target: str, done: Path, tmp_path: Path) -> None:
    plain, poor = (proxyspec("report", str(done), "-o", "-", environment=one) for one in ({}, environment))
    assert sober(poor) == ""
    assert poor.returncode == 0
    assert not plain.stdout.isascii()
    assert poor.stdout == plain.stdout
    ended = proxyspec("run", target, *CASE, "--out", str(tmp_path / "run"), environment=environment)
    assert ended.returncode == 0, sober(ended)
    assert proxyspec("doctor", "loopback", environment=environment).returncode == 0


def test_a_name_that_is_no_text_loses_no_run(target: str, tmp_path: Path) -> None:
    profile, out = tmp_path / f"{ODD}.toml", tmp_path / ODD
    profile.write_text(f'[target]\nurl = "{target}"\nheader_timeout = 2.0\n')
    ended = proxyspec("run", str(profile), "--case", "v1/tcp4/ok", "--out", str(out), "--html", str(tmp_path / "page"))
    assert ended.returncode == 0, sober(ended)
    run = load_run(out)
    assert f"{tmp_path}/n\\udcff\\udce9\n\x1b[31mred" in run.command
    assert (tmp_path / "page").read_text().rstrip().endswith("</html>")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (("report", "{here}/NAME"), "holds no run record"),
        (("run", "{target}", "--case", "NAME"), "names no case"),
        (("run", "NAME.toml"), "cannot be read"),
        (("init", "{target}", "--no-probe", "--name", "NAME", "-o", "{here}/new.toml"), "is not UTF-8"),
        (("run", "{here}/latin.toml"), "is no TOML"),
        (("run", "{target}", "--baseline", "{here}/latin.toml"), "is not UTF-8"),
        (("run", "{target}", "--case-file", "{here}/latin.toml"), "is no TOML"),
        (("report", "{here}/latin"), "is not a run record"),
        (("judge", "{here}/latin"), "is not a run record"),
        (("diff", "{here}/latin", "{done}"), "is not a run record"),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, tuple) else value,
)
def test_what_is_no_text_is_named_without_its_escapes(
    arguments: Sequence[str], words: str, target: str, done: Path, tmp_path: Path
) -> None:
    (tmp_path / "latin").mkdir()
    for name in ("latin.toml", "latin/run.json"):
        (tmp_path / name).write_bytes(b'{"target": "caf\xe9 \x1b[31m"}')
    ended = program.proxyspec(*(word.replace("NAME", ODD) for word in filled(arguments, target, done, tmp_path)))
    assert ended.returncode == 2
    assert words in sober(ended)
    assert "\x1b" not in ended.stdout
