from __future__ import annotations

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from proxyspec_haproxy.logs import LogLines, visible


def test_control_characters_become_visible() -> None:
    assert visible("220 \x1b[31mred\r\n\x00\u202e\x7f") == r"220 \x1b[31mred\r\n\x00\u202e\x7f"


@given(st.text())
def test_what_is_visible_is_printable(text: str) -> None:
    assert visible(text).isprintable()


@given(st.lists(st.binary(max_size=30), max_size=20), st.lists(st.integers(0, 400), max_size=10))
def test_lines_do_not_depend_on_how_the_output_was_cut(lines: list[bytes], cuts: list[int]) -> None:
    output = b"".join(line.replace(b"\n", b"") + b"\n" for line in lines)
    at_once, in_pieces = LogLines(), LogLines()
    at_once.feed(output)
    edges = [0, *sorted(cuts), len(output)]
    for start, end in pairwise(edges):
        in_pieces.feed(output[start:end])
    assert in_pieces.all() == at_once.all()
    assert len(at_once.all()) == len(lines)


def test_memory_is_bounded_in_lines_and_in_the_length_of_one() -> None:
    log = LogLines(max_lines=3, max_line_bytes=4)
    log.feed(b"one\ntwo\nthree-and-more\nfour\n")
    assert log.all() == ("two", "thre", "four")
    log.feed(b"x" * 1000)
    assert all(len(line) <= 4 for line in log.all())
    assert len(log.all()) == 3


def test_lines_since_a_mark_and_the_last_one_without_a_newline() -> None:
    log = LogLines()
    log.feed(b"before\n")
    mark = log.seen
    log.feed(b"after\nunfinished")
    assert log.since(mark) == ("after",)
    log.end()
    assert log.since(mark) == ("after", "unfinished")
    assert log.since(log.seen) == ()
