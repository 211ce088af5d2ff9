"""Bytes as people paste them."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxyspec.errors import UsageError
from proxyspec.hexinput import looks_like_hex, parse_hex


@pytest.mark.parametrize(
    "text",
    [
        "0d0a00ff",
        "0D 0A 00 FF",
        "0d:0a:00:ff",
        "0x0d 0x0a 0x00 0xff",
        r"\x0d\x0a\x00\xff",
        "0d0a\n00ff\n",
        "0d,0a,00,ff",
    ],
)
def test_the_ways_in_which_tools_write_bytes(text: str) -> None:
    assert looks_like_hex(text)
    assert parse_hex(text) == b"\r\n\0\xff"


@given(st.binary(min_size=1, max_size=64), st.sampled_from(["", " ", ":", "\n"]))
def test_what_is_written_is_read(data: bytes, between: str) -> None:
    text = between.join(f"{byte:02x}" for byte in data)
    assert looks_like_hex(text)
    assert parse_hex(text) == data


@pytest.mark.parametrize(
    ("text", "words"),
    [("", "no bytes"), (" : ", "no bytes"), ("0d0", "3 hexadecimal digits"), ("0d0g", "'g' is no hexadecimal digit")],
)
def test_what_is_no_hex_is_named(text: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        parse_hex(text)


@pytest.mark.parametrize("text", ["", "v1/tcp4/ok", "PROXY TCP4", "trace.pcap"])
def test_other_words_do_not_look_like_it(text: str) -> None:
    assert not looks_like_hex(text)
