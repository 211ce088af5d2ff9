"""A target whose processes crash of a header: no refusal, the culprits are found, and nobody else is blamed."""

from __future__ import annotations

import asyncio
import re
import socket
import subprocess
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from proxyspec.casebook import Chapter, catalogue_of
from proxyspec.driver import Aids
from proxyspec.model import Case, EventKind, Level, Send, Source, Target, Verdict
from proxyspec.oracle import ehlo_oracle
from proxyspec.records import CaseRecord, ConformanceRun, load_run
from proxyspec.scheduler import Judged, Plan, Roads, run_cases
from proxyspec.wire import Road

from .scripted_wire import FIN, RST, Said, ScriptedWire, smtp_server
from .virtual_time import run_virtually

GOOD = b"PROXY TCP4 192.0.2.1 192.0.2.2 1111 25\r\n"
TARGET = Target(host="127.0.0.1", port=25)
ROADS = Roads({Source.TRUSTED: Road("127.0.0.1", 25)}, {})
LINE = "Nov 23 04:25:43 mx postfix/master[1]: warning: process smtpd pid 9 killed by signal 6"


def takes_good(received: bytes) -> tuple[int, str] | None:
    return (len(GOOD), "192.0.2.1") if received.startswith(GOOD) else None


@dataclass
class Forking:
    """A server with a process a connection: a line that begins with a bad word is refused, with `crash` its end.

    Its log tells of a crash `delay` seconds late. For `outage` seconds after one nobody is served.
    """

    delay: float = 0.02
    outage: float = 0.0
    #: Only the first so many crashes come about.
    crashes: float = float("inf")
    #: It crashes with nothing to do, too, so often in seconds.
    haunted: float | None = None
    #: One process serves all connections, which end with it.
    shared: bool = False
    _log: list[tuple[float, str]] = field(default_factory=list)
    _read: int = 0
    _down_until: float = 0.0
    _wires: list[ScriptedWire] = field(default_factory=list)

    def read(self) -> list[str]:
        now = asyncio.get_running_loop().time()
        if self.haunted is not None:
            told = sum(line == LINE + " again" for _, line in self._log)
            self._log += [(now, LINE + " again")] * (int(now / self.haunted) - told)
        new = [line for at, line in self._log[self._read :] if at <= now]
        self._read += len(new)
        return new

    def __call__(self, road: Road) -> ScriptedWire:
        serves = smtp_server(takes_good)
        died = False

        def script(received: bytes, half_closed: bool) -> Iterable[tuple[float, Said]]:
            nonlocal died
            now = asyncio.get_running_loop().time()
            if died or now < self._down_until:
                return
            if received.startswith(b"bad") and received.endswith(b"\n"):
                died = True
                if b"crash" in received and self.crashes > 0:
                    self.crashes -= 1
                    self._log.append((now + self.delay, LINE))
                    self._down_until = now + self.outage
                    for wire in self._wires if self.shared else ():
                        wire._queue.put_nowait(RST)
                yield 0, FIN
            else:
                yield from serves(received, half_closed)

        wire = ScriptedWire(script)
        self._wires.append(wire)
        return wire


USUAL = Case(id="usual", title="t", section="2", level=Level.MUST, steps=(Send(GOOD),), accept=())


def chapter(*lines: bytes, innocent: int = 40) -> Chapter:
    made = Chapter("c", section="2", control="c/good")
    made.accepts("good", GOOD, "t")
    for number, line in enumerate(lines):
        made.rejects(f"guilty-{number}", line, "t")
    for number in range(innocent):
        made.rejects(f"refused-{number}", b"bad\r\n", "t")
        made.accepts(f"served-{number}", GOOD, "t")
    made.rejects("waits", b"PROXY", "t", waits=True)
    return made


def run(made: Chapter, net: Forking, read: Callable[[], list[str]] | None, **more: object) -> dict[str, Judged]:
    judged: list[Judged] = []
    catalogue = catalogue_of([made])
    plan = Plan(
        catalogue, catalogue.cases, TARGET, ROADS, ehlo_oracle, connect=net, aids=Aids(crashes=read), usual=USUAL
    )
    run_virtually(run_cases(replace(plan, **more), judged.append))  # type: ignore[arg-type]
    assert len({one.case.id for one in judged}) == len(judged) == len(catalogue), "each case is reported once"
    return {one.case.id: one for one in judged}


