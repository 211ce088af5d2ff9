"""The Locust user that speaks SMTP behind a PROXY header; importing this module patches the interpreter."""

from __future__ import annotations

import enum
import gc
import os
import random
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

import gevent
from locust import TaskSet, User, events
from locust.exception import StopTest, StopUser

from proxyspec.errors import UsageError
from proxyspec.load.dialogue import Dialogue, Script, StepFailed
from proxyspec.load.engine import Endpoint
from proxyspec.load.frames import PERIOD, headers
from proxyspec.load.meter import REQUEST_TYPE, Meter, meter_of
from proxyspec.load.options import (
    DEFAULT_RECIPIENT,
    DEFAULT_SENDER,
    HeaderKind,
    SessionOptions,
    Tls,
    parse_login,
    parse_sources,
    read_message,
)
from proxyspec.load.pump import Pump
from proxyspec.load.scripts import Cut, Pattern, delivery
from proxyspec.targets import parse_url, resolve

__all__ = ["REQUEST_TYPE", "ProxySmtpUser", "SmtpClient"]

_Kind = TypeVar("_Kind", bound=enum.StrEnum)

_pumps: dict[int, Pump] = {}

#: Containers made and not yet dropped until the garbage collector looks at the young ones; by default 700.
_YOUNG = 50_000


