"""What an oracle is: a reading of a session's replies, or a witness of its trace outside the connection."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from proxyspec.model import Target, View
from proxyspec.replies import Reply

__all__ = ["Oracle", "OracleKind", "Sighting", "Witness", "nothing", "view_of"]

#: From the replies of a session to the address it shows, or None where it tells nothing; a pure function.
Oracle = Callable[[Sequence[Reply]], View | None]


def nothing(replies: Sequence[Reply]) -> View | None:
    """Read nothing in the replies."""
    return None


def view_of(text: str) -> View | None:
    """Return the address that `text` is, in brackets or not; None if it is none."""
    try:
        return View.of(text.strip("[]"))
    except ValueError:
        return None


@dataclass(frozen=True, slots=True)
class Sighting:
    """What a witness read, and the address it shows."""

    text: bytes
    view: View


class Witness(Protocol):
    """Looks for one session's trace.

    The session carries a token of its own as its EHLO name and in the messages it delivers, so that many can be told
    apart.
    """

    @property
    def patience(self) -> float:
        """How long after a session its trace may come, in seconds."""
        ...

    @property
    def recipient(self) -> str | None:
        """Whom a message must be delivered to for there to be a trace; None: none is needed."""
        ...

    def begin(self, token: str) -> None:
        """Take note that the session called `token` begins now: what was written before is not of it."""
        ...

    def look(self, token: str, replies: bytes) -> Sighting | None:
        """Return the trace of the session called `token`, which was told `replies`, or None if it is not there yet."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class OracleKind:
    """One oracle."""

    #: What it reads, in words that follow its name.
    reads: str
    #: Fields of the target profile it cannot do without.
    needs: tuple[str, ...] = ()
    #: Reads the replies; what a witness sees goes before it.
    replies: Oracle = nothing
    #: Makes the witness of a target that has what is needed; raises UsageError where its values are of no use.
    witness: Callable[[Target], Witness] | None = None
