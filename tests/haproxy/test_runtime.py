from __future__ import annotations

import socket
import socketserver
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxyspec_haproxy import (
    CommandError,
    MasterClient,
    Process,
    Reload,
    RuntimeClient,
    RuntimeUnavailable,
    UnexpectedAnswer,
)
from proxyspec_haproxy.runtime import (
    parse_info,
    parse_processes,
    parse_reload,
    parse_sessions,
    parse_stat,
)

INFO = """\
Name: HAProxy
Version: 2.6.12-1+deb12u4
Pid: 4711
Uptime: 0d 0h01m05s
Uptime_sec: 65
CurrConns: 3
CumConns: 120
Maxconn: 4000
Stopping: 0
description: a: b
"""
COLUMNS = (
    "pxname,svname,qcur,qmax,scur,smax,stot,bin,bout,econ,eresp,wretr,wredis,status,weight,chkfail,chkdown,"
    "check_status,check_code,check_duration,last_chk,check_desc"
)
STAT = f"""\
# {COLUMNS},
mx,FRONTEND,,,1,2,9,100,200,,,,,OPEN,,,,,,,,,
mx,smtp1,1,2,3,4,5,6,7,8,9,10,11,UP,10,1,2,L7OK,221,15,bye,Layer7 check passed,
mx,smtp2,0,0,0,0,0,0,0,0,0,0,0,DOWN,1,1,1,* L7STS,421,3,"no, ""\x1b[1mbusy"" now",Layer7 wrong status,
mx,smtp3,0,0,0,0,0,0,0,0,0,0,0,no check,1,,,,,,,,
mx,smtp4,0,0,0,0,0,0,0,0,0,0,0,UP 0/3,1,0,0,INI,,,,Initializing,
mx,BACKEND,0,0,0,0,0,0,0,0,0,0,0,UP,3,,1,,,,,,

"""
PROC_2_6 = """\
#<PID>          <type>          <reloads>       <uptime>        <version>
1               master          2 [failed: 1]   0d00h00m09s     2.6.12-1
# workers
12              worker          0               0d00h00m04s     2.6.12-1
# old workers
8               worker          2               0d00h00m09s     2.6.12-1
# programs
"""
PROC_2_2 = """\
#<PID>          <type>          <relative PID>  <reloads>       <uptime>        <version>
1               master          0               1               0d00h00m00s     2.2.9-2
# workers
# old workers
11              worker          [was: 1]        1               0d00h00m00s     2.2.9-2
"""


def test_info() -> None:
    info = parse_info(INFO)
    assert (info.version, info.pid, info.uptime_s) == ("2.6.12-1+deb12u4", 4711, 65)
    assert (info.connections, info.connections_total, info.max_connections) == (3, 120, 4000)
    assert info.stopping is False
    assert info.raw["description"] == "a: b"
    assert parse_info(INFO.replace("Stopping: 0", "Stopping: 1")).stopping is True


def test_stat_of_servers_with_and_without_checks() -> None:
    rows = {row.name: row for row in parse_stat(STAT)}
    assert list(rows) == ["FRONTEND", "smtp1", "smtp2", "smtp3", "smtp4", "BACKEND"]
    assert [name for name, row in rows.items() if row.is_server] == ["smtp1", "smtp2", "smtp3", "smtp4"]
    assert [row.up for row in rows.values()] == [True, True, False, True, True, True]
    one = rows["smtp1"]
    assert (one.queue, one.queue_max, one.sessions, one.sessions_max, one.sessions_total) == (1, 2, 3, 4, 5)
    assert (one.bytes_in, one.bytes_out, one.errors_connect, one.errors_response) == (6, 7, 8, 9)
    assert (one.retries, one.redispatches, one.weight, one.proxy) == (10, 11, 10, "mx")
    assert one.check is not None
    assert (one.check.status, one.check.code, one.check.last, one.check.duration_ms) == ("L7OK", 221, "bye", 15)
    assert (one.check.failed, one.check.went_down, one.check.ok, one.check.finished) == (1, 2, True, True)
    assert rows["smtp3"].check is None
    assert rows["smtp4"].state == "UP"
    assert rows["smtp4"].check is not None
    assert not rows["smtp4"].check.finished


def test_what_a_server_said_in_a_check_is_shown_with_its_control_characters() -> None:
    (row,) = [row for row in parse_stat(STAT) if row.name == "smtp2"]
    assert row.check is not None
    assert row.check.last == r'no, "\x1b[1mbusy" now'
    assert (row.check.status, row.check.running, row.check.ok, row.check.finished) == ("L7STS", True, False, False)


