"""Scenarios on a real HAProxy: the books balance, and nothing is left, however a run ends."""

from __future__ import annotations

import asyncio
import os
import re
import socket
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from proxyspec.errors import HarnessError
from proxyspec.model import Verdict
from proxyspec.traffic.expectations import Carried, Intact, RightClients, judge
from proxyspec.traffic.model import Action, Attempt, Clients, Evidence, Pool, Scenario
from proxyspec.traffic.runner import Listener, Outcome, Pace, run_scenario, run_scenarios
from proxyspec_haproxy import Engine
from proxyspec_scenarios.traffic import SCENARIOS

BY_NAME = {scenario.name: scenario for scenario in SCENARIOS}


@pytest.fixture(
    params=[
        pytest.param("binary_engine", marks=pytest.mark.haproxy, id="binary"),
        pytest.param("docker_engine", marks=[pytest.mark.haproxy, pytest.mark.docker], id="docker"),
    ]
)
def engine(request: pytest.FixtureRequest) -> Engine:
    chosen = request.getfixturevalue(request.param)
    assert isinstance(chosen, Engine)
    return chosen


class Kept(Listener):
    def __init__(self) -> None:
        self.outcomes: dict[str, Outcome] = {}
        self.sessions = 0

    def attempted(self, scenario: Scenario, attempt: Attempt) -> None:
        self.sessions += 1

    def ended(self, outcome: Outcome) -> None:
        self.outcomes[outcome.scenario.name] = outcome

    def evidence(self, name: str) -> Evidence:
        found = self.outcomes[name]
        assert found.evidence is not None, found.error
        return found.evidence


def processes_naming(text: str) -> list[int]:
    """The processes, but this one, whose command line has `text` in it."""
    wanted = text.encode()
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                command = (entry / "cmdline").read_bytes()
            except OSError:
                continue
            if wanted in command and entry.name != str(os.getpid()):
                found.append(int(entry.name))
    return found


def processes_of(folder: Path) -> list[int]:
    """The servers of a run into `folder`, on their leash or past it: their journals lie there."""
    return processes_naming(str(folder))


def haproxies_of(pid: int) -> list[object]:
    """The folders of HAProxies that process `pid` started, and local HAProxies that run on them."""
    name = re.compile(rf"proxyspec-[0-9]+-{pid}-[0-9]+-")
    folders = [path for path in Path(tempfile.gettempdir()).iterdir() if name.match(path.name)]
    return [*folders, *(process for path in folders for process in processes_naming(path.name))]


def port_of(folder: Path) -> int:
    """The port HAProxy listened on, by the configuration it left."""
    line = next(line for line in (folder / "haproxy.cfg").read_text().splitlines() if line.strip().startswith("bind "))
    return int(line.rpartition(":")[2].split()[0])


def assert_nothing_left(folder: Path, names: Sequence[str]) -> None:
    assert processes_of(folder) == []
    assert haproxies_of(os.getpid()) == []
    for name in names:
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.1", port_of(folder / name)), 1.0)


def test_books_balance_while_a_server_dies_drains_and_lets_clients_wait(engine: Engine, tmp_path: Path) -> None:
    names = ["death", "drain", "deadline-beyond", "forged"]
    kept = Kept()
    asyncio.run(run_scenarios([BY_NAME[name] for name in names], engine, tmp_path, Pace(rate=60.0), kept))
    assert set(kept.outcomes) == set(names)

    death = judge(kept.evidence("death"))
    assert (death.account.lost, death.account.duplicated, death.account.misattributed) == ((), (), ())
    assert death.account.acknowledged >= 50
    assert death.account.errors, "a server was killed under open sessions"
    assert any(mark.action is Action.KILL for mark in kept.evidence("death").marks)
    assert any(change.state == "DOWN" for change in kept.evidence("death").changes)
    assert death.verdict in (Verdict.PASS, Verdict.WARN), death.reason

    drain = judge(kept.evidence("drain"))
    assert drain.account.errors == {}
    assert drain.account.lost == ()
    assert drain.verdict in (Verdict.PASS, Verdict.WARN), drain.reason

    deadline = judge(kept.evidence("deadline-beyond"))
    assert {str(fault): count for fault, count in deadline.account.errors.items()} == {"421 at banner": 20}
    assert deadline.verdict is Verdict.PASS, deadline.reason
    assert kept.evidence("deadline-beyond").endings == {"header-deadline": 20}

    assert judge(kept.evidence("forged")).verdict is Verdict.PASS
    assert "server s1 127.0.0.1:" in (tmp_path / "death" / "haproxy.cfg").read_text()
    assert " death/s1 " in (tmp_path / "death" / "haproxy.log").read_text()
    assert_nothing_left(tmp_path, names)


