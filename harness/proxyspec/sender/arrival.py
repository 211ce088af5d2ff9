"""One connection a proxy made, as it was observed: what each look at it found, and when."""

from __future__ import annotations

from dataclasses import dataclass

from proxyspec.model import Ending, View

__all__ = ["Arrival", "Look"]


@dataclass(frozen=True, slots=True)
class Look:
    """What was there when the connection became readable; `at` in seconds since it was accepted."""

    at: float
    data: bytes
    #: Segments with data that the kernel had received by then in all; None where it does not tell.
    segments: int | None = None


@dataclass(frozen=True, slots=True)
class Arrival:
    """Everything that one connection brought."""

    #: The proxy's end.
    peer: View
    #: Our own end.
    here: View
    looks: tuple[Look, ...]
    ending: Ending
    #: Seconds until the greeting went out although no header had come; None: one came, or the peer was gone.
    gave_up: float | None = None
    #: Received bytes left out because there were more than are kept.
    dropped: int = 0

    @property
    def data(self) -> bytes:
        """Every byte that came, up to the limit."""
        return b"".join(look.data for look in self.looks)
