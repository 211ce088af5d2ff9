"""Runs of real Locust processes, short and with few users."""

from __future__ import annotations

import ipaddress
import json
import os
import select
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

import proxyspec_scenarios.load
from proxyspec.errors import ExitCode, HarnessError, UsageError
from proxyspec.load import HeaderKind, LoadOptions
from proxyspec.load.messages import Started, Tick
from proxyspec.load.options import SessionOptions
from proxyspec.load.runner import LoadListener, load_exit_code, run_load
from proxyspec.load.scripts import delivery
from proxyspec.model import Target
from proxyspec.records import LoadRun, Threshold, load_run
from proxyspec.rundir import RunDirectory

from .fake_smtp import FakeSmtp, Vice, fake_smtp

STEADY, THROUGHPUT = (Path(proxyspec_scenarios.load.__path__[0]) / f"{name}.py" for name in ("steady", "throughput"))

LOCUSTFILE = '''"""A profile of the tests."""
import os
import time
from locust import task
from proxyspec.load.client import ProxySmtpUser
from proxyspec.load.plugin import Profile, declare

declare(Profile(users=1, spawn_rate=1, seconds=2, thresholds=("errors == 0",)))


class Tester(ProxySmtpUser):
    proxy_header = "v1"

    @task
    def work(self):
        {work}
'''


class Hearer(LoadListener):
    def __init__(self) -> None:
        self.begun: list[Started] = []
        self.ticks: list[Tick] = []
        self.reasons: list[str] = []

    def started(self, message: Started) -> None:
        self.begun.append(message)

    def ticked(self, message: Tick) -> None:
        self.ticks.append(message)

    def unmeasurable(self, reason: str) -> None:
        self.reasons.append(reason)


def _run(
    fake: FakeSmtp,
    out: Path,
    options: LoadOptions,
    listener: LoadListener | None = None,
    profile: Path = STEADY,
) -> LoadRun:
    with RunDirectory.create("load", out) as directory:
        target = Target(host=fake.host, port=fake.port)
        return run_load(target, profile, options, directory, listener or Hearer(), command=["load"])


def _no_child_left() -> bool:
    try:
        os.waitpid(-1, os.WNOHANG)
    except ChildProcessError:
        return True
    return False


def test_a_healthy_server_under_load(tmp_path: Path) -> None:
    options = LoadOptions(
        users=3, spawn_rate=3, seconds=2, header=HeaderKind.V2, message_size=500, expect=("errors == 0", "rate > 1/s")
    )
    hearer = Hearer()
    with fake_smtp() as fake:
        run = _run(fake, tmp_path / "out", options, hearer)
    assert (run.exit_code, run.status, run.failures, run.errors) == (ExitCode.OK, "complete", 0, [])
    assert (run.profile, run.header, run.users) == ("steady", "v2", 3)
    assert [step.name for step in run.steps] == [step.value for step in delivery(SessionOptions()).steps] + ["session"]
    assert (run.workers, run.lost, run.planned) == (0, 0, {})
    assert {step.count for step in run.steps} == {run.sessions} == {len(fake.messages)}
    assert run.sessions > 10
    assert {len(message) for message in fake.messages} == {500}
    assert all(list(step.percentiles_ms.values()) == sorted(step.percentiles_ms.values()) for step in run.steps)
    assert [threshold.expression for threshold in run.thresholds] == [
        "errors < 0.1%",
        "p95(session) < 1s",
        "p99(header_to_banner) < 1s",
        "errors == 0",
        "rate > 1/s",
    ]
    assert all(threshold.met for threshold in run.thresholds)
    # Headers: one a session, from documentation addresses, hardly ever the same.
    assert all(header[:13] == bytes.fromhex("0d0a0d0a000d0a515549540a21") for header in fake.headers)
    assert len(set(fake.headers)) > 0.9 * len(fake.headers) > 0
    v4 = [ipaddress.ip_address(header[16:20]) for header in fake.headers if header[13] == 0x11]
    assert 0 < len(v4) < len(fake.headers)
    assert not any(address.is_global for address in v4)
    # The time line accounts for every session up to its last point.
    assert hearer.begun[0].seconds == 2
    assert [tick.point for tick in hearer.ticks] == run.timeline
    widths = [
        point.at - before for point, before in zip(run.timeline, [0.0, *(p.at for p in run.timeline)], strict=False)
    ]
    counted = sum(point.rate * width for point, width in zip(run.timeline, widths, strict=True))
    assert counted == pytest.approx(hearer.ticks[-1].sessions, rel=0.01)
    assert 0 < hearer.ticks[-1].sessions <= run.sessions
    assert run.timeline[0].users == 3
    assert load_run(tmp_path / "out") == run
    assert (tmp_path / "out" / "evidence" / "locust.log").read_text()
    assert _no_child_left()


