"""Runs a profile: starts Locust in its own process, listens to what it measures, writes the record."""

from __future__ import annotations

import contextlib
import math
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from proxyspec.conformance import target_record
from proxyspec.errors import ExitCode, HarnessError, UsageError
from proxyspec.haproxy.front import HERE, free_ports
from proxyspec.interruption import told
from proxyspec.load.messages import Finished, Lines, Refused, Started, Tick, parse_message
from proxyspec.load.options import AUTH_VARIABLE, HeaderKind, LoadOptions
from proxyspec.load.stages import held, knee
from proxyspec.load.thresholds import judge, merge, parse_expectation
from proxyspec.logs import last_lines
from proxyspec.model import Target, Via
from proxyspec.records import HAProxyRecord, LoadError, LoadPoint, LoadRun, Threshold
from proxyspec.records.load import LoadSample
from proxyspec.rundir import RunDirectory
from proxyspec.runhead import Begun
from proxyspec.wire import Road

__all__ = ["Front", "LoadListener", "load_exit_code", "run_load"]

#: Seconds the probe before the load may take to connect.
PROBE_PATIENCE = 5.0
#: Seconds until Locust has to be up.
START_PATIENCE = 60.0
#: Seconds a master waits for its workers.
WORKERS_PATIENCE = 300.0
#: Seconds beyond the load's own duration until Locust has to have reported.
END_PATIENCE = 30.0
#: Seconds Locust has to report once it was told to stop.
STOP_PATIENCE = 15.0
#: Seconds between two looks at whether a signal came.
GLANCE = 0.1

LOG = "evidence/locust.log"
#: Stands for the login in the recorded command line.
HIDDEN = "(hidden)"


@dataclass(frozen=True, slots=True)
class Front:
    """An HAProxy that stands between the load and the target: what it does with headers, and where it listens."""

    via: Via
    road: Road
    record: HAProxyRecord
    #: Its `stats socket`; None: it is not asked.
    stats: str | None = None

    @property
    def adds_header(self) -> bool:
        """It takes plain SMTP; else it wants a header and writes its own."""
        return self.via in (Via.RELAY_V1, Via.RELAY_V2)


class LoadListener:
    """What a load tells while it goes on; the base class keeps silent."""

    def started(self, message: Started) -> None:
        """The load begins."""

    def ticked(self, message: Tick) -> None:
        """One more second is over."""

    def unmeasurable(self, reason: str) -> None:
        """No session succeeded; `reason` says what the user can do."""


@dataclass(slots=True)
class _Heard:
    started: Started | None = None
    timeline: list[LoadPoint] = field(default_factory=list)
    samples: list[LoadSample] = field(default_factory=list)
    sessions: int = 0
    failures: int = 0
    finished: Finished | None = None


class _Signals:
    """Counts SIGINT and SIGTERM instead of letting them break in at any place."""

    def __init__(self) -> None:
        self.count = 0

    def note(self) -> None:
        self.count += 1


def _probe(target: Target) -> OSError | None:
    """Connect once, say nothing, go; return what prevented it."""
    source = (target.trusted_source, 0) if target.trusted_source else None
    try:
        socket.create_connection((target.host, target.port), PROBE_PATIENCE, source).close()
    except OSError as error:
        return error
    return None


def _command(
    target: Target, profile: Path, options: LoadOptions, descriptor: int, front: Front | None = None
) -> list[str]:
    url, host, source, header = target.url, target.host, target.trusted_source, options.header
    if front is not None:
        url, host, source = f"smtp://{front.road.host}:{front.road.port}", front.road.host, front.road.source
        header = HeaderKind.NONE if front.adds_header else header
    words = [sys.executable, "-P", "-m", "proxyspec.load.process", "--locustfile", str(profile.absolute())]
    words += ["--headless", "--only-summary", "--host", url, "--report-fd", str(descriptor)]
    chosen: list[tuple[str, object]] = [
        ("--users", options.users),
        ("--spawn-rate", options.spawn_rate),
        ("--run-time", None if options.seconds is None else math.ceil(options.seconds)),
        ("--proxy-header", header),
        ("--message-size", options.message_size),
        ("--sender", options.sender),
        ("--recipient", options.recipient),
        ("--smtp-tls", options.tls),
        ("--messages", options.messages),
        ("--message-file", None if options.message_file is None else options.message_file.absolute()),
        ("--processes", options.processes),
        ("--header-timeout", f"{target.header_timeout:g}"),
        ("--server-metrics", options.server_metrics),
        ("--server-pid", options.server_pid),
        ("--haproxy-stats", options.haproxy_stats if front is None else front.stats),
        *(("--source", source) for source in options.sources or (source,)),
        *(("--allow-target", allowed) for allowed in options.allowed),
        # The target was resolved and allowed before; the profile asks again.
        ("--allow-target", host),
    ]
    if options.processes is not None:
        # A port of its own: on Locust's usual one the workers of another load would join, and the network could.
        port = free_ports(1)[0]
        chosen += [("--master-bind-host", HERE), ("--master-bind-port", port), ("--master-port", port)]
    if options.master is not None:
        words += ["--master", f"--expect-workers={options.master.workers}"]
        chosen += [("--master-bind-host", options.master.host), ("--master-bind-port", options.master.port)]
        chosen.append(("--expect-workers-max-wait", round(WORKERS_PATIENCE)))
    words += [f"{name}={value}" for name, value in chosen if value is not None]
    return [*words, "--pipelining"] if options.pipelining else words


