"""Whether the harness can judge servers and proxies that others have written, every one of its verdicts with a ground.

What the verdicts are is no matter of these tests: it changes with the versions installed.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from proxyspec.conformance import Listener, conformance, direct_roads
from proxyspec.model import ACCEPTED, Target, Verdict, Via
from proxyspec.records import CaseRecord, ConformanceRun
from proxyspec.rundir import RunDirectory
from proxyspec.scheduler import Roads
from proxyspec.targets import make_target
from proxyspec_haproxy import BinaryEngine
from proxyspec_scenarios import catalogue
from tests.third_parties.servers import haproxy, python_server

DEADLINE = 4.0
"""Seconds; above the 3 that the text recommends as the least."""
#: Headers without anything about them: who refuses these cannot be judged.
PLAIN = ("v1/tcp4/ok", "v1/tcp6/ok", "v1/unknown/short", "v2/tcp4/ok", "v2/tcp6/ok", "v2/local/empty")

Start = Callable[[Path, pytest.FixtureRequest], contextlib.AbstractContextManager[Target]]


def _target(
    port: int, pid: int | None = None, *, untrusted: str = "none", capabilities: tuple[str, ...] = ()
) -> Target:
    return make_target(
        f"smtp://127.0.0.1:{port}",
        header_timeout=DEADLINE,
        untrusted_source=untrusted,
        capabilities=capabilities,
        pid=pid,
    )


@contextlib.contextmanager
def _aiosmtpd(folder: Path, request: pytest.FixtureRequest) -> Iterator[Target]:
    with python_server("aiosmtpd_server", DEADLINE, folder / "log") as (port, pid):
        # Its documentation leaves the checksum to the application.
        yield _target(port, pid, capabilities=("no-crc32c",))


@contextlib.contextmanager
def _proxy_protocol(folder: Path, request: pytest.FixtureRequest) -> Iterator[Target]:
    with python_server("proxyprotocol_server", DEADLINE, folder / "log") as (port, pid):
        yield _target(port, pid)


@contextlib.contextmanager
def _accept_proxy(folder: Path, request: pytest.FixtureRequest) -> Iterator[Target]:
    engine: BinaryEngine = request.getfixturevalue("binary_engine")
    with haproxy(engine, "accept-proxy", DEADLINE, folder) as port:
        yield _target(port)


@contextlib.contextmanager
def _expect_proxy(folder: Path, request: pytest.FixtureRequest) -> Iterator[Target]:
    engine: BinaryEngine = request.getfixturevalue("binary_engine")
    with haproxy(engine, "expect-proxy", DEADLINE, folder) as port:
        yield _target(port, untrusted="127.0.0.2")


def _unexplained(run: ConformanceRun) -> list[str]:
    """Name the cases without a verdict where neither control nor premise has one of its own that says why."""
    verdicts = {record.id: record.verdict for record in run.cases}
    telling = {name for name, verdict in verdicts.items() if verdict in (Verdict.FAIL, Verdict.WARN, Verdict.INFO)}
    return [
        f"{record.id}: {record.reason}"
        for record in run.cases
        if record.verdict is Verdict.UNTESTABLE and telling.isdisjoint({record.control, record.premise})
    ]


def _without_ground(run: ConformanceRun) -> list[str]:
    """Name the failures whose bytes do not bear their reason out."""
    return [record.id for record in run.cases if record.verdict is Verdict.FAIL and not _evident(record)]


def _evident(record: CaseRecord) -> bool:
    assert record.outcome is not None
    served = record.outcome.kind in ACCEPTED
    return b"\r\n250" in bytes.fromhex(record.received) if served else bool(record.events)


@pytest.mark.parametrize(
    "start",
    [
        pytest.param(_aiosmtpd, id="aiosmtpd"),
        pytest.param(_proxy_protocol, id="proxy-protocol"),
        pytest.param(_accept_proxy, id="haproxy-accept-proxy", marks=pytest.mark.haproxy),
        pytest.param(_expect_proxy, id="haproxy-expect-proxy", marks=pytest.mark.haproxy),
    ],
)
def test_every_case_is_judged(start: Start, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    every = catalogue()
    cases = every.with_prerequisites(case for case in every.cases if case.via is Via.DIRECT)
    with start(tmp_path, request) as target, RunDirectory.create("conformance", tmp_path / "run") as out:
        run = conformance(every, cases, target, Roads(direct_roads(target), {}), out, Listener())
    assert run.unjudgeable is None
    assert run.status == "complete"
    assert len(run.cases) == len(cases)
    assert not [record.id for record in run.cases if record.verdict is Verdict.ERROR]
    assert {record.id for record in run.cases} >= set(PLAIN)
    assert not [
        (record.id, record.reason, record.outcome, record.events)
        for record in run.cases
        if record.id in PLAIN and record.verdict is not Verdict.PASS
    ]
    assert _unexplained(run) == []
    assert _without_ground(run) == []
    skipped = {record.reason for record in run.cases if record.verdict is Verdict.SKIP}
    known = ("neither declares nor shows this capability", "no address is declared that the target does not trust")
    assert all(any(words in reason for words in known) for reason in skipped)
