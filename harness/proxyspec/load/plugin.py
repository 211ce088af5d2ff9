"""The Locust side of a profile: its options and defaults, the figures, what the starting process is told."""

from __future__ import annotations

import contextlib
import logging
import math
import os
import resource
import signal
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NoReturn

import gevent
import locust.runners
from gevent.event import Event
from gevent.lock import BoundedSemaphore
from locust import events
from locust.exception import StopTest
from locust.runners import MasterRunner, WorkerRunner
from pydantic import BaseModel

from proxyspec.errors import ExitCode, UsageError
from proxyspec.load.client import ProxySmtpUser
from proxyspec.load.figures import Figures
from proxyspec.load.frames import headers
from proxyspec.load.generator import Watch, Watched, local_ports
from proxyspec.load.judging import Check, Evidence
from proxyspec.load.messages import Finished, Refused, Started, Tick
from proxyspec.load.meter import Meter, meter_of
from proxyspec.load.options import AUTH_VARIABLE, HeaderKind, Tls, parse_sources
from proxyspec.load.sampling import HAProxyProbe, ProbeLost, Sampler, probes
from proxyspec.load.scripts import delivery
from proxyspec.load.thresholds import judge, parse_expectation
from proxyspec.printable import printable
from proxyspec.records.load import LoadPoint, LoadSample, Threshold
from proxyspec.targets import bindable

__all__ = ["Profile", "Reporter", "declare", "declared", "refuse"]

_log = logging.getLogger("proxyspec.load")

#: Seconds that sessions may still take once the load is over.
DRAIN_SECONDS = 2
#: Seconds between two samples of the time line.
TICK = 1.0
#: Descriptors this process needs beyond one a user.
SPARE_DESCRIPTORS = 64
#: Seconds between two reports of a worker; Locust's own three would make a coarse time line.
REPORT_EVERY = 1.0
#: Seconds without a report from some worker until the time line goes on without it.
STALL = 3.0
#: Seconds beyond the drain in which workers have to send their last figures.
LAST_WORDS = 5.0
#: The declared header deadline, in seconds, where nobody says another.
HEADER_TIMEOUT = 30.0

#: Seconds the server has to close what it was left with, before it is looked at for the last time.
REST = 2.0
#: Seconds between two looks meanwhile.
GLANCE = 0.1

#: Names of our parts in Locust's messages.
_FIGURES, _OWN, _STOP, _STOPPED = "proxyspec", "proxyspec-own", "proxyspec-stop", "proxyspec-stopped"
_USERS = "proxyspec-users"
#: The name this process goes by among those that are watched, where it makes the connections itself.
_HERE = "here"


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """The shape of a load and what is expected of it; the command line may say otherwise."""

    #: Users at once.
    users: int
    #: Users started per second.
    spawn_rate: float
    #: Duration, whole seconds.
    seconds: int
    #: What is expected; or a function of the server's declared header deadline, in seconds, that tells it.
    thresholds: tuple[str, ...] | Callable[[float], tuple[str, ...]]
    #: Further judgements at the end of the load, which no figure of a single step can give.
    checks: tuple[Check, ...] = ()
    #: It holds headers back or breaks them: without one it would test nothing.
    needs_header: bool = False

    def expected(self, header_timeout: float) -> tuple[str, ...]:
        """Return the thresholds for a server with this header deadline."""
        return self.thresholds(header_timeout) if callable(self.thresholds) else self.thresholds


#: Those of this process; Locust's hooks call them.
_plugins: list[_Plugin] = []


def declare(profile: Profile) -> None:
    """Make the locustfile that calls this a profile, under plain `locust` as under `proxyspec load`.

    Raises:
        UsageError: a threshold cannot be read.
    """
    for text in profile.expected(HEADER_TIMEOUT):
        parse_expectation(text)
    _plugins.append(_Plugin(profile))


def declared() -> bool:
    """Tell whether a locustfile was loaded that is a profile."""
    return bool(_plugins)


def _interrupt() -> NoReturn:
    raise KeyboardInterrupt


class Reporter:
    """Writes messages to the process that started this one; without one they go nowhere."""

    def __init__(self, descriptor: int | None) -> None:
        self._descriptor = descriptor

    @property
    def heard(self) -> bool:
        """Somebody reads."""
        return self._descriptor is not None

    def send(self, message: BaseModel) -> None:
        """Write one line.

        Raises:
            BrokenPipeError: the reader is gone.
        """
        if self._descriptor is None:
            return
        rest = message.model_dump_json().encode() + b"\n"
        while rest:
            rest = rest[os.write(self._descriptor, rest) :]


