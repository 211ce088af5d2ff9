"""Servers that mean harm: the right verdict, bounded memory, an end in time."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import random
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import pytest

from proxyspec.casebook import Chapter, catalogue_of
from proxyspec.driver import FLOOD_LIMIT, PIECES, TRANSCRIPT_LIMIT
from proxyspec.model import OutcomeKind, Source, Target, Verdict
from proxyspec.oracle import ehlo_oracle
from proxyspec.records import ConformanceRun, load_run
from proxyspec.scheduler import Judged, Plan, Roads, run_cases
from proxyspec.wire import Road

from .scripted_wire import FIN, RST, Said, Script, ScriptedWire, smtp_server
from .virtual_time import run_virtually

GOOD = b"PROXY TCP4 192.0.2.1 192.0.2.2 1111 25\r\n"
TARGET = Target(host="127.0.0.1", port=25)


def takes_good(received: bytes) -> tuple[int, str] | None:
    return (len(GOOD), "192.0.2.1") if received.startswith(GOOD) else None


def run(script: Callable[[], Script]) -> tuple[dict[str, Judged], float]:
    """Judge one case that must be accepted and one that must not, against a new script for each connection."""
    chapter = Chapter("c", section="2", control="c/good")
    chapter.accepts("good", GOOD, "A valid header is accepted")
    chapter.rejects("bad", b"PROXY\r\n", "A broken header is refused", waits=True)
    catalogue = catalogue_of([chapter])
    judged: list[Judged] = []

    async def main() -> float:
        roads = Roads({Source.TRUSTED: Road("127.0.0.1", 25)}, {})
        await run_cases(
            Plan(catalogue, catalogue.cases, TARGET, roads, ehlo_oracle, connect=lambda road: ScriptedWire(script())),
            judged.append,
        )
        return asyncio.get_running_loop().time()

    took = run_virtually(main())
    return {one.case.id: one for one in judged}, took


def at_once(*said: Said) -> Callable[[], Script]:
    return lambda: lambda received, half: [(0.0, one) for one in said] if not received else []


def after_header(*said: Said) -> Callable[[], Script]:
    return lambda: lambda received, half: [(0.0, one) for one in said] if received in (GOOD, b"PROXY\r\n") else []


LONG_LINE = b"220 " + b"x" * 1_000_000 + b"\r\n"

#: Servers none of which may pass the case that must be accepted, with what may be said of the two cases.
HOSTILE: dict[str, tuple[Callable[[], Script], OutcomeKind]] = {
    "floods at once": (at_once(*[b"220-spam\r\n" * 6000] * 40), OutcomeKind.HUNG),
    "floods after the header": (after_header(*[b"x" * 65536] * 40), OutcomeKind.HUNG),
    "a line of a megabyte": (after_header(LONG_LINE), OutcomeKind.HUNG),
    "a line of a megabyte, then an end": (after_header(LONG_LINE, FIN), OutcomeKind.REJECTED_REPLY),
    "NULs": (after_header(bytes(5000), FIN), OutcomeKind.REJECTED_REPLY),
    "escapes": (after_header(b"\x1b]0;owned\x07\x1b[2J\r\n", FIN), OutcomeKind.REJECTED_REPLY),
    "SSH": (after_header(b"SSH-2.0-OpenSSH_9.9\r\n", FIN), OutcomeKind.REJECTED_REPLY),
    "HTTP": (after_header(b"HTTP/1.1 400 Bad Request\r\n\r\n", FIN), OutcomeKind.REJECTED_REPLY),
    "greets and falls silent": (after_header(b"220 mx\r\n"), OutcomeKind.HUNG),
    "greets and dies": (after_header(b"220 mx\r\n", RST), OutcomeKind.REJECTED_SILENT),
    "dies at once": (at_once(RST), OutcomeKind.REJECTED_SILENT),
    "half a reply": (after_header(b"220-mx\r\n220-"), OutcomeKind.HUNG),
    "never says anything": (at_once(), OutcomeKind.HUNG),
    "greets everybody and no more": (at_once(b"220 mx\r\n"), OutcomeKind.HUNG),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_server_passes_nothing_and_holds_nobody(name: str) -> None:
    script, outcome = HOSTILE[name]
    judged, took = run(script)
    good, bad = judged["c/good"], judged["c/bad"]
    assert good.judgement.verdict is Verdict.FAIL
    assert good.judgement.outcome is not None
    assert good.judgement.outcome.kind is outcome
    assert bad.judgement.verdict in (Verdict.FAIL, Verdict.UNTESTABLE), "a refusal without its control proves nothing"
    assert took <= TARGET.give_up + 3 * TARGET.patience
    for one in (good, bad):
        assert one.transcript is not None
        assert len(one.transcript.received) <= TRANSCRIPT_LIMIT
        assert len(one.transcript.events) <= PIECES + 16


def test_a_server_that_answers_byte_by_byte_is_understood_and_takes_no_more_memory() -> None:
    def dribbling() -> Script:
        inner = smtp_server(takes_good)

        def script(received: bytes, half: bool) -> Iterable[tuple[float, Said]]:
            for delay, said in inner(received, half):
                if isinstance(said, bytes):
                    yield from ((delay, said[i : i + 1]) for i in range(len(said)))
                else:
                    yield delay, said

        return script

    judged, _ = run(dribbling)
    assert judged["c/good"].judgement.verdict is Verdict.PASS
    assert judged["c/bad"].judgement.verdict is Verdict.PASS

    endless, _ = run(lambda: lambda received, half: [(0.0, b"2")] * 50_000 if received == GOOD else [])
    transcript = endless["c/good"].transcript
    assert transcript is not None
    assert endless["c/good"].judgement.verdict is Verdict.FAIL
    assert len(transcript.events) <= PIECES + 16
    assert transcript.dropped == 50_000 - TRANSCRIPT_LIMIT


def test_a_server_that_stops_reading_is_given_up() -> None:
    class Deaf(ScriptedWire):
        async def send(self, data: bytes) -> None:
            await asyncio.Event().wait()

    chapter = Chapter("c", section="2")
    chapter.accepts("good", GOOD, "A valid header is accepted")
    catalogue = catalogue_of([chapter])
    judged: list[Judged] = []

    async def main() -> float:
        roads = Roads({Source.TRUSTED: Road("127.0.0.1", 25)}, {})
        deaf = Deaf(lambda received, half: ())
        await run_cases(
            Plan(catalogue, catalogue.cases, TARGET, roads, ehlo_oracle, connect=lambda road: deaf), judged.append
        )
        return asyncio.get_running_loop().time()

    assert run_virtually(main()) <= TARGET.give_up
    assert judged[0].judgement.verdict is Verdict.FAIL
    assert judged[0].judgement.outcome is not None
    assert judged[0].judgement.outcome.kind is OutcomeKind.HUNG


@pytest.mark.parametrize("seed", range(20))
def test_a_server_that_ends_at_random_never_makes_a_case_pass_that_was_not_served(seed: int) -> None:
    chance = random.Random(seed)

    def moody() -> Script:
        inner = smtp_server(takes_good)
        moods = [chance.random() < 0.3 for _ in range(12)]
        calls = iter(moods)

        def script(received: bytes, half: bool) -> Iterable[tuple[float, Said]]:
            if next(calls, False):
                yield 0.0, chance.choice((FIN, RST))
            else:
                yield from inner(received, half)

        return script

    judged, _ = run(moody)
    good = judged["c/good"]
    assert good.transcript is not None
    if good.judgement.verdict is Verdict.PASS:
        assert b"[192.0.2.1]" in good.transcript.received
    else:
        assert good.judgement.verdict is Verdict.FAIL
        assert judged["c/bad"].judgement.verdict is not Verdict.PASS or b"220" in good.transcript.received


@contextlib.contextmanager
def real(serve: Callable[[socket.socket], None]) -> Iterator[str]:
    """A server on a thread, one more a connection."""
    with socket.create_server(("127.0.0.1", 0), backlog=512) as listening:
        threads: list[threading.Thread] = []

        def one(connection: socket.socket) -> None:
            with contextlib.suppress(OSError), connection:
                serve(connection)

        def accept() -> None:
            with contextlib.suppress(OSError):
                while True:
                    threads.append(threading.Thread(target=one, args=(listening.accept()[0],)))
                    threads[-1].start()

        accepting = threading.Thread(target=accept)
        accepting.start()
        try:
            yield f"smtp://127.0.0.1:{listening.getsockname()[1]}"
        finally:
            listening.shutdown(socket.SHUT_RDWR)
            accepting.join()
            for thread in threads:
                thread.join()


def floods(connection: socket.socket) -> None:
    if connection.recv(100):
        connection.sendall(b"220 mx\r\n")
        while True:
            connection.sendall(b"250-" + b"x" * 65536)


def talks_garbage(connection: socket.socket) -> None:
    connection.recv(100)
    connection.sendall(b"220 \x1b[2J\0\xff" + os.urandom(2000) + b"\r\n")
    connection.recv(100)


def resets_in_mid_session(connection: socket.socket) -> None:
    if connection.recv(100).startswith(b"PROXY TCP4 192.0.2.1 192.0.2.2 1111 25\r\n"):
        connection.sendall(b"220 mx\r\n")
        connection.recv(100)
        connection.sendall(b"250-half")
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")


@pytest.mark.parametrize("serve", [floods, talks_garbage, resets_in_mid_session])
def test_over_real_sockets(serve: Callable[[socket.socket], None], tmp_path: Path) -> None:
    script = (
        "import sys; from proxyspec.cli import main; code = main()\n"
        # Not ru_maxrss: that begins with what the process weighed that started this one.
        "print(open('/proc/self/status').read().split('VmHWM:')[1].split()[0], file=sys.stderr); sys.exit(code)\n"
    )
    with real(serve) as url:
        arguments = ["run", url, "--header-timeout", "1", "--case", "v1/tcp4", "--case", "v1/field", "--case", "smtp"]
        ended = subprocess.run(
            [sys.executable, "-c", script, *arguments, "--out", str(tmp_path / "run")],
            capture_output=True,
            text=True,
            timeout=90,
            check=False,
        )
    assert ended.returncode in (1, 3), ended.stderr
    assert "\x1b[2J" not in ended.stdout
    assert "Traceback" not in ended.stderr
    record = load_run(tmp_path / "run")
    assert isinstance(record, ConformanceRun)
    assert not any(case.verdict is Verdict.PASS for case in record.cases if case.id.startswith("v1/tcp4"))
    assert int(ended.stderr.split()[-1]) < 400 * 1024, "kilobytes of memory"
    assert json.loads((tmp_path / "run" / "run.json").read_text())


def test_limits_are_of_one_order() -> None:
    """A catalogue of a thousand flooded connections must fit into the memory of a small machine."""
    assert 1000 * TRANSCRIPT_LIMIT <= 32 * 1024 * 1024
    assert TRANSCRIPT_LIMIT < FLOOD_LIMIT
