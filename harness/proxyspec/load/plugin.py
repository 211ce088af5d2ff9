"""The Locust side of a profile: its options and defaults, the figures, what the starting process is told."""

from __future__ import annotations

import contextlib
import logging
import os
import resource
import signal
import sys
import time
from dataclasses import dataclass
from typing import Any, NoReturn

import gevent
from locust import events
from locust.exception import StopTest
from locust.runners import LocalRunner
from pydantic import BaseModel

from proxyspec.errors import ExitCode, UsageError
from proxyspec.load.client import REQUEST_TYPE, ProxySmtpUser
from proxyspec.load.figures import Figures
from proxyspec.load.messages import Finished, Refused, Started, Tick
from proxyspec.load.options import HeaderKind
from proxyspec.load.thresholds import Expectation, judge, parse_expectation

__all__ = ["Profile", "declare"]

_log = logging.getLogger("proxyspec.load")

#: Seconds that sessions may still take once the load is over.
DRAIN_SECONDS = 2
#: Seconds between two samples of the time line.
TICK = 1.0
#: Descriptors this process needs beyond one a user.
SPARE_DESCRIPTORS = 64


@dataclass(frozen=True, slots=True, kw_only=True)
class Profile:
    """The shape of a load and what is expected of it; the command line may say otherwise."""

    #: Users at once.
    users: int
    #: Users started per second.
    spawn_rate: float
    #: Duration, whole seconds.
    seconds: int
    thresholds: tuple[str, ...]


def declare(profile: Profile) -> None:
    """Make the locustfile that calls this a profile, under plain `locust` as under `proxyspec load`.

    Raises:
        UsageError: a threshold cannot be read.
    """
    _Plugin(profile, [parse_expectation(text) for text in profile.thresholds])


def _interrupt() -> NoReturn:
    raise KeyboardInterrupt


class _Reporter:
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


