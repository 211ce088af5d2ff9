"""Ties the engine to gevent: one watcher on its descriptor, one timer; a greenlet that plays a line sleeps meanwhile.

Importing this module does not patch the interpreter, but it belongs in a process that gevent runs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import gevent

from proxyspec.load.dialogue import Dialogue
from proxyspec.load.engine import TICK, Endpoint, Engine, Line

__all__ = ["Pump"]

#: Turns of the engine before other greenlets have their turn.
_TURNS = 4


class Pump:
    """One engine, driven by the hub of the thread that made this."""

    def __init__(self) -> None:
        self._engine = Engine()
        self._hub: Any = gevent.get_hub()
        self._watcher = self._hub.loop.io(self._engine.fileno(), 1)
        self._watcher.start(self._turn)
        self._timer = self._hub.loop.timer(TICK, repeat=TICK)
        self._again = self._hub.loop.timer(0)

    def close(self) -> None:
        """Stop the watchers and close every connection."""
        self._watcher.close()
        self._timer.close()
        self._again.close()
        self._engine.close()

    def begin(self, endpoint: Endpoint, dialogue: Callable[[int], Dialogue], patience: float) -> Line:
        """Open one connection and let it play; see `Engine.start`. Its greenlet has to `wait` for it next."""
        line = self._engine.start(endpoint, dialogue, patience)
        if not line.over and not self._timer.active:
            self._timer.start(self._tick)
        return line

    def wait(self, line: Line) -> None:
        """Put the calling greenlet to sleep until the line is over.

        Torn out of its sleep, it abandons the line, which fails as `unfinished`, and passes on what tore it.
        """
        if line.over:
            return
        line.wake = gevent.getcurrent().switch
        try:
            self._hub.switch()
        finally:
            self._engine.abandon(line)

    def _turn(self) -> None:
        for _ in range(_TURNS):
            if not self._engine.turn():
                return
        # Something may be left to do of which the descriptor says nothing. A callback would come before all timers.
        self._again.start(self._turn)

    def _tick(self) -> None:
        self._engine.expire()
        self._turn()
        if not len(self._engine):
            self._timer.stop()
