"""Starts the reference server as a process of our own and stops it again."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path

from proxyspec.errors import HarnessError

__all__ = ["reference_server"]

_LISTENING = re.compile(r"listening on (?:\[([0-9A-Fa-f:.]+)\]|([0-9.]+)):([0-9]+)")

#: How long the server may take to listen, and to stop, in seconds.
PATIENCE = 10.0


@contextlib.contextmanager
def reference_server(arguments: Sequence[str], journal: Path) -> Iterator[tuple[str, int]]:
    """Run the server on a free port of 127.0.0.1 for the time of the context; yield its host and port.

    `arguments` come after `--listen` and `--log JOURNAL`.

    Raises:
        HarnessError: it does not start, with its own words.
    """
    from proxyspec_haproxy.engines import leash

    # On a leash, it ends with the thread that entered the context: not even a SIGKILL of ours leaves it behind.
    held = [sys.executable, "-I", "-S", leash.__file__, str(os.getpid())] if sys.platform == "linux" else []
    server = [sys.executable, "-m", "proxyspec_server", "--listen", "127.0.0.1:0", "--log", str(journal), *arguments]
    command = [*held, *server]
    # A session of its own, so that Ctrl-C reaches us alone and the order of stopping is ours.
    with subprocess.Popen(
        command, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, errors="replace", start_new_session=True
    ) as process:
        assert process.stderr is not None
        stop_slow_start = threading.Timer(PATIENCE, process.kill)
        stop_slow_start.start()
        try:
            said = []
            for line in process.stderr:
                said.append(line)
                if match := _LISTENING.search(line):
                    break
            else:
                raise HarnessError(f"the reference server does not start: {''.join(said).strip() or 'no word from it'}")
            stop_slow_start.cancel()
            yield match[1] or match[2], int(match[3])
        finally:
            stop_slow_start.cancel()
            process.terminate()
            try:
                process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                process.kill()
