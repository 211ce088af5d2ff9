"""The strip of a transcript: who did what, in which order, where nothing happened, where the deadline fell."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from proxyspec.model import EventKind
from proxyspec.records import EventRecord
from proxyspec_reports.strip import MOST_EVENTS, Shape, strip


def event(at: float, kind: EventKind, data: bytes = b"") -> EventRecord:
    return EventRecord(at=at, kind=kind, hex=data.hex())


def test_a_silent_half_minute_is_named_and_the_deadline_lies_at_its_end() -> None:
    drawn = strip(
        [
            event(0.0, EventKind.CONNECTED),
            event(0.001, EventKind.SENT, b"PROXY"),
            event(30.002, EventKind.RECEIVED, b"421 too late\r\n"),
            event(30.003, EventKind.SERVER_FIN),
        ],
        30.0,
    )
    assert drawn is not None
    assert [(lane.name, [mark.shape for mark in lane.marks]) for lane in drawn.lanes] == [
        ("proxyspec", [Shape.BYTES]),
        ("server", [Shape.BYTES, Shape.FIN]),
    ]
    assert [round(pause.seconds, 3) for pause in drawn.pauses] == [30.001]
    assert drawn.deadline is not None
    assert drawn.pauses[0].start < drawn.deadline < drawn.lanes[1].marks[0].x
    assert drawn.lanes[0].marks[0].label == "0.001 s: sends 5 bytes"
    assert drawn.description == "proxyspec sends at 0.001 s; server sends at 30.002 s; server closes (FIN) at 30.003 s"


def test_a_deadline_beyond_the_end_is_not_drawn() -> None:
    drawn = strip([event(0.1, EventKind.SENT, b"x"), event(0.2, EventKind.SERVER_RST)], 30.0)
    assert drawn is not None
    assert drawn.deadline is None
    assert drawn.pauses == ()


def test_nothing_done_is_nothing_drawn() -> None:
    assert strip([event(0.0, EventKind.CONNECTED)], 30.0) is None
    assert strip([], 30.0) is None


KINDS = st.sampled_from(list(EventKind))


@given(st.lists(st.tuples(st.floats(), KINDS), max_size=MOST_EVENTS + 20), st.floats(0, 100))
def test_every_mark_lies_on_the_strip_in_the_order_of_time(
    events: list[tuple[float, EventKind]], deadline: float
) -> None:
    drawn = strip([event(at, kind) for at, kind in events], deadline)
    if drawn is None:
        return
    for lane in drawn.lanes:
        places = [mark.x for mark in lane.marks]
        assert places == sorted(places)
        assert all(0 <= place <= 1 + 1e-9 and math.isfinite(place) for place in places)
    assert all(0 <= pause.start <= pause.end <= 1 + 1e-9 for pause in drawn.pauses)
    assert sum(len(lane.marks) for lane in drawn.lanes) <= MOST_EVENTS
