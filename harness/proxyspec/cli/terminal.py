"""The console of every command: as wide as the terminal, and wide enough for any table where there is none."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["console"]

#: Columns for a file or a pipe, which has no width of its own; a table folded to 80 is hard to read and to search.
WIDTH = 200


def console(*, stderr: bool = False) -> Console:
    """Return a console on standard output, or on standard error where results go to standard output."""
    from rich.console import Console

    found = Console(stderr=stderr)
    return found if found.is_terminal else Console(stderr=stderr, width=WIDTH)
