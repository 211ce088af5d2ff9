"""How the bytes of a header become TCP segments: pure data, and the words for it."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

__all__ = ["WHOLE", "Delivery", "Piece", "bytewise", "conflicting", "doubled", "overlapping", "reverse", "split_at"]


@dataclass(frozen=True, slots=True)
class Piece:
    """One segment: the bytes from `start` to `stop` of what is written."""

    start: int
    stop: int
    push: bool = True
    #: Every bit inverted: what a receiver has already must not be replaced by this.
    garbled: bool = False

    def of(self, data: bytes) -> bytes:
        """Return the payload of the segment."""
        part = data[self.start : self.stop]
        return bytes(byte ^ 0xFF for byte in part) if self.garbled else part


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """The segments of the first bytes written on a connection, and what the connection does beside."""

    #: In the order they are sent; none: as few as the segment size allows.
    pieces: tuple[Piece, ...] = ()
    #: Seconds between two segments, so that the receiver may read in between.
    gap: float = 0.0
    #: The last segment carries FIN.
    fin: bool = False
    #: Seconds during which the window is closed, from the handshake on.
    closed_for: float = 0.0
    #: Handshakes begun and left half-open from other ports before this connection's own.
    half_open: int = 0


WHOLE = Delivery()


def split_at(size: int, *places: int, push: bool = True, gap: float = 0.01, fin: bool = False) -> Delivery:
    """Segments in order that end at these places and at `size`, with or without PSH."""
    edges = (0, *places, size)
    pieces = tuple(Piece(start, stop, push=push) for start, stop in pairwise(edges))
    return Delivery(pieces=pieces, gap=gap, fin=fin)


def bytewise(size: int, *, push: bool = True, gap: float = 0.002) -> Delivery:
    """Segments of one byte each."""
    return split_at(size, *range(1, size), push=push, gap=gap)


def reverse(size: int, step: int) -> Delivery:
    """Segments of `step` bytes, the last first: nothing can be read before the first one, which comes last."""
    pieces = tuple(Piece(start, min(start + step, size)) for start in range(0, size, step))
    return Delivery(pieces=pieces[::-1])


def overlapping(size: int, step: int) -> Delivery:
    """Segments that begin with the second half of the one before."""
    half = step // 2
    return Delivery(
        pieces=tuple(Piece(start, min(start + step, size)) for start in range(0, max(1, size - half), half))
    )


def doubled(size: int, step: int) -> Delivery:
    """Each segment twice, as after an acknowledgement that was lost."""
    pieces = tuple(Piece(start, min(start + step, size)) for start in range(0, size, step))
    return Delivery(pieces=tuple(piece for piece in pieces for _ in range(2)))


def conflicting(size: int, at: int) -> Delivery:
    """The first `at` bytes, then the same sequence numbers with other bytes, then the rest: what came first stays."""
    return Delivery(pieces=(Piece(0, at), Piece(0, at, garbled=True), Piece(at, size)), gap=0.01)
