"""The command line: the composition root, which alone may import every room (and does so when a command needs it)."""

from collections.abc import Sequence

__all__ = ["main"]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code."""
    from proxyspec.cli.program import main as program

    return program(arguments)
