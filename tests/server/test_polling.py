"""The poller and the listener on their own: what is told to whom, what is survived, on every event loop."""

import asyncio
import errno
import socket
from collections.abc import Callable, Coroutine
from contextlib import ExitStack
from typing import Any

import pytest

from proxyspec_server import listener
from proxyspec_server.listener import Listener
from proxyspec_server.polling import BROKEN, READABLE, WRITABLE, Poller, Watcher
from tests.server.test_resets import LOOPS, NOW, until

Play = Callable[[Callable[[], Coroutine[Any, Any, None]]], None]


@pytest.fixture(params=LOOPS, ids=lambda loop: loop.__name__.strip("_"))
def play(request: pytest.FixtureRequest) -> Play:
    def run(scenario: Callable[[], Coroutine[Any, Any, None]]) -> None:
        with asyncio.Runner(loop_factory=request.param) as runner:
            runner.run(asyncio.wait_for(scenario(), 60))

    return run


class Seen:
    """Remembers what it was told, and does something about it."""

    def __init__(self, act: Callable[[int], None] = lambda events: None) -> None:
        self.events: list[int] = []
        self._act = act

    def ready(self, events: int) -> None:
        self.events.append(events)
        self._act(events)


def unexpected(watcher: Watcher, error: Exception) -> None:
    raise AssertionError(f"{watcher} failed") from error


def test_events_come_as_long_as_they_are_true(play: Play) -> None:
    async def scenario() -> None:
        poller = Poller(unexpected)
        near, far = socket.socketpair()
        with near, far:
            seen = Seen(lambda events: poller.change(near.fileno(), READABLE) if events == WRITABLE else None)
            poller.add(near.fileno(), WRITABLE, seen)
            await until(lambda: seen.events == [WRITABLE])
            far.send(b"x")
            await until(lambda: len(seen.events) >= 3)
            assert set(seen.events[1:]) == {READABLE}
            assert near.recv(1) == b"x"
            poller.close()

    play(scenario)


def test_a_reset_is_told_unasked(play: Play) -> None:
    async def scenario() -> None:
        poller = Poller(unexpected)
        with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client:
            accepted, _ = server.accept()
            with accepted:
                seen = Seen(lambda events: poller.remove(accepted.fileno()))
                poller.add(accepted.fileno(), 0, seen)
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, NOW)
                client.close()
                await until(lambda: bool(seen.events))
                assert seen.events[0] & BROKEN
        poller.close()

    play(scenario)


def test_a_watcher_removed_by_another_hears_nothing(play: Play) -> None:
    """Two are ready at once, and the first takes the second away."""

    async def scenario() -> None:
        poller = Poller(unexpected)
        with ExitStack() as stack:
            pairs = [socket.socketpair() for _ in range(2)]
            ends = [stack.enter_context(end) for pair in pairs for end in pair]
            watched = [ends[0], ends[2]]
            told: list[int] = []

            def take_all_away(which: int) -> None:
                told.append(which)
                for end in watched:
                    poller.remove(end.fileno())

            for which, end in enumerate(watched):
                poller.add(end.fileno(), READABLE, Seen(lambda events, which=which: take_all_away(which)))  # type: ignore[misc]
            for _, far in pairs:
                far.send(b"x")
            await until(lambda: bool(told))
            await asyncio.sleep(0)
            assert len(told) == 1
            poller.close()

    play(scenario)


def test_an_exception_reaches_whom_it_concerns_and_nobody_else(play: Play) -> None:
    async def scenario() -> None:
        failures: list[tuple[Watcher, Exception]] = []
        fault = ValueError("boom")

        def fail(events: int) -> None:
            poller.remove(pairs[0][0].fileno())
            raise fault

        poller = Poller(lambda watcher, error: failures.append((watcher, error)))
        pairs = [socket.socketpair() for _ in range(2)]
        faulty, sound = Seen(fail), Seen(lambda events: poller.remove(pairs[1][0].fileno()))
        with ExitStack() as stack:
            for (near, far), watcher in zip(pairs, (faulty, sound), strict=True):
                stack.enter_context(near)
                stack.enter_context(far)
                poller.add(near.fileno(), READABLE, watcher)
                far.send(b"x")
            await until(lambda: sound.events == [READABLE])
            assert failures == [(faulty, fault)]
            poller.close()

    play(scenario)


def test_a_closed_poller_is_quiet_and_may_be_closed_again(play: Play) -> None:
    async def scenario() -> None:
        poller = Poller(unexpected)
        near, far = socket.socketpair()
        with near, far:
            seen = Seen()
            poller.add(near.fileno(), READABLE, seen)
            poller.close()
            poller.close()
            far.send(b"x")
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            assert seen.events == []

    play(scenario)


def test_what_could_not_be_watched_can_still_be_closed(play: Play) -> None:
    async def scenario() -> None:
        poller = Poller(unexpected)
        with socket.socket() as unconnected:
            descriptor = unconnected.fileno()
        with pytest.raises(OSError, match="Bad file descriptor"):
            poller.add(descriptor, READABLE, Seen())
        poller.closing(descriptor)
        poller.close()

    play(scenario)


def test_a_listener_pauses_when_the_system_gives_no_descriptor(play: Play, monkeypatch: pytest.MonkeyPatch) -> None:
    """accept() fails as without descriptors, once: it is told, nothing spins, and the connection is not lost."""
    monkeypatch.setattr(listener, "PAUSE", 0.05)

    async def scenario() -> None:
        poller = Poller(unexpected)
        accepted: list[socket.socket] = []
        troubles: list[OSError] = []
        bound = socket.create_server(("127.0.0.1", 0))
        address = bound.getsockname()
        under_test = Listener(bound, poller, lambda connection, name: accepted.append(connection), troubles.append)
        refusals = iter([OSError(errno.EMFILE, "Too many open files"), ConnectionAbortedError()])
        accept = under_test._socket.accept

        def reluctant() -> tuple[socket.socket, Any]:
            for refusal in refusals:
                raise refusal
            return accept()

        monkeypatch.setattr(under_test._socket, "accept", reluctant)
        with socket.create_connection(address):
            await until(lambda: bool(accepted))
            assert [error.errno for error in troubles] == [errno.EMFILE]
            accepted[0].close()
        under_test.close()
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(address)
        poller.close()

    play(scenario)
