"""The command line: the composition root, which alone may import every room (and does so when a command needs it)."""

import signal
import sys
from collections.abc import Sequence
from types import FrameType

from proxyspec.errors import ExitCode

__all__ = ["main"]


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    # A plain `kill` cleans up as Ctrl-C does; either may come before the program is read.
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        from proxyspec.cli.program import main as program

        return program(arguments)
    except KeyboardInterrupt:
        print("proxyspec: interrupted", file=sys.stderr)
        return ExitCode.INTERRUPTED
