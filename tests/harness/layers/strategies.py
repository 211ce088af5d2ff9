"""Bytes that a peer might send where a header is due: valid, bent, and of no kind at all."""

import struct

from hypothesis import settings
from hypothesis import strategies as st

from proxyspec.layers.v2 import SIGNATURE

from .corpus import HEADERS

# A busy machine must not fail a property: how long one example takes is not what these tests are about.
UNHURRIED = settings(deadline=None)

_SMALL = [header.data for header in HEADERS.values() if len(header.data) < 2000]


@st.composite
def bent(draw: st.DrawFn) -> bytes:
    """A valid header with a slice replaced, so that anything may be missing, doubled or wrong in it."""
    data = draw(st.sampled_from(_SMALL))
    start = draw(st.integers(0, len(data)))
    end = draw(st.integers(start, min(len(data), start + 6)))
    return data[:start] + draw(st.binary(max_size=6)) + data[end:] + draw(st.binary(max_size=12))


@st.composite
def fixed_part(draw: st.DrawFn) -> bytes:
    """A right signature before any nibbles, a length that may lie, and any block."""
    block = draw(st.binary(max_size=260))
    length = draw(st.one_of(st.just(len(block)), st.integers(0, 0xFFFF), st.integers(0, len(block))))
    return SIGNATURE + struct.pack("!BBH", draw(st.integers(0, 255)), draw(st.integers(0, 255)), length) + block


@st.composite
def line(draw: st.DrawFn) -> bytes:
    """Something like a version 1 line, of words and blanks that matter to its grammar."""
    words = [
        b"PROXY",
        b"proxy",
        b"TCP4",
        b"UNKNOWN",
        b" ",
        b"  ",
        b"\t",
        b"\r",
        b"\n",
        b"\r\n",
        b"1.2.3.4",
        b"::1",
        b"25",
    ]
    return b"PROXY" + b"".join(draw(st.lists(st.one_of(st.sampled_from(words), st.binary(max_size=3)), max_size=16)))


ANYTHING = st.one_of(st.binary(max_size=80), bent(), fixed_part(), line())
