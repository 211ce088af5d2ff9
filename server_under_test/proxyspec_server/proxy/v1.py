"""Version 1 of the PROXY protocol: one line of text (section 2.1)."""

import re
from socket import AF_INET, AF_INET6, inet_ntop, inet_pton

from proxyspec_server.proxy.choices import STRICT_CHOICES, Choices, Reading
from proxyspec_server.proxy.header import Command, Family, Header, NeedMore, make_endpoint, make_header
from proxyspec_server.proxy.rules import HeaderFault, Rule

# Hexadecimal groups of up to four digits, "::" in place of one run of them, a dotted quad as the tail (RFC 4291, 2.2).
# The pattern bounds the groups and keeps zones and brackets out; inet_pton then counts them.
_IPV6 = re.compile(rb"(?:[0-9A-Fa-f]{0,4}:){2,8}(?:[0-9A-Fa-f]{0,4}|[0-9]{1,3}(?:\.[0-9]{1,3}){3})")

# A canonical IPv4 address and a port, as section 2.1 spells them out.
_OCTET = rb"(?:25[0-5]|2[0-4][0-9]|1[0-9]{2}|[1-9]?[0-9])"
_IPV4 = rb"(" + rb"\.".join([_OCTET] * 4) + rb")"
_PORT = rb"(6553[0-5]|655[0-2][0-9]|65[0-4][0-9]{2}|6[0-4][0-9]{3}|[1-5][0-9]{4}|[1-9][0-9]{0,3}|0)"
_TCP4_LINE = re.compile(rb"PROXY TCP4 " + _IPV4 + rb" " + _IPV4 + rb" " + _PORT + rb" " + _PORT + rb"\r\n")

_OPENINGS = (b"PROXY TCP4", b"PROXY TCP6", b"PROXY UNKNOWN")
_PROXY, _LOCAL = Command.PROXY, Command.LOCAL
_TCP4, _TCP6, _UNSPEC = Family.TCP4, Family.TCP6, Family.UNSPEC


