"""What a peer said, made safe to print: control characters as escapes, length bounded."""

from __future__ import annotations

__all__ = ["SHOWN", "printable", "show_bytes"]

#: Bytes of evidence shown on a line; the run record holds them all.
SHOWN = 160


def printable(text: str, limit: int | None = None, *, keep: str = "") -> str:
    """Return `text` with control characters as escapes, except those in `keep`; beyond `limit` characters only `…`."""
    shown = "".join(c if c.isprintable() or c in keep else c.encode("unicode_escape").decode() for c in text[:limit])
    return shown + ("…" if limit is not None and len(text) > limit else "")


def show_bytes(data: bytes) -> str:
    """Return bytes as printable ASCII, control characters as escapes, cut to what a terminal can bear."""
    text = repr(data[:SHOWN])[2:-1]
    return text + (f"… {len(data) - SHOWN} bytes more" if len(data) > SHOWN else "")
