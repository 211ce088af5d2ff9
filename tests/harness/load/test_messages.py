from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxyspec.load.messages import MAX_LINE, Finished, Lines, Refused, Started, Tick, parse_message
from proxyspec.records import LoadError, LoadPoint, LoadStep

MESSAGES = [
    Started(users=3, seconds=None, header="v2", thresholds=["errors < 1%"]),
    Tick(point=LoadPoint(at=1.0, users=3, rate=2.5, failure_rate=0.0), sessions=5, failures=0),
    Finished(
        seconds=2.0,
        users=3,
        sessions=5,
        failures=1,
        steps=[LoadStep(name="ehlo", count=5, failures=0, rate=2.5, mean_ms=1.0, percentiles_ms={"0.5": 1.0})],
        errors=[LoadError(step="quit", error="reset at quit", count=1)],
    ),
    Refused(message="no\ntarget"),
]


@given(st.data())
def test_messages_survive_the_pipe_in_any_pieces(data: st.DataObject) -> None:
    stream = b"".join(message.model_dump_json().encode() + b"\n" for message in MESSAGES)
    lines = Lines()
    got = []
    while stream:
        size = data.draw(st.integers(1, len(stream)))
        got += lines.feed(stream[:size])
        stream = stream[size:]
    assert [parse_message(line) for line in got] == MESSAGES


@pytest.mark.parametrize(
    "line", [b"", b"{}", b'{"kind":"tick"}', b'{"kind":"refused","message":"x","more":1}', b"\xff"]
)
def test_anything_else_is_refused(line: bytes) -> None:
    with pytest.raises(ValueError, match="not a message of a load"):
        parse_message(line)


def test_a_line_without_end_is_cut_off() -> None:
    lines = Lines()
    assert lines.feed(b"x" * MAX_LINE) == []
    with pytest.raises(ValueError, match="more than"):
        lines.feed(b"x")
