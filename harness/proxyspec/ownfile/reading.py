"""The user's files from the disk: the configuration itself and the files it names."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from proxyspec.errors import UsageError
from proxyspec.printable import printable
from proxyspec_haproxy.config import NeededFile, SourceFile

__all__ = ["MAX_BYTES", "find_needed", "read_sources", "visible"]

#: Longest file read, in bytes.
MAX_BYTES = 16 * 1024 * 1024
#: Characters of a line or a name that are shown.
_SHOWN = 300


def visible(text: str, limit: int = _SHOWN) -> str:
    """Return text on one line, control characters as escapes, cut if long."""
    return printable(text, limit)


def _read(path: Path) -> bytes:
    """Raises OSError; its strerror says what is wrong."""
    # Not blocking: a pipe that nobody writes to must not hold up everything.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with os.fdopen(descriptor, "rb") as file:
        if not path.is_file():
            raise OSError(0, "not a plain file")
        content = file.read(MAX_BYTES + 1)
    if len(content) > MAX_BYTES:
        raise OSError(0, f"larger than {MAX_BYTES} bytes")
    return content


def read_sources(paths: Sequence[Path]) -> list[SourceFile]:
    """Read the configuration's files. What is not UTF-8 becomes U+FFFD, which only comments can hold unharmed.

    Raises:
        UsageError: one cannot be read.
    """
    sources = []
    for path in paths:
        try:
            sources.append(SourceFile(visible(str(path)), _read(path).decode("utf-8", "replace")))
        except OSError as error:
            raise UsageError(
                f"{visible(str(path))} cannot be read: {error.strerror or error}; name a haproxy.cfg"
            ) from error
    return sources


def find_needed(needed: Iterable[NeededFile], folders: Sequence[Path]) -> tuple[dict[str, bytes], list[NeededFile]]:
    """Read the files a configuration names; relative ones are looked for in `folders`, in order.

    Returns their content by their name in the copy, and those that cannot be read.
    """
    found: dict[str, bytes] = {}
    missing: list[NeededFile] = []
    for file in needed:
        for folder in folders:
            try:
                found[file.name] = _read(folder / file.path)
                break
            except (OSError, ValueError):
                continue
        else:
            missing.append(file)
    return found, missing
