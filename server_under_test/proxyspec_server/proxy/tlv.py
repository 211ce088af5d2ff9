"""The TLVs of a version 2 header: their bounds, and the few whose content a receiver checks (sections 2.2 to 2.2.8)."""

from collections.abc import Iterator
from dataclasses import dataclass
from enum import IntEnum, IntFlag

from proxyspec_server.proxy.choices import STRICT_CHOICES, Choices, Freedom
from proxyspec_server.proxy.rules import HeaderFault, Rule

MAX_UNIQUE_ID = 128
"""Longest UNIQUE_ID in bytes (section 2.2.5)."""


class TlvType(IntEnum):
    """Types with a registered meaning; others, 0xE0 to 0xFF among them, are passed over (section 2.2.8)."""

    ALPN = 0x01
    AUTHORITY = 0x02
    CRC32C = 0x03
    NOOP = 0x04
    UNIQUE_ID = 0x05
    SSL = 0x20
    NETNS = 0x30


class SslType(IntEnum):
    """Types of the TLVs inside an SSL TLV; at top level they mean nothing (section 2.2.6)."""

    VERSION = 0x21
    CN = 0x22
    CIPHER = 0x23
    SIG_ALG = 0x24
    KEY_ALG = 0x25
    GROUP = 0x26
    SIG_SCHEME = 0x27
    CLIENT_CERT = 0x28


class SslClient(IntFlag):
    """Bits of the `client` byte of an SSL TLV (section 2.2.6); the others are ignored."""

    SSL = 0x01
    CERT_CONN = 0x02
    CERT_SESS = 0x04


_CHECKED = frozenset({TlvType.CRC32C.value, TlvType.UNIQUE_ID.value, TlvType.SSL.value})


@dataclass(frozen=True, slots=True)
class Tlv:
    """One type-length-value; `kind` is the plain byte, as most values have no name."""

    kind: int
    value: bytes


