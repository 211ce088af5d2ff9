"""The Received field of a message that each session delivers (RFC 5321, section 4.4)."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path

from proxyspec.logs import Tail
from proxyspec.model import Target
from proxyspec.oracles._base import OracleKind, Sighting, view_of
from proxyspec.oracles._files import KEPT, readable
from proxyspec.oracles._patterns import TOKEN, mailbox_of

__all__ = ["ORACLE", "MailWitness"]

#: Bytes read of one message: enough for the fields the target adds in front.
MESSAGE_HEAD = 32 * 1024
_LITERAL = re.compile(r"\[(?:IPv6:)?([0-9A-Fa-f:.]{2,45})\]")


def _received(head: str) -> Iterator[tuple[str, Sighting]]:
    """Yield every session of ours that the Received fields of a message name, with the address beside it."""
    unfolded = re.sub(r"\r?\n[ \t]+", " ", head)
    for line in unfolded.splitlines():
        if not line:
            return
        if not line.lower().startswith("received:"):
            continue
        origin = re.split(r"\sby\s", line, maxsplit=1)[0]
        literals = _LITERAL.findall(origin)
        view = view_of(literals[-1]) if literals else None
        if view is None:
            continue
        for named in TOKEN.findall(origin):
            yield named, Sighting(line.encode(errors="replace"), view)


class MailWitness:
    """The Received field of a message delivered into a Maildir, or into an mbox file (RFC 5321, section 4.4)."""

    patience = 3.0

    def __init__(self, path: Path, recipient: str) -> None:
        """Watch `path`, a Maildir if it is a directory, for messages that come from now on to `recipient`."""
        self.recipient: str | None = recipient
        self._maildir = path if path.is_dir() else None
        self._mbox = Tail(path)
        self._since = time.time() - 2
        self._read: set[str] = set()
        self._seen: dict[str, Sighting] = {}
        self._head: list[str] = []

    def _messages(self, folder: Path) -> Iterator[str]:
        for place in (folder / "new", folder / "cur"):
            try:
                entries = list(place.iterdir())
            except OSError:
                continue
            for entry in entries:
                name = entry.name.partition(":")[0]
                if name in self._read:
                    continue
                self._read.add(name)
                try:
                    if entry.stat().st_mtime < self._since:
                        continue
                    with entry.open("rb") as file:
                        yield file.read(MESSAGE_HEAD).decode("utf-8", "replace")
                except OSError:
                    continue

    def _mbox_heads(self) -> Iterator[str]:
        """Yield the fields of every message that is new in the mbox."""
        for line in self._mbox.lines():
            if line.startswith("From "):
                self._head = [""]
            elif self._head:
                if line.strip():
                    self._head.append(line.rstrip("\r"))
                    continue
                yield "\n".join(self._head[1:])
                self._head = []

    def begin(self, token: str) -> None:
        """Nothing to note: a field names its session itself; see `Witness.begin`."""

    def look(self, token: str, replies: bytes) -> Sighting | None:
        """Read what is new and search it; see `Witness.look`."""
        heads = self._messages(self._maildir) if self._maildir is not None else self._mbox_heads()
        for head in heads:
            for named, sighting in _received(head):
                self._seen.setdefault(named, sighting)
        while len(self._seen) > KEPT:
            del self._seen[next(iter(self._seen))]
        return self._seen.get(token)


def _witness(target: Target) -> MailWitness:
    return MailWitness(readable(target.oracle_file or ""), mailbox_of(target.recipient or ""))


ORACLE = OracleKind(
    reads="the Received field of a message each session delivers into a Maildir or mbox",
    needs=("oracle_file", "recipient"),
    witness=_witness,
)
