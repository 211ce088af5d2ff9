"""The socket around a dialogue: one SMTP session over TCP, every step timed.

Only the standard library's `socket` is used: it blocks in a thread and yields in a process that gevent has patched.
"""

from __future__ import annotations

import contextlib
import errno
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass

from proxyspec.load.dialogue import Dialogue, Exchange, Step, StepFailed

__all__ = ["Endpoint", "StepResult", "run_session"]

#: Bytes taken from the socket at once.
READ_SIZE = 16 * 1024

_REASONS = {
    errno.ECONNRESET: "reset",
    errno.ECONNREFUSED: "refused",
    errno.EPIPE: "closed",
    errno.ETIMEDOUT: "timeout",
}


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where sessions go: an address, not a name, and the local address they come from (None: the system chooses)."""

    host: str
    port: int
    source: str | None = None

    @property
    def family(self) -> socket.AddressFamily:
        """IPv4 or IPv6."""
        return socket.AF_INET6 if ":" in self.host else socket.AF_INET


@dataclass(frozen=True, slots=True)
class StepResult:
    """One timed step: seconds it took, bytes the server sent in it, and what went wrong."""

    step: Step
    seconds: float
    received: int = 0
    failure: StepFailed | None = None


def _reason(error: OSError) -> str:
    if isinstance(error, TimeoutError):
        return "timeout"
    number = error.errno or 0
    return _REASONS.get(number) or errno.errorcode.get(number) or type(error).__name__


class _Remaining:
    """The time one step has left, handed to the socket before each wait."""

    def __init__(self, connection: socket.socket, patience: float) -> None:
        self._connection = connection
        self._deadline = time.perf_counter() + patience

    def arm(self) -> None:
        """Raises TimeoutError if nothing is left."""
        left = self._deadline - time.perf_counter()
        if left <= 0:
            raise TimeoutError
        self._connection.settimeout(left)


def _connect(connection: socket.socket, endpoint: Endpoint, patience: float) -> None:
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    if endpoint.source is not None:
        connection.bind((endpoint.source, 0))
    connection.settimeout(patience)
    connection.connect((endpoint.host, endpoint.port))


def _exchange(connection: socket.socket, dialogue: Dialogue, patience: float) -> int:
    """Send what the dialogue says, read until it is answered; return the number of bytes read."""
    remaining = _Remaining(connection, patience)
    reset: ConnectionResetError | None = None
    received = 0
    if said := dialogue.say():
        remaining.arm()
        # The server may have said why (a 421) before it closed: what it sent can still be read.
        try:
            connection.sendall(said)
        except ConnectionResetError as error:
            reset = error
        except BrokenPipeError:
            pass
    while not dialogue.answered():
        remaining.arm()
        data = connection.recv(READ_SIZE)
        if not data and reset is not None:
            raise reset
        received += len(data)
        dialogue.feed(data)
    return received


def run_session(
    endpoint: Endpoint,
    exchanges: tuple[Exchange, ...],
    patience: float,
    report: Callable[[StepResult], None],
) -> StepFailed | None:
    """Run one session and report every step as it ends, the whole session last; return what failed, if anything.

    Each step, connecting included, may take `patience` seconds. Where the session is torn down from outside (Locust
    stops its users), the step it was in fails as `unfinished`: the slowest sessions are not left out of the figures.
    """
    begun = time.perf_counter()
    dialogue = Dialogue(exchanges)
    step, since = Step.CONNECT, begun
    failure: StepFailed | None = None
    ended = False
    try:
        with contextlib.closing(socket.socket(endpoint.family, socket.SOCK_STREAM)) as connection:
            _connect(connection, endpoint, patience)
            now = time.perf_counter()
            report(StepResult(step, now - since))
            while not dialogue.done:
                step, since = dialogue.step, now
                received = _exchange(connection, dialogue, patience)
                now = time.perf_counter()
                report(StepResult(step, now - since, received))
        ended = True
    except StepFailed as error:
        failure = error
    except OSError as error:
        failure = StepFailed(step, _reason(error))
    finally:
        if failure is None and not ended:
            failure = StepFailed(step, "unfinished")
        now = time.perf_counter()
        if failure is not None:
            report(StepResult(step, now - since, failure=failure))
        report(StepResult(Step.SESSION, now - begun, failure=failure))
    return failure
