"""Witnesses: where outside the connection the target shows whose session it believes it has.

A witness looks into what the target writes, a mailbox or a log, for the trace of one session. The session carries a
token of its own as its EHLO name and in the messages it delivers, so that many can be told apart.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from proxyspec.errors import UsageError
from proxyspec.model import Target, View

__all__ = ["WITNESSES", "LogWitness", "MailWitness", "ReplyWitness", "Sighting", "Witness", "witness_of"]

#: Oracles that are witnesses, and what each of them needs of the target profile.
WITNESSES = {
    "received": ("oracle_file", "recipient"),
    "log": ("oracle_file", "oracle_pattern"),
    "reply": ("oracle_pattern",),
}
#: What an address for RCPT TO may look like: no way out of the command (RFC 5321, section 4.1.2).
_MAILBOX = re.compile(r"[^\s<>\x00-\x1f\x7f]{1,254}")

#: Bytes read of one message: enough for the fields the target adds in front.
MESSAGE_HEAD = 32 * 1024
#: Bytes of a log or mbox read in one look; what is beyond is read in the next.
LOOK = 4 * 1024 * 1024
#: Entries kept of a log, and messages of a mailbox, the newest first to stay.
KEPT = 65536
_LITERAL = re.compile(r"\[(?:IPv6:)?([0-9A-Fa-f:.]{2,45})\]")
_TOKEN = re.compile(r"[0-9a-z-]+\.probe\.test")


@dataclass(frozen=True, slots=True)
class Sighting:
    """What a witness read, and the address it shows."""

    text: bytes
    view: View


class Witness(Protocol):
    """Looks for one session's trace."""

    @property
    def patience(self) -> float:
        """How long after a session its trace may come, in seconds."""
        ...

    @property
    def recipient(self) -> str | None:
        """Whom a message must be delivered to for there to be a trace; None: none is needed."""
        ...

    def look(self, token: str, replies: bytes) -> Sighting | None:
        """Return the trace of the session called `token`, which was told `replies`, or None if it is not there yet."""
        ...


def _view(text: str) -> View | None:
    try:
        return View.of(text.strip("[]"))
    except ValueError:
        return None


def _found(pattern: re.Pattern[str], line: str) -> Sighting | None:
    match = pattern.search(line)
    view = _view(match["address"]) if match is not None and match["address"] is not None else None
    return Sighting(line.encode(errors="replace"), view) if view is not None else None


class ReplyWitness:
    """A pattern over the target's own replies; the last match counts."""

    patience = 0.0
    recipient = None

    def __init__(self, pattern: re.Pattern[str]) -> None:
        self._pattern = pattern

    def look(self, token: str, replies: bytes) -> Sighting | None:
        """Search the replies, the last line first; see `Witness.look`."""
        lines = reversed(replies.decode("latin-1").splitlines())
        return next((found for line in lines if (found := _found(self._pattern, line))), None)


class _Tail:
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


class LogWitness:
    """A pattern over the lines of a log file that name the session: its EHLO name stands in them."""

    patience = 3.0
    recipient = None

    def __init__(self, path: Path, pattern: re.Pattern[str]) -> None:
        self._tail = _Tail(path)
        self._pattern = pattern
        self._seen: dict[str, Sighting] = {}

    def look(self, token: str, replies: bytes) -> Sighting | None:
        """Read what is new and search it; see `Witness.look`."""
        for line in self._tail.lines():
            sighting = None
            for named in _TOKEN.findall(line):
                sighting = sighting or _found(self._pattern, line)
                if sighting is not None:
                    self._seen[named] = sighting
        while len(self._seen) > KEPT:
            del self._seen[next(iter(self._seen))]
        return self._seen.get(token)


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
        view = _view(literals[-1]) if literals else None
        if view is None:
            continue
        for named in _TOKEN.findall(origin):
            yield named, Sighting(line.encode(errors="replace"), view)


class MailWitness:
    """The Received field of a message delivered into a Maildir, or into an mbox file (RFC 5321, section 4.4)."""

    patience = 3.0

    def __init__(self, path: Path, recipient: str) -> None:
        """Watch `path`, a Maildir if it is a directory, for messages that come from now on to `recipient`."""
        self.recipient: str | None = recipient
        self._maildir = path if path.is_dir() else None
        self._mbox = _Tail(path)
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

    def look(self, token: str, replies: bytes) -> Sighting | None:
        """Read what is new and search it; see `Witness.look`."""
        heads = self._messages(self._maildir) if self._maildir is not None else self._mbox_heads()
        for head in heads:
            for named, sighting in _received(head):
                self._seen.setdefault(named, sighting)
        while len(self._seen) > KEPT:
            del self._seen[next(iter(self._seen))]
        return self._seen.get(token)


def _pattern(text: str) -> re.Pattern[str]:
    try:
        pattern = re.compile(text)
    except re.error as error:
        raise UsageError(f"oracle_pattern {text!r} is no regular expression: {error}") from error
    if "address" not in pattern.groupindex:
        example = r"from \S*\[(?P<address>[^]]+)\]"
        raise UsageError(f"oracle_pattern {text!r} has no group 'address'; write for instance '{example}'")
    return pattern


def _readable(name: str) -> Path:
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


def witness_of(target: Target) -> Witness | None:
    """Return the witness the target profile names, or None if its oracle needs none.

    Raises:
        UsageError: the oracle lacks its file, pattern or recipient, or they are of no use.
    """
    for field in WITNESSES.get(target.oracle, ()):
        if getattr(target, field) is None:
            raise UsageError(f"the oracle {target.oracle!r} needs {field}: say it in the profile or as an option")
    match target.oracle:
        case "received":
            assert target.recipient is not None
            if _MAILBOX.fullmatch(target.recipient) is None:
                raise UsageError(f"recipient {target.recipient!r} is no mailbox: write name@example.com")
            return MailWitness(_readable(target.oracle_file or ""), target.recipient)
        case "log":
            return LogWitness(_readable(target.oracle_file or ""), _pattern(target.oracle_pattern or ""))
        case "reply":
            return ReplyWitness(_pattern(target.oracle_pattern or ""))
    return None
