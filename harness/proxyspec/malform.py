"""Named malformations: small pure changes to a frame, which say of themselves in words what they do.

Each is a frozen value that is called with a frame and returns another::

    Cut(20)(v1())                                   the first 20 bytes
    LengthBy(-1)(v2())                              a length field one too small
    malformed(v2(tlvs=[crc32c()]), AddTlv(4), Reseal())
    in_words([LengthBy(-1), Pad(b"x")])             "the length field lies by -1, then ..."

The bytes are changed as they are, fields by way of the Scapy layers. None of them raises: an offset beyond the frame
means its end, and what a frame does not have (a TLV of that number, a field of the other version) is left alone.
"""

from __future__ import annotations

import ipaddress
from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import asdict, astuple, dataclass, fields
from itertools import accumulate
from typing import Any, ClassVar, Final

from proxyspec.layers import TLV, Family, ProxyV1, ProxyV2, TLVType, dissect
from proxyspec.layers.crc import fill
from proxyspec.layers.tlv import HEADER_SIZE, MAX_LENGTH
from proxyspec.layers.v2 import FIXED_SIZE

__all__ = [
    "AddTlv",
    "Cut",
    "DropPart",
    "DropTlv",
    "DuplicatePart",
    "DuplicateTlv",
    "FlipBit",
    "Insert",
    "LengthBy",
    "LengthTo",
    "Malformation",
    "NestTlv",
    "Overwrite",
    "Pad",
    "Refit",
    "Remove",
    "Repeat",
    "Reseal",
    "ReverseTlvs",
    "SetField",
    "Splice",
    "SwapBytes",
    "SwapParts",
    "SwapTlvs",
    "in_words",
    "malformed",
]

#: Fields whose Scapy names go into a sentence of a report.
_NAMES: Final = {
    "prefix": "the prefix",
    "protocol": "the protocol",
    "src": "the source address",
    "dst": "the destination address",
    "sport": "the source port",
    "dport": "the destination port",
    "rest": "what stands before the line end",
    "eol": "the line end",
    "signature": "the signature",
    "version": "the version",
    "cmd": "the command",
    "family": "the address family",
    "transport": "the transport",
    "len": "the length field",
}


def _named(field: str) -> str:
    return _NAMES.get(field, f"the field {field}")


def _shown(data: object) -> object:
    """Return bytes in words: printable ones quoted, others as hexadecimal, long ones by their number."""
    if not isinstance(data, bytes):
        return data
    if len(data) > 24:
        return f"{len(data)} bytes"
    return repr(data)[1:] if data.isascii() and data.decode().isprintable() else data.hex() or "nothing"


@dataclass(frozen=True, slots=True)
class Malformation(ABC):
    """A change to a frame."""

    #: What `describe` says, with the fields in it.
    words: ClassVar[str]

    def __call__(self, frame: bytes) -> bytes:
        """Return `frame` with the change made."""
        return self._bend(frame)

    @abstractmethod
    def _bend(self, frame: bytes) -> bytes:
        """Make the change that the class describes."""

    def describe(self) -> str:
        """Say what it does, in words that follow one another after "then"."""
        return self.words.format_map(self._values())

    def _values(self) -> dict[str, object]:
        """Return the fields as they go into the words."""
        return {field.name: _shown(getattr(self, field.name)) for field in fields(self)}


def malformed(frame: bytes, *chain: Malformation) -> bytes:
    """Return `frame` with every malformation made, in order."""
    for change in chain:
        frame = change(frame)
    return frame


def in_words(chain: Iterable[Malformation]) -> str:
    """Describe a chain of malformations in one sentence."""
    return ", then ".join(change.describe() for change in chain) or "as it is"


# Bytes


@dataclass(frozen=True, slots=True)
class Cut(Malformation):
    """Only the first `at` bytes."""

    words = "cut at byte {at}"
    at: int

    def _bend(self, frame: bytes) -> bytes:
        return frame[: self.at]


@dataclass(frozen=True, slots=True)
class Insert(Malformation):
    """More bytes, before the byte `at`."""

    words = "{data} inserted at byte {at}"
    at: int
    data: bytes

    def _bend(self, frame: bytes) -> bytes:
        return frame[: self.at] + self.data + frame[self.at :]


@dataclass(frozen=True, slots=True)
class Remove(Malformation):
    """Without the `size` bytes from `at` on."""

    words = "{size} bytes removed at byte {at}"
    at: int
    size: int = 1

    def _bend(self, frame: bytes) -> bytes:
        return frame[: self.at] + frame[self.at + self.size :]