def test_sessions_without_the_one_that_asks() -> None:
    text = (
        "0x55d0: proto=tcpv4 src=127.0.0.1:5000 fe=smtp be=mx srv=smtp1 age=4s rq[f=8h,i=0,an=00h] exp=26s\n"
        "0x55d1: proto=unix_stream src=unix:1 fe=GLOBAL be=<NONE> srv=<none> ts=00 age=0s\n"
    )
    (session,) = parse_sessions(text)
    assert session["id"] == "0x55d0"
    assert (session["fe"], session["srv"], session["age"], session["exp"]) == ("smtp", "smtp1", "4s", "26s")


def test_processes_in_the_layouts_of_old_and_new() -> None:
    assert parse_processes(PROC_2_6) == [
        Process(1, "master", old=False, reloads=2),
        Process(12, "worker", old=False, reloads=0),
        Process(8, "worker", old=True, reloads=2),
    ]
    assert parse_processes(PROC_2_2) == [
        Process(1, "master", old=False, reloads=0),
        Process(11, "worker", old=True, reloads=1),
    ]


def test_reload_answers() -> None:
    assert parse_reload("Success=1\n--\n[NOTICE] fine\n") == Reload(ok=True, log="[NOTICE] fine")
    assert parse_reload("Success=0\n--\n[ALERT] bad\n") == Reload(ok=False, log="[ALERT] bad")
    assert parse_reload("") == Reload(ok=None, log="")


@pytest.mark.parametrize(
    ("parse", "text", "complaint"),
    [
        (parse_info, "", "show info: no field Version, Pid"),
        (parse_info, INFO.replace("65\n", "soon\n"), "field Uptime_sec is 'soon'"),
        (parse_info, INFO.replace("4711", "9" * 5000), "field Pid is '9999"),
        (parse_stat, "Unknown command\n", "show stat: expected a CSV header"),
        (parse_stat, STAT.replace(",221,", ",two,"), "field check_code is 'two'"),
        (parse_stat, f'# {COLUMNS},\nmx,"a\n', "show stat: "),
    ],
)
def test_what_is_not_haproxys_answer_is_refused(parse: Callable[[str], object], text: str, complaint: str) -> None:
    with pytest.raises(UnexpectedAnswer, match=complaint):
        parse(text)


@pytest.mark.parametrize("parse", [parse_info, parse_stat])
@pytest.mark.parametrize(
    "start", ["", f"# {COLUMNS},\n", "1\n# be_name srv_name srv_addr srv_port srv_op_state\n", INFO]
)
@given(text=st.text())
def test_any_text_is_read_or_refused(parse: Callable[[str], object], start: str, text: str) -> None:
    with suppress(UnexpectedAnswer):
        assert parse(start + text) is not None


@given(st.text())
def test_lenient_answers_take_any_text(text: str) -> None:
    assert parse_reload(text).ok is None or text.startswith("Success=")
    assert all(process.kind in ("master", "worker", "program") for process in parse_processes(text))
    assert all("id" in session for session in parse_sessions(text))


class FakeSocket(socketserver.ThreadingUnixStreamServer):
    """Reads one line per connection, answers from a table, closes; "hang" never ends its answer."""

    daemon_threads = True
    block_on_close = False

    def __init__(self, path: Path, answers: dict[str, bytes]) -> None:
        self.answers = answers
        self.lines: list[str] = []
        self.released = threading.Event()
        super().__init__(str(path), _Exchange)


class _Exchange(socketserver.StreamRequestHandler):
    server: FakeSocket

    def handle(self) -> None:
        line = self.rfile.readline().decode().rstrip("\n")
        self.server.lines.append(line)
        self.wfile.write(
            self.server.answers.get(line.removeprefix("set severity-output number;"), b"Unknown command\n")
        )
        if line == "hang":
            self.server.released.wait(10)


@pytest.fixture
def fake() -> Iterator[Callable[[dict[str, bytes]], FakeSocket]]:
    with ExitStack() as undo:
        # Not tmp_path, whose length a UNIX socket cannot take.
        folder = Path(undo.enter_context(tempfile.TemporaryDirectory(prefix="ps-")))

        def start(answers: dict[str, bytes]) -> FakeSocket:
            server = undo.enter_context(FakeSocket(folder / "s", answers))
            threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
            undo.callback(server.shutdown)
            undo.callback(server.released.set)
            return server

        yield start


Fake = Callable[[dict[str, bytes]], FakeSocket]


def client_of(server: FakeSocket) -> RuntimeClient:
    return RuntimeClient(f"unix@{server.server_address!s}")


def test_answers_come_through_the_socket(fake: Fake) -> None:
    client = client_of(fake({"show info": INFO.encode(), "show stat": STAT.encode()}))
    assert client.info().pid == 4711
    assert client.server("mx", "smtp1").weight == 10
    assert client.stat("other") == []
    with pytest.raises(KeyError, match="no server mx/smtp9; there are mx/smtp1, mx/smtp2"):
        client.server("mx", "smtp9")


