"""Every profile for seconds against the reference server, and with a defect of it where that is the point."""

from __future__ import annotations

from pathlib import Path

import pytest

import proxyspec_scenarios.load
from proxyspec.errors import ExitCode, UsageError
from proxyspec.load import HeaderKind, LoadOptions
from proxyspec.load.canaries import ADDRESS_HIDDEN, ADDRESS_TOLD, REFUSED
from proxyspec.load.runner import LoadListener, run_load
from proxyspec.model import Target
from proxyspec.records import LoadRun
from proxyspec.rundir import RunDirectory

from .measured import measured

FOLDER = Path(proxyspec_scenarios.load.__path__[0])

#: The server's own header deadline, in seconds.
DEADLINE = 1.5
#: Limits of time that a busy machine may miss, and that are not the point here.
LENIENT = ("p99(header_to_banner) < 30s", "p95(session) < 30s", "p99(session) < 30s", "p95(end_of_data) < 60s")


def _run(out: Path, profile: str, *server: str, expect: tuple[str, ...] = LENIENT, **chosen: object) -> LoadRun:
    with measured("--header-timeout", str(DEADLINE), *server) as running, RunDirectory.create("load", out) as directory:
        target = Target(host="127.0.0.1", port=running.port, header_timeout=DEADLINE)
        options = LoadOptions(server_pid=running.pid, server_metrics=running.metrics, expect=expect, **chosen)  # type: ignore[arg-type]
        return run_load(target, FOLDER / f"{profile}.py", options, directory, LoadListener())


def _verdicts(run: LoadRun) -> dict[str, bool]:
    return {threshold.expression: threshold.met for threshold in run.thresholds}


def _deliveries(run: LoadRun) -> int:
    return next(step.count for step in run.steps if step.name == "end_of_data")


@pytest.mark.parametrize(("profile", "users"), [("steady", 4), ("soak", 6)])
def test_mail_all_the_time(tmp_path: Path, profile: str, users: int) -> None:
    run = _run(tmp_path, profile, users=users, spawn_rate=users, seconds=3)
    assert (run.failures, run.errors, run.users) == (0, [], users)
    assert _deliveries(run) == run.sessions > 10
    # What both sides needed stands beside it, on the same axis.
    assert {sample.source for sample in run.samples} == {"process", "server", "generator"}
    assert all(sample.at <= run.duration for sample in run.samples)
    assert max(sample.values.get("connections current", 0) for sample in run.samples) <= users + 1
    last = [sample for sample in run.samples if sample.source == "server"][-1]
    assert last.values["ended quit"] == run.sessions
    assert last.values["connections current"] == 0
    assert run.generator is not None
    assert run.generator.processes == 1
    assert run.generator.cpu_percent > 0
    assert run.generator.descriptors > users
    if profile == "soak":
        assert [text for text in _verdicts(run) if text.startswith("descriptors of the server")]


def test_throughput_goes_up_in_steps(tmp_path: Path) -> None:
    run = _run(tmp_path, "throughput", users=8, seconds=12)
    assert (run.failures, run.errors, run.exit_code) == (0, [], ExitCode.OK)
    # At the last sample they may be gone.
    users = [point.users for point in run.timeline if point.users]
    assert users[0] == 1
    assert max(users) == 8
    assert users == sorted(users)
    assert [stage.users for stage in run.stages] == sorted({stage.users for stage in run.stages})
    assert len(run.stages) >= 2
    assert _deliveries(run) == run.sessions
    last = [sample for sample in run.samples if sample.source == "server"][-1]
    assert last.values["ended quit"] == run.sessions


def test_a_spike_comes_and_goes(tmp_path: Path) -> None:
    run = _run(tmp_path, "spike", users=30, seconds=9)
    assert (run.failures, run.errors) == (0, [])
    users = [point.users for point in run.timeline]
    assert users[0] == 3
    assert max(users) == 30
    assert 3 in users[users.index(30) :]
    assert any(text.startswith("p95(session) at the end <=") for text in _verdicts(run))


