"""The profile under plain `locust`, without `proxyspec load` around it."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from pathlib import Path

import proxyspec_scenarios.load
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
