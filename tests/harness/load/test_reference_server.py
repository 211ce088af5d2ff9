"""The load against the project's own server, which judges every header by a parser of its own."""

from __future__ import annotations

import contextlib
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

import proxyspec_scenarios.load
from proxyspec.errors import ExitCode
from proxyspec.load import HeaderKind, LoadOptions
from proxyspec.load.runner import LoadListener, run_load
from proxyspec.model import Target
from proxyspec.rundir import RunDirectory

THROUGHPUT = Path(proxyspec_scenarios.load.__path__[0]) / "throughput.py"


@contextlib.contextmanager
def _server(*arguments: str) -> Iterator[Target]:
    command = [sys.executable, "-m", "proxyspec_server", "--listen", "127.0.0.1:0", *arguments]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        watchdog = threading.Timer(60, process.kill)
        watchdog.start()
        try:
            match = re.search(r"listening on 127\.0\.0\.1:(\d+)", process.stderr.readline())
            assert match is not None
            yield Target(host="127.0.0.1", port=int(match[1]))
        finally:
            watchdog.cancel()
            process.kill()


@pytest.mark.parametrize("header", list(HeaderKind))
def test_every_session_is_served(header: HeaderKind, tmp_path: Path) -> None:
    trust = [] if header is HeaderKind.NONE else ["--trust", "127.0.0.1"]
    with _server(*trust) as target, RunDirectory.create("load", tmp_path) as out:
        run = run_load(target, THROUGHPUT, LoadOptions(users=3, seconds=1, header=header), out, LoadListener())
    assert (run.exit_code, run.header, run.failures) == (ExitCode.OK, header, 0)
    assert run.sessions > 10


def test_plain_smtp_to_a_port_that_wants_a_header_fails_at_the_banner(tmp_path: Path) -> None:
    with (
        _server("--trust", "127.0.0.1", "--header-timeout", "0.5") as target,
        RunDirectory.create("load", tmp_path) as out,
    ):
        options = LoadOptions(users=1, seconds=1, header=HeaderKind.NONE)
        run = run_load(target, THROUGHPUT, options, out, LoadListener())
    assert run.exit_code == ExitCode.UNJUDGEABLE
    assert {error.step for error in run.errors} == {"header_to_banner"}
    assert "421 at banner" in {error.error for error in run.errors}
