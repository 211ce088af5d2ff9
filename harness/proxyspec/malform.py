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
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import accumulate
from typing import Any, Final

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


def _shown(data: bytes) -> str:
    """Return bytes in words: printable ones quoted, others as hexadecimal, long ones by their number."""
    if len(data) > 24:
        return f"{len(data)} bytes"
    return repr(data)[1:] if data.isascii() and data.decode().isprintable() else data.hex() or "nothing"


class Malformation(ABC):
    """A change to a frame."""

    __slots__ = ()

    @abstractmethod
    def __call__(self, frame: bytes) -> bytes:
        """Return `frame` with the change made."""

    @abstractmethod
    def describe(self) -> str:
        """Say what it does, in words that follow one another after "then"."""


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

    at: int

    def __call__(self, frame: bytes) -> bytes:
        """Cut the frame; see the class."""
        return frame[: self.at]

    def describe(self) -> str:
        """Say it in words."""
        return f"cut at byte {self.at}"


@dataclass(frozen=True, slots=True)
class Insert(Malformation):
    """More bytes, before the byte `at`."""

    at: int
    data: bytes

    def __call__(self, frame: bytes) -> bytes:
        """Insert the bytes; see the class."""
        return frame[: self.at] + self.data + frame[self.at :]

    def describe(self) -> str:
        """Say it in words."""
        return f"{_shown(self.data)} inserted at byte {self.at}"


@dataclass(frozen=True, slots=True)
class Remove(Malformation):
    """Without the `size` bytes from `at` on."""

    at: int
    size: int = 1

    def __call__(self, frame: bytes) -> bytes:
        """Remove the bytes; see the class."""
        return frame[: self.at] + frame[self.at + self.size :]

    def describe(self) -> str:
        """Say it in words."""
        return f"{self.size} bytes removed at byte {self.at}"


@dataclass(frozen=True, slots=True)
class Overwrite(Malformation):
    """Other bytes in place of as many from `at` on; the frame keeps its size."""

    at: int
    data: bytes

    def __call__(self, frame: bytes) -> bytes:
        """Overwrite the bytes; see the class."""
        return (frame[: self.at] + self.data + frame[self.at + len(self.data) :])[: len(frame)]

    def describe(self) -> str:
        """Say it in words."""
        return f"{_shown(self.data)} in place of byte {self.at} and following"


@dataclass(frozen=True, slots=True)
class Repeat(Malformation):
    """The `size` bytes from `at` on a second time, behind themselves."""

    at: int
    size: int

    def __call__(self, frame: bytes) -> bytes:
        """Repeat the bytes; see the class."""
        end = self.at + self.size
        return frame[:end] + frame[self.at :]

    def describe(self) -> str:
        """Say it in words."""
        return f"{self.size} bytes from byte {self.at} repeated"


@dataclass(frozen=True, slots=True)
class FlipBit(Malformation):
    """One bit inverted: `bit` counts from the lowest of the byte `at`."""

    at: int
    bit: int

    def __call__(self, frame: bytes) -> bytes:
        """Flip the bit; see the class."""
        if self.at >= len(frame):
            return frame
        return frame[: self.at] + bytes([frame[self.at] ^ 1 << (self.bit & 7)]) + frame[self.at + 1 :]

    def describe(self) -> str:
        """Say it in words."""
        return f"bit {self.bit & 7} of byte {self.at} flipped"


@dataclass(frozen=True, slots=True)
class SwapBytes(Malformation):
    """The `size` bytes from `at` on in reverse: a number in the other byte order."""

    at: int
    size: int = 2

    def __call__(self, frame: bytes) -> bytes:
        """Swap the bytes; see the class."""
        end = self.at + self.size
        return frame[: self.at] + frame[self.at : end][::-1] + frame[end:]

    def describe(self) -> str:
        """Say it in words."""
        return f"{self.size} bytes from byte {self.at} in the other byte order"


@dataclass(frozen=True, slots=True)
class Splice(Malformation):
    """The first `at` bytes, then another frame from its byte `resume` on."""

    at: int
    other: bytes
    resume: int

    def __call__(self, frame: bytes) -> bytes:
        """Splice the two; see the class."""
        return frame[: self.at] + self.other[self.resume :]

    def describe(self) -> str:
        """Say it in words."""
        return f"cut at byte {self.at} and continued by {_shown(self.other)} from its byte {self.resume}"


