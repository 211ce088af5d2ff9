"""One epoll set nested in the event loop: many sockets behind the one descriptor that the loop watches (Linux).

The loop's own transports cost a session more than all the mail in it: an object with buffers and callbacks each, and a
turn of the loop for every event. Here the loop learns only that something happened, and all of it is dealt with in one
go. What the kernel says of a socket comes through unchanged, the error of a reset among it, on any loop.
"""

import asyncio
import select
from collections.abc import Callable
from typing import Final, Protocol

READABLE: Final = 0x001
WRITABLE: Final = 0x004
BROKEN: Final = 0x008
"""The events of epoll(7) that are of use here; the last, a reset or another error, comes unasked."""

_EVENTS = 64
"""Events taken from the kernel at once."""
_GLANCES = 4
"""Times the set is looked at before the loop gets its turn: it has timers and signals to see to."""


class Watcher(Protocol):
    """What is told when its descriptor is ready."""

    def ready(self, events: int) -> None:
        """Act on epoll events, of which errors and hang-ups come unasked.

        They may be stale, about a descriptor closed and given out again meanwhile: nothing may depend on them but
        whether to look.
        """


class Poller:
    """Tells watchers when their descriptors are ready, level-triggered, within one event loop."""

    def __init__(self, failed: Callable[[Watcher, Exception], None]) -> None:
        """`failed` hears of the exceptions watchers raise. The running loop is the one to be used."""
        self._failed = failed
        self._watchers: dict[int, Watcher] = {}
        self._epoll = select.epoll()
        self._loop = asyncio.get_running_loop()
        self._loop.add_reader(self._epoll, self._turn)

    def add(self, descriptor: int, events: int, watcher: Watcher) -> None:
        """Watch a descriptor until it is removed. Raises OSError when the system has no room for it."""
        self._epoll.register(descriptor, events)
        self._watchers[descriptor] = watcher

    def change(self, descriptor: int, events: int) -> None:
        """Watch for other events."""
        self._epoll.modify(descriptor, events)

    def remove(self, descriptor: int) -> None:
        """Watch it no more."""
        del self._watchers[descriptor]
        self._epoll.unregister(descriptor)

    def closing(self, descriptor: int) -> None:
        """Watch it no more, as it is closed next. That takes it out of the kernel's set, unless a fork shares it."""
        self._watchers.pop(descriptor, None)

    def close(self) -> None:
        """Watch nothing any more."""
        if not self._epoll.closed:
            self._loop.remove_reader(self._epoll)
            self._epoll.close()

    def _turn(self) -> None:
        watchers, poll = self._watchers, self._epoll.poll
        for _ in range(_GLANCES):
            found = poll(0, _EVENTS)
            if not found:
                return
            for descriptor, events in found:
                watcher = watchers.get(descriptor)
                if watcher is None:
                    continue
                try:
                    watcher.ready(events)
                except Exception as error:  # noqa: BLE001 - a fault of ours costs one connection, not the others
                    self._failed(watcher, error)
