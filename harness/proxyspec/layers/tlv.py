# scapy.contrib.description = PROXY protocol TLVs
# scapy.contrib.status = library
# mypy: allow-subclassing-any
# (Scapy comes without types that mypy may follow, so its classes are Any.)
"""Type-length-value extensions of a version 2 header as Scapy layers (sections 2.2 and 2.2.1 to 2.2.8)."""

import struct
from collections.abc import Iterator
from enum import IntEnum, IntFlag
from typing import Any, ClassVar, Final

from scapy.fields import FlagsField, PacketListField, ShortField, StrLenField, XByteEnumField, XIntField
from scapy.packet import Packet, Raw

HEADER_SIZE: Final = 3  # bytes of type and length
MAX_LENGTH: Final = 0xFFFF  # the most that a 16-bit length can say
MAX_UNIQUE_ID: Final = 128  # bytes a UNIQUE_ID may have (section 2.2.5)
SSL_FIXED_SIZE: Final = 5  # bytes of `client` and `verify`, which come before the sub-TLVs


class TLVType(IntEnum):
    """Types of the TLVs that stand directly behind the addresses (section 2.2)."""

    ALPN = 0x01
    AUTHORITY = 0x02
    CRC32C = 0x03
    NOOP = 0x04
    UNIQUE_ID = 0x05
    SSL = 0x20
    NETNS = 0x30


class SSLType(IntEnum):
    """Types of the sub-TLVs inside an SSL TLV (section 2.2.6)."""

    VERSION = 0x21
    CN = 0x22
    CIPHER = 0x23
    SIG_ALG = 0x24
    KEY_ALG = 0x25
    GROUP = 0x26
    SIG_SCHEME = 0x27
    CLIENT_CERT = 0x28


class SSLClient(IntFlag):
    """Bits of the `client` field of an SSL TLV (section 2.2.6)."""

    SSL = 0x01
    CERT_CONN = 0x02
    CERT_SESS = 0x04


# Ranges the specification sets aside (section 2.2.8), with the name each type gets in reports.
_RESERVED: Final = (
    (range(0xE0, 0xF0), "CUSTOM"),
    (range(0xF0, 0xF8), "EXPERIMENT"),
    (range(0xF8, 0x100), "FUTURE"),
)

TYPE_NAMES: Final[dict[int, str]] = {
    **{int(member): member.name for member in TLVType},
    **{number: f"{name}_{number:02X}" for numbers, name in _RESERVED for number in numbers},
}
SSL_TYPE_NAMES: Final[dict[int, str]] = {int(member): f"SSL_{member.name}" for member in SSLType}


def split(block: bytes) -> Iterator[bytes]:
    """Cut `block` into its TLVs, three header bytes and value each, in order and without loss.

    The last piece may be cut short: one or two stray bytes, or a TLV whose length points past the end.
    """
    position = 0
    while position < len(block):
        head = block[position : position + HEADER_SIZE]
        end = position + len(head)
        if len(head) == HEADER_SIZE:
            end += int.from_bytes(head[1:], "big")
        yield block[position:end]
        position = end


def well_formed(block: bytes) -> bool:
    """Whether `block` is a chain of complete TLVs with nothing left over (true of an empty block)."""
    return all(
        len(piece) >= HEADER_SIZE and len(piece) - HEADER_SIZE == int.from_bytes(piece[1:HEADER_SIZE], "big")
        for piece in split(block)
    )


def _value_length(packet: Any) -> int:
    return int(packet.len)


def _choose(cls: Any, data: bytes = b"", *_args: Any, **_fields: Any) -> Any:
    """The class that can read `data` among the variants of `cls`: the one of its type, else the plain TLV, else Raw."""
    if not data:
        return cls
    if len(data) < HEADER_SIZE:
        return Raw
    variant = cls.variants.get(data[0])
    if variant is None:
        return cls.variants[0]
    length = int.from_bytes(data[1:HEADER_SIZE], "big")
    return variant if variant.reads(length, len(data) - HEADER_SIZE) else cls.variants[0]


