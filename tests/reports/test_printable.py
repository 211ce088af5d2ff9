from hypothesis import given
from hypothesis import strategies as st

from proxyspec_reports.printable import show, show_bytes, show_lines


def test_controls_of_bytes_become_escapes() -> None:
    assert show_bytes(b"a\r\n\t\x00\x1b[0m\x7f") == r"a\r\n\t\x00\x1b[0m\x7f"


def test_bytes_that_are_not_utf8_become_escapes_and_utf8_stays() -> None:
    assert show_bytes(b"\xff\xc3\xa9\xe2\x9c") == r"\xffé\xe2\x9c"


def test_a_backslash_of_the_peer_is_not_mistaken_for_an_escape() -> None:
    assert show_bytes(rb"\r") == r"\\r"
    assert show_bytes(rb"\r") != show_bytes(b"\r")


def test_characters_that_hide_or_reorder_text_become_escapes() -> None:
    assert show("a\u202eb\u200b\x85\ufeff\U000e0001") == r"a\u202eb\u200b\u0085\ufeff\U000e0001"


def test_long_bytes_are_cut_and_counted() -> None:
    assert show_bytes(b"x" * 12, limit=10) == "x" * 10 + "… 2 bytes more"
    assert show_bytes(b"x" * 11, limit=10) == "x" * 10 + "… 1 byte more"
    assert show("y" * 4000, limit=10) == "y" * 10 + "… 3,990 characters more"


def test_lines_end_after_their_line_feed() -> None:
    assert show_lines(b"250-a\r\n250 b\r\nrest") == (r"250-a\r\n", r"250 b\r\n", "rest")
    assert show_lines(b"250 a\r\n") == (r"250 a\r\n",)
    assert show_lines(b"") == ()


def test_lines_share_one_limit() -> None:
    assert show_lines(b"ab\ncdef", limit=4) == (r"ab\n", "c", "… 3 bytes more")


@given(st.binary(max_size=300))
def test_shown_bytes_are_printable_and_tell_different_bytes_apart(data: bytes) -> None:
    shown = show_bytes(data)
    assert shown.isprintable()
    assert _read_back(shown) == data


def _read_back(shown: str) -> bytes:
    """Undo the escapes, as a reader would."""
    named = {"t": b"\t", "n": b"\n", "r": b"\r", "\\": b"\\"}
    data, at = b"", 0
    while at < len(shown):
        if shown[at] != "\\":
            data, at = data + shown[at].encode(), at + 1
        elif shown[at + 1] in named:
            data, at = data + named[shown[at + 1]], at + 2
        else:
            digits = {"x": 2, "u": 4, "U": 8}[shown[at + 1]]
            code = int(shown[at + 2 : at + 2 + digits], 16)
            data, at = data + _encoded(code, digits), at + 2 + digits
    return data


def _encoded(code: int, digits: int) -> bytes:
    return bytes([code]) if digits == 2 else chr(code).encode()