@dataclass(frozen=True, slots=True)
class Pad(Malformation):
    """More bytes behind the frame."""

    data: bytes

    def __call__(self, frame: bytes) -> bytes:
        """Pad the frame; see the class."""
        return frame + self.data

    def describe(self) -> str:
        """Say it in words."""
        return f"{_shown(self.data)} behind it"


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

    field: str
    value: bytes | int | str

    def __call__(self, frame: bytes) -> bytes:
        """Set the field; see the class."""
        packet = dissect(frame)
        if not isinstance(packet, ProxyV1 | ProxyV2) or all(one.name != self.field for one in packet.fields_desc):
            return frame
        if not _holds(packet, self.field, self.value):
            return frame
        if isinstance(packet, ProxyV2) and self.field == "family":
            packet.address = _block(packet)
        packet.setfieldval(self.field, self.value)
        return bytes(packet)

    def describe(self) -> str:
        """Say it in words."""
        return f"{_named(self.field)} set to {_shown(self.value) if isinstance(self.value, bytes) else self.value}"


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

    delta: int
    tlv: int | None = None

    def __call__(self, frame: bytes) -> bytes:
        """Let the field lie; see the class."""
        at = _length_at(frame, self.tlv)
        if at is None:
            return frame
        return _relabel(frame, at, int.from_bytes(frame[at : at + 2], "big") + self.delta)

    def describe(self) -> str:
        """Say it in words."""
        return f"{_whose(self.tlv)} lies by {self.delta:+}"


@dataclass(frozen=True, slots=True)
class LengthTo(Malformation):
    """A length field of version 2 that says `length`, whatever is true: the header's, or that of TLV `tlv`."""

    length: int
    tlv: int | None = None

    def __call__(self, frame: bytes) -> bytes:
        """Let the field lie; see the class."""
        at = _length_at(frame, self.tlv)
        return frame if at is None else _relabel(frame, at, self.length)

    def describe(self) -> str:
        """Say it in words."""
        return f"{_whose(self.tlv)} says {self.length}"


# Parts of a version 1 line


def _part(packet: Any, name: str) -> bytes:
    return bytes(packet.getfieldval(name))


def _line(frame: bytes, *names: str) -> Any:
    """Return the version 1 packet of a frame that has all these parts, or None."""
    packet = dissect(frame)
    if not isinstance(packet, ProxyV1):
        return None
    known = {field.name for field in packet.fields_desc}
    return packet if known.issuperset(names) else None


@dataclass(frozen=True, slots=True)
class DuplicatePart(Malformation):
    """A part of a version 1 line twice, with a space between."""

    part: str

    def __call__(self, frame: bytes) -> bytes:
        """Duplicate the part; see the class."""
        packet = _line(frame, self.part)
        if packet is None:
            return frame
        value = _part(packet, self.part)
        packet.setfieldval(self.part, value + b" " + value)
        return bytes(packet)

    def describe(self) -> str:
        """Say it in words."""
        return f"{_named(self.part)} twice"


@dataclass(frozen=True, slots=True)
class DropPart(Malformation):
    """A version 1 line without one of its parts; the space in front of it stays."""

    part: str

    def __call__(self, frame: bytes) -> bytes:
        """Drop the part; see the class."""
        packet = _line(frame, self.part)
        if packet is None:
            return frame
        packet.setfieldval(self.part, b"")
        return bytes(packet)

    def describe(self) -> str:
        """Say it in words."""
        return f"{_named(self.part)} left out"


@dataclass(frozen=True, slots=True)
class SwapParts(Malformation):
    """Two parts of a version 1 line in each other's place."""

    one: str
    other: str

    def __call__(self, frame: bytes) -> bytes:
        """Swap the parts; see the class."""
        packet = _line(frame, self.one, self.other)
        if packet is None:
            return frame
        first, second = _part(packet, self.one), _part(packet, self.other)
        packet.setfieldval(self.one, second)
        packet.setfieldval(self.other, first)
        return bytes(packet)

    def describe(self) -> str:
        """Say it in words."""
        return f"{_named(self.one)} and {_named(self.other)} swapped"


# TLVs: the header's length follows, a checksum does not (Reseal does that)


class _TlvChange(Malformation):
    """A change to the list of TLVs of a version 2 header."""

    __slots__ = ()

    def __call__(self, frame: bytes) -> bytes:
        """Change the list; the length field follows as far as it can."""
        packet = dissect(frame)
        if not isinstance(packet, ProxyV2):
            return frame
        before = [bytes(tlv) for tlv in packet.tlvs]
        after = self.change(list(before))
        if after == before:
            return frame
        packet.tlvs = after
        size = len(packet.self_build()) - FIXED_SIZE
        packet.len = min(size, MAX_LENGTH)
        return bytes(packet)

    @abstractmethod
    def change(self, tlvs: list[bytes]) -> list[bytes]:
        """Return the list as it is to be."""


