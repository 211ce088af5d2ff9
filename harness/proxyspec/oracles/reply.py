"""A pattern of the user's own over any reply."""

from __future__ import annotations

import re

from proxyspec.model import Target
from proxyspec.oracles._base import OracleKind, Sighting
from proxyspec.oracles._patterns import find, pattern_of

__all__ = ["ORACLE", "ReplyWitness"]


class ReplyWitness:
    """A pattern over the target's own replies; the last match counts."""

    patience = 0.0
    recipient = None

    def __init__(self, pattern: re.Pattern[str]) -> None:
        self._pattern = pattern

    def begin(self, token: str) -> None:
        """Nothing to note: a session's replies are its own; see `Witness.begin`."""

    def look(self, token: str, replies: bytes) -> Sighting | None:
        """Search the replies, the last line first; see `Witness.look`."""
        lines = reversed(replies.decode("latin-1").splitlines())
        return next((found for line in lines if (found := find(self._pattern, line))), None)


def _witness(target: Target) -> ReplyWitness:
    return ReplyWitness(pattern_of(target.oracle_pattern or ""))


ORACLE = OracleKind(reads="any reply, with a pattern", needs=("oracle_pattern",), witness=_witness)