class TLV(Packet):
    """A TLV of any type with any bytes as its value (section 2.2).

    `len` counts the bytes of the value and is filled in when None; any other number is sent as it is. Given bytes,
    this class hands them to the layer of their type; what is too short for that layer stays a plain TLV, and what is
    too short for a TLV, one or two stray bytes, is Raw.
    """

    name = "PROXY TLV"
    fields_desc: ClassVar[list[Any]] = [
        XByteEnumField("type", 0, TYPE_NAMES),
        ShortField("len", None),
        StrLenField("value", b"", length_from=_value_length),
    ]
    variants: ClassVar[dict[int, Any]] = {}

    @classmethod
    def register_variant(cls) -> None:
        """Note the class under its type; Scapy calls this for every class it creates."""
        cls.variants[int(cls.type.default)] = cls
        if "dispatch_hook" not in cls.__dict__:  # Scapy wants the hook in the class itself, not in a base
            cls.dispatch_hook = classmethod(_choose)

    @classmethod
    def reads(cls, length: int, available: int) -> bool:
        """Whether this class can read a value announced with `length` bytes, of which `available` are there."""
        return length >= 0 and available >= 0

    def post_build(self, pkt: bytes, pay: bytes) -> bytes:
        """Fill in the length. Raises ValueError when the value is longer than 65535 bytes and no `len` is given."""
        if self.len is None:
            size = len(pkt) - HEADER_SIZE
            if size > MAX_LENGTH:
                raise ValueError(f"TLV value of {size} bytes: at most {MAX_LENGTH} fit; give len= to send it anyway")
            pkt = pkt[:1] + struct.pack("!H", size) + pkt[HEADER_SIZE:]
        return pkt + pay

    def extract_padding(self, s: bytes) -> tuple[bytes, bytes]:
        """A TLV has no payload: what follows belongs to its neighbours."""
        return b"", s

    def mysummary(self) -> str:
        """Type and size, for Scapy's summary()."""
        return str(self.sprintf("TLV %type%"))


class TLVListField(PacketListField):
    """A list of TLVs; bytes in the list are sent as they are.

    Each TLV is dissected from its own bytes alone, so that time and memory grow with the block and not with its
    square, however many TLVs a peer packs into it.
    """

    def __init__(self, name: str, variant: Any, length_from: Any) -> None:
        super().__init__(name, [], variant, length_from=length_from)

    def any2i(self, pkt: Any, x: Any) -> list[Any]:
        """Accept a TLV, bytes, or a list or tuple of them."""
        items = x if isinstance(x, list | tuple) else [x]
        packets = [Raw(load=item) if isinstance(item, bytes) else item for item in items if item is not None]
        return list(super().any2i(pkt, packets))

    def getfield(self, pkt: Any, s: bytes) -> tuple[bytes, list[Any]]:
        """Dissect the TLVs in the block, which ends where `length_from` says or the bytes do."""
        size = self.length_from(pkt)
        return s[size:], [self.m2i(pkt, piece) for piece in split(s[:size])]


class TLVALPN(TLV):
    """Application protocol negotiated with the client, such as `smtp` (section 2.2.1, PP2_TYPE_ALPN)."""

    name = "PROXY TLV ALPN"
    type = TLVType.ALPN


class TLVAuthority(TLV):
    """Host name that the client asked for, in UTF-8; usually its SNI (section 2.2.2, PP2_TYPE_AUTHORITY)."""

    name = "PROXY TLV AUTHORITY"
    type = TLVType.AUTHORITY


class TLVCRC32C(TLV):
    """Checksum over the whole header with this value as zero (section 2.2.3, PP2_TYPE_CRC32C).

    `value` is the 32-bit number. When None it is sent as zero by the TLV on its own, and ProxyV2 puts the checksum
    there. A TLV of this type whose length is not 4 is dissected as a plain TLV; build one to send such a length.
    """

    name = "PROXY TLV CRC32C"
    fields_desc: ClassVar[list[Any]] = [
        XByteEnumField("type", TLVType.CRC32C, TYPE_NAMES),
        ShortField("len", None),
        XIntField("value", None),
    ]

    @classmethod
    def reads(cls, length: int, available: int) -> bool:
        """The value must be exactly four bytes."""
        return length == 4 <= available


class TLVNoop(TLV):
    """Padding, to be ignored (section 2.2.4, PP2_TYPE_NOOP)."""

    name = "PROXY TLV NOOP"
    type = TLVType.NOOP


