"""Bytes as rows of a hexdump, each row one field where somebody has named the fields."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
from difflib import SequenceMatcher
from typing import Protocol

from proxyspec_reports.printable import show

__all__ = ["DUMP_LIMIT", "Annotate", "Annotation", "HexDump", "HexRow", "differences", "dump", "no_annotation"]

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
    """At most 16 bytes; only the first row of a field bears its name, value and meaning.

    `marked` are the places within the row, from 0, of bytes that differ from what they are compared with.
    """

    offset: int
    hex: str
    text: str
    path: str = ""
    value: str = ""
    meaning: str = ""
    marked: tuple[int, ...] = ()

    @property
    def bytes(self) -> tuple[tuple[str, bool], ...]:
        """Each byte in hexadecimal, and whether it is marked."""
        return tuple((digits, place in self.marked) for place, digits in enumerate(self.hex.split()))


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

    @property
    def compared(self) -> bool:
        """Whether any byte is marked."""
        return any(row.marked for row in self.rows)


def differences(data: bytes, reference: bytes) -> frozenset[int]:
    """Return the offsets in `data` of bytes that `reference` has not so; where it has more, of the byte after."""
    found: set[int] = set()
    for kind, _, _, start, stop in SequenceMatcher(None, reference, data, autojunk=False).get_opcodes():
        if kind == "delete" and start < len(data):
            found.add(start)
        elif kind != "equal":
            found.update(range(start, stop))
    return frozenset(found)


def dump(
    data: bytes,
    annotate: Annotate = no_annotation,
    limit: int = DUMP_LIMIT,
    *,
    marked: AbstractSet[int] = frozenset(),
) -> HexDump:
    """Lay out the first `limit` bytes of `data`, a new row at each field `annotate` names.

    Fields may be in any order, leave gaps, overlap or reach beyond the end: every byte shown is shown once, in order.
    Bytes at the offsets `marked` stand out.
    """
    end = min(len(data), limit)
    rows = (_mark(row, marked) for row in _rows(data, end, annotate(data)))
    return HexDump(tuple(rows), len(data), len(data) - end)


def _mark(row: HexRow, marked: AbstractSet[int]) -> HexRow:
    places = tuple(place for place in range((len(row.hex) + 1) // 3) if row.offset + place in marked)
    return replace(row, marked=places) if places else row


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
