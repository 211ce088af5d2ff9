"""Version 2 of the PROXY protocol: the binary header (section 2.2)."""

from functools import lru_cache
from socket import AF_INET6, inet_ntoa, inet_ntop
from struct import Struct

from proxyspec_server.proxy.choices import STRICT_CHOICES, Choices
from proxyspec_server.proxy.header import Command, Endpoint, Family, Header, NeedMore, make_endpoint, make_header
from proxyspec_server.proxy.rules import HeaderFault, Rule
from proxyspec_server.proxy.tlv import TlvReader, TlvType, spans

SIGNATURE = b"\r\n\r\n\0\r\nQUIT\n"
"""The 12 bytes every version 2 header begins with."""

FIXED_SIZE = 16
"""Bytes before the address block: signature, version and command, family, length."""

_FIXED = Struct("!12sHH")
_COMMON = Struct("!14sH4s4sHH")
_INET = Struct("!4s4sHH")
_INET6 = Struct("!16s16sHH")

_COMMANDS = {0x20: Command.LOCAL, 0x21: Command.PROXY}
_FAMILIES = {family.value: family for family in Family}
_ADDRESS_SIZES = {0x11: 12, 0x12: 12, 0x21: 36, 0x22: 36, 0x31: 216, 0x32: 216}
_COMMON_OPENING = SIGNATURE + b"\x21\x11"
_new = tuple.__new__
_LOCAL, _PROXY, _TCP4, _TCP6 = Command.LOCAL, Command.PROXY, Family.TCP4, Family.TCP6

# Bytes 13 and 14 taken together: the command, the family, and the fewest bytes that must follow the fixed part.
_KINDS = {
    version_command << 8 | family_byte: (
        command,
        family,
        _ADDRESS_SIZES.get(family_byte, 0) if command is _PROXY else 0,
    )
    for version_command, command in _COMMANDS.items()
    for family_byte, family in _FAMILIES.items()
}


