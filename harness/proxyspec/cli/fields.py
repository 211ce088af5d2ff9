"""Bytes on the terminal, field by field, for the commands that show them."""

from __future__ import annotations

from collections.abc import Iterator

__all__ = ["field_lines"]

#: Fields of one header shown; a header of many TLVs has hundreds.
MOST = 200


def field_lines(data: bytes, indent: str = "") -> Iterator[str]:
    """Yield a line a field: offset, length, path, value, meaning."""
    from proxyspec.layers.decode import describe

    fields = describe(data)
    width = max((len(part.path) for part in fields), default=0)
    for part in fields[:MOST]:
        value = part.value if len(part.value) <= 64 else f"{part.value[:61]}..."
        yield f"{indent}{part.offset:5}+{part.length:<5} {part.path:{width}}  {value:24}  {part.meaning}".rstrip()
    if len(fields) > MOST:
        yield f"{indent}… {len(fields) - MOST} fields more"
