"""What can go wrong with a mail server that others have written."""

from __future__ import annotations

__all__ = ["AdapterError", "UnknownServer"]


class AdapterError(Exception):
    """A server cannot be had, started or kept; the message names it, its own last words and the remedy."""


class UnknownServer(AdapterError):
    """There is no server of this name, or not in this version."""
