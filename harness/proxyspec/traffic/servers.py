"""The reference servers of a scenario: processes of ours that can be killed and started again on the same port."""

from __future__ import annotations

import asyncio
import os
import re
import signal
import sys
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from proxyspec.errors import HarnessError
from proxyspec_haproxy.engines import leash

__all__ = ["ServerProcess"]

_LISTENING: Final = re.compile(rb"listening on 127\.0\.0\.1:([0-9]{1,5})")
#: Seconds until a server has to listen, and until it has to be gone.
PATIENCE: Final = 20.0
#: Longest line of its standard error, and how many are read before it has to listen.
_MAX_LINES: Final = 100


class ServerProcess:
    """One reference server on 127.0.0.1 that keeps its port and its journal over restarts.

    It runs on a leash: it ends with the thread that started it, so that not even a SIGKILL leaves it behind.
    """

    def __init__(self, name: str, journal: Path, arguments: Sequence[str]) -> None:
        self.name = name
        self.journal = journal
        self.port = 0
        self._arguments = tuple(arguments)
        self._process: asyncio.subprocess.Process | None = None

    @property
    def running(self) -> bool:
        """Whether it runs."""
        return self._process is not None and self._process.returncode is None

    async def start(self) -> None:
        """Start it, on its old port if it had one, and wait until it listens.

        Raises:
            HarnessError: it does not start, with its own words.
        """
        assert not self.running, f"{self.name} runs already"
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-I", "-S", leash.__file__, str(os.getpid())),
            *(sys.executable, "-P", "-m", "proxyspec_server", "--listen", f"127.0.0.1:{self.port}"),
            *("--log", str(self.journal), "--trust", "127.0.0.1", "--hostname", f"{self.name}.example"),
            *self._arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            # A session of its own: Ctrl-C reaches us alone, and the order of ending is ours.
            start_new_session=True,
        )
        self._process = process
        assert process.stderr is not None
        said = []
        try:
            async with asyncio.timeout(PATIENCE):
                for _ in range(_MAX_LINES):
                    line = await process.stderr.readline()
                    said.append(line)
                    if match := _LISTENING.search(line):
                        self.port = int(match[1])
                        return
                    if not line:
                        break
        except TimeoutError:
            pass
        await self.kill()
        words = b"".join(said).decode("utf-8", "replace").strip() or "no word from it"
        raise HarnessError(f"the reference server {self.name} does not start: {words}")

    async def kill(self) -> None:
        """End it at once (SIGKILL); nothing happens if it does not run."""
        if self._process is not None:
            with suppress(ProcessLookupError):
                self._process.kill()
            await self._process.wait()

    async def stop(self) -> None:
        """Ask it to stop (SIGTERM: open sessions get a 421) and wait; one that lingers is killed."""
        if self._process is None:
            return
        with suppress(ProcessLookupError):
            self._process.send_signal(signal.SIGTERM)
        try:
            async with asyncio.timeout(PATIENCE):
                await self._process.wait()
        except TimeoutError:
            await self.kill()