@events.init.add_listener  # type: ignore[untyped-decorator] # Locust carries no types we follow
def _calm_the_collector(**_: Any) -> None:
    """Spare the sessions the garbage collector: they leave no cycles, and all that is loaded by now stays."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(_YOUNG)


def _pump() -> Pump:
    """Return the one pump of this process; Locust forks, and a child needs its own."""
    found = _pumps.get(os.getpid())
    if found is None:
        found = _pumps[os.getpid()] = Pump()
    return found


class SmtpClient:
    """Runs connections to one endpoint, one at a time, and counts them; failures are counted, never raised."""

    def __init__(self, endpoint: Endpoint, options: SessionOptions, meter: Meter) -> None:
        self._endpoint = endpoint
        self._options = options
        self._meter = meter
        self._script = delivery(options)
        self._pump = _pump()
        self._retired = False
        #: Its last connection let others have their turn while it waited.
        self.yielded = False
        # Users begin at different places, so that hardly any two of their headers are the same.
        self._headers = headers(options.header, random.randrange(PERIOD))  # noqa: S311 - no secret

    def retire(self) -> None:
        """Begin no more connections: one begun now would be torn down half-way, by our own doing."""
        self._retired = True

    def session(self) -> bool:
        """Run one session, connect to QUIT, with as many messages as the options say; tell whether it succeeded."""
        return self.play(self._script) is None

    def end(self, pattern: Pattern) -> bool:
        """Make a connection and end it early in this way; tell whether it went as planned."""
        return self.play(pattern.script, pattern.cut, plan=pattern.name) is None

    def play(
        self,
        script: Script,
        cut: Cut = Cut.WHOLE,
        *,
        plan: str | None = None,
        patience: float | None = None,
        hail: bytes | None = None,
        foreseen: frozenset[str] = frozenset(),
    ) -> StepFailed | None:
        """Run any script behind the next header, or the part of it that `cut` leaves; return what failed, if anything.

        `plan` names the early end that this connection is for: those that reach it are counted by that name.
        `patience` is how long each step may take, in seconds; by default what the options say. `hail` takes the place
        of the header. `foreseen` are classes of failures, such as `421 at banner`, that are an end as good as any
        here: they are counted by that name, and not as errors.

        Raises:
            StopUser: the user is told to stop; Locust knows what to do with it.
        """
        if self._retired:
            raise StopUser
        if hail is None:
            hail = cut.of(next(self._headers))

        begins = hail

        def dialogue(begun: int) -> Dialogue:
            return Dialogue(script, begins, begun)

        line = self._pump.begin(self._endpoint, dialogue, patience or self._options.patience)
        self.yielded = not line.over
        try:
            self._pump.wait(line)
        finally:
            # Torn down from outside (Locust stops its users) it counts too: the slowest sessions are not left out.
            self._meter.add(line, plan, foreseen)
        return line.failure


class ProxySmtpUser(User):  # type: ignore[misc] # Locust carries no types we follow
    """A sender behind a proxy. Give a subclass tasks that call `self.client.session()`.

    The class attributes are what a profile may set; options of the command line come first.
    """

    abstract = True

    #: What each connection begins with.
    proxy_header: str = HeaderKind.V2
    #: Bytes of the message, without the final dot.
    message_size: int = 1024
    #: Seconds each step of a session may take.
    patience: float = 10.0
    sender: str = DEFAULT_SENDER
    recipient: str = DEFAULT_RECIPIENT
    tls: str = Tls.NONE
    pipelining: bool = False
    #: Messages on one connection.
    messages: int = 1
    #: Path of a file that holds the message.
    message_file: str | None = None
    #: `plain:USER:PASSWORD` or `login:USER:PASSWORD`.
    auth: str | None = None
    #: Local addresses or networks the connections come from by turns; none leaves it to the system.
    source: Sequence[str] = ()

    def __init__(self, environment: Any) -> None:
        """Settle where the sessions go.

        Raises:
            StopTest: the host is missing, wrong, or not on this machine and not allowed.
        """
        super().__init__(environment)
        chosen = vars(environment.parsed_options) if environment.parsed_options is not None else {}
        self._meter = meter_of(environment)
        try:
            self.client = SmtpClient(
                self.endpoint(self.host, chosen.get("allow_target") or (), chosen.get("source") or self.source),
                self.session_options(chosen),
                self._meter,
            )
        except UsageError as error:
            raise StopTest(f"proxyspec: {error}") from error

    @property
    def _taskset_instance(self) -> TaskSet | None:
        """What runs the tasks; Locust sets it when the user begins."""
        return self._tasks

    @_taskset_instance.setter
    def _taskset_instance(self, tasks: TaskSet | None) -> None:
        self._tasks = tasks
        if tasks is not None:
            tasks._sleep = self._rest

    def _rest(self, seconds: float) -> None:
        """Sleep between two tasks; a wait of nothing has only to let others have their turn, as a session does."""
        if seconds or not self.client.yielded:
            gevent.sleep(seconds)
        self.client.yielded = False

    def stop(self, force: bool = False) -> bool:  # noqa: FBT001, FBT002 - Locust's signature
        """Let Locust stop the user; see `SmtpClient.retire`."""
        self.client.retire()
        return bool(super().stop(force))

    def on_stop(self) -> None:
        """Bring Locust's rows up to date: nobody may be left who does so later."""
        self._meter.settle()

    @staticmethod
    def endpoint(host: str | None, allowed: Sequence[str], source: Sequence[str]) -> Endpoint:
        """Resolve Locust's host, refusing what is neither loopback nor allowed.

        Raises:
            UsageError: it is missing, wrong or refused, or the sources are none of this machine's.
        """
        if not host:
            raise UsageError("no target: add --host smtp://127.0.0.1:2525")
        return _resolved(host, tuple(allowed), tuple(source))

    @classmethod
    def session_options(cls, chosen: dict[str, Any]) -> SessionOptions:
        """Put the user's choices over the class's own; what is None, empty or missing was not chosen.

        Raises:
            UsageError: a value is out of range.
        """

        def value(name: str) -> Any:
            found = chosen.get(name)
            return getattr(cls, name) if found in (None, "", False) else found

        try:
            size, patience, messages = int(value("message_size")), float(value("patience")), int(value("messages"))
        except ValueError as error:
            raise UsageError(f"--message-size, --patience and --messages are numbers: {error}") from error
        auth, file = value("auth"), value("message_file")
        return SessionOptions(
            header=_one_of(HeaderKind, "--proxy-header", value("proxy_header")),
            message_size=size,
            patience=patience,
            sender=value("sender"),
            recipient=value("recipient"),
            tls=_one_of(Tls, "--smtp-tls", value("tls")),
            pipelining=bool(value("pipelining")),
            messages=messages,
            message=None if file is None else _content(str(file)),
            login=None if auth is None else parse_login(auth),
        )


def _one_of(kinds: type[_Kind], option: str, value: str) -> _Kind:
    try:
        return kinds(value)
    except ValueError as error:
        raise UsageError(f"{option} {value!r}: one of {', '.join(kinds)}") from error


@lru_cache(maxsize=4)
def _resolved(host: str, allowed: tuple[str, ...], source: tuple[str, ...]) -> Endpoint:
    """Resolve once for all users: each look is a matter for gevent's threads, and there may be ten thousand."""
    name, port = parse_url(host)
    endpoint = Endpoint(resolve(name, port, allowed), port, parse_sources(source))
    for address in endpoint.sources:
        if (":" in address) != (":" in endpoint.host):
            raise UsageError(f"--source {address!r} cannot reach {endpoint.host}: one is IPv4, the other IPv6")
    return endpoint


@lru_cache(maxsize=4)
def _content(path: str) -> bytes:
    return read_message(Path(path))
