"""The client that can send headers, against a real server; and that every parser compared reads the same."""

import subprocess
import sys
from pathlib import Path

import pytest
from benchmarks.driver import HeaderKind, header

from proxyspec_server.proxy import Header, HeaderParser
from tests.server.test_command import server

ROOT = Path(__file__).resolve().parents[2]


def drive(port: int, kind: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "benchmarks.driver", str(port), "30", "5", kind]
    return subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize(("kind", "version"), [(HeaderKind.V1, 1), (HeaderKind.V2, 2)])
def test_its_headers_are_valid_and_differ(kind: HeaderKind, version: int) -> None:
    headers = [HeaderParser().feed(header(kind, number)) for number in (0, 1, 61_000)]
    assert all(isinstance(each, Header) and each.version == version for each in headers)
    assert len({each.source for each in headers if isinstance(each, Header)}) == 3
    assert header(HeaderKind.NONE, 1) == b""


@pytest.mark.parametrize("kind", list(HeaderKind))
def test_it_delivers_all_its_messages(kind: HeaderKind) -> None:
    options = [] if kind is HeaderKind.NONE else ["--trust", "127.0.0.1"]
    with server(*options, "--log", "-") as process:
        done = drive(process.ports[0], kind.value)
        assert (done.returncode, done.stderr) == (0, "")
        for _ in range(30):
            assert process.event("message")["sender"] == "a@client.test"
        assert process.stop() == 0


def test_a_refusal_is_told_in_a_line() -> None:
    with server() as process:
        done = drive(process.ports[0], "v1")
        assert done.returncode == 1
        assert done.stderr.startswith("driver: ")
        assert done.stderr.count("\n") == 1


def test_the_parsers_compared_read_the_same() -> None:
    pytest.importorskip("proxyprotocol", reason="proxy-protocol comes with the extra bench")
    from benchmarks.parser import check

    check()