def test_large_messages_arrive_whole(tmp_path: Path) -> None:
    run = _run(tmp_path, "messages", users=2, seconds=3, message_size=300_000)
    assert (run.failures, run.errors, run.exit_code) == (0, [], ExitCode.OK)
    assert _deliveries(run) == 5 * run.sessions > 0


def test_a_trickle_is_served_or_ends_at_the_deadline(tmp_path: Path) -> None:
    lenient = ("p99(held) < 20s", "max(held) < 20s", "p99(header_to_banner) < 20s")
    run = _run(tmp_path, "slowloris", users=40, seconds=20, expect=lenient)
    assert (run.errors, run.exit_code) == ([], ExitCode.OK)
    held = next(step for step in run.steps if step.name == "held")
    assert held.count + run.planned["header in pieces"] == 30
    assert held.min_ms is not None
    assert held.min_ms >= DEADLINE * 1000
    assert run.planned["header in pieces"] > 5
    # The load ends when all are answered.
    assert run.duration < 15


def test_a_clock_that_every_byte_winds_up_again_is_found(tmp_path: Path) -> None:
    run = _run(tmp_path, "slowloris", "--defect", "deadline-extended", users=20, seconds=10, expect=())
    assert run.exit_code == ExitCode.FAILED
    assert run.errors
    assert not _verdicts(run)["errors == 0"]


def test_a_full_server_says_421_at_once(tmp_path: Path) -> None:
    expect = ("p99(header_to_banner) < 20s", "max(header_to_banner) < 20s")
    run = _run(tmp_path, "flood421", "--max-connections", "10", users=40, seconds=3, expect=expect)
    assert (run.errors, run.exit_code) == ([], ExitCode.OK)
    quits = next(step.count for step in run.steps if step.name == "quit")
    assert quits + run.planned["421 at banner"] == run.sessions
    last = [sample for sample in run.samples if sample.source == "server"][-1]
    assert last.values["ended too-many-connections"] == run.planned["421 at banner"] > 10


def test_a_flood_that_reaches_no_limit_has_shown_nothing(tmp_path: Path) -> None:
    run = _run(tmp_path, "flood421", users=5, seconds=2, expect=("p99(header_to_banner) < 30s",))
    assert run.exit_code == ExitCode.FAILED
    assert [text for text, met in _verdicts(run).items() if not met] == ["connections turned away >= 1"]


@pytest.mark.parametrize("header", [HeaderKind.V1, HeaderKind.V2_TLV])
def test_canaries_among_the_mail(tmp_path: Path, header: HeaderKind) -> None:
    run = _run(tmp_path, "mixed", users=6, seconds=3, header=header)
    assert (run.failures, run.errors, run.exit_code) == (0, [], ExitCode.OK)
    assert run.planned[REFUSED] > 0
    assert run.planned[ADDRESS_TOLD] > 0
    assert ADDRESS_HIDDEN not in run.planned
    last = [sample for sample in run.samples if sample.source == "server"][-1]
    assert last.values["ended header-malformed"] == run.planned[REFUSED]
    assert run.sessions == pytest.approx(100 * sum(run.planned.values()), abs=300)


def test_a_permissive_server_does_not_pass_for_a_strict_one(tmp_path: Path) -> None:
    run = _run(tmp_path, "mixed", "--defect", "malformed-served", users=6, seconds=3)
    assert run.exit_code == ExitCode.FAILED
    assert not _verdicts(run)["errors(refusal) == 0"]
    assert {error.error for error in run.errors} == {"220 at refusal"}


@pytest.mark.parametrize("profile", ["timeout", "slowloris", "mixed"])
def test_nothing_can_be_held_back_of_no_header(tmp_path: Path, profile: str) -> None:
    with pytest.raises(UsageError, match="take v1, v2 or v2-tlv"):
        _run(tmp_path, profile, header=HeaderKind.NONE)
