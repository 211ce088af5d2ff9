"""SIGINT and SIGTERM: each ends work early and in order, is never lost, and does not break into the cleaning up."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
import time

# The sooner a signal can be answered, the better: `typing` takes as long as all the others.
TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine, Iterator
    from types import FrameType
    from typing import Any, Final, TypeVar

    _Result = TypeVar("_Result")

__all__ = ["ignored", "interrupting", "run_interruptible", "told", "undisturbed", "until_interrupted"]

#: Seconds that cleaning up has for itself: a signal so soon after another changes nothing, a later one breaks in.
PATIENCE: Final = 10.0
#: Seconds after which an interruption is raised again that came where Python ignores exceptions, or disguises them.
AGAIN: Final = 0.01

_NUMBERS: Final = (signal.SIGINT, signal.SIGTERM)


class _Signals:
    """Those of the process: who is told of them now, and whether the one that came is more than an echo."""

    def __init__(self) -> None:
        self._told: list[Callable[[], None]] = []
        self._last: float | None = None
        self._hook = sys.unraisablehook
        self._lost = False
        self._holding = False
        self._held: list[int] = []
        self.echo = False

    def _note(self, number: int, frame: FrameType | None) -> None:
        now = time.monotonic()
        self.echo = self._last is not None and now < self._last + PATIENCE
        if not self.echo:
            self._last = now
            if self._holding and not self._held:
                self._held.append(number)
                return
            if _disguised(frame):
                self._repeat()
                return
        self._told[-1]()

    def _unraisable(self, what: sys.UnraisableHookArgs) -> None:
        if issubclass(what.exc_type, KeyboardInterrupt) and _here():
            self._repeat()
        else:
            self._hook(what)

    def _repeat(self) -> None:
        self._lost = True
        signal.signal(signal.SIGALRM, self._again)
        signal.setitimer(signal.ITIMER_REAL, AGAIN)

    def _again(self, number: int, frame: FrameType | None) -> None:
        self._lost, self._last = False, None
        self._note(number, frame)

    @contextlib.contextmanager
    def told(self, whom: Callable[[], None]) -> Iterator[None]:
        outermost = not self._told
        self._told.append(whom)
        try:
            with self._caught() if outermost else contextlib.nullcontext():
                yield
        finally:
            self._told.pop()

    @contextlib.contextmanager
    def holding(self) -> Iterator[None]:
        if self._holding:
            yield
            return
        self._holding = True
        try:
            yield
        finally:
            self._holding = False
            if self._held:
                self._last = None
                self._note(self._held.pop(), None)

    @contextlib.contextmanager
    def _caught(self) -> Iterator[None]:
        self._last, self._hook = None, sys.unraisablehook
        before: dict[signal.Signals, Any] = {}
        try:
            sys.unraisablehook = self._unraisable
            for number in _NUMBERS:
                # Who started us may want a signal ignored (nohup, a shell's background job): that stays.
                if signal.getsignal(number) is not signal.SIG_IGN:
                    before[number] = signal.signal(number, self._note)
            yield
        finally:
            for number, handler in before.items():
                if signal.getsignal(number) == self._note:
                    signal.signal(number, handler)
            if self._lost:
                signal.setitimer(signal.ITIMER_REAL, 0)
                self._lost = False
            sys.unraisablehook = self._hook


_signals = _Signals()


def _disguised(frame: FrameType | None) -> bool:
    """Whether Python before 3.12 makes a RuntimeError of what is raised here, where a class names what it holds."""
    while frame is not None and frame.f_code.co_name != "__set_name__":
        frame = frame.f_back
    return frame is not None


def _here() -> bool:
    """Whether signals arrive in this thread."""
    return threading.current_thread() is threading.main_thread()


@contextlib.contextmanager
def told(whom: Callable[[], None]) -> Iterator[None]:
    """For the time of the context every signal calls `whom`, in the main thread and at any place of it.

    Outside of the main thread, which alone gets signals, nothing changes.
    """
    with _signals.told(whom) if _here() else contextlib.nullcontext():
        yield


@contextlib.contextmanager
def undisturbed() -> Iterator[None]:
    """For the time of the context, a short one, a signal waits until it is over; one that hangs is broken off.

    For what must not be torn in two: starting a process and getting to know it, and ending it.
    """
    with _signals.holding() if _here() else contextlib.nullcontext():
        yield


def _interrupt() -> None:
    if not _signals.echo:
        raise KeyboardInterrupt


@contextlib.contextmanager
def interrupting() -> Iterator[None]:
    """For the time of the context a signal raises KeyboardInterrupt; for work that does not run in an event loop.

    One that is raised where Python ignores exceptions (`__del__`, callbacks of weak references and of the garbage
    collector) is raised once more a moment later; one that would come as another (`__set_name__`), only then.
    """
    with told(_interrupt):
        yield


def ignored() -> None:
    """Let the signals be without effect from now on, for a process that has nothing left to do but end."""
    for number in _NUMBERS:
        signal.signal(number, signal.SIG_IGN)


def until_interrupted(work: Coroutine[Any, Any, _Result]) -> _Result:
    """Do the work in an event loop of its own and return its result; a signal cancels it.

    Raises:
        KeyboardInterrupt: a signal came, and the work has cleaned up; also if it came to its end nevertheless.
    """
    import asyncio

    heard = False
    task: asyncio.Task[_Result] | None = None

    async def whole() -> _Result:
        nonlocal task
        task = asyncio.current_task()
        if heard and task is not None:
            task.cancel()
        return await work

    def hear() -> None:
        nonlocal heard
        if _signals.echo:
            return
        if task is not None and not task.done():
            # Wakes the loop, too.
            task.get_loop().call_soon_threadsafe(task.cancel)
        elif heard:
            raise KeyboardInterrupt
        heard = True

    with told(hear):
        try:
            result = asyncio.run(whole())
        except asyncio.CancelledError:
            if not heard:
                raise
            raise KeyboardInterrupt from None
    if heard:
        raise KeyboardInterrupt
    return result


def run_interruptible(work: Coroutine[Any, Any, None]) -> bool:
    """Do the work in an event loop of its own, which a signal cancels; return whether one did."""
    try:
        until_interrupted(work)
    except KeyboardInterrupt:
        return True
    return False
