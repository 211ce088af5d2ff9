"""Files a target writes while it is judged."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from proxyspec.errors import UsageError

__all__ = ["KEPT", "Tail", "readable"]

#: Bytes of a log or mbox read in one look; what is beyond is read in the next.
LOOK = 4 * 1024 * 1024
#: Entries kept of a log, and messages of a mailbox, the newest first to stay.
KEPT = 65536


def readable(name: str) -> Path:
    """Return the file or folder the profile's `oracle_file` names.

    Raises:
        UsageError: it does not exist, or cannot be read.
    """
    path = Path(name)
    try:
        if path.is_file():
            path.open("rb").close()
        elif path.is_dir():
            next(path.iterdir(), None)
        else:
            raise UsageError(f"oracle_file {name} does not exist: name the log file, mbox or Maildir of the target")
    except OSError as error:
        raise UsageError(f"oracle_file {name} cannot be read: {error.strerror or error}") from error
    return path


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
