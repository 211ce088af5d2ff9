# scapy.contrib.description = PROXY protocol version 2
# scapy.contrib.status = library
# mypy: allow-subclassing-any
# (Scapy comes without types that mypy may follow, so its classes are Any.)
"""The binary header, version 2, as a Scapy layer (section 2.2)."""

import struct
from enum import IntEnum
from typing import Any, ClassVar, Final

from scapy.fields import (
    BitEnumField,
    BitField,
    ConditionalField,
    IP6Field,
    IPField,
    MultipleTypeField,
    ShortField,
    StrFixedLenField,
    XStrField,
    XStrLenField,
)
from scapy.packet import Packet, Raw

from proxyspec.layers.crc import fill
from proxyspec.layers.tlv import TLV, TLVCRC32C, TLVListField, well_formed

SIGNATURE: Final = b"\r\n\r\n\0\r\nQUIT\n"
FIXED_SIZE: Final = 16  # bytes of signature, version and command, family and transport, length
MAX_LENGTH: Final = 0xFFFF  # the most that the length field can say
_NEAR_MISS: Final = 2  # wrong bytes in a signature that still looks meant as one


class Command(IntEnum):
    """Low nibble of the 13th byte (section 2.2)."""

    LOCAL = 0
    PROXY = 1


class Family(IntEnum):
    """High nibble of the 14th byte: address family (section 2.2)."""

    UNSPEC = 0
    INET = 1
    INET6 = 2
    UNIX = 3


class Transport(IntEnum):
    """Low nibble of the 14th byte: transport protocol (section 2.2)."""

    UNSPEC = 0
    STREAM = 1
    DGRAM = 2


# Bytes of the two addresses and their ports.
ADDRESS_SIZES: Final = {Family.UNSPEC: 0, Family.INET: 12, Family.INET6: 36, Family.UNIX: 216}
UNIX_PATH_SIZE: Final = 108


def _typed(packet: Any) -> bool:
    return packet.address is None and packet.family in (Family.INET, Family.INET6, Family.UNIX)


def _ported(packet: Any) -> bool:
    return packet.address is None and packet.family in (Family.INET, Family.INET6)


def _is_inet6(packet: Any) -> bool:
    return bool(packet.family == Family.INET6)


def _is_unix(packet: Any) -> bool:
    return bool(packet.family == Family.UNIX)


def _endpoint(name: str, inet: str, inet6: str) -> Any:
    """An address whose form follows the family."""
    return ConditionalField(
        MultipleTypeField(
            [
                (IP6Field(name, inet6), _is_inet6),
                (StrFixedLenField(name, b"", length=UNIX_PATH_SIZE), _is_unix),
            ],
            IPField(name, inet),
        ),
        _typed,
    )


class _AddressField(XStrField):
    """The address block as plain bytes, or None when it can be told apart into addresses and ports."""

    def getfield(self, pkt: Any, s: bytes) -> tuple[bytes, bytes | None]:
        """Take the block when its size does not fit its family, when the family is undefined, or when UNSPEC
        is followed by something other than TLVs.
        """
        block = s[: pkt.len]
        needed = ADDRESS_SIZES.get(pkt.family)
        if needed is None or len(block) < needed or (needed == 0 and not well_formed(block)):
            return s[len(block) :], block
        return s, None


def _tlvs_length(packet: Any) -> int:
    taken = ADDRESS_SIZES.get(packet.family, 0) if packet.address is None else len(packet.address)
    return max(0, int(packet.len) - taken)


