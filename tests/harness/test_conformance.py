"""Exit codes and the words of the record."""

from __future__ import annotations

import asyncio
import io
from dataclasses import replace

import pytest
from rich.console import Console

from proxyspec.conformance import Preflight, case_record, exit_code_of, preflight
from proxyspec.console import RunConsole
from proxyspec.errors import ExitCode
from proxyspec.layers.authoring import crc32c, v2
from proxyspec.model import (
    Capability,
    Event,
    EventKind,
    Judgement,
    Login,
    Outcome,
    OutcomeKind,
    Target,
    Transcript,
    Verdict,
    View,
)
from proxyspec.scheduler import Judged
from proxyspec_scenarios import catalogue

V = Verdict


@pytest.mark.parametrize(
    ("verdicts", "unjudgeable", "interrupted", "code"),
    [
        ([V.PASS, V.INFO, V.WARN, V.SKIP], False, False, ExitCode.OK),
        ([V.PASS, V.FAIL], False, False, ExitCode.FAILED),
        ([V.PASS, V.UNTESTABLE], False, False, ExitCode.FAILED),
        ([V.SKIP, V.SKIP], False, False, ExitCode.NOTHING),
        ([], False, False, ExitCode.NOTHING),
        ([V.UNTESTABLE], True, False, ExitCode.UNJUDGEABLE),
        ([V.FAIL, V.ERROR], True, False, ExitCode.HARNESS),
        ([V.FAIL, V.ERROR], True, True, ExitCode.INTERRUPTED),
    ],
)
def test_the_first_code_that_applies(
    verdicts: list[Verdict], unjudgeable: bool, interrupted: bool, code: ExitCode
) -> None:
    failed = V.FAIL in verdicts or V.UNTESTABLE in verdicts
    assert exit_code_of(verdicts, failed=failed, unjudgeable=unjudgeable, interrupted=interrupted) is code


def failed() -> Judged:
    events = (
        Event(0.0, EventKind.CONNECTED),
        Event(0.0, EventKind.SENT, b"PROXY\r\n"),
        Event(0.0, EventKind.STEPS_DONE),
        Event(0.5, EventKind.RECEIVED, b"220 \x1b[2J [bold]mx[/]\r\n"),
        Event(1.0, EventKind.SERVER_RST, b"", "gone\x1b"),
    )
    transcript = Transcript("v1/field/only-prefix", events, View("127.0.0.1", 7), View("127.0.0.1", 7), 3)
    outcome = Outcome(OutcomeKind.ACCEPTED_PROXIED, view=View("192.0.2.1", 5), after=0.5)
    return Judged(catalogue()["v1/field/only-prefix"], transcript, Judgement(V.FAIL, outcome, "because\x1b[2J"))


def test_a_record_holds_the_bytes_both_ways_and_the_end() -> None:
    record = case_record(failed(), "proxyspec run …")
    assert bytes.fromhex(record.sent) == b"PROXY\r\n"
    assert bytes.fromhex(record.received).startswith(b"220 ")
    assert (record.ending, record.duration, record.dropped) == ("rst", 1.0, 3)
    assert record.outcome is not None
    assert (record.outcome.address, record.outcome.port, record.outcome.after) == ("192.0.2.1", 5, 0.5)
    assert record.client == "127.0.0.1 7"


@pytest.mark.parametrize("terminal", [True, False])
def test_what_a_server_says_cannot_steer_the_terminal(terminal: bool) -> None:
    shown = io.StringIO()
    console = Console(file=shown, force_terminal=terminal, width=100, color_system=None)
    with RunConsole(console, 1, 30.0) as listener:
        listener.judged(case_record(failed(), ""))
    text = shown.getvalue()
    assert "220 \\x1b[2J [bold]mx[/]" in text
    assert "because\\x1b[2J" in text
    assert "\x1b[2J" not in text


def test_a_run_that_takes_longer_says_why() -> None:
    shown = io.StringIO()
    with RunConsole(Console(file=shown, width=100, color_system=None), 1, 30.0) as listener:
        listener.remark("busy [bold]with[/] nothing")
    assert "busy [bold]with[/] nothing" in shown.getvalue()