def test_commands_are_written_as_haproxy_wants_them(fake: Fake) -> None:
    server = fake({"set server mx/s1 state drain": b"\n", "set server mx/s1 state ready": b"\n"})
    client = client_of(server)
    client.drain("mx", "s1")
    client.enable("mx", "s1")
    assert server.lines == [
        "set severity-output number;set server mx/s1 state drain",
        "set severity-output number;set server mx/s1 state ready",
    ]


@pytest.mark.parametrize(
    ("answer", "severity", "message"),
    [
        (b"[3]:No such server.\n\n", 3, "No such server."),
        (b"[2]:bad\x1b[2J\n", 2, r"bad\x1b[2J"),
        (b"[6]:Unknown command: 'x', but maybe one of\n  help\n", 3, "Unknown command: 'x', but maybe one of"),
        (b"Unknown command. Please enter\n", 3, "Unknown command. Please enter"),
    ],
)
def test_refusals_are_errors_with_their_severity(fake: Fake, answer: bytes, severity: int, message: str) -> None:
    with pytest.raises(CommandError) as refused:
        client_of(fake({"x": answer})).command("x")
    assert (refused.value.command, refused.value.severity, refused.value.message) == ("x", severity, message)


def test_information_is_no_error(fake: Fake) -> None:
    client = client_of(fake({"x": b"[6]:nothing changed\n\n", "y": b"plain\n"}))
    assert client.command("x") == "nothing changed"
    assert client.command("y") == "plain"


def test_an_answer_without_an_end_runs_into_the_timeout(fake: Fake) -> None:
    client = RuntimeClient(str(fake({"hang": b"some"}).server_address), timeout=0.2)
    with pytest.raises(RuntimeUnavailable, match=r"no whole answer to 'hang' within 0\.2 s"):
        client.raw("hang")


def test_an_answer_too_long_is_cut_off(fake: Fake) -> None:
    client = RuntimeClient(str(fake({"x": b"a" * 100_000}).server_address), max_answer=1000)
    with pytest.raises(RuntimeUnavailable, match="exceeds 1000 bytes"):
        client.raw("x")


@pytest.mark.parametrize("line", ["show info\nshutdown", "a\rb"])
def test_one_command_at_a_time(line: str) -> None:
    with pytest.raises(ValueError, match="one command line at a time"):
        RuntimeClient("/nowhere").raw(line)


def test_names_that_would_smuggle_a_command_are_refused() -> None:
    with pytest.raises(ValueError, match="server 's1;quit'"):
        RuntimeClient("/nowhere").drain("mx", "s1;quit")
    with pytest.raises(ValueError, match="backend 'm x'"):
        RuntimeClient("/nowhere").enable("m x", "s1")


def test_a_socket_that_is_not_there() -> None:
    with pytest.raises(RuntimeUnavailable, match=r"/nowhere: No such file or directory; is that HAProxy running\?"):
        RuntimeClient("/nowhere").info()
    with pytest.raises(TimeoutError, match="still RuntimeUnavailable"):
        RuntimeClient("/nowhere").wait(lambda: RuntimeClient("/nowhere").info(), timeout=0.05)


def test_tcp_addresses_of_both_families() -> None:
    for family, host, written in ((socket.AF_INET, "127.0.0.1", "127.0.0.1"), (socket.AF_INET6, "::1", "[::1]")):
        with socket.socket(family) as listener:
            listener.bind((host, 0))
            port = listener.getsockname()[1]
        with pytest.raises(RuntimeUnavailable, match="Connection refused"):
            RuntimeClient(f"{written}:{port}", timeout=1.0).info()


def test_a_port_there_cannot_be_is_no_other_port() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        beyond = listener.getsockname()[1] + 65_536
        with pytest.raises(RuntimeUnavailable, match=f"127.0.0.1:{beyond}: there is no port beyond 65535"):
            RuntimeClient(f"127.0.0.1:{beyond}", timeout=1.0).info()
        listener.setblocking(False)
        with pytest.raises(BlockingIOError):
            listener.accept()


def test_wait_checked_waits_for_servers_to_finish_and_knows_its_backends(fake: Fake) -> None:
    done = STAT.replace("* L7STS", "L7STS").replace(",INI,", ",L4OK,")
    server = fake({"show stat": STAT.encode()})
    client = client_of(server)
    with pytest.raises(TimeoutError):
        client.wait_checked("mx", timeout=0.05)
    server.answers["show stat"] = done.encode()
    assert [row.name for row in client.wait_checked("mx")] == ["smtp1", "smtp2", "smtp3", "smtp4"]
    with pytest.raises(KeyError, match="no servers in a backend 'nosuch'"):
        client.wait_checked("nosuch")


def test_the_master(fake: Fake) -> None:
    server = fake({"show proc": PROC_2_6.encode(), "reload": b"Success=0\n--\nwhy not\n"})
    master = MasterClient(str(server.server_address))
    assert master.workers() == {12}
    assert master.reload() == Reload(ok=False, log="why not")