@pytest.mark.haproxy
def test_a_reload_breaks_nothing_and_a_journal_with_a_line_missing_is_a_loss(
    binary_engine: Engine, tmp_path: Path
) -> None:
    found = asyncio.run(run_scenario(BY_NAME["reload"], binary_engine, tmp_path, Pace(rate=40.0)))
    sound = judge(found)
    assert sound.verdict in (Verdict.PASS, Verdict.WARN), sound.reason
    assert sound.account.errors == {}
    assert [mark.action for mark in found.marks] == [Action.RELOAD, Action.RELOAD]

    robbed = judge(replace(found, deliveries=found.deliveries[1:]))
    assert robbed.verdict is Verdict.FAIL
    assert robbed.account.lost == (found.deliveries[0].message,)
    doubled = judge(replace(found, deliveries=(*found.deliveries, found.deliveries[0])))
    assert doubled.verdict is Verdict.FAIL
    assert doubled.account.duplicated == (found.deliveries[0].message,)


CALM = Scenario(
    name="calm",
    title="Clients come and go",
    seconds=60.0,
    pool=Pool(count=2),
    clients=(Clients(rate=20.0),),
    expects=(Intact(), RightClients(), Carried()),
)


def test_a_cancelled_run_leaves_nothing(engine: Engine, tmp_path: Path) -> None:
    async def interrupted() -> int:
        some = asyncio.Event()
        seen: list[Attempt] = []

        def note(attempt: Attempt) -> None:
            seen.append(attempt)
            if len(seen) == 10:
                some.set()

        task = asyncio.create_task(run_scenario(CALM, engine, tmp_path / "calm", Pace(), note))
        await asyncio.wait_for(some.wait(), 60)
        assert len(processes_of(tmp_path)) == 2
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        return len(seen)

    assert asyncio.run(interrupted()) >= 10
    assert_nothing_left(tmp_path, ["calm"])
    assert (tmp_path / "calm" / "haproxy.log").read_text().count(" calm/s") >= 10


@pytest.mark.haproxy
@pytest.mark.parametrize("after", [0.0, 0.2, 0.6], ids=["at once", "servers starting", "HAProxy starting"])
def test_a_run_cancelled_while_it_starts_leaves_nothing(binary_engine: Engine, tmp_path: Path, after: float) -> None:
    async def interrupted() -> None:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(run_scenario(CALM, binary_engine, tmp_path / "calm", Pace()), after)

    asyncio.run(interrupted())
    assert processes_of(tmp_path) == []
    assert haproxies_of(os.getpid()) == []


@pytest.mark.haproxy
def test_a_scenario_that_cannot_start_says_why_and_spares_the_others(binary_engine: Engine, tmp_path: Path) -> None:
    refused = replace(CALM, name="refused", directives=("no-such-directive",))
    broken = replace(CALM, name="broken", pool=Pool(count=1, arguments=("--no-such-option",)))
    kept = Kept()
    asyncio.run(run_scenarios([refused, broken, BY_NAME["forged"]], binary_engine, tmp_path, Pace(), kept))
    assert kept.outcomes["refused"].evidence is None
    assert "no-such-directive" in kept.outcomes["refused"].error
    assert "--no-such-option" in kept.outcomes["broken"].error
    assert judge(kept.evidence("forged")).verdict is Verdict.PASS
    assert_nothing_left(tmp_path, ["forged"])


@pytest.mark.haproxy
def test_a_folder_that_cannot_be_made_is_named(binary_engine: Engine, tmp_path: Path) -> None:
    (tmp_path / "calm").write_text("a file")
    with pytest.raises(HarnessError, match="calm"):
        asyncio.run(run_scenario(CALM, binary_engine, tmp_path / "calm", Pace()))


def test_a_longer_run_lengthens_scenarios_under_load_only() -> None:
    assert Pace(seconds=30.0).duration(BY_NAME["death"]) == 30.0
    assert Pace(seconds=1.0).duration(BY_NAME["death"]) == BY_NAME["death"].seconds
    assert Pace(seconds=30.0).duration(BY_NAME["weights"]) == BY_NAME["weights"].seconds
