"""The lines of a log that name the session: its EHLO name stands in them."""

from __future__ import annotations

import re
from pathlib import Path

from proxyspec.model import Target
from proxyspec.oracles._base import OracleKind, Sighting
from proxyspec.oracles._files import KEPT, Tail, readable
from proxyspec.oracles._patterns import TOKEN, find, mailbox_of, pattern_of

__all__ = ["ORACLE", "LogWitness"]


class LogWitness:
    """A pattern over the lines of a log file that name the session."""

    patience = 3.0

    def __init__(self, path: Path, pattern: re.Pattern[str], recipient: str | None) -> None:
        """Watch `path`; with a `recipient` each session leaves a message, for a log that tells only of those."""
        self.recipient = recipient
        self._tail = Tail(path)
        self._pattern = pattern
        self._seen: dict[str, Sighting] = {}

    def look(self, token: str, replies: bytes) -> Sighting | None:
        """Read what is new and search it; see `Witness.look`."""
        for line in self._tail.lines():
            sighting = None
            for named in TOKEN.findall(line):
                sighting = sighting or find(self._pattern, line)
                if sighting is not None:
                    self._seen[named] = sighting
        while len(self._seen) > KEPT:
            del self._seen[next(iter(self._seen))]
        return self._seen.get(token)


def _witness(target: Target) -> LogWitness:
    recipient = None if target.recipient is None else mailbox_of(target.recipient)
    return LogWitness(readable(target.oracle_file or ""), pattern_of(target.oracle_pattern or ""), recipient)


ORACLE = OracleKind(
    reads="the lines of a log that hold the session's EHLO name, with a pattern",
    needs=("oracle_file", "oracle_pattern"),
    witness=_witness,
)
