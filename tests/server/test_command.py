"""The command line as a process: readiness, signals, exit codes, what it says when something is wrong."""

import json
import resource
import signal
import smtplib
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

import pytest

from proxyspec_server.command import main, parse

needs_uvloop = pytest.mark.skipif(find_spec("uvloop") is None, reason="uvloop is not installed")
L4 = b"PROXY TCP4 192.0.2.1 192.0.2.2 1111 25\r\n"
PATIENCE = 30


@dataclass
class Process:
    popen: subprocess.Popen[str]
    ports: list[int]

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.popen.send_signal(number)
        return self.popen.wait(PATIENCE)

    def connect(self) -> socket.socket:
        return socket.create_connection(("127.0.0.1", self.ports[0]), PATIENCE)

    def event(self, name: str) -> dict[str, object]:
        """The next entry of this kind from the log on standard output."""
        assert self.popen.stdout is not None
        for line in self.popen.stdout:
            entry: dict[str, object] = json.loads(line)
            if entry["event"] == name:
                return entry
        raise AssertionError(f"the log ended without {name}")


@contextmanager
def server(*options: str, listeners: int = 1, descriptors: int | None = None) -> Iterator[Process]:
    def limit() -> None:
        if descriptors is not None:
            resource.setrlimit(resource.RLIMIT_NOFILE, (descriptors, descriptors))

    arguments = list(options)
    if "--listen" not in arguments:
        arguments += ["--listen", "127.0.0.1:0"]
    with subprocess.Popen(
        [sys.executable, "-m", "proxyspec_server", "--hostname", "mx.test", *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        preexec_fn=limit,
    ) as popen:
        try:
            assert popen.stderr is not None
            lines = [popen.stderr.readline() for _ in range(listeners)]
            ready = ("listening on ", "listening with TLS on ", "metrics on ")
            assert all(line.startswith(ready) for line in lines), lines + popen.stderr.readlines()
            yield Process(popen, [int(line.rpartition(":")[2].partition("/")[0]) for line in lines])
        finally:
            popen.kill()


def read_all(client: socket.socket) -> bytes:
    return b"".join(iter(lambda: client.recv(65536), b""))


def test_sigterm_tells_everybody_and_exits_with_0() -> None:
    with server("--trust", "127.0.0.1") as process, process.connect() as waiting, process.connect() as session:
        session.sendall(L4)
        assert session.recv(100) == b"220 mx.test ESMTP proxyspec\r\n"
        process.popen.send_signal(signal.SIGTERM)
        for client in (waiting, session):
            assert read_all(client) == b"421 4.3.2 mx.test shutting down\r\n"
            client.close()
        assert process.popen.wait(PATIENCE) == 0
        assert process.popen.stderr is not None
        assert process.popen.stderr.read() == ""


def test_sigint_exits_with_130() -> None:
    with server() as process:
        assert process.stop(signal.SIGINT) == 130


def test_one_line_for_each_listener() -> None:
    with server("--listen", "127.0.0.1:0", "--listen", "[::1]:0", "--log", "-", listeners=2) as process:
        for host, port in zip(("127.0.0.1", "::1"), process.ports, strict=True):
            with socket.create_connection((host, port), PATIENCE) as client:
                assert client.recv(100) == b"220 mx.test ESMTP proxyspec\r\n"
        assert process.event("listening")["address"] == f"127.0.0.1:{process.ports[0]}"
        assert process.event("listening")["address"] == f"[::1]:{process.ports[1]}"
        assert process.stop() == 0


def test_options_reach_the_server(tmp_path: Path) -> None:
    log = tmp_path / "log"
    options = ["--trust", "127.0.0.0/8", "--header-timeout", "0.3", "--max-message-size", "1000", "--log", str(log)]
    with server(*options) as process:
        with process.connect() as client:
            assert read_all(client) == b"421 4.4.2 mx.test PROXY timed out\r\n"
        with process.connect() as client:
            client.sendall(L4 + b"EHLO x\r\nQUIT\r\n")
            assert b"250-SIZE 1000\r\n" in read_all(client)
        assert process.stop() == 0
    entries = [json.loads(line) for line in log.read_text().splitlines()]
    assert [entry["ending"] for entry in entries if entry["event"] == "closed"] == ["header-deadline", "quit"]
    assert entries[-1]["event"] == "stopped"


def test_proxy_is_off_by_default() -> None:
    with server() as process, process.connect() as client:
        client.sendall(L4)
        assert read_all(client) == b"220 mx.test ESMTP proxyspec\r\n421 4.7.0 PROXY not allowed from 127.0.0.1\r\n"


def test_smtplib_delivers_into_the_maildir(tmp_path: Path) -> None:
    with server("--maildir", str(tmp_path / "md")) as process:
        with smtplib.SMTP("127.0.0.1", process.ports[0], local_hostname="me.example", timeout=PATIENCE) as client:
            client.sendmail("a@example.com", ["b@example.com", "c@example.com"], "Subject: x\r\n\r\n.dot\r\n")
        assert process.stop() == 0
    (path,) = (tmp_path / "md" / "new").iterdir()
    text = path.read_bytes()
    assert text.startswith(
        b"Return-Path: <a@example.com>\r\nReceived: from me.example ([127.0.0.1])\r\n\tby mx.test with ESMTP id "
    )
    assert text.endswith(b"\r\nSubject: x\r\n\r\n.dot\r\n")


def test_sighup_reads_the_hosts_again_and_survives_a_bad_file(tmp_path: Path) -> None:
    hosts = tmp_path / "haproxy_hosts"
    hosts.write_text("# nobody yet\n")
    with server("--hosts", str(hosts), "--log", "-") as process:
        with process.connect() as client:
            assert client.recv(100).startswith(b"220")
        hosts.write_text("127.0.0.1\n")
        process.popen.send_signal(signal.SIGHUP)
        assert process.event("reloaded")["trusted"] == 1
        hosts.write_text("127.0.0.1\nnonsense\n")
        process.popen.send_signal(signal.SIGHUP)
        reason = str(process.event("trouble")["reason"])
        assert reason.startswith(f'the trust list stays as it was: {hosts}, line 2: "nonsense" is neither')
        with process.connect() as client:
            client.sendall(L4 + b"HELO x\r\nQUIT\r\n")
            assert b"[192.0.2.1]" in read_all(client)
        assert process.stop() == 0


@pytest.mark.parametrize("loop", ["asyncio", pytest.param("uvloop", marks=needs_uvloop)])
def test_running_out_of_descriptors_is_survived(loop: str) -> None:
    with server("--log", "-", "--loop", loop, descriptors=28) as process, ExitStack() as clients:
        crowd = [clients.enter_context(process.connect()) for _ in range(40)]
        assert "Too many open files" in str(process.event("trouble")["reason"])
        for client in crowd:
            client.close()
        with process.connect() as client:
            assert client.recv(100).startswith(b"220")
        assert process.stop() == 0


def test_a_low_descriptor_limit_is_told() -> None:
    with server("--log", "-", descriptors=200) as process:
        assert "the limit of open files (200) is too low for 16384 connections" in str(
            process.event("limits")["reason"]
        )


@pytest.mark.parametrize(
    ("options", "told"),
    [
        (["--listen", "25"], '"25" is not HOST:PORT; write 127.0.0.1:2525 or [::1]:2525'),
        (["--listen", "::1:25"], "is not HOST:PORT"),
        (["--listen", "127.0.0.1:65536"], 'the port of "127.0.0.1:65536" is not a number from 0 to 65535'),
        (["--listen", "mail.example.com:25"], 'the host of "mail.example.com:25" is not an address'),
        (["--trust", "10.0.0.1/8"], "write 10.0.0.0/8 for the range"),
        (["--header-timeout", "0"], '"0" is not a number of seconds above 0'),
        (["--header-timeout", "nan"], '"nan" is not a number of seconds above 0'),
        (["--idle-timeout", "soon"], '"soon" is not a number of seconds'),
        (["--max-message-size", "-1"], "--max-message-size"),
        (["--max-connections", "0"], '"0" is not a whole number above 0'),
        (["--hostname", "a b"], '"a b" is not a host name'),
        (["--nonsense"], "--nonsense"),
    ],
)
def test_a_bad_option_is_named_with_its_remedy(
    options: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(options, prog="serve") == 2
    error = capsys.readouterr().err
    assert told in error
    assert "Traceback" not in error


def test_bad_configuration_is_named_with_its_remedy(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    hosts = tmp_path / "haproxy_hosts"
    hosts.write_text("127.0.0.1\n10.0.0.1/8\n")
    file = tmp_path / "file"
    file.touch()
    for options, told in (
        (["--hosts", str(hosts)], f'serve: {hosts}, line 2: "10.0.0.1/8" has host bits set; write 10.0.0.0/8'),
        (["--hosts", str(tmp_path / "none")], "cannot read"),
        (["--maildir", str(file / "md")], "cannot use the Maildir"),
        (["--log", str(tmp_path)], "cannot write the log"),
        (["--listen", "192.0.2.1:0"], "cannot listen on 192.0.2.1:0: this machine does not have that address"),
    ):
        assert main(options, prog="serve") == 2
        assert told in capsys.readouterr().err


def test_a_port_in_use_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        assert main(["--listen", f"127.0.0.1:{port}"], prog="serve") == 2
    error = capsys.readouterr().err
    assert error.startswith(f"serve: cannot listen on 127.0.0.1:{port}: port {port} is in use; stop what listens there")


def test_help_is_no_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"], prog="serve") == 0
    assert "Exit codes: 0" in capsys.readouterr().out


def test_defaults() -> None:
    options = parse([], "serve")
    assert [str(endpoint) for endpoint in options.listen] == ["127.0.0.1:2525"]
    assert len(options.load_trust()) == 0
    assert options.limits.header_timeout == 30.0
    assert options.log == "none"
    assert options.name