class _Locust:
    """The Locust process in a process group of its own; leaving the context ends it whatever happened."""

    def __init__(
        self, command: Sequence[str], secrets: dict[str, str], read_end: int, write_end: int, out: RunDirectory
    ) -> None:
        log = out.path / LOG
        try:
            log.parent.mkdir(parents=True, exist_ok=True)
            with log.open("wb") as file:
                self._process = subprocess.Popen(
                    command,
                    stdin=subprocess.DEVNULL,
                    stdout=file,
                    stderr=subprocess.STDOUT,
                    pass_fds=(write_end,),
                    process_group=0,
                    # Neither a locust.conf beside the user nor Locust's variables have a say in our runs.
                    cwd=log.parent,
                    env={name: value for name, value in os.environ.items() if not name.startswith("LOCUST_")} | secrets,
                )
        except OSError as error:
            raise HarnessError(f"Locust cannot be started: {error.strerror or error}") from error
        self._log = log
        self._pipe = read_end
        self._lines = Lines()

    def __enter__(self) -> _Locust:
        return self

    def __exit__(self, *_: object) -> None:
        # The workers of several processes are of its group, and may not have ended with it.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()

    def stop(self) -> None:
        """Ask it to end; it lets sessions end, reports and leaves."""
        if self._process.poll() is None:
            self._process.terminate()

    def messages(self, patience: float) -> Iterator[Started | Tick | Finished | Refused] | None:
        """Return what arrived within `patience` seconds; None when nothing more will.

        Raises:
            HarnessError: it said what no profile says.
        """
        over = self._process.poll() is not None
        if not select.select([self._pipe], [], [], patience)[0]:
            # Workers that have outlived it hold the pipe open, and tell nothing.
            return None if over else iter(())
        data = os.read(self._pipe, 65536)
        if not data:
            return None
        try:
            return iter([parse_message(line) for line in self._lines.feed(data)])
        except ValueError as error:
            raise HarnessError(f"the Locust process talks nonsense: {error}; its log is {self._log}") from error

    def forget(self) -> None:
        """Take its log away: all that it had to say is in the message it ended with."""
        self._log.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            self._log.parent.rmdir()

    def last_words(self) -> str:
        """Return the last line of its log that says anything, control characters made visible."""
        lines = last_lines(self._log, 8192)
        return lines[-1][:300] if lines else "it said nothing"


def _listen(
    locust: _Locust, heard: _Heard, signals: _Signals, out: RunDirectory, listener: LoadListener, patience: float
) -> None:
    """Take in messages until Locust is done, out of time, or told to stop and out of patience.

    `patience` is how long it may take to begin, in seconds.
    """
    limit = time.monotonic() + patience
    asked = False
    while time.monotonic() < limit and signals.count < 2:
        if signals.count and not asked:
            asked = True
            locust.stop()
            limit = time.monotonic() + STOP_PATIENCE
        messages = locust.messages(GLANCE)
        if messages is None:
            return
        for message in messages:
            match message:
                case Refused():
                    locust.forget()
                    raise UsageError(message.message)
                case Started():
                    heard.started = message
                    if not asked:
                        limit = (
                            math.inf if message.seconds is None else time.monotonic() + message.seconds + END_PATIENCE
                        )
                    out.event("load-started", message)
                    listener.started(message)
                case Tick():
                    heard.timeline.append(message.point)
                    heard.samples += message.samples
                    heard.sessions, heard.failures = message.sessions, message.failures
                    out.event("load-tick", message)
                    listener.ticked(message)
                case Finished():
                    heard.finished = message
                    heard.samples += message.samples
                    heard.sessions, heard.failures = message.sessions, message.failures


def _drive(
    target: Target,
    profile: Path,
    options: LoadOptions,
    signals: _Signals,
    out: RunDirectory,
    listener: LoadListener,
    front: Front | None,
) -> _Heard:
    """Run Locust to its end and return what it told.

    Raises:
        UsageError: the profile refuses the options, or is no working locustfile.
        HarnessError: Locust cannot be executed, or ends without figures though nobody interrupted it.
    """
    heard = _Heard()
    read_end, write_end = os.pipe()
    try:
        try:
            # Who lists processes need not read the password.
            secrets = {} if options.auth is None else {AUTH_VARIABLE: options.auth}
            locust = _Locust(_command(target, profile, options, write_end, front), secrets, read_end, write_end, out)
        finally:
            os.close(write_end)
        with locust:
            patience = START_PATIENCE + (WORKERS_PATIENCE if options.master else 0.0)
            _listen(locust, heard, signals, out, listener, patience)
            if heard.finished is None and not signals.count:
                if heard.started is None:
                    raise UsageError(
                        f"the profile {profile} does not start: {locust.last_words()}; "
                        f"its whole log is {out.path / LOG}"
                    )
                raise HarnessError(
                    f"Locust ended without figures while it ran {profile}: {locust.last_words()}; "
                    f"its whole log is {out.path / LOG}"
                )
    finally:
        os.close(read_end)
    return heard