@dataclass(frozen=True, slots=True)
class Overwrite(Malformation):
    """Other bytes in place of as many from `at` on; the frame keeps its size."""

    words = "{data} in place of byte {at} and following"
    at: int
    data: bytes

    def _bend(self, frame: bytes) -> bytes:
        return (frame[: self.at] + self.data + frame[self.at + len(self.data) :])[: len(frame)]


@dataclass(frozen=True, slots=True)
class Repeat(Malformation):
    """The `size` bytes from `at` on a second time, behind themselves."""

    words = "{size} bytes from byte {at} repeated"
    at: int
    size: int

    def _bend(self, frame: bytes) -> bytes:
        end = self.at + self.size
        return frame[:end] + frame[self.at :]


@dataclass(frozen=True, slots=True)
class FlipBit(Malformation):
    """One bit inverted: `bit` counts from the lowest of the byte `at`."""

    words = "bit {bit} of byte {at} flipped"
    at: int
    bit: int

    def _bend(self, frame: bytes) -> bytes:
        if self.at >= len(frame):
            return frame
        return frame[: self.at] + bytes([frame[self.at] ^ 1 << (self.bit & 7)]) + frame[self.at + 1 :]

    def _values(self) -> dict[str, object]:
        return {"bit": self.bit & 7, "at": self.at}


@dataclass(frozen=True, slots=True)
class SwapBytes(Malformation):
    """The `size` bytes from `at` on in reverse: a number in the other byte order."""

    words = "{size} bytes from byte {at} in the other byte order"
    at: int
    size: int = 2

    def _bend(self, frame: bytes) -> bytes:
        end = self.at + self.size
        return frame[: self.at] + frame[self.at : end][::-1] + frame[end:]


@dataclass(frozen=True, slots=True)
class Splice(Malformation):
    """The first `at` bytes, then another frame from its byte `resume` on."""

    words = "cut at byte {at} and continued by {other} from its byte {resume}"
    at: int
    other: bytes
    resume: int

    def _bend(self, frame: bytes) -> bytes:
        return frame[: self.at] + self.other[self.resume :]


@dataclass(frozen=True, slots=True)
class Pad(Malformation):
    """More bytes behind the frame."""

    words = "{data} behind it"
    data: bytes

    def _bend(self, frame: bytes) -> bytes:
        return frame + self.data


# Fields


def _block(packet: Any) -> bytes:
    """Return the address block of a version 2 packet as bytes."""
    header = packet.self_build()
    behind = sum(len(bytes(tlv)) for tlv in packet.tlvs)
    return bytes(header[FIXED_SIZE : len(header) - behind])


#: Number fields of a version 2 header and their bits (section 2.2).
_BITS: Final = {"version": 4, "cmd": 4, "family": 4, "transport": 4, "len": 16, "sport": 16, "dport": 16}


def _holds_address(family: int, value: bytes | int | str) -> bool:
    """Whether an address field of this family can hold the value; Scapy would look anything else up as a host name."""
    if family not in (Family.INET, Family.INET6):
        return isinstance(value, bytes) and family == Family.UNIX
    try:
        address = ipaddress.ip_address(value.decode("ascii") if isinstance(value, bytes) else str(value))
    except ValueError:
        return False
    return address.version == (4 if family == Family.INET else 6)


def _holds(packet: Any, field: str, value: bytes | int | str) -> bool:
    """Whether a field of a packet can hold the value; version 1 is text, which can hold anything."""
    if isinstance(packet, ProxyV1):
        return True
    if field in ("src", "dst"):
        return _holds_address(packet.family, value)
    if field in _BITS:
        return isinstance(value, int) and 0 <= value < 1 << _BITS[field]
    return field in ("signature", "address") and isinstance(value, bytes)


@dataclass(frozen=True, slots=True)
class SetField(Malformation):
    """A field, by its name in the Scapy layer, set to a value; every other byte stays, length and checksum too.

    A frame that has no such field, or whose field cannot hold the value, stays as it is.
    """

    words = "{field} set to {value}"
    field: str
    value: bytes | int | str

    def _bend(self, frame: bytes) -> bytes:
        packet = dissect(frame)
        if not isinstance(packet, ProxyV1 | ProxyV2) or all(one.name != self.field for one in packet.fields_desc):
            return frame
        if not _holds(packet, self.field, self.value):
            return frame
        if isinstance(packet, ProxyV2) and self.field == "family":
            packet.address = _block(packet)
        packet.setfieldval(self.field, self.value)
        return bytes(packet)

    def _values(self) -> dict[str, object]:
        return {"field": _named(self.field), "value": _shown(self.value)}


