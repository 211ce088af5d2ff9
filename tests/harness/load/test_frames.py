from __future__ import annotations

import ipaddress
import itertools
import struct
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxyspec.layers import authoring
from proxyspec.load.frames import (
    AUTHORITY,
    PERIOD,
    POOL_SIZE,
    Source,
    headers,
    sources,
    unique_id,
    v1_frame,
    v2_frame,
    v2_tlv_frame,
)
from proxyspec.load.options import HeaderKind

ADDRESSES = st.one_of(st.ip_addresses(v=4), st.ip_addresses(v=6)).map(str)
PORTS = st.integers(0, 65535)
NETWORKS = [ipaddress.ip_network(n) for n in ("192.0.2.0/24", "198.51.100.0/24", "203.0.113.0/24", "2001:db8::/32")]


@given(ADDRESSES, PORTS)
def test_v1_is_what_the_layer_writes(address: str, port: int) -> None:
    source = Source.of(address)
    assert v1_frame(source.version).patched(source, port) == authoring.v1(address, sport=port)


@given(ADDRESSES, PORTS)
def test_v2_is_what_the_layer_writes(address: str, port: int) -> None:
    source = Source.of(address)
    assert v2_frame(source.version).patched(source, port) == authoring.v2(address, sport=port)


def _authored(source: Source, port: int) -> bytes:
    return authoring.v2(
        source.text.decode(),
        sport=port,
        tlvs=[
            authoring.tlv(authoring.TLVType.AUTHORITY, AUTHORITY),
            authoring.tlv(authoring.TLVType.UNIQUE_ID, unique_id(source, port)),
            authoring.crc32c(),
        ],
    )


@given(ADDRESSES, PORTS)
def test_v2_with_tlvs_is_what_the_layer_writes(address: str, port: int) -> None:
    source = Source.of(address)
    assert v2_tlv_frame(source.version).patched(source, port) == _authored(source, port)


@pytest.mark.parametrize("kind", [HeaderKind.V1, HeaderKind.V2, HeaderKind.V2_TLV])
def test_the_whole_pool_is_what_the_layer_writes(kind: HeaderKind) -> None:
    author: Callable[[Source, int], bytes] = {
        HeaderKind.V1: lambda source, port: authoring.v1(source.text.decode(), sport=port),
        HeaderKind.V2: lambda source, port: authoring.v2(source.text.decode(), sport=port),
        HeaderKind.V2_TLV: _authored,
    }[kind]
    made = itertools.islice(headers(kind), POOL_SIZE)
    for source, frame in zip(sources(), made, strict=True):
        port = _of_v1(frame)[1] if kind is HeaderKind.V1 else _of_v2(frame)[1]
        assert frame == author(source, port)


def test_v2_tlv_bytes() -> None:
    frame = v2_tlv_frame(4).patched(Source.of("198.51.100.9"), 0x9C40)
    assert frame[:-4] == bytes.fromhex(
        "0d0a0d0a000d0a515549540a"  # signature
        "21 11 003a"  # version 2, PROXY; TCP over IPv4; 58 bytes follow
        "c6336409 c0000202 9c40 0019"
        "02 0011 6d782e7365727665722e6578616d706c65"  # AUTHORITY mx.server.example
        "05 0010 30303030633633333634303939633430"  # UNIQUE_ID 0000c63364099c40
        "03 0004"  # CRC32C
    )
    assert len(frame) == 16 + 0x3A


def test_v1_bytes() -> None:
    assert v1_frame(4).patched(Source.of("198.51.100.9"), 40000) == (b"PROXY TCP4 198.51.100.9 192.0.2.2 40000 25\r\n")
    assert v1_frame(6).patched(Source.of("2001:db8::9"), 1) == b"PROXY TCP6 2001:db8::9 2001:db8::2 1 25\r\n"


def test_v2_bytes() -> None:
    assert v2_frame(4).patched(Source.of("198.51.100.9"), 0x9C40) == bytes.fromhex(
        "0d0a0d0a000d0a515549540a"  # signature
        "21 11 000c"  # version 2, PROXY; TCP over IPv4; 12 bytes follow
        "c6336409 c0000202 9c40 0019"
    )


def test_the_pool_is_of_documentation_addresses_all_different() -> None:
    addresses = [ipaddress.ip_address(source.text.decode()) for source in sources()]
    assert len(set(addresses)) == len(addresses) == POOL_SIZE
    for network in NETWORKS:
        assert sum(address in network for address in addresses) == POOL_SIZE // len(NETWORKS)


def _of_v1(frame: bytes) -> tuple[str, int]:
    words = frame.decode().split()
    return words[2], int(words[4])


def _of_v2(frame: bytes) -> tuple[str, int]:
    size = 4 if frame[13] == 0x11 else 16
    (port,) = struct.unpack_from(">H", frame, 16 + 2 * size)
    return str(ipaddress.ip_address(frame[16 : 16 + size])), port


@pytest.mark.parametrize(
    ("kind", "read"), [(HeaderKind.V1, _of_v1), (HeaderKind.V2, _of_v2), (HeaderKind.V2_TLV, _of_v2)]
)
def test_headers_take_turns_through_the_pool(kind: HeaderKind, read: Callable[[bytes], tuple[str, int]]) -> None:
    seen = [read(frame) for frame in itertools.islice(headers(kind), 2 * POOL_SIZE)]
    assert len(set(seen)) == len(seen)
    assert {address for address, _ in seen} == {source.text.decode() for source in sources()}


def test_headers_begin_where_they_are_told() -> None:
    assert next(headers(HeaderKind.V2, 7)) == next(itertools.islice(headers(HeaderKind.V2), 7, None))


def test_headers_come_again_after_the_period() -> None:
    assert next(headers(HeaderKind.V1, PERIOD)) == next(headers(HeaderKind.V1))
    assert len({next(headers(HeaderKind.V1, PERIOD // part)) for part in (1, 2, 3, 5, 7)}) == 5


def test_no_header_is_no_bytes() -> None:
    assert list(itertools.islice(headers(HeaderKind.NONE), 3)) == [b"", b"", b""]
