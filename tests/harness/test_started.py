"""A server that a command starts: awaited, named when it fails, ended with all its processes."""

from __future__ import annotations

import os
import shlex
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import closing, suppress
from pathlib import Path
from types import FrameType

import pytest

from proxyspec.cli import main
from proxyspec.errors import ExitCode, HarnessError, UsageError
from proxyspec.interruption import interrupting
from proxyspec.model import Service
from proxyspec.records import ConformanceRun, load_run
from proxyspec.started import started
from proxyspec.targets import load_target

HOST = "127.0.0.1"
#: Listens on the port that is its first argument, beside a child that ignores SIGTERM.
SERVER = """
import signal, socket, subprocess, sys
child = subprocess.Popen([sys.executable, "-c", "import signal; signal.signal(15, signal.SIG_IGN); signal.pause()"])
server = socket.create_server(("127.0.0.1", int(sys.argv[1])))
print("child", child.pid, flush=True)
signal.pause()
"""
#: Listens on the port that is its first argument, and has no child.
ALONE = """
import signal, socket, sys
server = socket.create_server(("127.0.0.1", int(sys.argv[1])))
signal.pause()
"""
#: Says when it is asked to end; its process id is in the file pid of its folder.
POLITE = """
import os, signal, socket
def end(*_):
    print("asked", flush=True)
    os._exit(0)
signal.signal(signal.SIGTERM, end)
open("pid", "w").write(str(os.getpid()))
server = socket.create_server(("127.0.0.1", {port}))
while True:
    signal.pause()
"""
#: Ends the process whose id is in the file pid.
END = """
import os
print("stopping", flush=True)
os.kill(int(open("pid").read()), 15)
"""
#: Starts a server in a session of its own, and leaves.
BEHIND = """
import subprocess, sys
process = subprocess.Popen([sys.executable, "-c", {server!r}, "{port}"], start_new_session=True)
open("pid", "w").write(str(process.pid))
"""


def free_port() -> int:
    with closing(socket.create_server((HOST, 0))) as held:
        return int(held.getsockname()[1])


