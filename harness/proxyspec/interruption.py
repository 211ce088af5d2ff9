"""Work that Ctrl-C and SIGTERM end early and in order, so that what was found by then is kept."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Coroutine

__all__ = ["run_interruptible"]


async def _interruptible(work: Coroutine[None, None, None]) -> bool:
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    try:
        await work
    except asyncio.CancelledError:
        return True
    return False


def run_interruptible(work: Coroutine[None, None, None]) -> bool:
    """Do the work in an event loop of its own; return whether it was interrupted."""
    before = signal.getsignal(signal.SIGTERM)
    try:
        return asyncio.run(_interruptible(work))
    finally:
        # A loop that closes leaves SIGTERM at its default, which would end the caller without any cleaning up.
        signal.signal(signal.SIGTERM, before)
