"""The program as a function: what it returns and says, without another interpreter that imports everything anew.

How a process starts, ends and treats its streams is for the tests that start one.
"""

from __future__ import annotations

import contextlib
import faulthandler
import io
import os
import subprocess
from collections.abc import Mapping
from types import MappingProxyType
from unittest import mock

from proxyspec.cli import main

__all__ = ["NOTHING", "proxyspec"]

NOTHING: Mapping[str, str] = MappingProxyType({})
#: Seconds after which a program that hangs takes the tests' process along, and says where it hung.
PATIENCE = 180.0


def proxyspec(*arguments: str, environment: Mapping[str, str] = NOTHING) -> subprocess.CompletedProcess[str]:
    """Run the program on a terminal of 200 columns; its exit code and its words are those of a process."""
    streams = [
        io.TextIOWrapper(io.BytesIO(), encoding="utf-8", errors="backslashreplace", write_through=True)
        for _ in range(2)
    ]
    with (
        mock.patch.dict(os.environ, {"COLUMNS": "200", **environment}),
        contextlib.redirect_stdout(streams[0]),
        contextlib.redirect_stderr(streams[1]),
    ):
        faulthandler.dump_traceback_later(PATIENCE, exit=True, file=2)
        try:
            code = main(arguments)
        finally:
            faulthandler.cancel_dump_traceback_later()
    for stream in streams:
        stream.seek(0)
    return subprocess.CompletedProcess(arguments, code, *(stream.read() for stream in streams))
