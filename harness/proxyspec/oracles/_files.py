"""The files in which a target shows the addresses it believes."""

from __future__ import annotations

from pathlib import Path

from proxyspec.errors import UsageError

__all__ = ["KEPT", "readable"]

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
