"""Shrinking: the least that shows the fault, within the tries there are."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st

from proxyspec.fuzz.rules import Class, classify
from proxyspec.fuzz.shrink import Shows, fewer_bytes, fewer_malformations, fewer_tlvs
from proxyspec.layers.authoring import crc32c, noop, tlv, v2
from proxyspec.malform import FlipBit, Insert, Malformation, Pad


def asked(condition: Callable[[bytes], bool]) -> tuple[Shows, list[bytes]]:
    tried: list[bytes] = []

    async def shows(data: bytes) -> bool:
        tried.append(data)
        return condition(data)

    return shows, tried


def test_only_the_malformations_that_matter_are_left() -> None:
    chain: tuple[Malformation, ...] = (Pad(b"x"), FlipBit(0, 0), Insert(1, b"!"), Pad(b"y"), Insert(0, b"?"))
    shows, tried = asked(lambda data: b"!" in data and b"?" in data)
    left = asyncio.run(fewer_malformations(b"abc", chain, shows))
    assert left == (Insert(1, b"!"), Insert(0, b"?"))
    assert len(tried) <= 25


def test_only_the_bytes_that_matter_are_left() -> None:
    shows, tried = asked(lambda data: data.count(b"A") >= 2)
    assert asyncio.run(fewer_bytes(b"x" * 500 + b"A" + b"y" * 100 + b"AA", shows, 1000)) == b"AA"
    assert all(tried)


def test_the_tries_are_counted() -> None:
    shows, tried = asked(lambda data: False)
    data = bytes(300)
    assert asyncio.run(fewer_bytes(data, shows, 40)) == data
    assert len(tried) == 40


def test_tlvs_that_do_not_matter_are_left_out_and_the_checksum_follows() -> None:
    data = v2(tlvs=[noop(40), tlv(0xE0, b"fault"), crc32c(), tlv(0xE1, b"z" * 30)])
    shows, _ = asked(lambda one: b"fault" in one and classify(one, frozenset({2})).verdict is Class.ACCEPT)
    assert asyncio.run(fewer_tlvs(data, shows)) == v2(tlvs=[tlv(0xE0, b"fault")])


@given(st.binary(min_size=1, max_size=60), st.sets(st.integers(0, 255), max_size=3))
def test_what_is_left_still_shows_the_fault_and_no_byte_of_it_can_go(data: bytes, wanted: set[int]) -> None:
    needed = wanted & set(data)
    shows, _ = asked(lambda one: needed <= set(one))
    small = asyncio.run(fewer_bytes(data, shows, 10_000))
    assert needed <= set(small)
    assert len(small) == max(1, len(needed))
