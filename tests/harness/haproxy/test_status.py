from __future__ import annotations

import io
import json
import socketserver
import subprocess
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from rich.console import Console

from proxyspec.errors import UsageError
from proxyspec.haproxy.status import MOST_ROWS, WIDE, Snapshot, resolve, screen, take
from proxyspec_haproxy import RuntimeClient
from tests.harness.program import proxyspec

INFO = "Version: 2.6.12\x1b[2J\nPid: 4711\nUptime_sec: 7200\nCurrConns: 3\nCumConns: 120\nMaxconn: 400\nStopping: 1\n"
COLUMNS = (
    "pxname,svname,scur,smax,stot,bin,bout,status,weight,lastchg,rate,check_status,check_code,check_duration,last_chk"
)
HOSTILE = f"""\
# {COLUMNS},
mx,FRONTEND,1,2,9,1500,2000000,OPEN,,,4,,,,,
mx,s1,1,2,9,100,200,UP,7,65,3,L7OK,221,15,bye,
m\x1b[31mx,s2,0,0,0,0,0,DOWN,1,2,0,L7STS,421,3,"go [red]away[/] \x1b[2J\x07",

"""
SESSIONS = "0x1: proto=tcpv4 src=192.0.2.9:5000 fe=mx be=mx srv=s\x1b1 age=4s\n0x2: proto=unix fe=GLOBAL be=<NONE>\n"

Answers = dict[str, str]


class _Exchange(socketserver.StreamRequestHandler):
    def handle(self) -> None:
        line = self.rfile.readline().decode().strip()
        answers: Answers = self.server.answers  # type: ignore[attr-defined]
        self.wfile.write(answers.get(line, "Unknown command\n").encode())


@pytest.fixture
def fake() -> Iterator[Callable[[Answers], str]]:
    with ExitStack() as undo:
        folder = undo.enter_context(tempfile.TemporaryDirectory(prefix="ps-"))

        def start(answers: Answers) -> str:
            path = str(Path(folder) / "s")
            server = undo.enter_context(socketserver.ThreadingUnixStreamServer(path, _Exchange))
            server.answers = answers  # type: ignore[attr-defined]
            threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05}, daemon=True).start()
            undo.callback(server.shutdown)
            return path

        yield start


def hostile(fake: Callable[[Answers], str]) -> str:
    return fake({"show info": INFO, "show stat": HOSTILE, "show sess": SESSIONS})


def shown(snapshot: Snapshot, width: int = 200) -> str:
    console = Console(width=width, file=io.StringIO(), color_system=None)
    with console.capture() as captured:
        console.print(screen(snapshot, width))
    return captured.get()


def test_a_snapshot_is_safe_to_show(fake: Callable[[Answers], str]) -> None:
    snapshot = take(RuntimeClient(hostile(fake)))
    text = shown(snapshot)
    assert "\x1b" not in text + json.dumps(snapshot.json())
    assert "\x07" not in text
    assert "HAProxy 2.6.12\\x1b[2J, process 4711, up 2h, stopping; 3 of 400 connections, 120 in all" in text
    assert "go [red]away[/] \\x1b[2J\\x07 in 3 ms" in text
    assert "192.0.2.9:5000  mx → mx/s\\x1b1  4s" in text
    assert "2.0 MB" in text


def test_a_narrow_terminal_leaves_traffic_out_and_cuts_nothing(fake: Callable[[Answers], str]) -> None:
    snapshot = take(RuntimeClient(hostile(fake)))
    narrow = shown(snapshot, WIDE - 40)
    assert "2.0 MB" in shown(snapshot, WIDE)
    assert "2.0 MB" not in narrow
    assert "…" not in narrow
    assert "L7OK/221 bye" in narrow


def test_a_snapshot_as_data(fake: Callable[[Answers], str]) -> None:
    data = json.loads(json.dumps(take(RuntimeClient(hostile(fake))).json()))
    assert (data["pid"], data["stopping"], len(data["sessions"])) == (4711, True, 1)
    front, one, two = data["proxies"]
    assert (front["name"], front["check"], front["since_s"]) == ("FRONTEND", None, None)
    assert (one["up"], one["rate"], one["since_s"], one["weight"]) == (True, 3, 65, 7)
    assert one["check"] == {"status": "L7OK", "code": 221, "last": "bye", "duration_ms": 15, "went_down": 0}
    assert (two["up"], two["proxy"]) == (False, "m\\x1b[31mx")


def test_what_is_shown_is_bounded(fake: Callable[[Answers], str]) -> None:
    rows = "".join(f"mx,s{n},1,2,9,100,200,UP,7,65,3,L7OK,221,15,bye,\n" for n in range(MOST_ROWS + 5))
    sessions = "".join(f"0x{n:x}: src=192.0.2.9:{n} fe=mx be=mx srv=s1 age=4s\n" for n in range(25))
    snapshot = take(
        RuntimeClient(fake({"show info": INFO, "show stat": f"# {COLUMNS},\n{rows}", "show sess": sessions}))
    )
    text = shown(snapshot)
    assert "… 5 rows more" in text
    assert "25 sessions" in text
    assert "… 5 more" in text


def test_run_means_one_haproxy_of_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with pytest.raises(UsageError, match="none of them runs now"):
        resolve("run")
    for name in ("proxyspec-1", "proxyspec-2"):
        (tmp_path / name / "run").mkdir(parents=True)
    (tmp_path / "proxyspec-1" / "run" / "haproxy.sock").touch()
    assert resolve("run") == str(tmp_path / "proxyspec-1" / "run" / "haproxy.sock")
    (tmp_path / "proxyspec-2" / "run" / "haproxy.sock").touch()
    with pytest.raises(UsageError, match=r"proxyspec-1/run/haproxy.sock, .*proxyspec-2/run"):
        resolve("run")
    assert resolve("127.0.0.1:99") == "127.0.0.1:99"


def status(*arguments: str) -> subprocess.CompletedProcess[str]:
    return proxyspec("haproxy", "status", *arguments)


def test_the_command_shows_it_once_where_there_is_no_terminal(fake: Callable[[Answers], str]) -> None:
    address = hostile(fake)
    table, data = status(address), status(address, "--json")
    assert (table.returncode, data.returncode) == (0, 0)
    assert table.stdout.count("HAProxy 2.6.12") == 1
    assert json.loads(data.stdout)["address"] == address


@pytest.mark.parametrize(
    ("answers", "words"),
    [({}, "show info: no field Version"), ({"show info": INFO}, "show stat: expected a CSV header")],
)
def test_what_is_not_haproxy_is_said(fake: Callable[[Answers], str], answers: Answers, words: str) -> None:
    done = status(fake(answers))
    assert done.returncode == 2
    assert words in done.stderr