def test_every_choice_reaches_the_sessions(tmp_path: Path) -> None:
    (tmp_path / "message").write_bytes(b"Subject: mine\n\n.hidden\n")
    options = LoadOptions(
        users=2,
        seconds=1,
        header=HeaderKind.V2_TLV,
        pipelining=True,
        messages=3,
        message_file=tmp_path / "message",
        auth="plain:me:s3cret",
        expect=("p95(session) < 30s",),
        sources=("127.0.0.8", "127.0.0.9"),
    )
    with fake_smtp() as fake, RunDirectory.create("load", tmp_path / "out") as out:
        target = Target(host=fake.host, port=fake.port)
        command = ["load", "--auth", "plain:me:s3cret", "--auth=plain:me:s3cret"]
        run = run_load(target, STEADY, options, out, Hearer(), command=command)
    assert (run.exit_code, run.header, run.failures) == (ExitCode.OK, "v2-tlv", 0)
    assert set(fake.messages) == {b"Subject: mine\r\n\r\n..hidden\r\n"}
    assert len(fake.messages) == 3 * run.sessions
    assert len([command for command in fake.commands if command.startswith(b"AUTH PLAIN ")]) == run.sessions
    assert {step.name: step.count for step in run.steps}["mail"] == 3 * run.sessions
    assert all(len(header) == 16 + int.from_bytes(header[14:16], "big") > 60 for header in fake.headers)
    # The probe before the load comes from wherever the system likes.
    assert set(fake.peers[1:]) == {"127.0.0.8", "127.0.0.9"}
    assert run.command == ["load", "--auth", "(hidden)", "--auth=(hidden)"]
    for path in (tmp_path / "out").rglob("*"):
        assert path.is_dir() or b"s3cret" not in path.read_bytes()


def test_processes_share_a_load_and_their_figures_add_up(tmp_path: Path) -> None:
    hearer = Hearer()
    with fake_smtp() as fake:
        run = _run(fake, tmp_path / "out", LoadOptions(users=4, seconds=6, processes=2), hearer)
    assert (run.exit_code, run.workers, run.lost, run.users) == (ExitCode.OK, 2, 0, 4)
    assert {step.count for step in run.steps} == {run.sessions} == {len(fake.messages)}
    assert len(run.timeline) >= 2
    assert _no_child_left()


def test_who_listens_to_requests_hears_every_session_and_nothing_is_counted_twice(tmp_path: Path) -> None:
    for name, listening in (
        ("alone", ""),
        ("heard", "events.request.add_listener(lambda name, **_: heard.append(name))"),
    ):
        profile, found = tmp_path / f"{name}.py", tmp_path / f"{name}.json"
        profile.write_text(
            LOCUSTFILE.format(work="self.client.session()")
            + f"""

import json
from pathlib import Path
from locust import events

heard = []
{listening}


@events.quit.add_listener
def _tell(**_):
    stats = seen.stats
    rows = {{name: entry.num_requests for (name, _), entry in stats.entries.items()}}
    session = stats.entries["session", "SMTP"]
    spread = sum(session.response_times.values()), sum(session.num_reqs_per_sec.values()), session.total_content_length
    told = {{"rows": rows, "total": stats.total.num_requests, "spread": spread, "heard": heard}}
    Path({str(found)!r}).write_text(json.dumps(told))


@events.init.add_listener
def _see(environment, **_):
    global seen
    seen = environment
"""
        )
        with fake_smtp() as fake:
            run = _run(fake, tmp_path / name, LoadOptions(users=2, seconds=1), profile=profile)
        told = json.loads(found.read_text())
        steps = {step.name: step.count for step in run.steps}
        assert told["rows"] == steps
        assert told["total"] == sum(steps.values())
        assert told["spread"][:2] == [run.sessions] * 2
        assert told["spread"][2] > run.sessions * len(b"250 ok\r\n" * 7)
        assert told["heard"] == (["session"] * run.sessions if listening else [])
        assert run.sessions > 0