def refuse(reporter: Reporter, message: str) -> NoReturn:
    """End this process, which cannot begin the load, and say why."""
    with contextlib.suppress(BrokenPipeError):
        reporter.send(Refused(message=message))
    print(f"proxyspec: {message}", file=sys.stderr)
    sys.exit(ExitCode.USAGE)


class _Plugin:
    """Listens to Locust's events for the life of one process: alone, as a worker, or as the master of some."""

    def __init__(self, profile: Profile) -> None:
        self._profile = profile
        self._reporter = Reporter(None)
        self._environment: Any = None
        self._figures = Figures()
        #: What workers reported since the last sample, and who of them did; the master's alone.
        self._arrived = Figures()
        self._heard_from: set[str] = set()
        self._users_of: dict[str, int] = {}
        self._workers: set[str] = set()
        self._stopped: set[str] = set()
        self._all_stopped = Event()
        self._began: float | None = None
        self._seconds = 0.0
        self._users = 0
        self._sampled = 0.0
        self._sampler: Any = None
        self._checked: list[Threshold] | None = None
        self._points: list[LoadPoint] = []
        self._watch = Watch()
        self._watched = Watched()
        self._sources = Sampler(())
        #: Of the other side, and of ourselves; `_untold` went into no message yet.
        self._samples: list[LoadSample] = []
        self._untold: list[LoadSample] = []
        self._reading: Any = None
        self._stopping = BoundedSemaphore()
        for hook in (
            "init_command_line_parser",
            "init",
            "test_start",
            "test_stopping",
            "test_stop",
            "reset_stats",
            "report_to_master",
            "worker_report",
            "quitting",
            "quit",
        ):
            getattr(events, hook).add_listener(getattr(self, f"_on_{hook}"))

    def _on_init_command_line_parser(self, parser: Any, **_: Any) -> None:
        add = parser.add_argument
        # The web interface sends the first choice where nobody chose: it has to be that of the profile.
        add("--proxy-header", choices=["", *HeaderKind], help="PROXY header each connection begins with")
        add("--message-size", type=int, metavar="BYTES", help="size of each message")
        add("--messages", type=int, metavar="N", help="messages on each connection")
        add("--pipelining", action="store_true", default=None, help="send commands in groups (RFC 2920)")
        add("--smtp-tls", dest="tls", choices=["", *Tls], help="whether sessions are encrypted, and from where on")
        add("--patience", type=float, metavar="SECONDS", help="time each step of a session may take")
        add("--sender", metavar="MAILBOX", help="mailbox in MAIL FROM")
        add("--recipient", metavar="MAILBOX", help="mailbox in RCPT TO")
        add("--header-timeout", type=float, default=HEADER_TIMEOUT, metavar="SECONDS", help="the declared deadline")
        # Consent, files, passwords and addresses come from the command line alone, never from the web interface.
        for option, about in (
            (
                "--allow-target",
                {"action": "append", "metavar": "CIDR", "help": "consent to a target on another machine"},
            ),
            (
                "--source",
                {"action": "append", "metavar": "ADDRESS|CIDR", "help": "local addresses to connect from by turns"},
            ),
            ("--message-file", {"metavar": "FILE", "help": "a file that holds the message"}),
            (
                "--auth",
                {"metavar": "MECHANISM:USER:PASSWORD", "help": "plain:… or login:…", "env_var": AUTH_VARIABLE},
            ),
            ("--server-metrics", {"metavar": "URL", "help": "/metrics.json of the reference server: its own counters"}),
            ("--server-pid", {"type": int, "metavar": "PID", "help": "the server's process: CPU, memory, descriptors"}),
            ("--haproxy-stats", {"metavar": "SOCKET", "help": "HAProxy's runtime API: a path, or HOST:PORT"}),
            ("--report-fd", {"type": int, "metavar": "N", "help": "write figures as JSON lines to this descriptor"}),
        ):
            add(option, include_in_web_ui=False, **about)
        parser.set_defaults(
            num_users=self._profile.users,
            spawn_rate=self._profile.spawn_rate,
            run_time=self._profile.seconds,
            stop_timeout=str(DRAIN_SECONDS),
        )

    @property
    def _meter(self) -> Meter:
        return meter_of(self._environment)

    @property
    def _is_worker(self) -> bool:
        # Only a worker hears of anything while its runner is being made.
        return self._environment.runner is None or isinstance(self._environment.runner, WorkerRunner)

    def _on_init(self, environment: Any, **_: Any) -> None:
        options = environment.parsed_options
        self._environment = environment
        runner = environment.runner
        if self._is_worker:
            # The descriptor is the master's; across machines it is nobody's.
            runner.register_message(_STOP, self._on_stop_ordered, concurrent=True)
            locust.runners.WORKER_REPORT_INTERVAL = REPORT_EVERY
        else:
            self._reporter = Reporter(options.report_fd)
        if isinstance(runner, MasterRunner):
            runner.register_message(_STOPPED, self._on_stopped)
            # Locust sends its options along with the order to begin.
            setattr(options, _USERS, self._users_declared())
        # Locust says by itself why it stops; gevent need not print a traceback beside it.
        hub = gevent.get_hub()
        hub.NOT_ERROR = (*hub.NOT_ERROR, StopTest, KeyboardInterrupt)
        # Ctrl-C belongs to Locust's main loop, not to the session that happens to run.
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            gevent.signal_handler(signal.SIGINT, _interrupt)
        if environment.shape_class is not None and options.headless and not self._is_worker:
            gevent.signal_handler(signal.SIGTERM, self._on_sigterm)
        try:
            self._check(options)
        except UsageError as error:
            refuse(self._reporter, str(error))

    def _on_sigterm(self) -> None:
        """End a load with a shape in order: Locust itself listens to SIGTERM only once the shape is over."""
        shape = self._environment.runner.shape_greenlet
        if self._began is None or (shape is not None and not shape.ready()):
            _interrupt()

    def _check(self, options: Any) -> None:
        """Refuse early, before Locust starts anything, what no user could work with."""
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        users = math.ceil(options.num_users / max(options.processes or options.expect_workers or 1, 1))
        if hard != resource.RLIM_INFINITY and users + SPARE_DESCRIPTORS > hard:
            raise UsageError(
                f"{users} users in one process need {users + SPARE_DESCRIPTORS} open files and it may have {hard}: "
                "raise the limit (ulimit -Hn), share them among more --processes, or lower --users"
            )
        sources = len(parse_sources(options.source or ())) or 1
        if 0 < local_ports() * sources < options.num_users:
            raise UsageError(
                f"{options.num_users} users need as many local ports, and the system gives {local_ports()} to each of "
                f"{sources} source address(es): add addresses with --source, or lower --users"
            )
        # A master of other machines' workers connects from nowhere.
        connects = options.processes is not None or not isinstance(self._environment.runner, MasterRunner)
        for source in options.source or () if connects else ():
            if not bindable(parse_sources([source])[0]):
                raise UsageError(f"--source {source!r} is no address of this machine: name one that it has, or give it")
        if not self._is_worker:
            self._sources = self._other_side(options)
        for user in self._environment.user_classes:
            if issubclass(user, ProxySmtpUser):
                chosen = user.session_options(vars(options))
                if self._profile.needs_header and chosen.header is HeaderKind.NONE:
                    raise UsageError(
                        "this profile holds headers back or breaks them, and there is none with --header none (nor in "
                        "front of an HAProxy that adds it): take v1, v2 or v2-tlv, and --via chain-v1 or chain-v2"
                    )
                # Made now, they cost the first sessions nothing.
                delivery(chosen)
                next(headers(chosen.header))
                # The web interface asks for a host later; every user checks it again.
                host = self._environment.host or user.host
                if host or (options.headless and not self._is_worker):
                    user.endpoint(host, options.allow_target or (), options.source or user.source)

    def _other_side(self, options: Any) -> Sampler:
        """Return what the other side can be asked; HAProxy is asked how many connections it takes.

        Raises:
            UsageError: a source is not there, or HAProxy takes fewer connections than there will be users.
        """
        found = probes(options.server_pid, options.server_metrics, options.haproxy_stats)
        for source in found:
            if isinstance(source, HAProxyProbe):
                try:
                    most = source.maxconn
                except ProbeLost as error:
                    raise UsageError(f"--haproxy-stats {options.haproxy_stats!r}: {error}") from error
                if options.num_users > most:
                    raise UsageError(
                        f"{options.num_users} users are more than this HAProxy takes (maxconn {most}): the rest would "
                        "wait in its queue and be measured as slow; lower --users or raise maxconn"
                    )
        return Sampler(found)

    def _on_report_to_master(self, client_id: str, data: dict[str, Any], **_: Any) -> None:
        # A worker's first report may go out before Locust says that it is there.
        figures = Figures() if self._environment is None else self._meter.take()
        data[_FIGURES] = figures.packed()
        data[_OWN] = self._watch.read()

    def _on_worker_report(self, client_id: str, data: dict[str, Any], **_: Any) -> None:
        try:
            self._arrived.merge(Figures.unpacked(data.get(_FIGURES)))
        except ValueError as error:
            _log.warning("the worker %s reports nonsense: %s", client_id, error)
            return
        self._hear_of(client_id, data.get(_OWN))
        self._heard_from.add(client_id)
        # Locust sums these up too, but only after its listeners.
        self._users_of[client_id] = int(data.get("user_count") or 0)
        if self._began is not None and self._sampler is not None:
            self._workers.add(client_id)
            if self._heard_from >= self._workers and self._now() - self._sampled > TICK / 2:
                self._tick()

    def _hear_of(self, client_id: str, own: object) -> None:
        """Take what a worker says of itself; it came from another process."""
        match own:
            case {"cpu percent": int() | float()} if isinstance(own, Mapping):
                self._watched.add(
                    client_id,
                    {str(name): float(value) for name, value in own.items() if isinstance(value, int | float)},
                )
            case _:
                pass

    def _now(self) -> float:
        assert self._began is not None
        return time.perf_counter() - self._began

    def _users_declared(self) -> str:
        return ", ".join(sorted(user.__name__ for user in self._environment.user_classes))

    def _agree_with(self, of_master: object) -> None:
        """Refuse to work for a master with other users, whom Locust would look for in vain."""
        own = self._users_declared()
        if isinstance(of_master, str) and of_master != own:
            refuse(
                self._reporter,
                f"the users of the master's load are {printable(of_master)}, and those of this worker's are {own}: "
                "give both the same --profile",
            )

    def _on_test_start(self, environment: Any, **_: Any) -> None:
        if self._environment is None:
            # A worker may be told to begin before Locust says that it is there.
            self._environment = environment
        self._meter.reset()
        self._began, self._seconds, self._users, self._sampled = time.perf_counter(), 0.0, 0, 0.0
        self._figures, self._arrived, self._checked = Figures(), Figures(), None
        self._workers, self._heard_from, self._stopped, self._users_of = set(), set(), set(), {}
        self._points, self._samples, self._untold, self._watched = [], [], [], Watched()
        self._watch.read()
        options = self._environment.parsed_options
        if self._is_worker:
            self._agree_with(getattr(options, _USERS, None))
            return
        if self._reporter.heard:
            self._tell(
                Started(
                    users=options.num_users,
                    seconds=options.run_time,
                    header=self._headers(vars(options)),
                    thresholds=list(self._profile.expected(options.header_timeout)),
                )
            )
        if self._sampler is not None:
            self._sampler.kill(block=False)
        self._sampler = gevent.spawn(self._sample)
        if self._reading is not None:
            self._reading.kill(block=False)
        self._reading = gevent.spawn(self._read)

    def _on_reset_stats(self, **_: Any) -> None:
        self._meter.reset()
        self._figures, self._arrived = Figures(), Figures()

    def _headers(self, chosen: dict[str, Any]) -> str:
        users = [user for user in self._environment.user_classes if issubclass(user, ProxySmtpUser)]
        return " and ".join(dict.fromkeys(user.session_options(chosen).header for user in users)) or HeaderKind.NONE

    def _sample(self) -> None:
        assert self._began is not None
        interval = STALL if isinstance(self._environment.runner, MasterRunner) else TICK
        while True:
            # A master samples when its workers have reported; this is for when one of them does not.
            gevent.sleep(max(0.0, self._sampled + interval - self._now()))
            if self._now() - self._sampled >= interval:
                self._tick()

    def _read(self) -> None:
        """Ask the other side every second, beside the time line: it may take its time to answer."""
        at = 0.0
        while True:
            self._note(self._sources.read(at))
            gevent.sleep(max(0.0, at + TICK - self._now()))
            at = self._now()

    def _note(self, samples: list[LoadSample]) -> None:
        self._samples += samples
        self._untold += samples

    def _rest(self) -> None:
        """Look at the other side once more, when it has closed what it was left with."""
        if self._reading is None:
            return
        self._reading.kill()
        self._reading = None
        before: list[LoadSample] | None = None
        until = self._now() + REST
        while (found := self._sources.read(self._now())) and self._now() < until:
            if before is not None and _descriptors(found) >= _descriptors(before):
                break
            before = found
            gevent.sleep(GLANCE)
        self._note(found)

    def _collect(self) -> Figures:
        """Return what came since the last call, and add it to the whole."""
        if isinstance(self._environment.runner, MasterRunner):
            fresh, self._arrived = self._arrived, Figures()
        else:
            fresh = self._meter.take()
        self._figures.merge(fresh)
        return fresh

    def _tick(self) -> None:
        now = self._now()
        runner = self._environment.runner
        users = sum(self._users_of.values()) if isinstance(runner, MasterRunner) else runner.user_count
        self._users = max(self._users, users)
        point = self._collect().point(now, users, now - self._sampled)
        self._sampled = now
        self._heard_from = set()
        self._points.append(point)
        if not isinstance(runner, MasterRunner):
            self._watched.add(_HERE, self._watch.read())
        if own := self._watched.now():
            self._note([LoadSample(at=point.at, source="generator", values=own)])
        samples, self._untold = self._untold, []
        self._tell(Tick(point=point, sessions=self._figures.sessions, failures=self._figures.failures, samples=samples))

    def _tell(self, message: BaseModel) -> None:
        try:
            self._reporter.send(message)
        except BrokenPipeError:
            # The process that started this one is gone: nobody wants the load any more.
            os._exit(ExitCode.HARNESS)

    def _on_test_stopping(self, **_: Any) -> None:
        """Let workers end in order: Locust's own way waits half a second for their last figures, come or not."""
        runner = self._environment.runner
        if self._began is None or not isinstance(runner, MasterRunner):
            return
        self._all_stopped.clear()
        if runner.clients:
            runner.send_message(_STOP)
            if not self._all_stopped.wait(DRAIN_SECONDS + LAST_WORDS):
                _log.warning("workers that sent no last figures: %s", ", ".join(sorted(self._lost())) or "unknown")

    def _lost(self) -> set[str]:
        """Workers that took part and never sent their last figures."""
        return self._workers - self._stopped

    def _on_stop_ordered(self, environment: Any, **_: Any) -> None:
        runner = environment.runner
        runner.stop()
        data: dict[str, Any] = {}
        environment.events.report_to_master.fire(client_id=runner.client_id, data=data)
        runner.send_message("stats", data)
        runner.send_message(_STOPPED)

    def _on_stopped(self, msg: Any, **_: Any) -> None:
        self._stopped.add(msg.node_id)
        runner = self._environment.runner
        alive = {client.id for client in (*runner.clients.ready, *runner.clients.spawning, *runner.clients.running)}
        if self._stopped >= alive:
            self._all_stopped.set()

    def _on_test_stop(self, **_: Any) -> None:
        if self._began is None or self._is_worker:
            return
        if self._sampler is not None:
            self._sampler.kill(block=False)
            self._sampler = None
        self._seconds = self._now()
        # A shorter rest would show as a peak that there was not.
        if self._seconds - self._sampled > TICK / 10:
            self._tick()
        self._collect()
        self._rest()

    def _thresholds(self) -> list[Threshold]:
        """Return what the profile's own checks say; they look once."""
        if self._checked is None:
            evidence = Evidence(self._figures, tuple(self._points), tuple(self._samples))
            self._checked = [verdict for check in self._profile.checks for verdict in check(evidence)]
        return self._checked

    def _on_quitting(self, environment: Any, **_: Any) -> None:
        # After a signal Locust comes here with its users still at work; of a load with a shape twice at a time.
        with self._stopping:
            environment.runner.stop()
        if self._began is None or self._reporter.heard or self._is_worker:
            return
        expected = self._profile.expected(environment.parsed_options.header_timeout)
        verdicts = judge(map(parse_expectation, expected), self._figures.steps(self._seconds)) + self._thresholds()
        for verdict in verdicts:
            measured = "not measured" if verdict.actual is None else f"{verdict.actual:.6g}"
            _log.info("%s: %s (%s)", "met" if verdict.met else "MISSED", verdict.expression, measured)
        for limit in self._watched.record(self._figures.errors()).limits:
            _log.warning("%s", limit)
        if environment.process_exit_code is None:
            environment.process_exit_code = int(
                ExitCode.OK if all(verdict.met for verdict in verdicts) else ExitCode.FAILED
            )

    def _on_quit(self, **_: Any) -> None:
        if self._began is None or self._is_worker:
            return
        self._tell(
            Finished(
                seconds=round(self._seconds, 3),
                users=self._users,
                sessions=self._figures.sessions,
                failures=self._figures.failures,
                steps=self._figures.steps(self._seconds),
                errors=self._figures.errors(),
                planned=dict(self._figures.planned),
                checks=self._thresholds(),
                workers=len(self._workers),
                lost=len(self._lost()) if self._workers else 0,
                samples=self._untold,
                generator=self._watched.record(self._figures.errors()),
                notes=self._sources.notes,
            )
        )


def _descriptors(samples: list[LoadSample]) -> float:
    return sum(sample.values.get("descriptors", 0.0) for sample in samples)
