r"""Bytes and text of a peer made safe to print: every control visible, every length bounded.

Whatever has no ink of its own becomes an escape: `\r`, `\x1b`, `\u202e`. Escapes rather than control pictures (`␍`),
for which many fonts have no glyph, and which a peer could send itself.
"""

from __future__ import annotations

__all__ = ["TEXT_LIMIT", "show", "show_bytes", "show_lines"]

#: Characters of one text, or bytes of one dialogue, that are shown; the rest is counted.
TEXT_LIMIT = 4096

_NAMED = {"\t": "\\t", "\n": "\\n", "\r": "\\r"}
# The range to which the error handler `surrogateescape` maps bytes that are not UTF-8.
_FIRST_STRAY, _LAST_STRAY = 0xDC80, 0xDCFF


def show(text: str, limit: int = TEXT_LIMIT) -> str:
    """Return at most `limit` characters of `text` on one line, controls as escapes."""
    shown = "".join(map(_glyph, text[:limit]))
    return shown + _more(len(text) - limit, "character")


def show_bytes(data: bytes, limit: int = TEXT_LIMIT) -> str:
    r"""Return at most `limit` bytes of `data` as UTF-8 text on one line; other bytes as `\xff`, a backslash doubled."""
    return "".join(map(_byte_glyph, _decode(data[:limit]))) + _more(len(data) - limit, "byte")


def show_lines(data: bytes, limit: int = TEXT_LIMIT) -> tuple[str, ...]:
    """Return `data` as `show_bytes` does, one string per line; a line ends after its line feed, which stays visible."""
    lines = [show_bytes(line, limit) for line in data[:limit].split(b"\n")]
    shown = [line + "\\n" for line in lines[:-1]] + ([lines[-1]] if lines[-1] else [])
    if len(data) > limit:
        shown.append(_more(len(data) - limit, "byte"))
    return tuple(shown)


def _decode(data: bytes) -> str:
    return data.decode("utf-8", errors="surrogateescape")


def _byte_glyph(char: str) -> str:
    return "\\\\" if char == "\\" else _glyph(char)


def _glyph(char: str) -> str:
    if char.isprintable():
        return char
    if char in _NAMED:
        return _NAMED[char]
    code = ord(char)
    if _FIRST_STRAY <= code <= _LAST_STRAY:
        return f"\\x{code - 0xDC00:02x}"
    # From 0x80 on, `\x` is kept for bytes that are no text.
    return f"\\x{code:02x}" if code < 0x80 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _more(count: int, unit: str) -> str:
    if count <= 0:
        return ""
    return f"… {count:,} {unit}{'' if count == 1 else 's'} more"
