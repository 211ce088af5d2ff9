"""Version 1: ports (section 2.1)."""

# ruff: noqa: D102 - each class says what its one method does wrong.

import re

from proxyspec_server.defects.seed import AS_PROXIED, REFUSED, seeded, session
from proxyspec_server.probe import Look
from proxyspec_server.proxy import Header, HeaderFault, Rule, V1Reader


def line(sport: str, dport: str) -> bytes:
    """A TCP4 line with these ports."""
    return f"PROXY TCP4 192.0.2.1 192.0.2.2 {sport} {dport}\r\n".encode()


class LongWay(V1Reader):
    """Reads good TCP4 lines field by field, too."""

    def common_line(self, data: bytes | bytearray) -> Header | None:
        return None


@seeded(
    "v1-port-int",
    origin="requirements v1.port.plus, v1.port.underscore",
    killed_by=(
        "v1/port/plus",
        "v1/port/leading-zero",
    ),
    shows=line("1_111", "+25"),
)
class PortInt(V1Reader):
    """Ports are read with int(), which takes signs, underscores and leading zeros."""

    def port(self, text: bytes) -> int:
        try:
            port = int(text)
        except ValueError:
            return super().port(text)
        return port if 0 <= port <= 65535 else super().port(text)


@seeded(
    "v1-port-unicode",
    origin="requirement v1.port.alpha",
    killed_by=("v1/port/other-digits",),
    shows=line("1111", "٢٥"),
)
class PortUnicode(V1Reader):
    """Ports may be written with the digits of any script."""

    def port(self, text: bytes) -> int:
        said = text.decode("utf-8", "replace")
        return int(said) if said.isdecimal() and not text.isascii() and int(said) <= 65535 else super().port(text)


@seeded(
    "v1-port-wraps-16",
    origin="requirements v1.port.wrap16, v1.ip6.port-wrap",
    killed_by=("v1/port/65536", "v1/port/wrap32"),
    shows=line("1111", "65561"),
)
class PortWraps16(V1Reader):
    """Ports above 65535 wrap."""

    def port(self, text: bytes) -> int:
        return int(text) & 0xFFFF if text.isdigit() and text[0] != 0x30 else super().port(text)


@seeded(
    "v1-port-wraps-32",
    origin="requirement v1.port.wrap32",
    killed_by=("v1/port/wrap32",),
    shows=line("1111", "4294967321"),
)
class PortWraps32(V1Reader):
    """Ports are computed in 32 bits before they are compared with 65535."""

    def port(self, text: bytes) -> int:
        if not text.isdigit() or text[0] == 0x30:
            return super().port(text)
        return super().port(b"%d" % (int(text) & 0xFFFFFFFF))


@seeded(
    "v1-port-unbounded",
    origin="requirement v1.port.65536",
    killed_by=("v1/port/65536",),
    shows=session(line("1111", "65536"), Look.HEADER),
    healthy="no header",
    defective="192.0.2.1:1111 > 192.0.2.2:65536",
)
class PortUnbounded(V1Reader):
    """Ports have no upper bound."""

    def port(self, text: bytes) -> int:
        return int(text) if text.isdigit() and text[0] != 0x30 else super().port(text)


@seeded(
    "v1-port-negative",
    origin="requirement v1.port.negative",
    killed_by=(
        "v1/port/negative",
        "v1/port/source-negative",
    ),
    shows=line("-1", "25"),
)
class PortNegative(V1Reader):
    """Negative ports wrap."""

    def port(self, text: bytes) -> int:
        return int(text) & 0xFFFF if re.fullmatch(rb"-[0-9]{1,5}", text) else super().port(text)


@seeded(
    "v1-port-leading-zero",
    origin="go-proxyproto commit 5914db8; requirement v1.port.leading-zero",
    killed_by=("v1/port/leading-zero",),
    shows=line("01111", "025"),
)
class PortLeadingZero(V1Reader):
    """Ports may have leading zeros."""

    def port(self, text: bytes) -> int:
        return super().port(text.lstrip(b"0") or b"0")


@seeded(
    "v1-port-hex",
    origin="requirement v1.port.hex",
    killed_by=("v1/port/hex",),
    shows=line("0x457", "0x19"),
)
class PortHex(V1Reader):
    """Ports may be hexadecimal."""

    def port(self, text: bytes) -> int:
        return int(text, 16) if re.fullmatch(rb"0x[0-9a-fA-F]{1,4}", text) else super().port(text)


@seeded(
    "v1-port-atoi",
    origin="requirements v1.field.trailing-glued, v1.port.alpha",
    killed_by=("v1/port/hex",),
    shows=line("1111", "25junk"),
)
class PortAtoi(V1Reader):
    """Ports are read with atoi(), which stops at the first character that is no digit."""

    def port(self, text: bytes) -> int:
        digits = re.match(rb"[0-9]*", text)
        return super().port(digits[0] if digits and digits[0] else b"0")


@seeded(
    "v1-port-empty",
    origin="requirement v1.port.empty",
    killed_by=(
        "malformed/v1/without/dport",
        "malformed/v1/without/sport",
    ),
    shows=line("", ""),
)
class PortEmpty(V1Reader):
    """An empty port is taken as 0."""

    def port(self, text: bytes) -> int:
        return super().port(text or b"0")


@seeded(
    "v1-port-zero-refused",
    origin="requirement v1.port.zero",
    killed_by=("v1/port/zero",),
    shows=line("0", "25"),
    healthy=AS_PROXIED,
    defective=REFUSED,
)
class PortZeroRefused(LongWay):
    """Port 0 is refused."""

    def port(self, text: bytes) -> int:
        if text == b"0":
            raise HeaderFault(Rule.V1_PORT, "a port is 0")
        return super().port(text)


@seeded(
    "v1-port-65535-refused",
    origin="requirement v1.port.65535",
    killed_by=("v1/port/65535",),
    shows=line("65535", "65535"),
    healthy=AS_PROXIED,
    defective=REFUSED,
)
class Port65535Refused(LongWay):
    """Port 65535 is refused, by an upper bound that is one too low."""

    def port(self, text: bytes) -> int:
        port = super().port(text)
        if port >= 65535:
            raise HeaderFault(Rule.V1_PORT, "a port is too great")
        return port


@seeded(
    "v1-port-signed",
    origin="requirement v1.port.65535",
    killed_by=("v1/port/65535",),
    shows=line("40000", "25"),
    healthy=AS_PROXIED,
    defective=REFUSED,
)
class PortSigned(LongWay):
    """Ports are kept in signed 16 bits: those above 32767 are refused."""

    def port(self, text: bytes) -> int:
        port = super().port(text)
        if port > 32767:
            raise HeaderFault(Rule.V1_PORT, "a port is negative")
        return port
