"""Servers that an adapter starts: whoever has one for a time leaves nothing of it behind."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
from pathlib import Path

import pytest

from proxyspec.servers.installed import Wish, started


def test_who_is_cancelled_while_the_server_ends_waits_for_its_end() -> None:
    pids = []
    leaving = asyncio.Event()

    async def use() -> None:
        async with started(Wish(server="reference", header_timeout=1.0)) as server:
            pids.append(server.pid)
            # It ends no sooner than it goes on.
            os.kill(server.pid, signal.SIGSTOP)
            leaving.set()

    async def cancelled() -> None:
        task = asyncio.create_task(use())
        await leaving.wait()
        task.cancel()
        asyncio.get_running_loop().call_later(0.2, os.kill, pids[0], signal.SIGCONT)
        with pytest.raises(asyncio.CancelledError):
            await task

    try:
        asyncio.run(cancelled())
        assert not Path(f"/proc/{pids[0]}").exists()
    finally:
        for pid in pids:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGCONT)
    # What were left of its pipes would complain here that the loop is closed, and fail the test.
    gc.collect()
