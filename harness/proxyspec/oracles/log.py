"""The lines of a log that name the session: by its EHLO name, or by the connection that has it in another line."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from proxyspec.logs import Tail
from proxyspec.model import Target
from proxyspec.oracles._base import OracleKind, Sighting
from proxyspec.oracles._files import KEPT, readable
from proxyspec.oracles._patterns import TOKEN, mailbox_of, pattern_of, sighting_of

__all__ = ["ORACLE", "LogWitness"]


class LogWitness:
    """A pattern over the lines of a log file that name the session, or its connection.

    A log may use a connection's name again, a port for instance: an address counts for a session if it is told between
    the session's beginning and the line with its EHLO name, or else in the first line behind that.
    """

    patience = 3.0

    def __init__(self, path: Path, pattern: re.Pattern[str], recipient: str | None) -> None:
        """Watch `path`; with a `recipient` each session leaves a message, for a log that tells only of those."""
        self.recipient = recipient
        self._tail = Tail(path)
        self._pattern = pattern
        self._lines = 0
        #: Lines there were when each session began.
        self._begun: dict[str, int] = {}
        #: By the connection's name: the last address with the number of its line, and the session that waits for one.
        self._told: dict[str, tuple[int, Sighting]] = {}
        self._waiting: dict[str, str] = {}
        self._seen: dict[str, Sighting] = {}

    def begin(self, token: str) -> None:
        """Read what is there; see `Witness.begin`."""
        self._read()
        self._begun[token] = self._lines

    def look(self, token: str, replies: bytes) -> Sighting | None:
        """Read what is new and search it; see `Witness.look`."""
        self._read()
        return self._seen.get(token)

    def _read(self) -> None:
        for line in self._tail.lines():
            self._lines += 1
            match = self._pattern.search(line)
            if match is None:
                continue
            tokens, sighting = TOKEN.findall(line), sighting_of(match)
            connection = match.groupdict().get("connection")
            if sighting is not None:
                self._seen.update(dict.fromkeys(tokens, sighting))
                if connection is not None:
                    self._tell(connection, sighting)
            elif connection is not None and (begun := [token for token in tokens if token in self._begun]):
                self._name(connection, begun[-1])
        entries: Sequence[dict[str, Any]] = (self._begun, self._told, self._waiting, self._seen)
        for kept in entries:
            while len(kept) > KEPT:
                del kept[next(iter(kept))]

    def _tell(self, connection: str, sighting: Sighting) -> None:
        """Note whose address a connection has, for the session that has it or the one that will."""
        self._told[connection] = self._lines, sighting
        if (token := self._waiting.pop(connection, None)) is not None:
            self._seen[token] = sighting

    def _name(self, connection: str, token: str) -> None:
        """Note which session a connection has."""
        at, sighting = self._told.get(connection, (0, None))
        if sighting is not None and at > self._begun[token]:
            self._seen[token] = sighting
        else:
            self._waiting[connection] = token


def _witness(target: Target) -> LogWitness:
    recipient = None if target.recipient is None else mailbox_of(target.recipient)
    return LogWitness(readable(target.oracle_file or ""), pattern_of(target.oracle_pattern or ""), recipient)


ORACLE = OracleKind(
    reads="the lines of a log that hold the session's EHLO name, or name its connection, with a pattern",
    needs=("oracle_file", "oracle_pattern"),
    witness=_witness,
)
