"""The command that starts the server in its network, with the places it has there filled in."""

from __future__ import annotations

import shlex
from collections.abc import Mapping

from proxyspec.errors import UsageError

__all__ = ["words_of"]


def words_of(command: str, places: Mapping[str, str]) -> list[str]:
    """Split `command` into words and fill `places` into those in braces.

    Raises:
        UsageError: it cannot be read.
    """
    try:
        return [word.format(**places) for word in shlex.split(command)]
    except (AttributeError, KeyError, IndexError, TypeError, ValueError) as error:
        known = ", ".join(f"{{{name}}}" for name in places)
        raise UsageError(f"--start {command!r} cannot be read ({error}); it may hold {known}") from error
