from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Iterator
from types import FrameType

import pytest

from proxyspec.interruption import run_interruptible


class Work:
    """Sends itself `number` when it has begun, then waits for good; `done` says how far it came."""

    def __init__(self, number: signal.Signals | None) -> None:
        self.number = number
        self.done: list[str] = []

    async def run(self) -> None:
        self.done.append("begun")
        try:
            if self.number is not None:
                os.kill(os.getpid(), self.number)
                await asyncio.Event().wait()
        finally:
            self.done.append("cleaned up")


@pytest.fixture
def handled() -> Iterator[list[int]]:
    """A handler of the caller's own for SIGTERM, and the signals it got."""
    got: list[int] = []

    def handler(number: int, frame: FrameType | None) -> None:
        got.append(number)

    before = signal.signal(signal.SIGTERM, handler)
    yield got
    signal.signal(signal.SIGTERM, before)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_the_work_in_order(number: signal.Signals, handled: list[int]) -> None:
    work = Work(number)
    assert run_interruptible(work.run())
    assert work.done == ["begun", "cleaned up"]
    assert handled == []


def test_work_that_ends_by_itself_was_not_interrupted() -> None:
    work = Work(None)
    assert not run_interruptible(work.run())
    assert work.done == ["begun", "cleaned up"]


def test_the_callers_handler_is_back_afterwards(handled: list[int]) -> None:
    run_interruptible(Work(None).run())
    os.kill(os.getpid(), signal.SIGTERM)
    assert handled == [signal.SIGTERM]


def test_the_callers_handler_is_back_after_a_failure(handled: list[int]) -> None:
    async def fails() -> None:
        raise OSError("no room")

    with pytest.raises(OSError, match="no room"):
        run_interruptible(fails())
    os.kill(os.getpid(), signal.SIGTERM)
    assert handled == [signal.SIGTERM]