def load_exit_code(thresholds: Sequence[Threshold], *, succeeded: int, interrupted: bool) -> ExitCode:
    """Return the first exit code that applies; `succeeded` is the number of sessions that did."""
    if interrupted:
        return ExitCode.INTERRUPTED
    if succeeded == 0:
        return ExitCode.UNJUDGEABLE
    return ExitCode.OK if all(threshold.met for threshold in thresholds) else ExitCode.FAILED


def _plight(target: Target, heard: _Heard) -> str:
    where = target.place
    errors = heard.finished.errors if heard.finished else []
    if not errors:
        return f"no session with {where} ended while the load went on: is --time long enough?"
    most = errors[0]
    return (
        f"no session with {where} succeeded; {most.count} times: {most.error}. "
        "Is it an SMTP server, does it expect this header (--header) from this machine, does it take this recipient?"
    )


def _header(header: str, front: Front | None) -> str:
    if front is None:
        return header
    return front.via.value if front.adds_header else f"{header}, {front.via.value}"


def _shown(words: Sequence[str]) -> list[str]:
    """Return the command line without what is nobody else's business."""
    shown = [f"--auth={HIDDEN}" if word.startswith("--auth=") else word for word in words]
    return [HIDDEN if before == "--auth" else word for before, word in zip(["", *shown], shown, strict=False)]


def run_load(
    target: Target,
    profile: str | Path,
    options: LoadOptions,
    out: RunDirectory,
    listener: LoadListener,
    *,
    command: Sequence[str] | None = None,
    front: Front | None = None,
) -> LoadRun:
    """Run the locustfile `profile` against `target`, through `front` if there is one; write the record into `out`.

    An interruption (Ctrl-C, SIGTERM) ends the load early; what was measured by then is recorded.

    Raises:
        UsageError: an expectation cannot be read, the profile refuses the options or is no working locustfile.
        HarnessError: Locust fails, or the run directory cannot be written.
    """
    profile = Path(profile)
    own = [parse_expectation(text) for text in options.expect]
    begun = Begun(out.id)
    signals = _Signals()
    heard = _Heard()
    out.event("run-started", {"id": out.id, "kind": "load", "target": target.url, "profile": profile.stem})
    with told(signals.note):
        refusal = _probe(target)
        if refusal is None and not signals.count:
            heard = _drive(target, profile, options, signals, out, listener, front)
    finished = heard.finished
    expected = [parse_expectation(text) for text in heard.started.thresholds] if heard.started else []
    thresholds = judge(merge(expected, own), finished.steps if finished else [])
    thresholds += finished.checks if finished else []
    code = load_exit_code(thresholds, succeeded=heard.sessions - heard.failures, interrupted=signals.count > 0)
    errors = finished.errors if finished else []
    if refusal is not None:
        reason = refusal.strerror or str(refusal)
        errors = [LoadError(step="connect", error=reason, count=1)]
        listener.unmeasurable(f"{target.place} cannot be reached ({reason}): is the server running?")
    elif code is ExitCode.UNJUDGEABLE:
        listener.unmeasurable(_plight(target, heard))
    stages = held(heard.timeline)
    seconds = finished.seconds if finished else heard.timeline[-1].at if heard.timeline else 0.0
    run = LoadRun(
        **begun.head(
            interrupted=signals.count > 0,
            command=_shown(sys.argv[1:] if command is None else command),
            haproxy=None if front is None else front.record,
        ),
        target=target_record(target, "none"),
        exit_code=code,
        profile=profile.stem,
        header=_header(heard.started.header if heard.started else options.header or HeaderKind.NONE, front),
        users=finished.users if finished else max((point.users for point in heard.timeline), default=0),
        sessions=heard.sessions,
        failures=heard.failures,
        rate=round(heard.sessions / seconds, 2) if seconds else 0.0,
        steps=finished.steps if finished else [],
        timeline=heard.timeline,
        errors=errors,
        thresholds=thresholds,
        planned=finished.planned if finished else {},
        workers=finished.workers if finished else 0,
        lost=finished.lost if finished else 0,
        samples=sorted(heard.samples, key=lambda sample: sample.at),
        stages=stages,
        knee=knee(stages),
        generator=finished.generator if finished else None,
        notes=finished.notes if finished else [],
    )
    out.record(run)
    out.event("run-finished", {"exit_code": int(code), "status": run.status, "duration": run.duration})
    return run
