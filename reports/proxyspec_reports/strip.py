"""A transcript as a strip: one lane for each party, marks on a time axis, the silent stretches named.

Milliseconds and half a minute share one strip, so the axis is not linear: each pause takes room by its logarithm.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise

from proxyspec.model import EventKind
from proxyspec.records import EventRecord

__all__ = ["Lane", "Mark", "Pause", "Shape", "Strip", "strip"]

#: A pause of this many seconds is silence worth naming.
SILENCE = 0.75
#: A pause this short takes no more room than one of its length, in seconds.
_SHORTEST = 0.001
#: No connection lasts longer, in seconds: a record that says so is broken.
_LONGEST = 1e6
#: Further marks would be ink without meaning.
MOST_EVENTS = 200

PROXYSPEC, HAPROXY, SERVER = "proxyspec", "HAProxy", "server"


class Shape(StrEnum):
    """How a mark is drawn."""

    BYTES = "bytes"
    FIN = "fin"
    RST = "rst"
    OTHER = "other"


_MARKS: dict[EventKind, tuple[str, Shape, str]] = {
    EventKind.SENT: (PROXYSPEC, Shape.BYTES, "sends"),
    EventKind.CLIENT_FIN: (PROXYSPEC, Shape.FIN, "closes (FIN)"),
    EventKind.CLIENT_RST: (PROXYSPEC, Shape.RST, "resets (RST)"),
    EventKind.GAVE_UP: (PROXYSPEC, Shape.OTHER, "stops waiting"),
    EventKind.TLS_STARTED: (PROXYSPEC, Shape.OTHER, "TLS begins"),
    EventKind.TLS_FAILED: (PROXYSPEC, Shape.OTHER, "TLS fails"),
    EventKind.OBSERVED: (HAPROXY, Shape.OTHER, "reports"),
    EventKind.RECEIVED: (SERVER, Shape.BYTES, "sends"),
    EventKind.SERVER_FIN: (SERVER, Shape.FIN, "closes (FIN)"),
    EventKind.SERVER_RST: (SERVER, Shape.RST, "resets (RST)"),
}


@dataclass(frozen=True, slots=True)
class Mark:
    """One event; `x` from 0 to 1."""

    x: float
    shape: Shape
    label: str


@dataclass(frozen=True, slots=True)
class Lane:
    """What one party did."""

    name: str
    marks: tuple[Mark, ...]


@dataclass(frozen=True, slots=True)
class Pause:
    """A silent stretch between `start` and `end`, 0 to 1, that took `seconds`."""

    start: float
    end: float
    seconds: float


@dataclass(frozen=True, slots=True)
class Strip:
    """The drawing of one transcript; `deadline` is where the declared header deadline falls, if within."""

    lanes: tuple[Lane, ...]
    pauses: tuple[Pause, ...]
    deadline: float | None
    description: str


def strip(events: Sequence[EventRecord], deadline: float) -> Strip | None:
    """Lay out a transcript, or return None if no party did anything; `deadline` in seconds from the connection."""
    chosen = [event for event in events if event.kind in _MARKS and abs(event.at) <= _LONGEST][:MOST_EVENTS]
    if not chosen:
        return None
    chosen.sort(key=lambda event: event.at)
    times = sorted({0.0, *(max(event.at, 0.0) for event in chosen)})
    places = _places(times)
    parties = dict.fromkeys(
        party for party in (PROXYSPEC, HAPROXY, SERVER) if any(_MARKS[event.kind][0] == party for event in chosen)
    )
    parties.setdefault(SERVER)
    lanes = tuple(
        Lane(party, tuple(_mark(event, places) for event in chosen if _MARKS[event.kind][0] == party))
        for party in parties
    )
    pauses = tuple(
        Pause(places[before], places[after], after - before)
        for before, after in pairwise(times)
        if after - before >= SILENCE
    )
    return Strip(lanes, pauses, _between(deadline, times, places), _describe(chosen))


def _places(times: Sequence[float]) -> dict[float, float]:
    """Place each moment from 0 to 1; a pause takes room by its logarithm."""
    room = [1.0 + math.log10(max(after - before, _SHORTEST) / _SHORTEST) for before, after in pairwise(times)]
    total = sum(room) or 1.0
    places, at = {times[0]: 0.0}, 0.0
    for moment, width in zip(times[1:], room, strict=True):
        at += width
        places[moment] = at / total
    return places


def _between(moment: float, times: Sequence[float], places: dict[float, float]) -> float | None:
    for before, after in pairwise(times):
        if before <= moment <= after:
            share = (moment - before) / (after - before) if after > before else 0.0
            return places[before] + share * (places[after] - places[before])
    return None


def _mark(event: EventRecord, places: dict[float, float]) -> Mark:
    _, shape, words = _MARKS[event.kind]
    size = len(event.hex) // 2
    amount = f" {size:,} byte{'' if size == 1 else 's'}" if size and shape is Shape.BYTES else ""
    return Mark(places[max(event.at, 0.0)], shape, f"{event.at:.3f} s: {words}{amount}")


def _describe(events: Sequence[EventRecord]) -> str:
    told = [f"{_MARKS[event.kind][0]} {_MARKS[event.kind][2]} at {event.at:.3f} s" for event in events[:12]]
    return "; ".join(told) + ("; …" if len(events) > 12 else "")
