"""HAProxy's opinion of its servers while mail flows, asked for over and over."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Sequence
from typing import Final

from proxyspec.traffic.clients import Clock
from proxyspec.traffic.model import Change
from proxyspec_haproxy.runtime import RuntimeClient, RuntimeUnavailable, StatRow, UnexpectedAnswer, parse_stat

__all__ = ["Lateness", "Watch", "wait_checked", "wait_empty"]

#: Seconds between two questions: how exactly a change is dated.
INTERVAL: Final = 0.02


def _rows(runtime: RuntimeClient, listener: str) -> list[StatRow]:
    return parse_stat(runtime.raw(f"show stat {listener} -1 -1"))


async def _wait(
    runtime: RuntimeClient, listener: str, patience: float, done: Callable[[Sequence[StatRow]], bool], late: str
) -> None:
    try:
        async with asyncio.timeout(patience):
            while True:
                if done(await asyncio.to_thread(_rows, runtime, listener)):
                    return
                await asyncio.sleep(INTERVAL)
    except TimeoutError:
        raise TimeoutError(late) from None


async def wait_checked(runtime: RuntimeClient, listener: str, patience: float) -> None:
    """Wait until HAProxy has finished a check of every server it checks.

    Raises:
        TimeoutError: that takes longer than `patience` seconds.
        RuntimeUnavailable: HAProxy does not answer.
    """

    def checked(rows: Sequence[StatRow]) -> bool:
        return all(row.check is None or row.check.finished for row in rows if row.is_server)

    await _wait(runtime, listener, patience, checked, f"not every server was checked within {patience:g} s")


async def wait_empty(runtime: RuntimeClient, listener: str, server: str, patience: float) -> None:
    """Wait until HAProxy has no session with a server.

    Raises:
        TimeoutError: that takes longer than `patience` seconds.
        RuntimeUnavailable: HAProxy does not answer.
    """

    def empty(rows: Sequence[StatRow]) -> bool:
        return not any(row.sessions for row in rows if row.name == server)

    await _wait(runtime, listener, patience, empty, f"{server} still had sessions after {patience:g} s")


class Lateness:
    """How much later than meant this process gets to do things, at worst, in seconds."""

    def __init__(self) -> None:
        self.worst = 0.0

    async def run(self) -> None:
        """Look until cancelled."""
        loop = asyncio.get_running_loop()
        while True:
            due = loop.time() + INTERVAL
            await asyncio.sleep(INTERVAL)
            self.worst = max(self.worst, loop.time() - due)


class Watch:
    """Notes every change of a server's state, and the longest queue."""

    def __init__(self, runtime: RuntimeClient, listener: str, clock: Clock) -> None:
        self.changes: list[Change] = []
        self.queue_max = 0
        self._runtime = runtime
        self._listener = listener
        self._clock = clock
        self._states: dict[str, str] = {}
        self._changed = asyncio.Event()

    async def until(self, server: str, states: Collection[str]) -> None:
        """Wait until HAProxy calls the server one of these."""
        while self._states.get(server) not in states:
            self._changed.clear()
            await self._changed.wait()

    async def look(self) -> None:
        """Ask once; an HAProxy that is being reloaded may not answer, which changes nothing."""
        try:
            rows = await asyncio.to_thread(_rows, self._runtime, self._listener)
        except (RuntimeUnavailable, UnexpectedAnswer):
            return
        at = round(self._clock(), 3)
        for row in rows:
            self.queue_max = max(self.queue_max, row.queue_max)
            if row.is_server and self._states.get(row.name) != row.state:
                self._states[row.name] = row.state
                self._changed.set()
                check = row.check
                said = f"{check.status} {check.last}".strip() if check is not None else ""
                self.changes.append(Change(at, row.name, row.state, said))

    async def run(self) -> None:
        """Ask until cancelled."""
        while True:
            await self.look()
            await asyncio.sleep(INTERVAL)
