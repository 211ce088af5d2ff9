"""The end of a log."""

from __future__ import annotations

from pathlib import Path

import pytest

from proxyspec.logs import last_lines


@pytest.mark.parametrize(
    ("written", "size", "lines"),
    [
        (b"", 10, []),
        (b"one\n\n two \r\nthree", 100, ["one", "two", "three"]),
        (b"first line\nlast", 6, ["e", "last"]),
        (b"a\x1b[2Jb\x0cc\xff\n", 100, ["a\\x1b[2Jb\\x0cc\N{REPLACEMENT CHARACTER}"]),
    ],
)
def test_the_end_is_read_line_by_line_and_safe_to_show(
    tmp_path: Path, written: bytes, size: int, lines: list[str]
) -> None:
    log = tmp_path / "log"
    log.write_bytes(written)
    assert last_lines(log, size) == lines


def test_the_rest_of_a_long_log_is_not_read(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with log.open("wb") as file:
        # A hole: read whole, it would take all memory.
        file.truncate(1 << 40)
        file.seek(0, 2)
        file.write(b"\nthe end\n")
    assert last_lines(log, 9) == ["the end"]


def test_what_cannot_be_read_says_nothing(tmp_path: Path) -> None:
    assert last_lines(tmp_path / "none", 10) == last_lines(tmp_path, 10) == []