class V1Reader:
    """Reads version 1 lines. It has no state but its choices; subclasses change one decision at a time.

    Whatever is refused is refused for the rule broken by the earliest byte that settles it, so that the verdict does
    not depend on how the bytes were cut into segments.
    """

    def __init__(self, choices: Choices = STRICT_CHOICES) -> None:
        self.choices = choices
        self.max_line = choices.max_line

    def read(self, data: bytes | bytearray) -> Header | NeedMore:
        """Read the line `data` begins with.

        Raises HeaderFault as soon as the line cannot become valid: at the first byte of a hopeless opening, at a CR or
        LF that is not part of a CRLF, and at the last byte a line may have without CRLF.
        """
        common = self.common_line(data)
        if common is not None:
            return common
        end = data.find(b"\r\n", 0, self.max_line)
        if end < 0:
            return self.incomplete(data)
        line = bytes(data[:end])
        if b"\n" in line or b"\r" in line:
            self.check_opening(data)
            self.stray_line_end()
        return self.line(line, end + 2)

    def common_line(self, data: bytes | bytearray) -> Header | None:
        """Read a complete, valid TCP4 line in one match, which takes half the time; None sends others the long way.

        Both ways accept the same lines with the same result. A subclass that treats valid lines differently returns
        None.
        """
        match = _TCP4_LINE.match(data)
        if match is None:
            return None
        source, destination, sport, dport = match.groups()
        return self.proxied(_TCP4, source.decode(), destination.decode(), int(sport), int(dport), match.end())

    def incomplete(self, data: bytes | bytearray) -> NeedMore:
        """Decide whether a line without its CRLF may still become valid."""
        window = bytes(data[: self.max_line])
        if not self.choices.whole_lines:
            self.check_opening(data)
            body = window[:-1] if window.endswith(b"\r") else window
            if b"\n" in body or b"\r" in body:
                self.stray_line_end()
        if len(window) == self.max_line:
            self.too_long()
        return NeedMore(len(data) + 1)

    def check_opening(self, data: bytes | bytearray) -> None:
        """Refuse a beginning that no version 1 line has."""
        if any(data.startswith(opening[: len(data)]) for opening in _OPENINGS):
            return
        if data.startswith(b"PROXY "):
            self.unknown_protocol()
        self.not_a_header()

    def not_a_header(self) -> None:
        """Called for bytes that are no PROXY line at all. Always raises HeaderFault."""
        raise HeaderFault(Rule.PREFIX, 'the connection does not begin with "PROXY " or the version 2 signature')

    def unknown_protocol(self) -> None:
        """Called for a protocol word other than the three defined ones. Always raises HeaderFault."""
        raise HeaderFault(Rule.V1_PROTOCOL, "the protocol is none of TCP4, TCP6 and UNKNOWN")

    def stray_line_end(self) -> None:
        """Called for a CR or LF on its own. Always raises HeaderFault."""
        raise HeaderFault(Rule.V1_LINE_END, "the line has a CR or LF that is not part of a CRLF")

    def too_long(self) -> None:
        """Called when the longest line there may be has come without CRLF. Always raises HeaderFault."""
        raise HeaderFault(Rule.V1_LENGTH, f"the line does not end within {self.max_line} bytes")

    def line(self, line: bytes, size: int) -> Header:
        """Read a complete line without its CRLF; `size` counts it."""
        fields = line.split(b" ")
        if fields[0] != b"PROXY" or len(fields) < 2:
            self.not_a_header()
        protocol = fields[1]
        if protocol == b"TCP4":
            return self.tcp4(fields, size)
        if protocol == b"TCP6":
            return self.tcp6(fields, size)
        if protocol != b"UNKNOWN":
            self.unknown_protocol()
        return self.unknown(size)

    def unknown(self, size: int) -> Header:
        """The UNKNOWN line: what follows the word is ignored and the real addresses are used, or it is refused."""
        if self.choices.unknown is Reading.REFUSED:
            raise HeaderFault(Rule.V1_PROTOCOL, "UNKNOWN is not served here")
        return make_header((1, _LOCAL, _UNSPEC, None, None, b"", size))

    def tcp4(self, fields: list[bytes], size: int) -> Header:
        """A TCP4 line."""
        if len(fields) != 6:
            self.wrong_fields(len(fields))
        _, _, source, destination, sport, dport = fields
        hosts = self.address4(source), self.address4(destination)
        return self.proxied(_TCP4, *hosts, self.port(sport), self.port(dport), size)

    def tcp6(self, fields: list[bytes], size: int) -> Header:
        """A TCP6 line."""
        if len(fields) != 6:
            self.wrong_fields(len(fields))
        _, _, source, destination, sport, dport = fields
        hosts = self.address6(source), self.address6(destination)
        return self.proxied(_TCP6, *hosts, self.port(sport), self.port(dport), size)

    def proxied(self, family: Family, source: str, destination: str, sport: int, dport: int, size: int) -> Header:
        """The header of a TCP line."""
        return make_header(
            (1, _PROXY, family, make_endpoint((source, sport)), make_endpoint((destination, dport)), b"", size)
        )

    def wrong_fields(self, count: int) -> None:
        """Called for a TCP line that is not six words with single spaces between. Always raises HeaderFault."""
        raise HeaderFault(Rule.V1_FIELDS, f"a TCP line has 6 fields with one space between them, not {count}")

    def address4(self, text: bytes) -> str:
        """An IPv4 address: four decimal numbers from 0 to 255 without leading zeros, and nothing else.

        That is inet_pton's grammar exactly, and such a text is canonical already.
        """
        try:
            host = text.decode("ascii")
            inet_pton(AF_INET, host)
        except (OSError, ValueError):
            raise HeaderFault(Rule.V1_ADDRESS, "an address of a TCP4 line is not a canonical IPv4 address") from None
        return host

    def address6(self, text: bytes) -> str:
        """An IPv6 address in any form of RFC 4291, section 2.2, made canonical; IPv4-mapped addresses stay IPv6."""
        if not _IPV6.fullmatch(text):
            raise HeaderFault(Rule.V1_ADDRESS, "an address of a TCP6 line is not an IPv6 address")
        try:
            return inet_ntop(AF_INET6, inet_pton(AF_INET6, text.decode("ascii")))
        except OSError:
            raise HeaderFault(Rule.V1_ADDRESS, "an address of a TCP6 line is not an IPv6 address") from None

    def port(self, text: bytes) -> int:
        """A port: decimal digits without leading zeros, 0 to 65535."""
        if len(text) > 5 or not text.isdigit() or (text[0] == 0x30 and len(text) > 1):
            raise HeaderFault(Rule.V1_PORT, "a port is not a decimal number without sign or leading zeros")
        port = int(text)
        if port > 65535:
            raise HeaderFault(Rule.V1_PORT, "a port is greater than 65535")
        return port