@pytest.mark.parametrize(("password", "served"), [("right", True), ("wrong", False)])
def test_a_login_that_is_refused_is_said_at_once(password: str, served: bool) -> None:
    said: list[bytes] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        header = await reader.readexactly(14)
        await (reader.readexactly(14) if header[0] == 13 else reader.readline())
        writer.write(b"220 mx\r\n")
        async for line in reader:
            said.append(line)
            right = line == b"AUTH PLAIN AG1lAHJpZ2h0\r\n"
            writer.write(b"535 no such user\r\n" if line.startswith(b"AUTH") and not right else b"250 ok\r\n")
            if line == b"QUIT\r\n":
                break
        writer.close()

    async def look() -> str | None:
        async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
            port = server.sockets[0].getsockname()[1]
            closed = frozenset({Capability.ANONYMOUS_MAIL})
            target = Target(host="127.0.0.1", port=port, lacks=closed, login=Login("me", password))
            return (await preflight(target)).unjudgeable

    plight = asyncio.run(look())
    assert sum(line.startswith(b"AUTH PLAIN ") for line in said) == 2
    if served:
        assert plight is None
    else:
        assert plight is not None
        assert "the login of 'me'" in plight
        assert "535 b'no such user'" in plight
        assert password not in plight


SEALED = v2(tlvs=[crc32c()])


class Server:
    """Serves headers that begin with one of `serves`, if it `takes_wrong` checksums not only that of `SEALED`."""

    def __init__(self, *, takes_wrong: bool, serves: bytes = b"P\r") -> None:
        self.headers: list[bytes] = []
        self.most = self._now = 0
        self._takes_wrong, self._serves = takes_wrong, serves

    async def _session(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        header = await reader.readexactly(16)
        rest = reader.readexactly(int.from_bytes(header[14:])) if header[0] == 13 else reader.readline()
        self.headers.append(header + await rest)
        wrong = header[0] == 13 and self.headers[-1] not in (v2(), SEALED)
        if header[:1] not in self._serves or (wrong and not self._takes_wrong):
            return
        writer.write(b"220 mx\r\n")
        async for line in reader:
            writer.write(b"250 mx\r\n")
            if line == b"QUIT\r\n":
                return

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._now += 1
        self.most = max(self.most, self._now)
        await self._session(reader, writer)
        self._now -= 1
        writer.close()

    def looked_at(self, target: Target) -> Preflight:
        async def look() -> Preflight:
            async with await asyncio.start_server(self._serve, "127.0.0.1", 0) as server:
                return await preflight(replace(target, port=server.sockets[0].getsockname()[1]))

        return asyncio.run(look())

    @property
    def wrong(self) -> list[bytes]:
        return [header for header in self.headers if header[0] == 13 and header not in (v2(), SEALED)]


UNDECLARED = Target(host="127.0.0.1", port=0)


def test_a_server_that_serves_no_wrong_checksum_shows_that_it_checks_them() -> None:
    server = Server(takes_wrong=False)
    found = server.looked_at(UNDECLARED)
    assert found.capabilities == {Capability.CRC32C}
    assert not found.takes_wrong_crc32c
    assert server.wrong == [SEALED[:-1] + bytes([SEALED[-1] ^ 1])]
    assert len(server.headers) == 3


def test_a_server_that_serves_a_wrong_checksum_is_told_so() -> None:
    found = Server(takes_wrong=True).looked_at(UNDECLARED)
    assert found.unjudgeable is None
    assert found.capabilities == frozenset()
    assert found.takes_wrong_crc32c
    shown = io.StringIO()
    with RunConsole(Console(file=shown, width=200, color_system=None), 1, 30.0) as listener:
        listener.preflight(found)
    assert "takes a header with a wrong CRC32C" in shown.getvalue()


@pytest.mark.parametrize(("serves", "judgeable"), [(b"", False), (b"P", True)], ids=["none", "version 1"])
def test_a_server_that_serves_no_header_of_version_2_shows_nothing_of_checksums(serves: bytes, judgeable: bool) -> None:
    found = Server(takes_wrong=False, serves=serves).looked_at(UNDECLARED)
    assert (found.unjudgeable is None) is judgeable
    assert found.capabilities == frozenset()
    assert not found.takes_wrong_crc32c


@pytest.mark.parametrize(
    "target",
    [
        replace(UNDECLARED, capabilities=frozenset({Capability.CRC32C})),
        replace(UNDECLARED, lacks=frozenset({Capability.CRC32C})),
        replace(UNDECLARED, versions=frozenset({1})),
    ],
    ids=["declared", "declared absent", "no version 2"],
)
def test_no_wrong_checksum_is_sent_where_there_is_nothing_to_find_out(target: Target) -> None:
    server = Server(takes_wrong=True)
    found = server.looked_at(target)
    assert found.unjudgeable is None
    assert found.capabilities == frozenset()
    assert not found.takes_wrong_crc32c
    assert len(server.headers) == len(target.versions)
    assert server.wrong == []


@pytest.mark.parametrize("parallel", [1, 2, 3])
def test_a_server_of_few_connections_gets_no_more_at_once(parallel: int) -> None:
    server = Server(takes_wrong=True)
    assert server.looked_at(replace(UNDECLARED, parallel=parallel)).unjudgeable is None
    assert len(server.headers) == 3
    assert server.most <= parallel
