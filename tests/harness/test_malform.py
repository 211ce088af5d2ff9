"""Malformations: literal bytes before and after, and that none of them fails on anything."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from proxyspec.layers.authoring import crc32c, noop, tlv, v1, v2
from proxyspec.layers.crc import checksum
from proxyspec.malform import (
    AddTlv,
    Cut,
    DropPart,
    DropTlv,
    DuplicatePart,
    DuplicateTlv,
    FlipBit,
    Insert,
    LengthBy,
    LengthTo,
    Malformation,
    NestTlv,
    Overwrite,
    Pad,
    Refit,
    Remove,
    Repeat,
    Reseal,
    ReverseTlvs,
    SetField,
    Splice,
    SwapBytes,
    SwapParts,
    SwapTlvs,
    in_words,
    malformed,
)

from .layers.strategies import ANYTHING

SIGNATURE = bytes.fromhex("0d0a0d0a000d0a515549540a")
BLOCK = bytes.fromhex("c0000201c000020204570019")
V2 = SIGNATURE + bytes.fromhex("2111000c") + BLOCK
#: NOOP "a", 0xe0 "bc".
TWO = SIGNATURE + bytes.fromhex("21110015") + BLOCK + bytes.fromhex("04000161 e000026263")


@pytest.mark.parametrize(
    ("change", "before", "after"),
    [
        (Cut(3), b"abcdef", b"abc"),
        (Cut(30), b"abc", b"abc"),
        (Insert(1, b"--"), b"abc", b"a--bc"),
        (Remove(1, 2), b"abcd", b"ad"),
        (Overwrite(1, b"XY"), b"abcd", b"aXYd"),
        (Overwrite(3, b"XY"), b"abcd", b"abcX"),
        (Repeat(1, 2), b"abcd", b"abcbcd"),
        (FlipBit(1, 0), b"abc", b"acc"),
        (FlipBit(9, 0), b"abc", b"abc"),
        (SwapBytes(1), b"abcd", b"acbd"),
        (SwapBytes(0, 4), b"abcd", b"dcba"),
        (Splice(2, b"123456", 4), b"abcd", b"ab56"),
        (Pad(b"!"), b"abc", b"abc!"),
        (SetField("sport", "01111"), v1(), b"PROXY TCP4 192.0.2.1 192.0.2.2 01111 25\r\n"),
        (SetField("eol", b"\n"), v1(), b"PROXY TCP4 192.0.2.1 192.0.2.2 1111 25\n"),
        (SetField("sep3", b"\t"), v1(), b"PROXY TCP4 192.0.2.1\t192.0.2.2 1111 25\r\n"),
        (SetField("cmd", 2), V2, SIGNATURE + bytes.fromhex("2211000c") + BLOCK),
        (SetField("family", 2), V2, SIGNATURE + bytes.fromhex("2121000c") + BLOCK),
        (SetField("len", 11), V2, SIGNATURE + bytes.fromhex("2111000b") + BLOCK),
        (SetField("cmd", 2), v1(), v1()),
        (DuplicatePart("dport"), v1(), b"PROXY TCP4 192.0.2.1 192.0.2.2 1111 25 25\r\n"),
        (DropPart("src"), v1(), b"PROXY TCP4  192.0.2.2 1111 25\r\n"),
        (SwapParts("src", "sport"), v1(), b"PROXY TCP4 1111 192.0.2.2 192.0.2.1 25\r\n"),
        (LengthBy(-1), V2, SIGNATURE + bytes.fromhex("2111000b") + BLOCK),
        (LengthBy(-13), V2, SIGNATURE + bytes.fromhex("2111ffff") + BLOCK),
        (LengthTo(0xFFFF), V2, SIGNATURE + bytes.fromhex("2111ffff") + BLOCK),
        (LengthBy(1, 1), TWO, TWO[:-3] + b"\x03bc"),
        (LengthTo(0, 0), TWO, TWO[:28] + bytes.fromhex("04000061 e000026263")),
        (LengthTo(0, 2), TWO, TWO),
        (AddTlv(0x7E, b"z"), V2, SIGNATURE + bytes.fromhex("21110010") + BLOCK + bytes.fromhex("7e00017a")),
        (DropTlv(0), TWO, SIGNATURE + bytes.fromhex("21110011") + BLOCK + bytes.fromhex("e000026263")),
        (DuplicateTlv(0), TWO, SIGNATURE + bytes.fromhex("21110019") + TWO[16:] + bytes.fromhex("04000161")),
        (SwapTlvs(0, 1), TWO, TWO[:28] + bytes.fromhex("e000026263 04000161")),
        (SwapTlvs(0, 2), TWO, TWO),
        (ReverseTlvs(), TWO, TWO[:28] + bytes.fromhex("e000026263 04000161")),
        (
            NestTlv(1, 2, 0xF0),
            TWO,
            SIGNATURE + bytes.fromhex("2111001b") + TWO[16:32] + bytes.fromhex("f00008 f00005 e000026263"),
        ),
        (
            NestTlv(0),
            TWO,
            SIGNATURE + bytes.fromhex("2111001d") + BLOCK + bytes.fromhex("200009 0100000000") + TWO[28:],
        ),
        (Refit(), V2 + b"abc", SIGNATURE + bytes.fromhex("2111000f") + BLOCK + b"abc"),
        (Refit(), v1(), v1()),
        (Reseal(), V2, V2),
    ],
)
def test_the_bytes_before_and_after(change: Malformation, before: bytes, after: bytes) -> None:
    assert change(before) == after


def test_a_resealed_header_has_the_right_checksum_and_keeps_its_payload() -> None:
    base = v2(tlvs=[noop(3), crc32c(), tlv(0xE0, b"abc")])
    bent = malformed(base, SetField("sport", 2222), Pad(b"EHLO x\r\n"), Reseal())
    header, payload = bent[: len(base)], bent[len(base) :]
    assert payload == b"EHLO x\r\n"
    at = 28 + 6 + 3
    assert int.from_bytes(header[at : at + 4], "big") == checksum(header, [at])
    assert header[at : at + 4] != base[at : at + 4]
    assert Reseal()(base) == base


def test_a_length_beyond_what_can_be_said_is_the_most_that_can() -> None:
    bent = malformed(V2, *[AddTlv(0xE0, bytes(40_000))] * 2)
    assert bent[14:16] == b"\xff\xff"
    assert len(bent) == 28 + 2 * 40_003


def test_a_chain_is_made_in_order_and_says_so() -> None:
    chain = (LengthBy(-1), Pad(b"x\r\n"), FlipBit(3, 9), NestTlv(0, 3))
    assert malformed(V2, *chain[:2]) == LengthBy(-1)(V2) + b"x\r\n"
    assert in_words(chain) == (
        "the length field lies by -1, then 780d0a behind it, then bit 1 of byte 3 flipped, "
        "then TLV 0 nested 3 deep in type 0x20"
    )
    assert in_words(()) == "as it is"


_places = st.integers(0, 80)
_small = st.integers(0, 4)
_some = st.binary(max_size=12)
CHANGES = st.one_of(
    st.builds(Cut, _places),
    st.builds(Insert, _places, _some),
    st.builds(Remove, _places, _small),
    st.builds(Overwrite, _places, _some),
    st.builds(Repeat, _places, _small),
    st.builds(FlipBit, _places, st.integers(0, 7)),
    st.builds(SwapBytes, _places, _small),
    st.builds(Splice, _places, _some, _places),
    st.builds(Pad, _some),
    st.builds(SetField, st.sampled_from(("src", "dport", "eol", "sep2", "rest")), st.sampled_from((b"", b"0", b"::"))),
    st.builds(SetField, st.sampled_from(("version", "cmd", "family", "transport", "len")), st.integers(0, 15)),
    st.builds(LengthBy, st.integers(-20, 20), st.one_of(st.none(), _small)),
    st.builds(LengthTo, st.integers(0, 0xFFFF), st.one_of(st.none(), _small)),
    st.builds(DuplicatePart, st.sampled_from(("prefix", "src", "nonsense"))),
    st.builds(DropPart, st.sampled_from(("protocol", "dport", "nonsense"))),
    st.builds(SwapParts, st.sampled_from(("src", "dst")), st.sampled_from(("sport", "dport"))),
    st.builds(AddTlv, st.integers(0, 255), _some),
    st.builds(DropTlv, _small),
    st.builds(DuplicateTlv, _small),
    st.builds(SwapTlvs, _small, _small),
    st.builds(ReverseTlvs),
    st.builds(NestTlv, _small, st.integers(0, 40), st.sampled_from((0x20, 0x04))),
    st.builds(Refit),
    st.builds(Reseal),
)


@given(ANYTHING, st.lists(CHANGES, max_size=4))
def test_no_chain_fails_on_anything(data: bytes, chain: list[Malformation]) -> None:
    bent = malformed(data, *chain)
    assert isinstance(bent, bytes)
    assert malformed(data, *chain) == bent
    words = in_words(chain)
    assert words.isprintable()
    assert words


# What Scapy would look up as a host name, and what it cannot pack.
@example(v2(), SetField("src", b""))
@example(v2(), SetField("src", "2001:db8::1"))
@example(v2(), SetField("dport", b""))
@example(v2(), SetField("sport", 1 << 16))
@given(ANYTHING, CHANGES)
def test_equal_malformations_are_equal_values(data: bytes, change: Malformation) -> None:
    assert {change: 1}[change] == 1
    assert change(data) == change(data)
