from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from proxyspec.haproxy.front import free_ports
from proxyspec.haproxy.start import TRIES, on_free_ports, on_free_ports_in_thread
from proxyspec_haproxy import (
    BinaryEngine,
    Bind,
    HAProxy,
    HostPort,
    Listen,
    Listener,
    Server,
    StartFailed,
    render_topology,
)

TAKEN = StartFailed("it does not start", "cannot bind socket (Address already in use) for [127.0.0.1:2525]")
REFUSED = StartFailed("it does not start", "no room")


class Starting:
    """Fails with each of `failures` in turn, then starts."""

    def __init__(self, *failures: StartFailed) -> None:
        self.failures = list(failures)
        self.calls = 0

    def __call__(self) -> str:
        self.calls += 1
        if self.failures:
            raise self.failures.pop(0)
        return "running"


@pytest.mark.parametrize("taken", range(TRIES))
def test_a_port_taken_meanwhile_leads_to_another_try(taken: int) -> None:
    start = Starting(*[TAKEN] * taken)
    assert on_free_ports(start) == "running"
    assert start.calls == taken + 1


def test_the_last_try_says_what_was_wrong() -> None:
    start = Starting(*[TAKEN] * TRIES)
    with pytest.raises(StartFailed, match="Address already in use"):
        on_free_ports(start)
    assert start.calls == TRIES


@pytest.mark.parametrize("before", [(), (TAKEN,)])
def test_any_other_failure_is_told_at_once(before: tuple[StartFailed, ...]) -> None:
    start = Starting(*before, REFUSED)
    with pytest.raises(StartFailed, match="no room"):
        on_free_ports(start)
    assert start.calls == len(before) + 1


def refuses() -> HAProxy:
    raise REFUSED


def test_a_thread_tells_the_failure_too() -> None:
    with pytest.raises(StartFailed, match="no room"):
        asyncio.run(on_free_ports_in_thread(refuses))


async def cancelled_while(start: Callable[[], HAProxy], begun: threading.Event, go_on: threading.Event) -> None:
    starting = asyncio.create_task(on_free_ports_in_thread(start))
    assert await asyncio.to_thread(begun.wait, 10)
    starting.cancel()
    # The cancellation is delivered, and waits for the thread.
    await asyncio.sleep(0)
    assert not starting.done()
    go_on.set()
    with pytest.raises(asyncio.CancelledError):
        await starting


def test_a_failure_after_the_cancellation_stays_a_cancellation() -> None:
    begun, go_on = threading.Event(), threading.Event()

    def start() -> HAProxy:
        begun.set()
        assert go_on.wait(10)
        return refuses()

    asyncio.run(cancelled_while(start, begun, go_on))


@pytest.mark.haproxy
def test_an_haproxy_that_nobody_waits_for_any_more_is_killed(binary_engine: BinaryEngine) -> None:
    begun, go_on, started = threading.Event(), threading.Event(), list[HAProxy]()

    def start() -> HAProxy:
        begun.set()
        assert go_on.wait(10)
        bind = Bind(HostPort("127.0.0.1", free_ports(1)[0]))
        mail = Listener("mail", (bind,), (Server("mx", HostPort("127.0.0.1", 1)),))
        started.append(binary_engine.start(render_topology(Listen((mail,)), binary_engine.version())))
        return started[0]

    asyncio.run(cancelled_while(start, begun, go_on))
    (haproxy,) = started
    assert not Path(haproxy.runtime.address).exists()