def test_a_worker_that_dies_is_told_and_the_rest_adds_up(tmp_path: Path) -> None:
    profile = tmp_path / "mine.py"
    # The one worker that gets this user ends without a word; the other users go on.
    profile.write_text(
        LOCUSTFILE.format(work="self.client.session()")
        + """

class Killer(ProxySmtpUser):
    fixed_count = 1
    begun = 0.0

    def on_start(self):
        self.begun = time.monotonic()

    @task
    def die(self):
        # Not before the worker has reported at least once.
        if self.client.session() and time.monotonic() - self.begun > 2:
            os._exit(9)
"""
    )
    with fake_smtp() as fake:
        run = _run(fake, tmp_path / "out", LoadOptions(users=5, seconds=12, processes=2), profile=profile)
    assert (run.workers, run.lost) == (2, 1)
    assert run.exit_code == ExitCode.OK
    assert 0 < run.sessions <= len(fake.messages)
    assert {step.count for step in run.steps if step.name != "session"} == {run.sessions}
    assert _no_child_left()


def test_a_busy_server_leaves_nothing_measured(tmp_path: Path) -> None:
    hearer = Hearer()
    with fake_smtp(Vice.BUSY) as fake:
        run = _run(fake, tmp_path / "out", LoadOptions(users=2, seconds=1, header=HeaderKind.V1), hearer)
    assert run.exit_code == ExitCode.UNJUDGEABLE
    assert run.header == "v1"
    assert all(header.startswith(b"PROXY TCP") for header in fake.headers)
    assert run.failures == run.sessions > 0
    (error,) = run.errors
    assert (error.step, error.error, error.count) == ("header_to_banner", "421 at banner", run.failures)
    assert "421 at banner" in hearer.reasons[0]
    assert {threshold.expression: threshold.met for threshold in run.thresholds}["errors < 0.1%"] is False


def test_sessions_that_hang_beyond_the_end_are_counted(tmp_path: Path) -> None:
    with fake_smtp(Vice.SILENT) as fake:
        run = _run(fake, tmp_path / "out", LoadOptions(users=2, seconds=1))
    assert (run.exit_code, run.sessions, run.failures) == (ExitCode.UNJUDGEABLE, 2, 2)
    assert [error.error for error in run.errors] == ["unfinished at banner"]


def test_nobody_listening_is_told_before_locust_starts(tmp_path: Path) -> None:
    hearer = Hearer()
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        fake = FakeSmtp("127.0.0.1", bound.getsockname()[1])
        run = _run(fake, tmp_path / "out", LoadOptions(expect=("errors == 0",)), hearer)
    assert run.exit_code == ExitCode.UNJUDGEABLE
    assert run.thresholds == [Threshold(expression="errors == 0", actual=None, met=False)]
    assert "cannot be reached" in hearer.reasons[0]
    assert "is the server running?" in hearer.reasons[0]
    assert not (tmp_path / "out" / "evidence").exists()


class Impatient(Hearer):
    """Sends a signal once the load is well under way."""

    def __init__(self, number: signal.Signals) -> None:
        super().__init__()
        self._number = number

    def ticked(self, message: Tick) -> None:
        super().ticked(message)
        # Once: a second signal would not wait for what was measured.
        if message.sessions and not any(tick.sessions for tick in self.ticks[:-1]):
            os.kill(os.getpid(), self._number)


