"""The Locust clients compared: ours, and the two that people write; a round is a number of sessions."""

from __future__ import annotations

import json
import resource
import smtplib
import socket
import time
from pathlib import Path
from typing import Any

import gevent
from locust import User, events, task
from locust.exception import StopUser

from proxyspec.load.client import ProxySmtpUser
from proxyspec.load.dialogue import Exchange
from proxyspec.load.meter import REQUEST_TYPE, meter_of
from proxyspec.load.options import SessionOptions
from proxyspec.load.scripts import delivery, message

ENGINE = "engine"
COMMANDS = [move for move in delivery(SessionOptions()).moves if isinstance(move, Exchange)]
TEXT = message(1024)[:-3]


class Round:
    """How many sessions are left, and what they cost."""

    def __init__(self) -> None:
        self.options: Any = None
        self.left = 0
        self.going = 0
        self.began = 0.0
        self.spent = 0.0

    def begin(self, environment: Any, **_: Any) -> None:
        """Note the time before the first session."""
        self.options = environment.parsed_options
        self.left, self.going = self.options.sessions, 0
        self.began, self.spent = time.perf_counter(), _cpu()

    def take(self) -> None:
        """Take one session; there may be none left. Raises StopUser then."""
        if not self.left:
            raise StopUser
        self.left -= 1
        self.going += 1

    def done(self, environment: Any) -> None:
        """Note that one is over; the last one ends the round."""
        self.going -= 1
        if not self.left and not self.going:
            elapsed, spent = time.perf_counter() - self.began, _cpu() - self.spent
            gevent.spawn_later(0.2, self.tell, environment, elapsed, spent)

    def tell(self, environment: Any, elapsed: float, spent: float) -> None:
        """Write down the round, and end."""
        stats = environment.stats
        session = stats.entries["session", REQUEST_TYPE]
        exact = True
        if self.options.client.startswith(ENGINE):
            meter = meter_of(environment)
            meter.settle()
            exact = all(
                (entry.num_requests, entry.num_failures) == (found.times.count, found.failures)
                for name, found in meter.total.by_step.items()
                for entry in [stats.entries[name, REQUEST_TYPE]]
            ) and stats.total.num_requests == sum(found.times.count for found in meter.total.by_step.values())
        why = "; ".join(sorted({str(error.error) for error in stats.errors.values()}))
        told = {"sessions": session.num_requests, "failed": session.num_failures, "why": why}
        told |= {"wall": elapsed, "cpu": spent, "exact": exact}
        Path(self.options.told).write_text(json.dumps(told))
        # Failures are told, and judged by whoever reads it.
        environment.process_exit_code = 0
        environment.runner.quit()


def _cpu() -> float:
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


_round = Round()
events.test_start.add_listener(_round.begin)


@events.init_command_line_parser.add_listener  # type: ignore[untyped-decorator] # Locust carries no types we follow
def _arguments(parser: Any, **_: Any) -> None:
    parser.add_argument("--client", default=ENGINE)
    parser.add_argument("--sessions", type=int, default=1000)
    parser.add_argument("--told", default="told.json")


@events.init.add_listener  # type: ignore[untyped-decorator] # Locust carries no types we follow
def _choose(environment: Any, **_: Any) -> None:
    client = environment.parsed_options.client
    kind = client.partition(",")[0]
    chosen = {ENGINE: Engine, "gevent sockets": Sockets, "smtplib": Library}[kind]
    environment.user_classes[:] = [chosen]
    Engine.proxy_header = "v2" if client.endswith("v2") else "none"
    Engine.pipelining = client.endswith("pipelined")


class Engine(ProxySmtpUser):
    """Ours, every step timed."""

    @task  # type: ignore[untyped-decorator] # Locust carries no types we follow
    def deliver(self) -> None:
        """One session."""
        _round.take()
        self.client.session()
        _round.done(self.environment)


class _Timed(User):  # type: ignore[misc] # Locust carries no types we follow
    """One event a session, around `session`."""

    abstract = True

    def session(self, host: str, port: int) -> None:
        """Deliver one message."""
        raise NotImplementedError

    @task  # type: ignore[untyped-decorator] # Locust carries no types we follow
    def deliver(self) -> None:
        """One session."""
        _round.take()
        host, _, port = self.host.removeprefix("smtp://").partition(":")
        with self.environment.events.request.measure(REQUEST_TYPE, "session"):
            self.session(host, int(port))
        _round.done(self.environment)


class Sockets(_Timed):
    """The standard library's sockets, as gevent has patched them."""

    def session(self, host: str, port: int) -> None:
        """Send and read by turns."""
        with socket.create_connection((host, port)) as connection:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            for move in COMMANDS:
                if move.send:
                    connection.sendall(move.send)
                reply = b""
                while not reply.endswith(b"\r\n") or reply[reply.rfind(b"\n", 0, -1) + 4 :][:1] == b"-":
                    reply += connection.recv(4096)
                if int(reply[:3]) not in move.codes:
                    raise ConnectionError(f"{move.step}: {reply!r}")


class Library(_Timed):
    """The standard library's smtplib, on the same sockets."""

    def session(self, host: str, port: int) -> None:
        """Deliver as its documentation shows."""
        with smtplib.SMTP(host, port, local_hostname="client.example") as client:
            client.sendmail("load@client.example", ["sink@server.example"], TEXT)