def failed(judged: dict[str, Judged]) -> set[str]:
    return {name for name, one in judged.items() if one.judgement.verdict is not Verdict.PASS}


def test_without_a_log_a_crash_is_a_refusal() -> None:
    assert failed(run(chapter(b"bad crash\r\n"), Forking(), None)) == set()


@pytest.mark.parametrize("delay", [0.0, 0.02, 0.9])
def test_the_cases_that_crash_a_process_fail_with_the_line_and_no_others(delay: float) -> None:
    net, remarks = Forking(delay), list[str]()
    judged = run(chapter(b"bad crash\r\n", b"bad\r\n", b"bad crash 2\r\n"), net, net.read, remark=remarks.append)
    assert failed(judged) == {"c/guilty-0", "c/guilty-2"}
    for name in failed(judged):
        assert judged[name].judgement.verdict is Verdict.FAIL
        assert judged[name].judgement.reason == f"a process of the target crashes, which no header may cause: {LINE}"
        transcript = judged[name].transcript
        assert transcript is not None
        crash = transcript.first(EventKind.CRASHED)
        assert crash is not None
        assert crash.data == LINE.encode()
    [remark] = remarks
    assert re.search(r"^processes of the target crash, says its log: \d+ cases", remark)


def test_a_sound_target_is_asked_nothing_twice() -> None:
    net = Forking()
    made = chapter(b"bad\r\n")
    judged = run(made, net, net.read)
    assert failed(judged) == set()
    assert len(net._wires) == len(judged)


def test_what_crashed_before_the_first_case_concerns_none() -> None:
    net = Forking(_log=[(0.0, LINE)])
    assert failed(run(chapter(b"bad\r\n"), net, net.read)) == set()


@pytest.mark.parametrize("outage", [1.0, 60.0])
def test_a_target_that_must_recover_is_given_the_time(outage: float) -> None:
    net = Forking(outage=outage)
    assert failed(run(chapter(b"bad crash\r\n"), net, net.read)) == {"c/guilty-0"}


def test_whose_connections_end_with_anothers_process_is_judged_by_another_run() -> None:
    net = Forking(shared=True)
    assert failed(run(chapter(b"bad crash\r\n"), net, net.read)) == {"c/guilty-0"}


def test_a_crash_that_does_not_come_again_is_told_and_nobody_is_blamed() -> None:
    net = Forking(crashes=1)
    judged = run(chapter(b"bad crash\r\n"), net, net.read)
    assert {one.judgement.verdict for one in judged.values()} == {Verdict.PASS, Verdict.UNTESTABLE}
    assert judged["c/guilty-0"].judgement.verdict is Verdict.UNTESTABLE
    assert "none crashed when the cases of that time ran again: Nov" in judged["c/guilty-0"].judgement.reason
    assert judged["c/waits"].judgement.verdict is Verdict.PASS, "it ended much later"
    assert judged["c/served-3"].judgement.verdict is Verdict.PASS, "the target took its leave of it"


def test_a_target_that_crashes_with_nothing_to_do_blames_nobody() -> None:
    net = Forking(haunted=0.5)
    judged = run(chapter(b"bad crash\r\n"), net, net.read)
    assert Verdict.FAIL not in {one.judgement.verdict for one in judged.values()}
    assert "one also crashed when no case ran" in judged["c/guilty-0"].judgement.reason
    assert judged["c/served-3"].judgement.verdict is Verdict.PASS


def test_of_very_many_culprits_the_first_are_named() -> None:
    net = Forking()
    judged = run(chapter(*[b"bad crash\r\n"] * 60, innocent=1), net, net.read)
    verdicts = [judged[f"c/guilty-{number}"].judgement.verdict for number in range(60)]
    assert verdicts.count(Verdict.FAIL) == 32
    assert verdicts.count(Verdict.UNTESTABLE) == 28
    untried = next(one for one in judged.values() if one.judgement.verdict is Verdict.UNTESTABLE)
    assert "32 other cases make one crash, so this one was not tried by itself" in untried.judgement.reason
    assert judged["c/good"].judgement.verdict is Verdict.PASS, "it ran among them"


