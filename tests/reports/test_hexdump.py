from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from proxyspec_reports.hexdump import HexRow, dump

from .samples import Field


def test_without_fields_rows_hold_sixteen_bytes() -> None:
    result = dump(b"PROXY UNKNOWN\r\nEHLO x\r\n")
    assert result.rows == (
        HexRow(0, "50 52 4f 58 59 20 55 4e 4b 4e 4f 57 4e 0d 0a 45", "PROXY UNKNOWN··E"),
        HexRow(16, "48 4c 4f 20 78 0d 0a", "HLO x··"),
    )
    assert not result.annotated
    assert (result.total, result.omitted) == (23, 0)


def test_each_field_starts_a_row_and_only_its_first_row_is_named() -> None:
    fields = [Field(0, 17, "long", "v", "m"), Field(18, 1, "short", "<b>", "\x1b")]
    result = dump(bytes(range(20)), lambda _: fields)
    assert [(row.offset, row.path, row.value, row.meaning) for row in result.rows] == [
        (0, "long", "v", "m"),
        (16, "", "", ""),
        (17, "", "", ""),
        (18, "short", "<b>", r"\x1b"),
        (19, "", "", ""),
    ]
    assert result.annotated


def test_a_field_without_bytes_is_named_in_its_place() -> None:
    result = dump(
        b"ab",
        lambda _: [Field(0, 1, "here", "", ""), Field(1, 0, "missing", "", "cut short"), Field(1, 1, "b", "", "")],
    )
    assert [(row.path, row.hex) for row in result.rows] == [("here", "61"), ("missing", ""), ("b", "62")]


def test_bytes_beyond_the_limit_are_counted_and_fields_there_left_out() -> None:
    result = dump(b"x" * 40, lambda _: [Field(0, 30, "cut", "", ""), Field(30, 10, "beyond", "", "")], limit=20)
    assert [row.path for row in result.rows] == ["cut", ""]
    assert result.omitted == 20


_fields = st.lists(
    st.builds(Field, st.integers(0, 60), st.integers(0, 60), st.just("f"), st.just(""), st.just("")), max_size=8
)


@given(st.binary(max_size=50), _fields, st.integers(0, 60))
def test_every_byte_within_the_limit_is_shown_once_in_order(data: bytes, fields: Sequence[Field], limit: int) -> None:
    result = dump(data, lambda _: fields, limit=limit)
    assert b"".join(bytes.fromhex(row.hex) for row in result.rows) == data[:limit]
    at = 0
    for row in result.rows:
        assert row.offset == at
        at += len(bytes.fromhex(row.hex))
    assert at + result.omitted == result.total == len(data)
