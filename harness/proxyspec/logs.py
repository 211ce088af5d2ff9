"""The end of a log that another program writes, bounded and safe to show."""

from __future__ import annotations

from pathlib import Path

from proxyspec.printable import printable

__all__ = ["last_lines"]


def last_lines(log: Path, size: int) -> list[str]:
    """Return what the last `size` bytes of a log say, line by line, blank ones left out; [] where it cannot be read.

    However long it is, no more of it is read. Control characters are made visible.
    """
    try:
        with log.open("rb") as file:
            file.seek(max(0, log.stat().st_size - size))
            text = file.read(size).decode("utf-8", "replace")
    except OSError:
        return []
    return [printable(line) for line in map(str.strip, text.split("\n")) if line]
