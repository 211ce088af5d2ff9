"""The checksum against published values, and against its definition."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxyspec.layers.crc import checksum, fill

from .strategies import UNHURRIED


def test_check_value_of_the_algorithm() -> None:
    assert checksum(b"123456789", []) == 0xE3069283


def test_thirty_two_zero_bytes() -> None:
    # RFC 3720, appendix B.4.
    assert checksum(bytes(32), []) == 0x8A9136AA


def test_the_field_counts_as_zero() -> None:
    header = bytes.fromhex("0d0a0d0a000d0a515549540a21110013c0000201c000020204570019030004ffffffff")
    assert checksum(header, [31]) == 0x047EDC6E
    assert fill(header, [31]) == header[:31] + bytes.fromhex("047edc6e")


@pytest.mark.parametrize("offset", [-1, 7, 100])
def test_a_field_outside_the_header_is_refused(offset: int) -> None:
    with pytest.raises(ValueError, match=f"offset {offset} .* 10 bytes"):
        checksum(bytes(10), [offset])


@UNHURRIED
@given(st.binary(min_size=12, max_size=80), st.data())
def test_filling_is_idempotent_and_touches_only_the_fields(header: bytes, data: st.DataObject) -> None:
    first = data.draw(st.integers(0, len(header) - 8))
    second = data.draw(st.integers(first + 4, len(header) - 4))
    filled = fill(header, [first, second])
    assert fill(filled, [second, first]) == filled
    assert filled[first : first + 4] == filled[second : second + 4]
    rest = [filled[:first], filled[first + 4 : second], filled[second + 4 :]]
    assert rest == [header[:first], header[first + 4 : second], header[second + 4 :]]
