"""Nothing a peer said can move a cursor, forge a line or fill a disk."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxyspec_server.visible import visible


@pytest.mark.parametrize(
    ("said", "shown"),
    [
        (b"mx.example.com", "mx.example.com"),
        (b"a\r\nb", r"a\r\nb"),
        (b"\x1b[2J\x00\xff", r"\x1b[2J\x00\xff"),
        (b"back\\slash", r"back\\slash"),
        ("déjà", r"d\xe9j\xe0"),
        (b"x" * 12, "x" * 10 + "..."),
        (b"x" * 10, "x" * 10),
    ],
)
def test_visible(said: bytes | str, shown: str) -> None:
    assert visible(said, 10 if set(said) <= {*b"x"} else 200) == shown


@given(st.one_of(st.binary(), st.text()), st.integers(0, 50))
def test_always_printable_and_bounded(said: bytes | str, limit: int) -> None:
    shown = visible(said, limit)
    assert all(" " <= character <= "~" for character in shown)
    assert len(shown) <= limit + 3