class _Plugin:
    """Listens to Locust's events for the life of one process."""

    def __init__(self, profile: Profile, expectations: list[Expectation]) -> None:
        self._profile = profile
        self._expectations = expectations
        self._reporter = _Reporter(None)
        self._environment: Any = None
        self._figures = Figures()
        self._began: float | None = None
        self._seconds = 0.0
        self._users = 0
        self._sampled = 0.0
        self._sampler: Any = None
        for hook in ("init_command_line_parser", "init", "test_start", "test_stop", "quitting", "quit"):
            getattr(events, hook).add_listener(getattr(self, f"_on_{hook}"))

    def _on_init_command_line_parser(self, parser: Any, **_: Any) -> None:
        add = parser.add_argument
        add("--proxy-header", choices=list(HeaderKind), help="PROXY header each connection begins with")
        add("--message-size", type=int, metavar="BYTES", help="size of each message")
        add("--patience", type=float, metavar="SECONDS", help="time each step of a session may take")
        add("--sender", metavar="MAILBOX", help="mailbox in MAIL FROM")
        add("--recipient", metavar="MAILBOX", help="mailbox in RCPT TO")
        # Consent and addresses come from the command line alone, never from the web interface.
        for option, about in (
            (
                "--allow-target",
                {"action": "append", "metavar": "CIDR", "help": "consent to a target on another machine"},
            ),
            ("--source", {"metavar": "ADDRESS", "help": "local address to connect from"}),
            ("--report-fd", {"type": int, "metavar": "N", "help": "write figures as JSON lines to this descriptor"}),
        ):
            add(option, include_in_web_ui=False, **about)
        parser.set_defaults(
            num_users=self._profile.users,
            spawn_rate=self._profile.spawn_rate,
            run_time=self._profile.seconds,
            stop_timeout=str(DRAIN_SECONDS),
        )

    def _on_init(self, environment: Any, **_: Any) -> None:
        options = environment.parsed_options
        self._environment = environment
        self._reporter = _Reporter(options.report_fd)
        environment.events.request.add_listener(self._on_request)
        # Locust says by itself why it stops; gevent need not print a traceback beside it.
        hub = gevent.get_hub()
        hub.NOT_ERROR = (*hub.NOT_ERROR, StopTest, KeyboardInterrupt)
        # Ctrl-C belongs to Locust's main loop, not to the session that happens to run.
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            gevent.signal_handler(signal.SIGINT, _interrupt)
        try:
            self._check(options)
        except UsageError as error:
            self._refuse(str(error))
        if not isinstance(environment.runner, LocalRunner):
            _log.warning("proxyspec judges thresholds in a single process only: this one of several judges none")

    def _check(self, options: Any) -> None:
        """Refuse early, before Locust starts anything, what no user could work with."""
        _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        users = options.num_users
        if hard != resource.RLIM_INFINITY and users + SPARE_DESCRIPTORS > hard:
            raise UsageError(
                f"{users} users need {users + SPARE_DESCRIPTORS} open files and this process may have {hard}: "
                "raise the limit (ulimit -Hn) or lower --users"
            )
        for user in self._environment.user_classes:
            if issubclass(user, ProxySmtpUser):
                user.session_options(vars(options))
                # The web interface asks for a host later; every user checks it again.
                host = self._environment.host or user.host
                if host or options.headless:
                    user.endpoint(host, options.allow_target or (), options.source or user.source)

    def _refuse(self, message: str) -> NoReturn:
        with contextlib.suppress(BrokenPipeError):
            self._reporter.send(Refused(message=message))
        print(f"proxyspec: {message}", file=sys.stderr)
        sys.exit(ExitCode.USAGE)

    def _on_request(
        self, request_type: str, name: str, response_time: float, exception: BaseException | None = None, **_: Any
    ) -> None:
        if request_type == REQUEST_TYPE:
            self._figures.add(name, response_time, None if exception is None else str(exception))

    def _on_test_start(self, **_: Any) -> None:
        options = self._environment.parsed_options
        self._figures = Figures()
        self._began, self._seconds, self._users, self._sampled = time.perf_counter(), 0.0, 0, 0.0
        if self._reporter.heard:
            self._tell(
                Started(
                    users=options.num_users,
                    seconds=options.run_time,
                    header=self._headers(vars(options)),
                    thresholds=[expectation.text for expectation in self._expectations],
                )
            )
        if self._sampler is not None:
            self._sampler.kill(block=False)
        self._sampler = gevent.spawn(self._sample)

    def _headers(self, chosen: dict[str, Any]) -> str:
        users = [user for user in self._environment.user_classes if issubclass(user, ProxySmtpUser)]
        return " and ".join(dict.fromkeys(user.session_options(chosen).header for user in users)) or HeaderKind.NONE

    def _sample(self) -> None:
        assert self._began is not None
        number = 0
        while True:
            number += 1
            gevent.sleep(max(0.0, self._began + number * TICK - time.perf_counter()))
            self._tick()

    def _tick(self) -> None:
        assert self._began is not None
        now = time.perf_counter() - self._began
        users = self._environment.runner.user_count
        self._users = max(self._users, users)
        point = self._figures.point(now, users, now - self._sampled)
        self._sampled = now
        self._tell(Tick(point=point, sessions=self._figures.sessions, failures=self._figures.failures))

    def _tell(self, message: BaseModel) -> None:
        try:
            self._reporter.send(message)
        except BrokenPipeError:
            # The process that started this one is gone: nobody wants the load any more.
            os._exit(ExitCode.HARNESS)

    def _on_test_stop(self, **_: Any) -> None:
        if self._began is None:
            return
        if self._sampler is not None:
            self._sampler.kill(block=False)
            self._sampler = None
        self._seconds = time.perf_counter() - self._began
        # A shorter rest would show as a peak that there was not.
        if self._seconds - self._sampled > TICK / 10:
            self._tick()

    def _on_quitting(self, environment: Any, **_: Any) -> None:
        # After a signal Locust comes here with its users still at work.
        environment.runner.stop()
        if self._began is None or self._reporter.heard or not isinstance(environment.runner, LocalRunner):
            return
        verdicts = judge(self._expectations, self._figures.steps(self._seconds))
        for verdict in verdicts:
            measured = "not measured" if verdict.actual is None else f"{verdict.actual:.6g}"
            _log.info("%s: %s (%s)", "met" if verdict.met else "MISSED", verdict.expression, measured)
        if environment.process_exit_code is None:
            environment.process_exit_code = int(
                ExitCode.OK if all(verdict.met for verdict in verdicts) else ExitCode.FAILED
            )

    def _on_quit(self, **_: Any) -> None:
        if self._began is None:
            return
        self._tell(
            Finished(
                seconds=round(self._seconds, 3),
                users=self._users,
                sessions=self._figures.sessions,
                failures=self._figures.failures,
                steps=self._figures.steps(self._seconds),
                errors=self._figures.errors(),
            )
        )