class TLVUniqueID(TLV):
    """Opaque identifier of the connection, at most 128 bytes (section 2.2.5, PP2_TYPE_UNIQUE_ID)."""

    name = "PROXY TLV UNIQUE_ID"
    type = TLVType.UNIQUE_ID


class TLVNetNS(TLV):
    """Name of the network namespace of the client's side (section 2.2.7, PP2_TYPE_NETNS)."""

    name = "PROXY TLV NETNS"
    type = TLVType.NETNS


class SSLSubTLV(TLV):
    """A TLV of any type inside an SSL TLV (section 2.2.6).

    Only this one level is dissected: an SSL TLV found here stays a value of plain bytes, so a peer cannot nest its
    way through the stack.
    """

    name = "PROXY SSL sub-TLV"
    fields_desc: ClassVar[list[Any]] = [
        XByteEnumField("type", 0, SSL_TYPE_NAMES),
        ShortField("len", None),
        StrLenField("value", b"", length_from=_value_length),
    ]
    variants: ClassVar[dict[int, Any]] = {}


class SSLVersion(SSLSubTLV):
    """TLS version, such as `TLSv1.3` (section 2.2.6, PP2_SUBTYPE_SSL_VERSION)."""

    name = "PROXY SSL VERSION"
    type = SSLType.VERSION


class SSLCN(SSLSubTLV):
    """Common name of the client certificate, in UTF-8 (section 2.2.6, PP2_SUBTYPE_SSL_CN)."""

    name = "PROXY SSL CN"
    type = SSLType.CN


class SSLCipher(SSLSubTLV):
    """Name of the cipher suite (section 2.2.6, PP2_SUBTYPE_SSL_CIPHER)."""

    name = "PROXY SSL CIPHER"
    type = SSLType.CIPHER


class SSLSigAlg(SSLSubTLV):
    """Algorithm that signed the proxy's own certificate (section 2.2.6, PP2_SUBTYPE_SSL_SIG_ALG)."""

    name = "PROXY SSL SIG_ALG"
    type = SSLType.SIG_ALG


class SSLKeyAlg(SSLSubTLV):
    """Algorithm of the key in the proxy's own certificate (section 2.2.6, PP2_SUBTYPE_SSL_KEY_ALG)."""

    name = "PROXY SSL KEY_ALG"
    type = SSLType.KEY_ALG


class SSLGroup(SSLSubTLV):
    """Group of the key exchange, such as `x25519` (section 2.2.6, PP2_SUBTYPE_SSL_GROUP)."""

    name = "PROXY SSL GROUP"
    type = SSLType.GROUP


class SSLSigScheme(SSLSubTLV):
    """Signature scheme of the handshake (section 2.2.6, PP2_SUBTYPE_SSL_SIG_SCHEME)."""

    name = "PROXY SSL SIG_SCHEME"
    type = SSLType.SIG_SCHEME


class SSLClientCert(SSLSubTLV):
    """The client certificate in DER (section 2.2.6, PP2_SUBTYPE_SSL_CLIENT_CERT)."""

    name = "PROXY SSL CLIENT_CERT"
    type = SSLType.CLIENT_CERT


def _sub_tlvs_length(packet: Any) -> int:
    return int(packet.len) - SSL_FIXED_SIZE


class TLVSSL(TLV):
    """What the client's side knows of TLS (section 2.2.6, PP2_TYPE_SSL).

    `client` holds SSLClient bits; `verify` is zero when the client presented a certificate that was verified;
    `tlvs` are the sub-TLVs. A value shorter than those first five bytes is dissected as a plain TLV.
    """

    name = "PROXY TLV SSL"
    fields_desc: ClassVar[list[Any]] = [
        XByteEnumField("type", TLVType.SSL, TYPE_NAMES),
        ShortField("len", None),
        FlagsField("client", 0, 8, ["SSL", "CERT_CONN", "CERT_SESS", "b3", "b4", "b5", "b6", "b7"]),
        XIntField("verify", 0),
        TLVListField("tlvs", SSLSubTLV, _sub_tlvs_length),
    ]

    @classmethod
    def reads(cls, length: int, available: int) -> bool:
        """The value must hold `client` and `verify`."""
        return length >= SSL_FIXED_SIZE and available >= SSL_FIXED_SIZE
