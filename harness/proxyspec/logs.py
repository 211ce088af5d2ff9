"""Logs that another program writes: what comes in while one watches, and the end, bounded and safe to show."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from proxyspec.printable import printable

__all__ = ["Tail", "last_lines"]

#: Bytes read in one look; what is beyond is read in the next.
LOOK = 4 * 1024 * 1024


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


class Tail:
    """What was added to a file since the last look; a file that has shrunk is read from its beginning."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._at = self._size()
        self._rest = b""

    def _size(self) -> int:
        try:
            return self._path.stat().st_size
        except OSError:
            return 0

    def lines(self) -> Iterator[str]:
        """Yield the lines that are whole and new."""
        size = self._size()
        if size < self._at:
            self._at, self._rest = 0, b""
        if size == self._at:
            return
        try:
            with self._path.open("rb") as file:
                file.seek(self._at)
                data = file.read(LOOK)
        except OSError:
            return
        self._at += len(data)
        *whole, rest = (self._rest + data).split(b"\n")
        self._rest = rest[-LOOK:]
        for line in whole:
            yield line.decode("utf-8", "replace")