@dataclass(frozen=True, slots=True)
class AddTlv(_TlvChange):
    """One more TLV behind the others."""

    type: int
    value: bytes = b""

    def change(self, tlvs: list[bytes]) -> list[bytes]:
        """Add the TLV."""
        return [*tlvs, bytes(TLV(type=self.type, value=self.value, len=len(self.value) & MAX_LENGTH))]

    def describe(self) -> str:
        """Say it in words."""
        return f"a TLV of type 0x{self.type:02x} with {_shown(self.value)} added"


@dataclass(frozen=True, slots=True)
class DropTlv(_TlvChange):
    """Without the TLV of this number."""

    index: int

    def change(self, tlvs: list[bytes]) -> list[bytes]:
        """Drop the TLV."""
        return tlvs[: self.index] + tlvs[self.index + 1 :]

    def describe(self) -> str:
        """Say it in words."""
        return f"TLV {self.index} left out"


@dataclass(frozen=True, slots=True)
class DuplicateTlv(_TlvChange):
    """The TLV of this number a second time, behind the others."""

    index: int

    def change(self, tlvs: list[bytes]) -> list[bytes]:
        """Duplicate the TLV."""
        return tlvs + tlvs[self.index : self.index + 1]

    def describe(self) -> str:
        """Say it in words."""
        return f"TLV {self.index} twice"


@dataclass(frozen=True, slots=True)
class SwapTlvs(_TlvChange):
    """Two TLVs in each other's place."""

    one: int
    other: int

    def change(self, tlvs: list[bytes]) -> list[bytes]:
        """Swap the TLVs."""
        if max(self.one, self.other) < len(tlvs):
            tlvs[self.one], tlvs[self.other] = tlvs[self.other], tlvs[self.one]
        return tlvs

    def describe(self) -> str:
        """Say it in words."""
        return f"TLVs {self.one} and {self.other} swapped"


@dataclass(frozen=True, slots=True)
class ReverseTlvs(_TlvChange):
    """The TLVs in reverse order."""

    def change(self, tlvs: list[bytes]) -> list[bytes]:
        """Reverse the list."""
        return tlvs[::-1]

    def describe(self) -> str:
        """Say it in words."""
        return "the TLVs in reverse order"


@dataclass(frozen=True, slots=True)
class NestTlv(_TlvChange):
    """The TLV of this number inside another, `depth` times over; SSL TLVs get the five bytes before their sub-TLVs."""

    index: int
    depth: int = 1
    type: int = TLVType.SSL

    def change(self, tlvs: list[bytes]) -> list[bytes]:
        """Nest the TLV, as deep as a length field can say."""
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

    def describe(self) -> str:
        """Say it in words."""
        return f"TLV {self.index} nested {self.depth} deep in type 0x{self.type:02x}"


@dataclass(frozen=True, slots=True)
class Refit(Malformation):
    """The header's length made right, up to the end of the frame."""

    def __call__(self, frame: bytes) -> bytes:
        """Make the length right; see the class."""
        if not ProxyV2.resembles(frame):
            return frame
        return _relabel(frame, FIXED_SIZE - 2, min(len(frame) - FIXED_SIZE, MAX_LENGTH))

    def describe(self) -> str:
        """Say it in words."""
        return "the length field made right"


@dataclass(frozen=True, slots=True)
class Reseal(Malformation):
    """The CRC32C made right, whatever the header says by now (section 2.2.3)."""

    def __call__(self, frame: bytes) -> bytes:
        """Make the checksum right; see the class."""
        packet = dissect(frame)
        if not isinstance(packet, ProxyV2):
            return frame
        size = len(packet.self_build())
        pieces = [bytes(tlv) for tlv in packet.tlvs]
        starts = accumulate((len(piece) for piece in pieces), initial=size - sum(map(len, pieces)))
        fields = [
            start + HEADER_SIZE
            for start, piece in zip(starts, pieces, strict=False)
            if piece[:HEADER_SIZE] == bytes([TLVType.CRC32C, 0, 4]) and len(piece) == HEADER_SIZE + 4
        ]
        return fill(frame[:size], fields) + frame[size:] if fields else frame

    def describe(self) -> str:
        """Say it in words."""
        return "the checksum made right"
