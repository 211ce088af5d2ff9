from __future__ import annotations

import asyncio
import gc
import os
import signal
import subprocess
import sys
import threading
import weakref
from collections.abc import Callable, Iterator
from pathlib import Path
from types import FrameType

import pytest

from proxyspec import interruption
from proxyspec.interruption import interrupting, run_interruptible, told, undisturbed, until_interrupted

BOTH = [signal.SIGTERM, signal.SIGINT]


def send(number: signal.Signals = signal.SIGINT) -> None:
    os.kill(os.getpid(), number)


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


def test_a_result_is_returned() -> None:
    async def work() -> str:
        return "whole"

    assert until_interrupted(work()) == "whole"


def test_work_that_gets_over_its_cancelling_was_interrupted_nevertheless() -> None:
    done = []

    async def work() -> None:
        send()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            done.append("swallowed")

    assert run_interruptible(work())
    assert done == ["swallowed"]


@pytest.mark.parametrize("second", BOTH)
def test_a_second_signal_leaves_the_cleaning_up_alone(second: signal.Signals) -> None:
    done = []

    async def work() -> None:
        send()
        try:
            await asyncio.Event().wait()
        finally:
            send(second)
            await asyncio.sleep(0)
            await asyncio.sleep(0)
            done.append("cleaned up")

    assert run_interruptible(work())
    assert done == ["cleaned up"]


def test_a_later_signal_breaks_into_a_cleaning_up_that_hangs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interruption, "PATIENCE", 0.0)

    async def work() -> None:
        send()
        try:
            await asyncio.Event().wait()
        finally:
            send()
            await asyncio.Event().wait()

    assert run_interruptible(work())


def test_a_signal_before_the_work_has_begun_cancels_it() -> None:
    begun = []

    async def work() -> None:
        begun.append(True)
        await asyncio.Event().wait()

    class Policy(asyncio.DefaultEventLoopPolicy):
        def new_event_loop(self) -> asyncio.AbstractEventLoop:
            send()
            return super().new_event_loop()

    asyncio.set_event_loop_policy(Policy())
    try:
        assert run_interruptible(work())
    finally:
        asyncio.set_event_loop_policy(None)
    assert begun == [True]


@pytest.mark.parametrize("number", BOTH)
def test_a_signal_ends_work_without_a_loop(number: signal.Signals, handled: list[int]) -> None:
    def work() -> None:
        send(number)
        threading.Event().wait(60)

    with pytest.raises(KeyboardInterrupt), interrupting():
        work()
    assert handled == []


class _Dying:
    """Gets a signal while Python ends it."""

    def __del__(self) -> None:
        send()


def _finalizer() -> None:
    dying = _Dying()
    del dying


def _weak_reference() -> None:
    class Referred:
        pass

    referred = Referred()
    kept = weakref.ref(referred, lambda _: send())
    del referred
    del kept


def _collector() -> None:
    def collects(phase: str, _: object) -> None:
        if phase == "start":
            send()

    gc.callbacks.append(collects)
    try:
        gc.collect()
    finally:
        gc.callbacks.remove(collects)


@pytest.mark.parametrize("place", [_finalizer, _weak_reference, _collector])
def test_a_signal_where_python_ignores_exceptions_is_not_lost(place: Callable[[], None]) -> None:
    passed = []

    def work() -> None:
        place()
        passed.append("the exception was ignored")
        threading.Event().wait(60)

    with pytest.raises(KeyboardInterrupt), interrupting():
        work()
    assert passed
    assert signal.getitimer(signal.ITIMER_REAL) == (0.0, 0.0)


def test_other_exceptions_that_python_ignores_are_told_as_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    monkeypatch.setattr(sys, "unraisablehook", lambda what: seen.append(what.exc_type))

    class Faulty:
        def __del__(self) -> None:
            raise LookupError("of its own")

    with interrupting():
        faulty = Faulty()
        del faulty
    assert seen == [LookupError]


def test_who_counts_signals_gets_every_one_and_who_comes_after_does_not_hear_the_echo() -> None:
    got: list[str] = []
    with interrupting():
        with told(lambda: got.append("told")):
            send()
            send()
        send()
    assert got == ["told", "told"]


@pytest.mark.parametrize("number", BOTH)
def test_what_is_undisturbed_comes_to_its_end_before_a_signal_arrives(number: signal.Signals) -> None:
    done = []

    def work() -> None:
        try:
            with undisturbed():
                with undisturbed():
                    send(number)
                done.append("started")
            done.append("and nobody was told")
        finally:
            done.append("ended")

    with pytest.raises(KeyboardInterrupt), interrupting():
        work()
    assert done == ["started", "ended"]


def test_what_is_undisturbed_and_hangs_is_broken_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(interruption, "PATIENCE", 0.0)
    done = []

    def work() -> None:
        send()
        done.append("held")
        send()
        done.append("both held")

    with pytest.raises(KeyboardInterrupt), interrupting(), undisturbed():
        work()
    assert done == ["held"]


def test_a_signal_that_is_ignored_stays_so() -> None:
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        with interrupting():
            send()
            assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_in_another_thread_nothing_changes() -> None:
    before = signal.getsignal(signal.SIGINT)
    seen = []

    def work() -> None:
        with interrupting():
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert seen == [before]


def test_a_process_that_is_over_ends_as_it_would_have() -> None:
    program = (
        "import os, signal\n"
        "from proxyspec.interruption import ignored, interrupting\n"
        "with interrupting():\n"
        "    ignored()\n"
        "os.kill(os.getpid(), signal.SIGINT)\n"
        "os.kill(os.getpid(), signal.SIGTERM)\n"
        "raise SystemExit(7)\n"
    )
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, check=False)
    assert (ended.returncode, ended.stderr) == (7, b"")


#: A signal once the command line can be interrupted, at the first frame that CONDITION holds for.
AT_FRAME = """
import signal, sys

def at(frame, event, argument):
    name, file = frame.f_code.co_name, frame.f_code.co_filename
    program = sys.modules.get("proxyspec.cli.program")
    if CONDITION and signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL:
        sys.setprofile(None)
        signal.raise_signal(signal.SIGINT)

sys.setprofile(at)
"""


@pytest.mark.parametrize(
    "condition",
    [
        # Code made from text, as by dataclasses: with -m, Python keeps in mind that it was interrupted.
        "file == '<string>'",
        # Descriptors of a class: Python before 3.12 makes it a RuntimeError.
        "name == '__set_name__' and 'functools' in file",
        "name == '__set_name__' and 'functools' in file and hasattr(program, 'main')",
    ],
    ids=["made-code", "class-of-the-program", "class-of-a-command"],
)
def test_an_interruption_while_python_imports_ends_like_every_other(tmp_path: Path, condition: str) -> None:
    (tmp_path / "sitecustomize.py").write_text(AT_FRAME.replace("CONDITION", condition))
    path = os.pathsep.join(filter(None, [str(tmp_path), os.environ.get("PYTHONPATH")]))
    ended = subprocess.run(
        [sys.executable, "-m", "proxyspec", "list"],
        env={**os.environ, "PYTHONPATH": path},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (ended.returncode, ended.stderr.removeprefix("proxyspec: interrupted\n")) == (130, "")
