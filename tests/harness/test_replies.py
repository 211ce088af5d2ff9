"""Replies out of bytes, whatever the pieces."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from proxyspec.replies import MAX_LINE, Reply, ReplyReader, parse_replies

DIALOGUE = b"220 mx ESMTP\r\n250-mx Hello\r\n250-SIZE\r\n250 HELP\r\n500\r\nSSH-2.0\r\n421 4.4.2 bye\n"
REPLIES = (
    Reply(220, (b"mx ESMTP",), 1.0),
    Reply(250, (b"mx Hello", b"SIZE", b"HELP"), 1.0),
    Reply(500, (b"",), 1.0),
    Reply(None, (b"SSH-2.0",), 1.0),
    Reply(421, (b"4.4.2 bye",), 1.0),
)


def test_every_form_of_reply() -> None:
    assert parse_replies([(1.0, DIALOGUE)]) == REPLIES


@given(st.lists(st.integers(0, len(DIALOGUE)), max_size=8))
def test_any_split_gives_the_same_replies(cuts: list[int]) -> None:
    edges = [0, *sorted(cuts), len(DIALOGUE)]
    assert parse_replies((1.0, DIALOGUE[a:b]) for a, b in itertools.pairwise(edges)) == REPLIES


@given(st.lists(st.binary(max_size=64), max_size=20))
def test_no_bytes_raise_and_codes_stay_in_range(pieces: list[bytes]) -> None:
    for reply in parse_replies((0.0, piece) for piece in pieces):
        assert reply.code is None or 200 <= reply.code <= 599


def test_a_reply_is_dated_by_its_last_byte() -> None:
    assert [r.at for r in parse_replies([(1.0, b"250-a\r\n"), (2.0, b"250 b\r"), (3.0, b"\n")])] == [3.0]


def test_an_endless_line_is_one_bad_reply_and_memory_stays_bounded() -> None:
    reader = ReplyReader()
    found = [reply for _ in range(1000) for reply in reader.feed(b"220 " + b"x" * 1000, 0.0)]
    assert [(reply.code, len(reply.lines[0])) for reply in found] == [(None, MAX_LINE)]
    assert reader.feed(b"\r\n250 ok\r\n", 0.0) == [Reply(250, (b"ok",), 0.0)]


def test_a_reply_of_endless_lines_keeps_only_some() -> None:
    (reply,) = parse_replies([(0.0, b"250-x\r\n" * 10_000 + b"250 end\r\n")])
    assert len(reply.lines) == ReplyReader.MAX_LINES
