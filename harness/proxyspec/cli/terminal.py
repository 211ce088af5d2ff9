"""The console of every command, as wide as the terminal or wide enough for any table, and the line that ends a run."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from proxyspec.printable import printable

if TYPE_CHECKING:
    from rich.console import Console

__all__ = ["console", "print_record"]

#: Columns for a file or a pipe, which has no width of its own; a table folded to 80 is hard to read and to search.
WIDTH = 200


def console(*, stderr: bool = False) -> Console:
    """Return a console on standard output, or on standard error where results go to standard output."""
    from rich.console import Console

    found = Console(stderr=stderr)
    return found if found.is_terminal else Console(stderr=stderr, width=WIDTH)


def print_record(console: Console, record: Path, duration: float, judged: str = "") -> None:
    """Say where the record of a run is, how long the run took in seconds, and what came of it."""
    words = f"{duration:.1f} s, run record: {printable(str(record))}"
    console.print(f"{judged}; {words}" if judged else words, highlight=False, markup=False, soft_wrap=True)
