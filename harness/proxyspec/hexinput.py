"""Bytes as people paste them: hexadecimal digits with whatever tools put between them."""

from __future__ import annotations

import re

from proxyspec.errors import UsageError

__all__ = ["looks_like_hex", "parse_hex"]

_BETWEEN = re.compile(r"\\x|\b0x|[\s:,;_-]", re.IGNORECASE)
_DIGITS = re.compile(r"[0-9A-Fa-f]*")


def _digits(text: str) -> str:
    return _BETWEEN.sub("", text)


def looks_like_hex(text: str) -> bool:
    """Tell whether `text` is made of hexadecimal digits (`0d0a`, `0D 0A`, `0d:0a`, `0x0d 0x0a`, `\\x0d\\x0a`)."""
    digits = _digits(text)
    return bool(digits) and _DIGITS.fullmatch(digits) is not None


def parse_hex(text: str) -> bytes:
    """Return the bytes that `text` spells.

    Raises:
        UsageError: it holds something else than hexadecimal digits, none at all, or half a byte.
    """
    digits = _digits(text)
    if not digits:
        raise UsageError("no bytes: write hexadecimal digits, for instance 50524f5859")
    wrong = next((place for place, digit in enumerate(digits) if not _DIGITS.fullmatch(digit)), None)
    if wrong is not None:
        raise UsageError(
            f"{digits[wrong]!r} is no hexadecimal digit (digit {wrong + 1} of {text[:60]!r}): write for instance "
            "50524f5859"
        )
    if len(digits) % 2:
        raise UsageError(f"{len(digits)} hexadecimal digits are not whole bytes: two make one")
    return bytes.fromhex(digits)