def _length_at(frame: bytes, tlv: int | None) -> int | None:
    """Return the offset of a length field: the header's, or that of a TLV by its number."""
    packet = dissect(frame)
    if not isinstance(packet, ProxyV2):
        return None
    if tlv is None:
        return FIXED_SIZE - 2
    pieces = [len(bytes(one)) for one in packet.tlvs]
    if tlv >= len(pieces) or pieces[tlv] < HEADER_SIZE:
        return None
    return len(packet.self_build()) - sum(pieces[tlv:]) + 1


def _relabel(frame: bytes, at: int, length: int) -> bytes:
    return frame[:at] + (length & MAX_LENGTH).to_bytes(2, "big") + frame[at + 2 :]


def _whose(tlv: int | None) -> str:
    return "the length field" if tlv is None else f"the length field of TLV {tlv}"


@dataclass(frozen=True, slots=True)
class LengthBy(Malformation):
    """A length field of version 2 that says `delta` bytes more than is true: the header's, or that of TLV `tlv`."""

    words = "{whose} lies by {delta:+}"
    delta: int
    tlv: int | None = None

    def _bend(self, frame: bytes) -> bytes:
        at = _length_at(frame, self.tlv)
        if at is None:
            return frame
        return _relabel(frame, at, int.from_bytes(frame[at : at + 2], "big") + self.delta)

    def _values(self) -> dict[str, object]:
        return {"whose": _whose(self.tlv), "delta": self.delta}


@dataclass(frozen=True, slots=True)
class LengthTo(Malformation):
    """A length field of version 2 that says `length`, whatever is true: the header's, or that of TLV `tlv`."""

    words = "{whose} says {length}"
    length: int
    tlv: int | None = None

    def _bend(self, frame: bytes) -> bytes:
        at = _length_at(frame, self.tlv)
        return frame if at is None else _relabel(frame, at, self.length)

    def _values(self) -> dict[str, object]:
        return {"whose": _whose(self.tlv), "length": self.length}


# Parts of a version 1 line


@dataclass(frozen=True, slots=True)
class _PartChange(Malformation):
    """A change to the parts of a version 1 line that its fields name."""

    def _bend(self, frame: bytes) -> bytes:
        packet: Any = dissect(frame)
        names = astuple(self)
        if not isinstance(packet, ProxyV1) or not {part.name for part in packet.fields_desc}.issuperset(names):
            return frame
        values = self._change(*(bytes(packet.getfieldval(name)) for name in names))
        for name, value in zip(names, values, strict=True):
            packet.setfieldval(name, value)
        return bytes(packet)

    def _values(self) -> dict[str, object]:
        return {role: _named(name) for role, name in asdict(self).items()}

    @abstractmethod
    def _change(self, *parts: bytes) -> Sequence[bytes]:
        """Return the parts as they are to be."""


@dataclass(frozen=True, slots=True)
class DuplicatePart(_PartChange):
    """A part of a version 1 line twice, with a space between."""

    words = "{part} twice"
    part: str

    def _change(self, *parts: bytes) -> Sequence[bytes]:
        return [b" ".join(parts * 2)]


@dataclass(frozen=True, slots=True)
class DropPart(_PartChange):
    """A version 1 line without one of its parts; the space in front of it stays."""

    words = "{part} left out"
    part: str

    def _change(self, *parts: bytes) -> Sequence[bytes]:
        del parts
        return [b""]


@dataclass(frozen=True, slots=True)
class SwapParts(_PartChange):
    """Two parts of a version 1 line in each other's place."""

    words = "{one} and {other} swapped"
    one: str
    other: str

    def _change(self, *parts: bytes) -> Sequence[bytes]:
        return parts[::-1]


# TLVs: the header's length follows, a checksum does not (Reseal does that)


