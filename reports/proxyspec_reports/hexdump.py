"""Bytes as rows of a hexdump, each row one field where somebody has named the fields."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from proxyspec_reports.printable import show

__all__ = ["DUMP_LIMIT", "Annotate", "Annotation", "HexDump", "HexRow", "dump", "no_annotation"]

#: Bytes of one dump that are shown; the rest is counted.
DUMP_LIMIT = 512

_WIDTH = 16
_LABEL_LIMIT = 300


class Annotation(Protocol):
    """The reading of one field: `length` bytes from `offset`, named by a dotted path."""

    @property
    def offset(self) -> int:
        """First byte of the field, counted from 0."""

    @property
    def length(self) -> int:
        """Bytes of the field; 0 for a field that should be there and is not."""

    @property
    def path(self) -> str:
        """Name of the field, outermost layer first."""

    @property
    def value(self) -> str:
        """The field's value for people."""

    @property
    def meaning(self) -> str:
        """What the value says, or what is wrong with it."""


Annotate = Callable[[bytes], Sequence[Annotation]]


def no_annotation(data: bytes) -> Sequence[Annotation]:
    """Name no field: the dump is a plain one."""
    del data
    return ()


@dataclass(frozen=True, slots=True)
class HexRow:
    """At most 16 bytes; only the first row of a field bears its name, value and meaning."""

    offset: int
    hex: str
    text: str
    path: str = ""
    value: str = ""
    meaning: str = ""


@dataclass(frozen=True, slots=True)
class HexDump:
    """A dump of `total` bytes, of which the last `omitted` are not shown."""

    rows: tuple[HexRow, ...]
    total: int
    omitted: int

    @property
    def annotated(self) -> bool:
        """Whether any row names a field."""
        return any(row.path for row in self.rows)


def dump(data: bytes, annotate: Annotate = no_annotation, limit: int = DUMP_LIMIT) -> HexDump:
    """Lay out the first `limit` bytes of `data`, a new row at each field `annotate` names.

    Fields may be in any order, leave gaps, overlap or reach beyond the end: every byte shown is shown once, in order.
    """
    end = min(len(data), limit)
    return HexDump(tuple(_rows(data, end, annotate(data))), len(data), len(data) - end)


def _rows(data: bytes, end: int, fields: Sequence[Annotation]) -> Iterator[HexRow]:
    at = 0
    for field in sorted(fields, key=lambda field: field.offset):
        start = min(max(field.offset, at), end)
        if field.offset >= end and field.length > 0:
            break
        yield from _plain(data, at, start)
        stop = max(start, min(field.offset + field.length, end))
        rows = list(_plain(data, start, stop)) or [HexRow(start, "", "")]
        labels = (show(field.path, _LABEL_LIMIT), show(field.value, _LABEL_LIMIT), show(field.meaning, _LABEL_LIMIT))
        yield HexRow(rows[0].offset, rows[0].hex, rows[0].text, *labels)
        yield from rows[1:]
        at = stop
    yield from _plain(data, at, end)


def _plain(data: bytes, start: int, stop: int) -> Iterator[HexRow]:
    for offset in range(start, stop, _WIDTH):
        chunk = data[offset : min(offset + _WIDTH, stop)]
        text = "".join(chr(byte) if 0x20 <= byte < 0x7F else "·" for byte in chunk)
        yield HexRow(offset, chunk.hex(" "), text)
