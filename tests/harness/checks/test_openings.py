from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxyspec.checks.model import Opening
from proxyspec.checks.openings import begins_as, header_in

SIGNATURE = bytes.fromhex("0d0a0d0a000d0a515549540a")
LINE = b"PROXY TCP4 127.0.0.1 127.0.0.1 53258 2525\r\n"
LOCAL = SIGNATURE + bytes.fromhex("20000000")
# What HAProxy sends in a check with proxy-v2-options crc32c.
LOCAL_CRC32C = bytes.fromhex("0d0a0d0a000d0a515549540a20000007030004a9b87e8f")
LOCAL_SSL = SIGNATURE + bytes.fromhex("200000082000050000000000")
PROXY = SIGNATURE + bytes.fromhex("2111000c 7f000001 7f000001 c00d 09dd")

VECTORS = [
    (Opening.NONE, b""),
    (Opening.NONE, b"EHLO haproxy\r\nQUIT\r\n"),
    (Opening.V1, LINE),
    (Opening.V1, LINE + b"HELO localhost\r\n"),
    (Opening.LOCAL, LOCAL),
    (Opening.LOCAL, LOCAL + b"QUIT\r\n"),
    (Opening.LOCAL_CRC32C, LOCAL_CRC32C),
    (Opening.LOCAL_SSL, LOCAL_SSL),
    (Opening.PROXY_V2, PROXY),
]


@pytest.mark.parametrize(("opening", "data"), VECTORS)
def test_each_opening_takes_its_own_bytes_and_no_other_opening_does(opening: Opening, data: bytes) -> None:
    assert [each for each in Opening if begins_as(each, data, 2525)] == [opening]


@pytest.mark.parametrize(
    ("opening", "data"),
    [
        (Opening.V1, b"PROXY UNKNOWN\r\n"),
        (Opening.V1, LINE.replace(b"2525", b"2526")),
        (Opening.V1, LINE.replace(b"\r\n", b"\n")),
        (Opening.V1, LINE[:-1]),
        (Opening.V1, LINE.replace(b"53258", b"053258")),
        (Opening.LOCAL, LOCAL[:-1]),
        (Opening.LOCAL, PROXY),
        (Opening.LOCAL_CRC32C, LOCAL_CRC32C[:-1] + b"\x00"),
        (Opening.LOCAL_SSL, LOCAL_SSL.replace(b"\x20\x00\x05\x00", b"\x20\x00\x05\x01")),
        (Opening.PROXY_V2, PROXY[:-1] + b"\x00"),
        (Opening.PROXY_V2, PROXY.replace(b"\x7f", b"\x0a")),
        (Opening.PROXY_V2, PROXY[:-2]),
    ],
)
def test_one_wrong_byte_is_seen(opening: Opening, data: bytes) -> None:
    assert not begins_as(opening, data, 2525)


def test_both_tlvs_stand_in_haproxys_order() -> None:
    both = SIGNATURE + bytes.fromhex("2000000f 030004 3c31157f 200005 00 00000000")
    swapped = SIGNATURE + bytes.fromhex("2000000f 200005 00 00000000 030004 3c31157f")
    from proxyspec.layers.crc import fill

    assert begins_as(Opening.LOCAL_CRC32C_SSL, fill(both, [19]), 25)
    assert not begins_as(Opening.LOCAL_CRC32C_SSL, fill(swapped, [27]), 25)
    assert not begins_as(Opening.LOCAL_CRC32C_SSL, fill(both, [19])[:-1] + b"\x01", 25)


@given(st.binary(max_size=80))
def test_any_bytes_have_one_reading(data: bytes) -> None:
    header = header_in(data)
    assert data.startswith(header)
    assert begins_as(Opening.NONE, data, 25) == (header == b"")
    assert sum(begins_as(each, data, 25) for each in Opening) <= 1