@dataclass(frozen=True, slots=True)
class _TlvChange(Malformation):
    """A change to the list of TLVs of a version 2 header."""

    def _bend(self, frame: bytes) -> bytes:
        packet = dissect(frame)
        if not isinstance(packet, ProxyV2):
            return frame
        before = [bytes(tlv) for tlv in packet.tlvs]
        after = self._change(list(before))
        if after == before:
            return frame
        packet.tlvs = after
        size = len(packet.self_build()) - FIXED_SIZE
        packet.len = min(size, MAX_LENGTH)
        return bytes(packet)

    @abstractmethod
    def _change(self, tlvs: list[bytes]) -> list[bytes]:
        """Return the list as it is to be."""


@dataclass(frozen=True, slots=True)
class AddTlv(_TlvChange):
    """One more TLV behind the others."""

    words = "a TLV of type 0x{type:02x} with {value} added"
    type: int
    value: bytes = b""

    def _change(self, tlvs: list[bytes]) -> list[bytes]:
        return [*tlvs, bytes(TLV(type=self.type, value=self.value, len=len(self.value) & MAX_LENGTH))]


@dataclass(frozen=True, slots=True)
class DropTlv(_TlvChange):
    """Without the TLV of this number."""

    words = "TLV {index} left out"
    index: int

    def _change(self, tlvs: list[bytes]) -> list[bytes]:
        return tlvs[: self.index] + tlvs[self.index + 1 :]


@dataclass(frozen=True, slots=True)
class DuplicateTlv(_TlvChange):
    """The TLV of this number a second time, behind the others."""

    words = "TLV {index} twice"
    index: int

    def _change(self, tlvs: list[bytes]) -> list[bytes]:
        return tlvs + tlvs[self.index : self.index + 1]


@dataclass(frozen=True, slots=True)
class SwapTlvs(_TlvChange):
    """Two TLVs in each other's place."""

    words = "TLVs {one} and {other} swapped"
    one: int
    other: int

    def _change(self, tlvs: list[bytes]) -> list[bytes]:
        if max(self.one, self.other) < len(tlvs):
            tlvs[self.one], tlvs[self.other] = tlvs[self.other], tlvs[self.one]
        return tlvs


@dataclass(frozen=True, slots=True)
class ReverseTlvs(_TlvChange):
    """The TLVs in reverse order."""

    words = "the TLVs in reverse order"

    def _change(self, tlvs: list[bytes]) -> list[bytes]:
        return tlvs[::-1]


@dataclass(frozen=True, slots=True)
class NestTlv(_TlvChange):
    """The TLV of this number inside another, `depth` times over; SSL TLVs get the five bytes before their sub-TLVs."""

    words = "TLV {index} nested {depth} deep in type 0x{type:02x}"
    index: int
    depth: int = 1
    type: int = TLVType.SSL

    def _change(self, tlvs: list[bytes]) -> list[bytes]:
        # As deep as a length field can say.
        if self.index >= len(tlvs):
            return tlvs
        lead = bytes([1, 0, 0, 0, 0]) if self.type == TLVType.SSL else b""
        nested = tlvs[self.index]
        for _ in range(self.depth):
            if len(lead) + len(nested) > MAX_LENGTH:
                break
            nested = bytes([self.type]) + (len(lead) + len(nested)).to_bytes(2, "big") + lead + nested
        tlvs[self.index] = nested
        return tlvs


@dataclass(frozen=True, slots=True)
class Refit(Malformation):
    """The header's length made right, up to the end of the frame."""

    words = "the length field made right"

    def _bend(self, frame: bytes) -> bytes:
        if not ProxyV2.resembles(frame):
            return frame
        return _relabel(frame, FIXED_SIZE - 2, min(len(frame) - FIXED_SIZE, MAX_LENGTH))


@dataclass(frozen=True, slots=True)
class Reseal(Malformation):
    """The CRC32C made right, whatever the header says by now (section 2.2.3)."""

    words = "the checksum made right"

    def _bend(self, frame: bytes) -> bytes:
        packet = dissect(frame)
        if not isinstance(packet, ProxyV2):
            return frame
        size = len(packet.self_build())
        pieces = [bytes(tlv) for tlv in packet.tlvs]
        starts = accumulate((len(piece) for piece in pieces), initial=size - sum(map(len, pieces)))
        checksums = [
            start + HEADER_SIZE
            for start, piece in zip(starts, pieces, strict=False)
            if piece[:HEADER_SIZE] == bytes([TLVType.CRC32C, 0, 4]) and len(piece) == HEADER_SIZE + 4
        ]
        return fill(frame[:size], checksums) + frame[size:] if checksums else frame
