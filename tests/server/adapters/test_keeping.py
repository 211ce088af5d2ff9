"""Starting and ending servers: as a process, the way the harness does it."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil  # type: ignore[import-untyped]
import pytest

from proxyspec_server.adapters.contract import Facts, Launch, free_port
from proxyspec_server.adapters.keeping import Kept, last_words
from proxyspec_server.adapters.surroundings import no_lookups

PATIENCE = 60.0
PROGRAM = [sys.executable, "-m", "proxyspec_server.adapters"]


@contextmanager
def _start(tmp_path: Path, *words: str) -> Iterator[tuple[subprocess.Popen[str], dict[str, Any]]]:
    command = [*PROGRAM, "--cache", str(tmp_path / "cache"), "start", *words, "--log", str(tmp_path / "log")]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        try:
            assert process.stdout is not None
            line = process.stdout.readline()
            yield process, json.loads(line) if line else {}
        finally:
            process.terminate()
            process.wait(PATIENCE)


def _gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


@pytest.fixture
def words() -> tuple[str, ...]:
    return ("reference@haraka",)


def test_a_server_tells_its_place_and_serves(tmp_path: Path, words: tuple[str, ...]) -> None:
    with _start(tmp_path, *words) as (_, told):
        assert told["name"] == "reference"
        assert told["version"] == "haraka"
        assert told["versions"] == [1]
        with socket.create_connection((told["host"], told["port"]), timeout=PATIENCE) as client:
            client.sendall(b"PROXY TCP4 192.0.2.1 192.0.2.2 1111 25\r\n")
            assert client.recv(200).startswith(b"220 mx.test ESMTP")


def test_it_ends_with_its_standard_input(tmp_path: Path, words: tuple[str, ...]) -> None:
    with _start(tmp_path, *words) as (process, told):
        assert process.stdin is not None
        process.stdin.close()
        assert process.wait(PATIENCE) == 0
        assert _gone(told["pid"])


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_by_a_signal(tmp_path: Path, words: tuple[str, ...], number: signal.Signals) -> None:
    with _start(tmp_path, *words) as (process, told):
        process.send_signal(number)
        assert process.wait(PATIENCE) == 0
        assert _gone(told["pid"])


def test_a_server_that_dies_is_reported_with_its_log(tmp_path: Path, words: tuple[str, ...]) -> None:
    with _start(tmp_path, *words) as (process, told):
        with socket.create_connection((told["host"], told["port"]), timeout=PATIENCE) as client:
            # Served: by now it has written down that it listens.
            client.sendall(b"PROXY TCP4 192.0.2.1 192.0.2.2 1111 25\r\n")
            assert client.recv(200).startswith(b"220")
        os.kill(told["pid"], signal.SIGKILL)
        assert process.wait(PATIENCE) == 1
        assert process.stderr is not None
        said = process.stderr.read()
    assert "has ended (signal SIGKILL); the end of its log:" in said
    assert "listening" in said


def test_lists_reach_the_server(tmp_path: Path) -> None:
    with _start(tmp_path, "reference", "--host", "127.0.0.4/30") as (_, told):
        for source, expected in (("127.0.0.5", b"220 "), ("127.0.0.8", b"421 ")):
            with socket.create_connection(
                (told["host"], told["port"]), timeout=PATIENCE, source_address=(source, 0)
            ) as client:
                client.sendall(b"PROXY TCP4 192.0.2.1 192.0.2.2 1111 25\r\n")
                replies = b""
                while expected not in replies and (data := client.recv(500)):
                    replies += data
                assert expected in replies


def test_a_list_is_refused_where_there_is_none(tmp_path: Path) -> None:
    with _start(tmp_path, "haproxy", "--no-hosts") as (process, told):
        assert told == {}
        assert process.stderr is not None
        assert "has no list of proxies" in process.stderr.read()


def test_last_words_are_safe_to_show(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"early\n" * 50 + b"\x1b]0;title\x07 bad \xff\n")

    said = last_words(log, lines=2)

    assert said == "  early\n  \\x1b]0;title\\x07 bad \\xff"
    assert "no log" in last_words(tmp_path / "missing")


def test_nobody_is_asked_for_names(tmp_path: Path) -> None:
    bindings = no_lookups(tmp_path)

    resolver = bindings["/etc/resolv.conf"].read_text()
    assert "nameserver 127.255.255.254" in resolver
    assert "hosts: files\n" in bindings["/etc/nsswitch.conf"].read_text()


def test_a_launch_ends_by_sigterm_unless_it_says_otherwise() -> None:
    launch = Launch(commands=(("true",),), facts=Facts(header_timeout=1.0))

    assert launch.stop is signal.SIGTERM


def test_free_ports_can_be_bound() -> None:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", free_port()))


def test_a_second_signal_does_not_break_the_end_off(tmp_path: Path, words: tuple[str, ...]) -> None:
    with _start(tmp_path, *words) as (process, told):
        for _ in range(5):
            process.send_signal(signal.SIGTERM)
        assert process.wait(PATIENCE) == 0
        assert _gone(told["pid"])


#: Spins for every connection, whatever it says and however it ends.
SPINNER = """
import os, socket, sys
listener = socket.create_server(("127.0.0.1", int(sys.argv[1])))
print(flush=True)
while True:
    connection, _ = listener.accept()
    if (child := os.fork()) == 0:
        while True:
            pass
    connection.sendall(str(child).encode())
    connection.close()
"""


def test_what_serves_nobody_any_more_is_ended_and_nothing_else(tmp_path: Path) -> None:
    log, port = tmp_path / "log", free_port()
    command = (sys.executable, "-c", SPINNER, str(port))
    server = Kept(Launch(commands=(command,), facts=Facts(header_timeout=1.0), deserted_seconds=0.2), log, port)
    server.start({})
    children: list[int] = []
    try:
        clients: list[socket.socket] = []
        while len(clients) < 3:
            try:
                clients.append(socket.create_connection(("127.0.0.1", port), PATIENCE))
            except ConnectionRefusedError:
                assert server.gone() is None
        children = [int(client.recv(20)) for client in clients]
        deserted, half_closed, held = clients
        gone = os.pidfd_open(children[0])
        deserted.close()
        half_closed.shutdown(socket.SHUT_WR)
        rounds = 0
        # The others live on for some rounds more.
        while not select.select([gone], [], [], 0.05)[0] or rounds < 10:
            server.end_the_deserted()
            rounds += 1
        os.close(gone)
        assert psutil.Process(children[0]).status() == psutil.STATUS_ZOMBIE
        assert [psutil.Process(child).status() for child in children[1:]] == [psutil.STATUS_RUNNING] * 2
        assert server.gone() is None
        for client in (half_closed, held):
            client.close()
    finally:
        ending = os.pidfd_open(server.pid)
        for pid in (*children, server.pid):
            os.kill(pid, signal.SIGKILL)
        assert select.select([ending], [], [], PATIENCE)[0]
        os.close(ending)
        assert "SIGKILL" in str(server.gone())
