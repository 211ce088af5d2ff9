"""Deliveries: whatever the order and the overlaps, a receiver that keeps what came first reads what was written."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxyspec.model import Via
from proxyspec.tcp.delivery import (
    Delivery,
    Piece,
    bytewise,
    conflicting,
    doubled,
    overlapping,
    reverse,
    split_at,
)
from proxyspec_scenarios import catalogue
from proxyspec_scenarios.cases.tcp import DELIVERIES


def reassembled(delivery: Delivery, data: bytes) -> bytes:
    got: dict[int, int] = {}
    for piece in delivery.pieces:
        for at, byte in enumerate(piece.of(data), piece.start):
            got.setdefault(at, byte)
    return bytes(got[at] for at in sorted(got))


def test_pieces_are_what_they_are_called() -> None:
    assert bytewise(3).pieces == (Piece(0, 1), Piece(1, 2), Piece(2, 3))
    assert split_at(5, 2, push=False).pieces == (Piece(0, 2, push=False), Piece(2, 5, push=False))
    assert reverse(5, 2).pieces == (Piece(4, 5), Piece(2, 4), Piece(0, 2))
    assert overlapping(8, 4).pieces == (Piece(0, 4), Piece(2, 6), Piece(4, 8))
    assert doubled(3, 2).pieces == (Piece(0, 2), Piece(0, 2), Piece(2, 3), Piece(2, 3))
    assert conflicting(4, 2).pieces == (Piece(0, 2), Piece(0, 2, garbled=True), Piece(2, 4))
    assert Piece(1, 3, garbled=True).of(b"\x00\x01\xfe\x00") == b"\xfe\x01"


@given(st.binary(min_size=2, max_size=80), st.data())
def test_every_delivery_is_the_data(data: bytes, draw: st.DataObject) -> None:
    size = len(data)
    step = draw.draw(st.integers(2, 12))
    at = draw.draw(st.integers(1, size - 1))
    for delivery in (
        bytewise(size),
        split_at(size, at),
        reverse(size, step),
        overlapping(size, step),
        doubled(size, step),
        conflicting(size, at),
    ):
        assert reassembled(delivery, data) == data


@pytest.mark.parametrize("name", [pytest.param(name, id=name) for name in DELIVERIES])
def test_every_case_delivers_its_header(name: str) -> None:
    case = catalogue()[name]
    assert case.via is Via.PACKETS
    delivery = DELIVERIES[name]
    assert delivery.half_open <= 64
    assert not delivery.pieces or reassembled(delivery, case.header) == case.header