class ProxyV2(Packet):
    r"""A version 2 header, each field of which can be forced to any value (section 2.2).

    `len` is filled in when None. The addresses follow `family`: IPv4 or IPv6 text with ports, UNIX paths of 108
    bytes, nothing for UNSPEC and for undefined families. `address`, when not None, is sent in their place: a block
    cut short, one of another family, opaque bytes. Only the low four bits of each nibble field are sent::

        ProxyV2(src="192.0.2.1", dst="192.0.2.2", sport=1111, dport=25, tlvs=[TLVALPN(value="smtp")])
        ProxyV2(cmd="LOCAL", family="UNSPEC", transport="UNSPEC")
        ProxyV2(address=b"\xc0\x00\x02\x01", len=12)

    Each CRC32C TLV whose value is None gets the checksum over the header as sent, behind `len` and all TLVs,
    without the payload. Several of them are all zero while the checksum is computed, and all receive it; one with a
    value of its own is covered like any other bytes. Hence the chain that HAProxy checks, in which the first is
    computed over the final second, takes a None first and a forced second.

    Dissection reads headers good and bad: `address` holds a block that does not fit its family, stray bytes behind
    the TLVs are Raw, and what lies behind 16 + `len` is the payload. UNSPEC has no addresses, so its bytes are read
    as TLVs if they form a chain of them, else kept in `address`. Fewer than 16 bytes, or a signature wrong in more
    than two places, are Raw.
    """

    name = "PROXY v2"
    fields_desc: ClassVar[list[Any]] = [
        XStrLenField("signature", SIGNATURE, length_from=lambda _packet: len(SIGNATURE)),
        BitField("version", 2, 4),
        BitEnumField("cmd", Command.PROXY, 4, {int(member): member.name for member in Command}),
        BitEnumField("family", Family.INET, 4, {int(member): member.name for member in Family}),
        BitEnumField("transport", Transport.STREAM, 4, {int(member): member.name for member in Transport}),
        ShortField("len", None),
        _AddressField("address", None),
        _endpoint("src", "192.0.2.1", "2001:db8::1"),
        _endpoint("dst", "192.0.2.2", "2001:db8::2"),
        ConditionalField(ShortField("sport", 1111), _ported),
        ConditionalField(ShortField("dport", 25), _ported),
        TLVListField("tlvs", TLV, _tlvs_length),
    ]

    @classmethod
    def dispatch_hook(cls, data: bytes = b"", *_args: Any, **_fields: Any) -> Any:
        """Raw for bytes that do not look like a version 2 header."""
        return Raw if data and not cls.resembles(data) else cls

    @classmethod
    def resembles(cls, data: bytes) -> bool:
        """Whether `data` holds the 16 fixed bytes with the signature, or one wrong in at most two places."""
        if len(data) < FIXED_SIZE:
            return False
        return sum(want != got for want, got in zip(SIGNATURE, data, strict=False)) <= _NEAR_MISS

    def post_build(self, pkt: bytes, pay: bytes) -> bytes:
        """Fill in length and checksums. Raises ValueError when 65535 bytes are exceeded and no `len` is given."""
        start = len(self.signature)
        if self.len is None:
            size = len(pkt) - start - 4
            if size > MAX_LENGTH:
                raise ValueError(
                    f"{size} bytes behind the fixed part: at most {MAX_LENGTH} fit; give len= to send them anyway"
                )
            pkt = pkt[: start + 2] + struct.pack("!H", size) + pkt[start + 4 :]
        fields = self._unfilled_checksums(len(pkt))
        return (fill(pkt, fields) if fields else pkt) + pay

    def _unfilled_checksums(self, end: int) -> list[int]:
        """Offsets of the CRC32C values to fill in, in a header of `end` bytes."""
        offsets: list[int] = []
        if not any(_wants_checksum(tlv) for tlv in self.tlvs):
            return offsets
        for tlv in reversed(self.tlvs):
            end -= len(bytes(tlv))
            if _wants_checksum(tlv):
                offsets.append(end + 3)
        return offsets

    def mysummary(self) -> str:
        """Command and addresses, for Scapy's summary()."""
        return str(self.sprintf("PROXY v2 %cmd% %src% %sport% > %dst% %dport%"))


def _wants_checksum(tlv: Any) -> bool:
    return isinstance(tlv, TLVCRC32C) and tlv.value is None