# Locust itself listens to SIGTERM when a load with a shape is over, and not before.
@pytest.mark.parametrize("profile", [STEADY, THROUGHPUT])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_keeps_what_was_measured(tmp_path: Path, number: signal.Signals, profile: Path) -> None:
    before = signal.getsignal(number)
    with fake_smtp() as fake:
        run = _run(fake, tmp_path / "out", LoadOptions(users=2, seconds=600), Impatient(number), profile)
    assert (run.status, run.exit_code) == ("interrupted", ExitCode.INTERRUPTED)
    assert run.sessions == len(fake.messages) > 0
    assert {step.count for step in run.steps} == {run.sessions}
    assert run.duration < 60
    assert signal.getsignal(number) is before
    assert _no_child_left()


def test_an_interruption_of_several_processes_keeps_what_each_measured(tmp_path: Path) -> None:
    options = LoadOptions(users=64, seconds=600, processes=2)
    with fake_smtp() as fake:
        run = _run(fake, tmp_path / "out", options, Impatient(signal.SIGTERM), THROUGHPUT)
    assert (run.status, run.lost) == ("interrupted", 0)
    assert {step.count for step in run.steps} == {run.sessions} == {len(fake.messages)}
    assert run.sessions > 0
    assert _no_child_left()


def test_a_second_signal_does_not_wait(tmp_path: Path) -> None:
    class Insistent(Hearer):
        def ticked(self, message: Tick) -> None:
            os.kill(os.getpid(), signal.SIGINT)
            os.kill(os.getpid(), signal.SIGINT)

    with fake_smtp(Vice.SILENT) as fake:
        run = _run(fake, tmp_path / "out", LoadOptions(users=2, seconds=600), Insistent())
    assert (run.status, run.exit_code, run.steps) == ("interrupted", ExitCode.INTERRUPTED, [])
    assert len(run.timeline) == 1
    assert not any(threshold.met for threshold in run.thresholds)
    assert len(run.thresholds) == 3
    assert _no_child_left()


def test_what_locust_leaves_behind_in_its_group_is_ended(tmp_path: Path) -> None:
    profile, said = tmp_path / "leaves.py", tmp_path / "said"
    os.mkfifo(said)
    # As its own workers do that miss its end.
    words = ["sh", "-c", "echo begun; exec sleep 600"]
    leaves = f"import subprocess\nsubprocess.Popen({words!r}, stdout=open({str(said)!r}, 'w'))\n"
    profile.write_text(LOCUSTFILE.format(work="self.client.session()") + leaves)
    reader = os.open(said, os.O_RDONLY | os.O_NONBLOCK)
    with fake_smtp() as fake:
        run = _run(fake, tmp_path / "out", LoadOptions(seconds=1), profile=profile)
    assert run.exit_code == ExitCode.OK
    assert os.read(reader, 100) == b"begun\n"
    # It ends once the last that could write has ended.
    assert select.select([reader], [], [], 20)[0]
    assert os.read(reader, 1) == b""
    os.close(reader)


def test_locust_dies_with_us(tmp_path: Path) -> None:
    class Broken(Hearer):
        def started(self, message: Started) -> None:
            raise LookupError("of the listener's own")

    with fake_smtp() as fake, pytest.raises(LookupError):
        _run(fake, tmp_path / "out", LoadOptions(users=1, seconds=600), Broken())
    assert _no_child_left()


def test_a_profile_of_the_users_own_keeps_its_class_attributes(tmp_path: Path) -> None:
    profile = tmp_path / "mine.py"
    profile.write_text(LOCUSTFILE.format(work="self.client.session()"))
    with fake_smtp() as fake:
        run = _run(fake, tmp_path / "out", LoadOptions(seconds=1), profile=profile)
    assert (run.exit_code, run.profile, run.header, run.users) == (ExitCode.OK, "mine", "v1", 1)
    assert [threshold.expression for threshold in run.thresholds] == ["errors == 0"]


def test_a_profile_that_cannot_be_imported_is_named(tmp_path: Path) -> None:
    profile = tmp_path / "mine.py"
    profile.write_text("import nonsuch_module\n")
    with fake_smtp() as fake, pytest.raises(UsageError, match=r"mine\.py does not start: ModuleNotFoundError"):
        _run(fake, tmp_path / "out", LoadOptions(seconds=1), profile=profile)
    assert [path.name for path in (tmp_path / "out").rglob("*")] == ["evidence", "locust.log"]


