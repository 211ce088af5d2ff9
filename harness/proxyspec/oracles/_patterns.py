"""Patterns of the user's own, over lines that name an address."""

from __future__ import annotations

import re

from proxyspec.errors import UsageError
from proxyspec.oracles._base import Sighting, view_of

__all__ = ["TOKEN", "find", "mailbox_of", "pattern_of", "sighting_of"]

#: The EHLO name of a session of ours.
TOKEN = re.compile(r"[0-9a-z-]+\.probe\.test")

#: What an address for RCPT TO may look like: no way out of the command (RFC 5321, section 4.1.2).
_MAILBOX = re.compile(r"[^\s<>\x00-\x1f\x7f]{1,254}")


def mailbox_of(text: str) -> str:
    """Return the profile's `recipient`.

    Raises:
        UsageError: it is no mailbox.
    """
    if _MAILBOX.fullmatch(text) is None:
        raise UsageError(f"recipient {text!r} is no mailbox: write name@example.com")
    return text


def pattern_of(text: str) -> re.Pattern[str]:
    """Compile the profile's `oracle_pattern`.

    Raises:
        UsageError: it is no regular expression, or has no group `address`.
    """
    try:
        pattern = re.compile(text)
    except re.error as error:
        raise UsageError(f"oracle_pattern {text!r} is no regular expression: {error}") from error
    if "address" not in pattern.groupindex:
        example = r"from \S*\[(?P<address>[^]]+)\]"
        raise UsageError(f"oracle_pattern {text!r} has no group 'address'; write for instance '{example}'")
    return pattern


def sighting_of(match: re.Match[str]) -> Sighting | None:
    """Return the address in a match of a pattern of `pattern_of`, or None if there is none."""
    view = view_of(match["address"]) if match["address"] is not None else None
    return Sighting(match.string.encode(errors="replace"), view) if view is not None else None


def find(pattern: re.Pattern[str], line: str) -> Sighting | None:
    """Return the address that the pattern finds in `line`, or None."""
    match = pattern.search(line)
    return sighting_of(match) if match is not None else None
