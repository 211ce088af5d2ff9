"""A listening socket in a poller: accepts what has come, and survives running out of descriptors."""

import asyncio
import os
import socket
from collections.abc import Callable
from functools import cached_property
from typing import Any

from proxyspec_server.polling import READABLE, Poller

BACKLOG = 4096
"""Connections the kernel holds for us until they are accepted."""
PAUSE = 1.0
"""Seconds without accepting once the system had nothing to accept with."""

_ACCEPTS = 128
"""Connections accepted in one go."""

Accepted = Callable[[socket.socket, tuple[Any, ...]], None]
"""Takes a new connection, which blocks unless told otherwise call by call, and the peer's socket address."""


class _Quick(socket.socket):
    """Another descriptor of a listening socket. accept() asks for family and type, which are looked up once here."""

    family = cached_property(lambda self: super().family)
    type = cached_property(lambda self: super().type)


class Listener:
    """Accepts connections from a bound socket until it is closed."""

    def __init__(
        self, bound: socket.socket, poller: Poller, accepted: Accepted, trouble: Callable[[OSError], None]
    ) -> None:
        """`accepted` gets the connections, `trouble` hears why there are none for a while."""
        self._bound = bound
        self._socket = _Quick(fileno=os.dup(bound.fileno()))
        self._poller = poller
        self._accepted = accepted
        self._trouble = trouble
        self._pause: asyncio.TimerHandle | None = None
        self._socket.settimeout(0)
        # Connections inherit it, and a reply is one write: waiting for more would only delay it.
        bound.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        bound.listen(BACKLOG)
        poller.add(self._socket.fileno(), READABLE, self)

    def ready(self, events: int) -> None:
        """Connections have come."""
        accept = self._socket.accept
        for _ in range(_ACCEPTS):
            try:
                connection, name = accept()
            except BlockingIOError:
                return
            except ConnectionAbortedError:
                continue
            except OSError as error:
                # No descriptors, or no memory. The connections wait in the kernel, which would tell us without end.
                self._trouble(error)
                self._poller.change(self._socket.fileno(), 0)
                self._pause = asyncio.get_running_loop().call_later(PAUSE, self._resume)
                return
            self._accepted(connection, name)

    def close(self) -> None:
        """Accept nothing any more; what waits in the kernel is reset."""
        if self._pause is not None:
            self._pause.cancel()
        self._poller.remove(self._socket.fileno())
        self._socket.close()
        self._bound.close()

    def _resume(self) -> None:
        self._pause = None
        self._poller.change(self._socket.fileno(), READABLE)
