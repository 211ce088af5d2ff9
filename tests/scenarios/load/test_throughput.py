"""The profile under plain `locust`, without `proxyspec load` around it."""

from __future__ import annotations

import json
import math
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

import proxyspec_scenarios.load
from proxyspec.haproxy.front import free_ports
from proxyspec.load.messages import Finished, parse_message
from proxyspec.load.profiles import profiles_in
from tests.harness.load.fake_smtp import FakeSmtp, Vice, fake_smtp

FOLDER = Path(proxyspec_scenarios.load.__path__[0])


def _locust(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "locust", "-f", str(FOLDER / "throughput.py"), "--headless", "--only-summary"]
    return subprocess.run([*command, *arguments], cwd=folder, capture_output=True, text=True, timeout=60, check=False)


def _short(fake: FakeSmtp) -> list[str]:
    return ["--host", fake.url, "--users", "1", "--run-time", "1"]


def test_every_profile_says_what_it_is() -> None:
    profiles = profiles_in(FOLDER)
    assert "throughput" in [profile.name for profile in profiles]
    assert all(len(profile.summary) > 20 for profile in profiles)


def test_plain_locust_runs_it_and_judges_its_thresholds(tmp_path: Path) -> None:
    with fake_smtp() as fake:
        done = _locust(tmp_path, *_short(fake), "--proxy-header", "v1", "--message-size", "300")
    assert done.returncode == 0, done.stderr
    assert "met: errors < 0.1% (0)" in done.stderr
    assert "met: p95(session) < 1s" in done.stderr
    assert fake.messages
    assert {len(message) for message in fake.messages} == {300}
    assert all(header.startswith(b"PROXY TCP") for header in fake.headers)


@pytest.mark.parametrize("processes", [[], ["--processes", "2"]])
@pytest.mark.parametrize("vice", [Vice.NONE, Vice.CLOSES_AT_DATA])
def test_locusts_own_totals_are_ours(tmp_path: Path, processes: list[str], vice: Vice) -> None:
    command = [sys.executable, "-m", "locust", "-f", str(FOLDER / "throughput.py"), "--headless", "--only-summary"]
    with fake_smtp(vice) as fake, (tmp_path / "told").open("wb") as told:
        number = told.fileno()
        command += ["--host", fake.url, "--users", "4", "--run-time", "2", "--json-file", "locust", *processes]
        command += ["--report-fd", str(number)]
        if processes:
            # Tests run side by side, and Locust's usual port is one for all.
            port = str(free_ports(1)[0])
            command += ["--master-bind-host", "127.0.0.1", "--master-bind-port", port, "--master-port", port]
        subprocess.run(command, cwd=tmp_path, capture_output=True, timeout=60, check=False, pass_fds=(number,))
    finished = [parse_message(line) for line in (tmp_path / "told").read_bytes().splitlines()][-1]
    assert isinstance(finished, Finished)
    assert (finished.workers, finished.lost) == (2 if processes else 0, 0)
    theirs = {entry["name"]: entry for entry in json.loads((tmp_path / "locust.json").read_text())}
    assert set(theirs) == {step.name for step in finished.steps}
    assert finished.sessions == theirs["session"]["num_requests"] > 10
    for step in finished.steps:
        entry = theirs[step.name]
        assert (entry["num_requests"], entry["num_failures"]) == (step.count, step.failures), step.name
        assert entry["total_response_time"] / step.count == pytest.approx(step.mean_ms, rel=1e-3, abs=1e-3)
        assert entry["max_response_time"] == pytest.approx(step.percentiles_ms["1.0"], abs=1e-3)
        times = sorted(float(time) for time, count in entry["response_times"].items() for _ in range(count))
        assert len(times) == step.count
        for share in ("0.5", "0.9", "0.95", "0.99"):
            found = times[math.ceil(float(share) * len(times)) - 1]
            assert step.percentiles_ms[share] == pytest.approx(found, rel=0.01, abs=2e-3), (step.name, share)


def test_plain_locust_fails_on_a_missed_threshold(tmp_path: Path) -> None:
    with fake_smtp(Vice.CLOSES_AT_DATA) as fake:
        done = _locust(tmp_path, *_short(fake))
    assert done.returncode == 1
    assert "MISSED: errors < 0.1% (100)" in done.stderr
    assert "closed at data" in done.stdout + done.stderr


def test_ctrl_c_under_plain_locust_is_orderly(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "locust", "-f", str(FOLDER / "throughput.py"), "--headless", "--only-summary"]
    with (
        fake_smtp() as fake,
        subprocess.Popen(
            [*command, "--host", fake.url], cwd=tmp_path, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        ) as locust,
    ):
        assert locust.stderr is not None
        watchdog = threading.Timer(60, locust.kill)
        watchdog.start()
        said = ""
        while "All users spawned" not in said:
            line = locust.stderr.readline()
            assert line, said
            said += line
        locust.send_signal(signal.SIGINT)
        said += locust.stderr.read()
        watchdog.cancel()
    assert locust.returncode == 0, said
    assert "met: errors < 0.1% (0)" in said
    assert "Traceback" not in said


def test_plain_locust_leaves_other_machines_alone(tmp_path: Path) -> None:
    done = _locust(tmp_path, "--host", "smtp://192.0.2.1:25")
    assert done.returncode == 2
    assert "--allow-target 192.0.2.1" in done.stderr
    assert "Traceback" not in done.stderr
