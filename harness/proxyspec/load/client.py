"""The Locust user that speaks SMTP behind a PROXY header; importing this module patches the interpreter."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from typing import Any

from locust import User
from locust.exception import StopTest

from proxyspec.errors import UsageError
from proxyspec.load.dialogue import script
from proxyspec.load.frames import PERIOD, headers
from proxyspec.load.options import DEFAULT_RECIPIENT, DEFAULT_SENDER, HeaderKind, SessionOptions
from proxyspec.load.session import Endpoint, StepResult, run_session
from proxyspec.targets import parse_url, resolve

__all__ = ["REQUEST_TYPE", "ProxySmtpUser", "SmtpClient"]

#: The type of every request event a session fires; its name is the step.
REQUEST_TYPE = "SMTP"


class SmtpClient:
    """Runs SMTP sessions against one endpoint and fires a Locust request event for each of their steps."""

    def __init__(self, endpoint: Endpoint, options: SessionOptions, request_event: Any) -> None:
        self._endpoint = endpoint
        self._options = options
        self._request_event = request_event
        # Users begin at different places, so that hardly any two of their headers are the same.
        self._headers = headers(options.header, random.randrange(PERIOD))  # noqa: S311 - no secret

    def session(self) -> bool:
        """Run one whole session, connect to QUIT; return whether it succeeded. Failures are events, no exceptions."""
        exchanges = script(next(self._headers), self._options)
        return run_session(self._endpoint, exchanges, self._options.patience, self._fire) is None

    def _fire(self, result: StepResult) -> None:
        self._request_event.fire(
            request_type=REQUEST_TYPE,
            name=result.step.value,
            response_time=result.seconds * 1000,
            response_length=result.received,
            exception=result.failure,
            context={},
            start_time=time.time() - result.seconds,
        )


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
    #: Local address the connections come from; None leaves it to the system.
    source: str | None = None

    def __init__(self, environment: Any) -> None:
        """Settle where the sessions go.

        Raises:
            StopTest: the host is missing, wrong, or not on this machine and not allowed.
        """
        super().__init__(environment)
        chosen = vars(environment.parsed_options) if environment.parsed_options is not None else {}
        try:
            self.client = SmtpClient(
                self.endpoint(self.host, chosen.get("allow_target") or (), chosen.get("source") or self.source),
                self.session_options(chosen),
                environment.events.request,
            )
        except UsageError as error:
            raise StopTest(f"proxyspec: {error}") from error

    @staticmethod
    def endpoint(host: str | None, allowed: Sequence[str], source: str | None) -> Endpoint:
        """Resolve Locust's host, refusing what is neither loopback nor allowed.

        Raises:
            UsageError: it is missing, wrong or refused.
        """
        if not host:
            raise UsageError("no target: add --host smtp://127.0.0.1:2525")
        name, port = parse_url(host)
        return Endpoint(resolve(name, port, allowed), port, source)

    @classmethod
    def session_options(cls, chosen: dict[str, Any]) -> SessionOptions:
        """Put the user's choices over the class's own; what is None or missing was not chosen.

        Raises:
            UsageError: a value is out of range.
        """

        def value(name: str) -> Any:
            found = chosen.get(name)
            return getattr(cls, name) if found in (None, "") else found

        try:
            header = HeaderKind(value("proxy_header"))
        except ValueError as error:
            raise UsageError(f"--proxy-header {value('proxy_header')!r}: one of {', '.join(HeaderKind)}") from error
        try:
            size, patience = int(value("message_size")), float(value("patience"))
        except ValueError as error:
            raise UsageError(f"--message-size and --patience are numbers: {error}") from error
        return SessionOptions(
            header=header,
            message_size=size,
            patience=patience,
            sender=value("sender"),
            recipient=value("recipient"),
        )