#: A process a connection, which reads one line and speaks SMTP; a port above 65535 ends it by an assertion of sorts.
SERVER = r"""
import os, re, signal, socket, sys
server = socket.create_server(("127.0.0.1", int(sys.argv[1])), backlog=200)
line = re.compile(rb"PROXY TCP4 (192\.0\.2\.1) 192\.0\.2\.\d+ (0|[1-9]\d*) (0|[1-9]\d*)\r\n")
def reap(*_):
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if pid == 0:
            return
        if os.WIFSIGNALED(status):
            print(f"mx: child {pid} was lost to signal {os.WTERMSIG(status)}", flush=True)
signal.signal(signal.SIGCHLD, reap)
def serve(peer):
    peer.settimeout(4)
    stream = peer.makefile("rwb", buffering=0)
    header = stream.readline(108)
    print("got", header, flush=True)
    found = line.fullmatch(header)
    if found is None:
        return
    if int(found[3]) > 65535 and sys.argv[2:] == ["aborts"]:
        os.abort()
    if max(int(found[2]), int(found[3])) > 65535:
        return
    stream.write(b"220 mx.test\r\n")
    for said in stream:
        word = said[:4].upper()
        replies = {b"EHLO": b"250 mx.test Hello [%s]\r\n" % found[1], b"QUIT": b"221 bye\r\n"}
        stream.write(replies.get(word, b"250 ok\r\n"))
        if word == b"QUIT":
            return
while True:
    peer, _ = server.accept()
    if os.fork() == 0:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        try:
            serve(peer)
        finally:
            os._exit(0)
    peer.close()
"""


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


def judged_live(tmp_path: Path, *words: str, more: str = "") -> tuple[dict[str, CaseRecord], str]:
    port = free_port()
    (tmp_path / "server.py").write_text(SERVER)
    start = [sys.executable, "server.py", str(port), *words]
    profile = tmp_path / "mx.toml"
    profile.write_text(
        f'[target]\nurl = "smtp://127.0.0.1:{port}"\nheader_timeout = 4\nversions = [1]\nstart = {start!r}\n{more}'
    )
    cases = [word for case in ("v1/port", "v1/tcp4/ok") for word in ("--case", case)]
    done = subprocess.run(
        [sys.executable, "-m", "proxyspec", "run", str(profile), "--out", str(tmp_path / "run"), *cases],
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode in (0, 1), done.stdout + done.stderr
    record = load_run(tmp_path / "run")
    assert isinstance(record, ConformanceRun)
    return {case.id: case for case in record.cases}, done.stdout


CRASHES = "crash_pattern = 'mx: child [0-9]+ was lost to signal (?:6|11)'\n"
TOO_LARGE = re.compile(rb"PROXY TCP4 \S+ \S+ (?:0|[1-9]\d*) ([1-9]\d*)\r\n")


def too_large(case: CaseRecord) -> bool:
    found = TOO_LARGE.match(bytes.fromhex(case.sent))
    return found is not None and int(found[1]) > 65535


def test_a_worker_that_aborts_passes_without_its_log_and_fails_with_it(tmp_path: Path) -> None:
    for name in ("unwatched", "watched", "sound"):
        (tmp_path / name).mkdir()
    unwatched, _ = judged_live(tmp_path / "unwatched", "aborts")
    guilty = {name for name, case in unwatched.items() if too_large(case)}
    assert len(guilty) >= 3
    assert {unwatched[name].verdict for name in guilty} == {Verdict.PASS}, "on the wire it looks like a refusal"
    watched, told = judged_live(tmp_path / "watched", "aborts", more=CRASHES)
    assert {name for name, case in watched.items() if case.verdict is Verdict.FAIL} == guilty
    for name in guilty:
        assert re.search(r"a process of the target crashes.*mx: child \d+ was lost to signal 6", watched[name].reason)
        assert watched[name].events[-1].kind == "crashed"
    assert "processes of the target crash, says its log" in told
    sound, told = judged_live(tmp_path / "sound", more=CRASHES)
    assert {name for name, case in sound.items() if case.verdict is Verdict.FAIL} == set()
    assert "crash" not in told
    for name in watched.keys() - guilty:
        assert watched[name].verdict == sound[name].verdict == unwatched[name].verdict, name