def spans(data: bytes, start: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Yield (type, offset of the value, length of the value) for each TLV in `data[start:end]`.

    Raises HeaderFault where a TLV does not fit; nothing beyond `end` is looked at.
    """
    while start < end:
        value = start + 3
        if value > end:
            raise HeaderFault(Rule.TLV_BOUNDS, "a TLV breaks off inside its type and length")
        length = data[start + 1] << 8 | data[start + 2]
        kind = data[start]
        start = value + length
        if start > end:
            raise HeaderFault(Rule.TLV_BOUNDS, f"a TLV of type 0x{kind:02x} reaches past the end of what holds it")
        yield kind, value, length


def split(area: bytes) -> tuple[Tlv, ...]:
    """Take a TLV area apart. Raises HeaderFault where a TLV does not fit."""
    return tuple(Tlv(kind, area[value : value + length]) for kind, value, length in spans(area, 0, len(area)))


def whole(area: bytes) -> tuple[Tlv, ...]:
    """The TLVs at the beginning of an area, without the stray bytes that may follow them."""
    found: list[Tlv] = []
    try:
        for kind, value, length in spans(area, 0, len(area)):
            found.append(Tlv(kind, area[value : value + length]))
    except HeaderFault:
        pass
    return tuple(found)


def find(area: bytes, kind: int) -> bytes | None:
    """The value of the first TLV of this type in an area whose TLVs have been checked, or None."""
    start, end = 0, len(area)
    while start + 3 <= end:
        value = start + 3
        stop = value + (area[start + 1] << 8 | area[start + 2])
        if area[start] == kind and stop <= end:
            return area[value:stop]
        start = stop
    return None


@dataclass(frozen=True, slots=True)
class SslInfo:
    """The value of an SSL TLV: client bits, `verify` (0 means verified, or that there was nothing to verify), TLVs."""

    client: int
    verify: int
    tlvs: tuple[Tlv, ...]

    @classmethod
    def of(cls, value: bytes) -> "SslInfo":
        """Read the value. An SSL TLV inside it is one more opaque TLV: there is no recursion.

        Raises HeaderFault when it is shorter than its 5 fixed bytes or a TLV inside reaches past its end.
        """
        if len(value) < 5:
            raise HeaderFault(Rule.SSL, "an SSL TLV is shorter than its 5 fixed bytes")
        return cls(value[0], int.from_bytes(value[1:5], "big"), split(value[5:]))

    @property
    def encrypted(self) -> bool:
        """Whether the client spoke TLS to the proxy."""
        return bool(self.client & SslClient.SSL)

    @property
    def certified(self) -> bool:
        """Whether the client showed a certificate and it was verified; verify = 0 alone does not say so."""
        shown = self.client & (SslClient.CERT_CONN | SslClient.CERT_SESS)
        return self.encrypted and bool(shown) and self.verify == 0


class TlvReader:
    """Checks TLVs. It has no state but its choices; subclasses change one decision at a time."""

    def __init__(self, choices: Choices = STRICT_CHOICES) -> None:
        self.choices = choices

    def check(self, header: bytes, start: int) -> None:
        """Check the TLVs in `header[start:]`, where `header` is the whole header and nothing more.

        Raises HeaderFault for the first broken rule.
        """
        end = len(header)
        checksums = 0
        while start < end:
            value = start + 3
            if value > end:
                self.overrun(header, header[start], end)
                return
            kind = header[start]
            start = value + (header[start + 1] << 8 | header[start + 2])
            if start > end:
                self.overrun(header, kind, end)
                return
            if kind not in _CHECKED:
                continue
            if kind == 0x03:
                checksums += 1
                self.check_crc32c(header, value, start - value, checksums)
            elif kind == 0x05:
                self.check_unique_id(start - value)
            else:
                self.check_ssl(header[value:start])

    def overrun(self, header: bytes, kind: int, end: int) -> None:
        """Called for a TLV that does not end inside the header: it and what follows are refused, or skipped."""
        if Freedom.STRAY_BYTES in self.choices.passed_over:
            return
        raise HeaderFault(Rule.TLV_BOUNDS, f"a TLV of type 0x{kind:02x} reaches past the {end} bytes of the header")

    def check_crc32c(self, header: bytes, value: int, length: int, count: int) -> None:
        """Check a CRC32C TLV over the whole header with its own 4 bytes taken as zero (section 2.2.3).

        The text does not say how two of them would go together; a second one (`count` is 2) is refused, or passed over.
        """
        if length != 4:
            raise HeaderFault(Rule.CRC32C, f"the CRC32C TLV has {length} bytes instead of 4")
        if count > 1:
            if Freedom.SECOND_CRC32C in self.choices.passed_over:
                return
            raise HeaderFault(Rule.CRC32C, "there is more than one CRC32C TLV")
        if self.crc32c(header, value) != header[value : value + 4]:
            raise HeaderFault(Rule.CRC32C, "the CRC32C does not match the header")

    def crc32c(self, header: bytes, value: int) -> bytes:
        """The checksum due in `header[value:value + 4]`, in network order as senders store it (section 2.2.3)."""
        # Its package asks the installation for its version: a fifth of the start, and few headers have a checksum.
        from crc32c import crc32c

        checksum: int = crc32c(b"%b\0\0\0\0%b" % (header[:value], header[value + 4 :]))
        return checksum.to_bytes(4, "big")

    def check_unique_id(self, length: int) -> None:
        """Refuse a UNIQUE_ID longer than the text lets a sender make it (section 2.2.5), or pass over it."""
        if length > MAX_UNIQUE_ID and Freedom.LONG_UNIQUE_ID not in self.choices.passed_over:
            raise HeaderFault(Rule.UNIQUE_ID, f"the UNIQUE_ID has {length} bytes, more than {MAX_UNIQUE_ID}")

    def check_ssl(self, value: bytes) -> None:
        """Refuse an SSL TLV whose inner TLVs do not fit (section 2.2.6), or pass over it."""
        at, end = 5, len(value)
        while at + 3 <= end:
            at += 3 + (value[at + 1] << 8 | value[at + 2])
        if at != end and Freedom.BROKEN_SSL not in self.choices.passed_over:
            SslInfo.of(value)  # Which raises, and knows what is wrong.