_USER = "from locust import task\nfrom proxyspec.load.client import ProxySmtpUser\nclass Mine(ProxySmtpUser):\n"
_DECLARED = (
    "from proxyspec.load.plugin import Profile, declare\n"
    "declare(Profile(users=1, spawn_rate=1, seconds=1, thresholds=()))\n"
)


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", r"mine\.py declares no profile: call declare\("),
        (f"{_USER}    @task\n    def go(self): pass\n", r"mine\.py declares no profile: call declare\("),
        (_DECLARED, r"mine\.py has no users: add a class derived from ProxySmtpUser"),
        (f"{_DECLARED}{_USER}    abstract = True\n", r"mine\.py has no users: add a class derived from ProxySmtpUser"),
        (f"{_DECLARED}{_USER}    pass\n", r"mine\.py gives its user Mine no task: add a method with @task"),
    ],
)
def test_what_a_locustfile_lacks_is_said_and_nothing_is_left_behind(tmp_path: Path, text: str, words: str) -> None:
    profile, out = tmp_path / "mine.py", tmp_path / "out"
    profile.write_text(text)
    with fake_smtp() as fake, pytest.raises(UsageError, match=words):
        _run(fake, out, LoadOptions(seconds=1), profile=profile)
    assert not out.exists()


def test_a_user_that_runs_by_itself_needs_no_task(tmp_path: Path) -> None:
    profile = tmp_path / "mine.py"
    profile.write_text(f"{_DECLARED}{_USER}    def run(self): self.client.session()\n")
    with fake_smtp() as fake:
        run = _run(fake, tmp_path / "out", LoadOptions(seconds=1), profile=profile)
    assert (run.sessions, run.failures) == (1, 0)


@pytest.mark.parametrize(
    "work",
    [
        "os._exit(9)",
        # What is left of it holds the pipe open that its figures would come through.
        "time.sleep(600) if os.fork() == 0 else os._exit(9)",
    ],
    ids=["alone", "survived by a worker"],
)
def test_locust_dying_half_way_is_the_harness_own_fault(tmp_path: Path, work: str) -> None:
    profile = tmp_path / "mine.py"
    profile.write_text(LOCUSTFILE.format(work=work))
    with fake_smtp() as fake, pytest.raises(HarnessError, match="ended without figures"):
        _run(fake, tmp_path / "out", LoadOptions(seconds=600), profile=profile)
    assert _no_child_left()


def test_a_bad_expectation_is_refused_before_anything_starts(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="the expectation"):
        _run(FakeSmtp("127.0.0.1", 1), tmp_path / "out", LoadOptions(expect=("fast",)))


MET, MISSED = Threshold(expression="a", actual=1.0, met=True), Threshold(expression="b", actual=1.0, met=False)


@pytest.mark.parametrize(
    ("thresholds", "succeeded", "interrupted", "code"),
    [
        ([], 1, False, ExitCode.OK),
        ([MET], 1, False, ExitCode.OK),
        ([MET, MISSED], 1, False, ExitCode.FAILED),
        ([MISSED], 0, False, ExitCode.UNJUDGEABLE),
        ([MISSED], 0, True, ExitCode.INTERRUPTED),
    ],
)
def test_exit_codes(thresholds: list[Threshold], succeeded: int, interrupted: bool, code: ExitCode) -> None:
    assert load_exit_code(thresholds, succeeded=succeeded, interrupted=interrupted) is code


def test_a_worker_that_begins_before_locust_has_made_it_counts_like_the_others() -> None:
    program = (
        "import locust, locust.log\n"
        "from proxyspec.load.meter import meter_of\n"
        "import proxyspec_scenarios.load.throughput\n"
        "from locust.env import Environment\n"
        "environment = Environment(events=locust.events)\n"
        "assert environment.runner is None\n"
        "locust.events.test_start.fire(environment=environment)\n"
        "data = {}\n"
        "locust.events.report_to_master.fire(client_id='one', data=data)\n"
        # Locust ends a worker over such an error, in silence.
        "print(locust.log.unhandled_greenlet_exception, bool(meter_of(environment)), sorted(data))\n"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert (ended.returncode, ended.stderr) == (0, "")
    assert ended.stdout.startswith("False True ['proxyspec")