class V2Reader:
    """Reads version 2 headers. It has no state but its choices; subclasses change one decision at a time.

    Every byte of the fixed part is judged as soon as it is there, in order, so that the verdict does not depend on how
    the bytes were cut into segments.
    """

    def __init__(self, choices: Choices = STRICT_CHOICES, tlv_reader: type[TlvReader] = TlvReader) -> None:
        self.tlv_reader = tlv_reader(choices)

    def read(self, data: bytes | bytearray, max_size: int) -> Header | NeedMore:
        """Read the header `data` begins with, of at most `max_size` bytes in all.

        Raises HeaderFault as soon as the bytes cannot become a valid header.
        """
        if len(data) < FIXED_SIZE:
            return self.incomplete(data)
        signature, kind, length = _FIXED.unpack_from(data)
        if signature != SIGNATURE:
            self.not_a_header()
        command, family, needed = _KINDS.get(kind) or self.undefined_kind(kind >> 8, kind & 0xFF)
        size = FIXED_SIZE + length
        if size > max_size:
            self.too_large(size, max_size)
        if length < needed:
            self.too_short(family, length, needed)
        if len(data) != size or type(data) is not bytes:
            if len(data) < size:
                return NeedMore(size)
            data = bytes(data[:size])
        if command is _LOCAL:
            return self.local(family, data)
        if family is _TCP4:
            return self.tcp4(family, data)
        if family is _TCP6:
            return self.tcp6(family, data)
        return self.not_tcp(family, data)

    def incomplete(self, data: bytes | bytearray) -> NeedMore:
        """Decide whether fewer than 16 bytes may still become a header."""
        if not SIGNATURE.startswith(data[:12]):
            self.not_a_header()
        if len(data) > 12:
            command = _COMMANDS.get(data[12]) or self.undefined_command(data[12])
            if len(data) > 13 and data[13] not in _FAMILIES:
                self.undefined_family(command, data[13])
        return NeedMore(len(data) + 1 if len(data) < 14 else FIXED_SIZE)

    def not_a_header(self) -> None:
        """Called for a wrong signature. Always raises HeaderFault."""
        raise HeaderFault(Rule.PREFIX, 'the connection does not begin with "PROXY " or the version 2 signature')

    def too_large(self, size: int, max_size: int) -> None:
        """Called for a header that announces more than the configured limit. Always raises HeaderFault."""
        raise HeaderFault(Rule.V2_SIZE_LIMIT, f"the header announces {size} bytes in all, the limit is {max_size}")

    def undefined_kind(self, version_command: int, family_byte: int) -> tuple[Command, Family, int]:
        """Called where one of the bytes 13 and 14 is undefined: the first is judged first."""
        command = _COMMANDS.get(version_command) or self.undefined_command(version_command)
        family = _FAMILIES.get(family_byte) or self.undefined_family(command, family_byte)
        return _KINDS[0x2000 | command.value << 8 | family.value]

    def undefined_command(self, version_command: int) -> Command:
        """Called for a byte other than 0x20 and 0x21; the version in its upper four bits is judged first."""
        version, command = version_command >> 4, version_command & 0xF
        if version != 2:
            raise HeaderFault(Rule.V2_VERSION, f"the binary header has version {version} instead of 2")
        raise HeaderFault(Rule.V2_COMMAND, f"the command 0x{command:x} is not defined")

    def undefined_family(self, command: Command, family_byte: int) -> Family:
        """Called for an undefined family or transport: refused, except with LOCAL, whose family is to be ignored."""
        if command is _LOCAL:
            return Family.UNSPEC
        raise HeaderFault(Rule.V2_FAMILY, f"the family and transport 0x{family_byte:02x} are not defined")

    def too_short(self, family: Family, length: int, needed: int) -> None:
        """Called for a length smaller than the addresses of the family. Always raises HeaderFault."""
        raise HeaderFault(
            Rule.V2_LENGTH, f"{length} bytes are too few for the {needed} bytes of {family.name} addresses"
        )

    def tcp4(self, family: Family, header: bytes) -> Header:
        """PROXY with IPv4 addresses over TCP."""
        source, destination, sport, dport = _INET.unpack_from(header, FIXED_SIZE)
        if len(header) > 28:
            self.tlv_reader.check(header, 28)
        return make_header(
            (
                2,
                _PROXY,
                family,
                make_endpoint((inet_ntoa(source), sport)),
                make_endpoint((inet_ntoa(destination), dport)),
                header[28:],
                len(header),
            )
        )

    def tcp6(self, family: Family, header: bytes) -> Header:
        """PROXY with IPv6 addresses over TCP; IPv4-mapped addresses stay IPv6."""
        source, destination, sport, dport = _INET6.unpack_from(header, FIXED_SIZE)
        if len(header) > 52:
            self.tlv_reader.check(header, 52)
        return make_header(
            (
                2,
                _PROXY,
                family,
                make_endpoint((inet_ntop(AF_INET6, source), sport)),
                make_endpoint((inet_ntop(AF_INET6, destination), dport)),
                header[52:],
                len(header),
            )
        )

    def not_tcp(self, family: Family, header: bytes) -> Header:
        """PROXY with a family that describes no TCP connection: the real addresses are used, as for UNKNOWN.

        Its TLVs are checked where the text says they begin; with an UNSPEC half it does not say: the block is opaque.
        """
        size = _ADDRESS_SIZES.get(header[13])
        if size is None:
            self.check_opaque(header)
        else:
            self.tlv_reader.check(header, FIXED_SIZE + size)
        return make_header((2, _PROXY, family, None, None, b"", len(header)))

    def local(self, family: Family, header: bytes) -> Header:
        """LOCAL: the rest is skipped, whatever it is, and the real addresses are used."""
        self.check_opaque(header)
        return make_header((2, _LOCAL, family, None, None, b"", len(header)))

    def check_opaque(self, header: bytes) -> None:
        """Check the CRC32C of a header whose block has no defined layout (section 2.2.3).

        Such a block need not be TLVs at all. Only if it comes out even as TLVs from byte 16 on, as HAProxy lays it
        out, is a CRC32C among them believed to be one; everything else is skipped.
        """
        try:
            tlvs = list(spans(header, FIXED_SIZE, len(header)))
        except HeaderFault:
            return
        checksums = [(value, length) for kind, value, length in tlvs if kind == TlvType.CRC32C]
        for count, (value, length) in enumerate(checksums, 1):
            self.tlv_reader.check_crc32c(header, value, length, count)


_own_address = lru_cache(maxsize=256)(inet_ntoa)
"""For destinations: those are the proxy's own addresses, the same few in every header."""


class V2QuickReader(V2Reader):
    """The same with the most common header, PROXY over TCP4, read in one go, which takes two thirds of the time.

    It accepts what the reader of single decisions accepts, with the same result, and leaves every refusal to it. Change
    decisions in a subclass of that one: this one would pass them by.
    """

    def read(self, data: bytes | bytearray, max_size: int) -> Header | NeedMore:
        """Read the header `data` begins with, as V2Reader does."""
        present = len(data)
        if present >= 28:
            opening, length, source, destination, sport, dport = _COMMON.unpack_from(data)
            size = FIXED_SIZE + length
            if opening == _COMMON_OPENING and 28 <= size <= present and size <= max_size:
                if size == 28:
                    tlv_area = b""
                else:
                    header = data if size == present and type(data) is bytes else bytes(data[:size])
                    self.tlv_reader.check(header, 28)
                    tlv_area = header[28:]
                return _new(
                    Header,
                    (
                        2,
                        _PROXY,
                        _TCP4,
                        _new(Endpoint, (inet_ntoa(source), sport)),
                        _new(Endpoint, (_own_address(destination), dport)),
                        tlv_area,
                        size,
                    ),
                )
        return super().read(data, max_size)
