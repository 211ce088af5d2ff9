from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from proxyspec.printable import SHOWN, printable, show_bytes


@given(st.text())
def test_what_is_printable_stays_and_everything_else_becomes_printable(text: str) -> None:
    shown = printable(text)
    assert shown.isprintable()
    if text.isprintable():
        assert shown == text


def test_control_characters_become_escapes() -> None:
    assert printable("\x1b[31mNO\r\n") == "\\x1b[31mNO\\r\\n"
    assert printable("\x1b\r\n", keep="\n") == "\\x1b\\r\n"


def test_a_limit_cuts_and_says_so() -> None:
    assert printable("\r" * 3, 3) == "\\r\\r\\r"
    assert printable("\r" * 4, 3) == "\\r\\r\\r…"


def test_bytes_are_ascii_and_cut() -> None:
    assert show_bytes(b"PROXY\r\n\xff") == "PROXY\\r\\n\\xff"
    assert show_bytes(b"x" * SHOWN) == "x" * SHOWN
    assert show_bytes(b"x" * (SHOWN + 5)) == "x" * SHOWN + "… 5 bytes more"