def alive(pid: int) -> bool:
    """Tell whether a process runs; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except FileNotFoundError:
        return False


def child_of(log: Path) -> int:
    return int(log.read_text().split()[1])


def server(port: int) -> list[str]:
    return [sys.executable, "-c", SERVER, str(port)]


def soon(condition: Callable[[], bool]) -> bool:
    until = time.monotonic() + 20
    while not condition() and time.monotonic() < until:
        time.sleep(0.02)
    return condition()


def test_it_is_awaited_and_ends_with_all_its_processes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("proxyspec.started.ENDING", 0.5)
    port, log = free_port(), tmp_path / "log"
    with started(server(port), HOST, port, log) as pid:
        assert pid is not None
        assert os.getpgid(pid) == pid != os.getpgid(0)
        socket.create_connection((HOST, port)).close()
        assert soon(lambda: b"\n" in log.read_bytes())
        child = child_of(log)
        assert alive(pid)
        assert alive(child)
    assert not alive(pid)
    assert soon(lambda: not alive(child)), "it ignores SIGTERM"


def test_an_interruption_the_moment_it_is_there_ends_it(tmp_path: Path) -> None:
    def birth(frame: FrameType, event: str, argument: object) -> None:
        if event == "c_return" and getattr(argument, "__name__", "") == "fork_exec":
            sys.setprofile(None)
            signal.raise_signal(signal.SIGINT)

    def runs() -> bool:
        found = []
        for entry in Path("/proc").iterdir():
            with suppress(OSError):
                found.append(entry.name.isdecimal() and str(tmp_path).encode() in (entry / "cmdline").read_bytes())
        return any(found)

    def start() -> None:
        port = free_port()
        sys.setprofile(birth)
        try:
            with started([*server(port), str(tmp_path)], HOST, port, tmp_path / "log"):
                pytest.fail("it was not interrupted")
        finally:
            sys.setprofile(None)

    with pytest.raises(KeyboardInterrupt), interrupting():
        start()
    assert soon(lambda: not runs())


def test_an_interruption_while_it_ends_waits_for_that(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("proxyspec.started.ENDING", 0.5)
    port, log = free_port(), tmp_path / "log"
    stop = [sys.executable, "-c", "import os; os.kill(os.getppid(), 2)"]
    pids = []

    def use() -> None:
        with started(server(port), HOST, port, log, stop=stop) as pid:
            assert pid is not None
            assert soon(lambda: b"\n" in log.read_bytes())
            pids.extend([pid, child_of(log)])

    with pytest.raises(KeyboardInterrupt), interrupting():
        use()
    assert len(pids) == 2
    assert soon(lambda: not any(map(alive, pids)))


def test_its_stop_command_comes_first_and_both_run_in_their_folder(tmp_path: Path) -> None:
    port, folder = free_port(), tmp_path / "profile"
    folder.mkdir()
    words = [[sys.executable, "-c", text] for text in (POLITE.format(port=port), END)]
    with started(words[0], HOST, port, tmp_path / "log", stop=words[1], folder=folder):
        assert (folder / "pid").read_text()
    assert (tmp_path / "log").read_text().split() == ["stopping", "asked"]


def test_a_command_that_leaves_the_server_behind_needs_a_stop(tmp_path: Path) -> None:
    port = free_port()
    words = [[sys.executable, "-c", text] for text in (BEHIND.format(server=ALONE, port=port), END)]
    with started(words[0], HOST, port, tmp_path / "log", stop=words[1], folder=tmp_path):
        server_pid = int((tmp_path / "pid").read_text())
        assert alive(server_pid)
    assert soon(lambda: not alive(server_pid))


@pytest.mark.parametrize(
    ("words", "error", "said"),
    [
        (["/no/such/server"], UsageError, "'/no/such/server' cannot be run: No such file or directory"),
        ([sys.executable, "-c", "print('\\x1b[42m no licence'); exit(3)"], HarnessError, "ended with 3"),
        ([sys.executable, "-c", "print('\\x1b[42m no licence'); exit(3)"], HarnessError, "\\x1b[42m no licence"),
        ([sys.executable, "-c", "exit(0)"], HarnessError, "no word from it"),
    ],
)
def test_what_does_not_start_is_told_in_its_own_words(
    tmp_path: Path, words: list[str], error: type[Exception], said: str
) -> None:
    with pytest.raises(error) as caught, started(words, HOST, free_port(), tmp_path / "log"):
        pytest.fail("it never listened")
    assert said in str(caught.value)


def test_what_never_listens_is_given_up_and_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("proxyspec.started.STARTING", 0.3)
    word = "import os, signal; print(os.getpid(), 'waiting', flush=True); signal.pause()"
    monkeypatch.setattr("proxyspec.started.EVERY", 0.02)
    log = tmp_path / "log"
    with (
        pytest.raises(HarnessError, match="does not listen on 127"),
        started([sys.executable, "-c", word], HOST, free_port(), log),
    ):
        pytest.fail("it never listened")
    if text := log.read_text():
        assert not alive(int(text.split()[0]))


def test_somebody_elses_port_is_refused(tmp_path: Path) -> None:
    with closing(socket.create_server((HOST, 0))) as held:
        port = held.getsockname()[1]
        with (
            pytest.raises(UsageError, match="answers before its server is started"),
            started(server(port), HOST, port, tmp_path / "log"),
        ):
            pytest.fail("another server listens there")


def profile(tmp_path: Path, port: int, *arguments: str) -> Path:
    words = [sys.executable, "-m", "proxyspec_server", "--listen", f"{HOST}:{port}", "--trust", HOST, *arguments]
    path = tmp_path / "mx.toml"
    path.write_text(f'[target]\nurl = "smtp://{HOST}:{port}"\nheader_timeout = 30\nstart = {words!r}\n')
    return path


def command(path: Path, out: Path) -> list[str]:
    return [sys.executable, "-m", "proxyspec", "run", str(path), "--out", str(out)]


def test_a_run_starts_the_server_of_its_profile_says_so_and_ends_it(tmp_path: Path) -> None:
    port = free_port()
    path = profile(tmp_path, port)
    words = [*command(path, tmp_path / "run"), "--case", "v1/tcp4/ok", "--case", "aftermath/reset/v1-05"]
    done = subprocess.run(words, capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == ExitCode.OK, done.stdout + done.stderr
    assert f"-m proxyspec_server --listen {HOST}:{port}" in done.stdout
    assert f"as {path} says" in done.stdout
    record = load_run(tmp_path / "run")
    assert isinstance(record, ConformanceRun)
    assert record.cases[0].reproduce.startswith(f"proxyspec run {path}")
    watched = next(case for case in record.cases if case.id == "aftermath/reset/v1-05")
    assert any(event.kind == "processor" for event in watched.events), "the process it started is the one to watch"
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((HOST, port))


def test_ctrl_c_ends_the_server_too(tmp_path: Path) -> None:
    port = free_port()
    words = [*command(profile(tmp_path, port), tmp_path / "run"), "--case", "general/deadline/silent"]
    with subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if "target answers" in line:
                break
        process.send_signal(signal.SIGINT)
        rest = process.stdout.read()
        assert process.wait(30) == ExitCode.INTERRUPTED, rest
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((HOST, port))


def test_init_writes_the_commands_and_looks_at_the_server_they_start(tmp_path: Path) -> None:
    port = free_port()
    words = [sys.executable, "-m", "proxyspec_server", "--listen", f"{HOST}:{port}", "--trust", HOST]
    path = tmp_path / "mx.toml"
    asked = ["init", f"smtp://{HOST}:{port}", "-o", str(path), "--header-timeout", "30"]
    assert main([*asked, "--start", shlex.join(words), "--stop", "sh -c 'exit 0'"]) == ExitCode.OK
    target = load_target(str(path))
    assert target.service == Service(str(path), tuple(words), ("sh", "-c", "exit 0"))
    assert target.oracle == "ehlo", "it was started for the look"
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((HOST, port))


@pytest.mark.parametrize(
    ("keys", "said"),
    [
        ('start = "server --now"', "[target] start: Input should be a valid list"),
        ('start = ["server", ""]', "[target] start.1: String should have at least 1 character"),
        ('start = ["server\\u0000"]', "[target] start.0: String should match"),
        ('stop = ["server"]', "stop ends what start has started"),
    ],
)
def test_a_bad_command_is_named_with_its_place(tmp_path: Path, keys: str, said: str) -> None:
    path = tmp_path / "mx.toml"
    path.write_text(f'[target]\nurl = "smtp://127.0.0.1:25"\n{keys}\n')
    with pytest.raises(UsageError) as caught:
        load_target(str(path))
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--start", "'open"], '--start "\'open" cannot be read: No closing quotation'),
        (["--start", " "], "--start ' ' names no command"),
        (["--stop", "me"], "--stop ends what --start has started"),
    ],
)
def test_init_refuses_what_is_no_command(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str
) -> None:
    assert main(["init", "smtp://127.0.0.1:1", "-o", str(tmp_path / "mx.toml"), *words]) == ExitCode.USAGE
    assert said in capsys.readouterr().err
    assert not (tmp_path / "mx.toml").exists()
