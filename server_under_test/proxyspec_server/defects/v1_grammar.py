"""Version 1: words, separators and fields (section 2.1)."""

# ruff: noqa: D102 - each class says what its one method does wrong.

import re

from proxyspec_server.defects.seed import (
    AS_PEER,
    AS_PROXIED,
    AS_PROXIED6,
    L4,
    L6,
    PROCESS_GONE,
    REFUSED,
    panic,
    seeded,
    served,
)
from proxyspec_server.proxy import Family, Header, HeaderFault, HeaderParser, Malformed, NeedMore, Rule, V1Reader


class Rewriting(V1Reader):
    """Reads a line after it has been made to look right."""

    def common_line(self, data: bytes | bytearray) -> Header | None:
        return None

    def check_opening(self, data: bytes | bytearray) -> None:
        super().check_opening(self.rewrite(bytes(data)))

    def line(self, line: bytes, size: int) -> Header:
        return super().line(self.rewrite(line), size)

    def rewrite(self, line: bytes) -> bytes:
        return line


@seeded(
    "v1-case-prefix",
    origin="requirement v1.case.proxy",
    killed_by=("v1/case/proxy",),
    shows=b"proxy TCP4 192.0.2.1 192.0.2.2 1111 25\r\n",
)
class CasePrefix(HeaderParser):
    """PROXY is accepted in any letter case."""

    def read(self, data: bytes | bytearray) -> Header | NeedMore:
        return super().read(data[:5].upper() + data[5:])


@seeded(
    "v1-case-protocol",
    origin="requirement v1.case.tcp4",
    killed_by=("v1/case/tcp4",),
    shows=b"PROXY tcp4 192.0.2.1 192.0.2.2 1111 25\r\n",
)
class CaseProtocol(Rewriting):
    """TCP4, TCP6 and UNKNOWN are accepted in any letter case."""

    def rewrite(self, line: bytes) -> bytes:
        return line[:6] + line[6:].upper()


@seeded(
    "v1-no-separator",
    origin="go-proxyproto commit 5914db8; requirement v1.sep.none",
    killed_by=("v1/separator/none",),
    shows=b"PROXYTCP4 192.0.2.1 192.0.2.2 1111 25\r\n",
)
class NoSeparator(Rewriting):
    """The prefix is PROXY without the space after it."""

    def rewrite(self, line: bytes) -> bytes:
        return line if line[5:6] in (b"", b" ") else line[:5] + b" " + line[5:]


@seeded(
    "v1-double-space",
    origin="requirement v1.sep.double-src",
    killed_by=("v1/separator/double",),
    shows=b"PROXY TCP4  192.0.2.1 192.0.2.2 1111 25\r\n",
)
class DoubleSpace(Rewriting):
    """Any number of spaces separates two fields."""

    def rewrite(self, line: bytes) -> bytes:
        return re.sub(rb" +", b" ", line)


@seeded(
    "v1-tab",
    origin="requirement v1.sep.tab",
    killed_by=("v1/separator/tab",),
    shows=L4.replace(b" ", b"\t"),
)
class Tab(Rewriting):
    """A tab separates fields as well as a space."""

    def rewrite(self, line: bytes) -> bytes:
        return line.replace(b"\t", b" ")


@seeded(
    "v1-trailing-space",
    origin="requirement v1.sep.trailing-space",
    killed_by=("v1/separator/trailing-space",),
    shows=b"PROXY TCP4 192.0.2.1 192.0.2.2 1111 25 \r\n",
)
class TrailingSpace(Rewriting):
    """Spaces at the end of the line are stripped."""

    def line(self, line: bytes, size: int) -> Header:
        return super().line(line.rstrip(b" "), size)


@seeded(
    "v1-leading-crlf",
    origin="requirement gen.noheader.leading-crlf",
    killed_by=("general/no-header/leading-crlf",),
    shows=b"\r\n" + L4,
)
class LeadingCrlf(HeaderParser):
    """An empty line before the header is skipped."""

    def feed(self, data: bytes) -> Header | NeedMore | Malformed:
        return super().feed(data.removeprefix(b"\r\n") if data.startswith(b"\r\nPROXY") else data)


@seeded(
    "v1-leading-space",
    origin="requirement v1.sep.leading-space",
    killed_by=("v1/separator/leading",),
    shows=b" " + L4,
)
class LeadingSpace(HeaderParser):
    """Spaces before the header are stripped."""

    def feed(self, data: bytes) -> Header | NeedMore | Malformed:
        return super().feed(data.lstrip(b" "))


@seeded(
    "v1-trailing-field",
    origin="requirement v1.field.trailing",
    killed_by=("v1/field/trailing",),
    shows=b"PROXY TCP4 192.0.2.1 192.0.2.2 1111 25 junk\r\n",
)
class TrailingField(V1Reader):
    """Fields behind the sixth are ignored."""

    def tcp4(self, fields: list[bytes], size: int) -> Header:
        return super().tcp4(fields[:6], size)


@seeded(
    "v1-trailing-field-tcp6",
    origin="requirement v1.field.trailing-tcp6",
    killed_by=("v1/field/trailing-tcp6",),
    shows=L6.replace(b"\r\n", b" junk\r\n"),
    defective=AS_PROXIED6,
)
class TrailingField6(V1Reader):
    """Fields behind the sixth are ignored in TCP6 lines."""

    def tcp6(self, fields: list[bytes], size: int) -> Header:
        return super().tcp6(fields[:6], size)


@seeded(
    "v1-missing-port",
    origin="requirement v1.field.missing-dport; Apache CVE-2019-10097",
    killed_by=("v1/field/missing-port",),
    shows=b"PROXY TCP4 192.0.2.1 192.0.2.2 1111\r\n",
)
class MissingPort(V1Reader):
    """A missing destination port is taken as 0."""

    def tcp4(self, fields: list[bytes], size: int) -> Header:
        return super().tcp4([*fields, b"0"] if len(fields) == 5 else fields, size)


@seeded(
    "v1-missing-addresses",
    origin="requirement v1.field.missing-all",
    killed_by=(
        "v1/field/missing-all",
        "aftermath/malformed/v1-no-addresses",
    ),
    shows=b"PROXY TCP4\r\n",
    defective=AS_PEER,
)
class MissingAddresses(V1Reader):
    """A TCP4 line without addresses is taken for UNKNOWN."""

    def tcp4(self, fields: list[bytes], size: int) -> Header:
        return self.unknown(size) if len(fields) == 2 else super().tcp4(fields, size)


@seeded(
    "v1-only-prefix",
    origin="requirement v1.field.only-proxy",
    killed_by=("v1/field/only-prefix",),
    shows=b"PROXY\r\n",
    defective=AS_PEER,
)
class OnlyPrefix(V1Reader):
    """PROXY alone is taken for UNKNOWN."""

    def line(self, line: bytes, size: int) -> Header:
        return self.unknown(size) if line == b"PROXY" else super().line(line, size)


@seeded(
    "v1-protocol-begins-with",
    origin="requirement v1.proto.tcp44",
    killed_by=(
        "malformed/v1/inserted/high-10",
        "malformed/v1/inserted/nul-10",
    ),
    shows=b"PROXY TCP44 192.0.2.1 192.0.2.2 1111 25\r\n",
)
class ProtocolBeginsWith(Rewriting):
    """Any word that begins with TCP4 is TCP4."""

    def line(self, line: bytes, size: int) -> Header:
        return super().line(re.sub(rb"^PROXY TCP4\S*", b"PROXY TCP4", line), size)


@seeded(
    "v1-protocol-ends-with",
    origin="requirement v1.proto.prefix",
    killed_by=(
        "malformed/v1/twice/prefix",
        "v1/protocol/prefix",
    ),
    shows=b"PROXY fooTCP4 192.0.2.1 192.0.2.2 1111 25\r\n",
)
class ProtocolEndsWith(Rewriting):
    """The protocol is searched for in the line instead of matched from its beginning."""

    def rewrite(self, line: bytes) -> bytes:
        return re.sub(rb"^PROXY .*?(TCP[46]) ", rb"PROXY \1 ", line)


@seeded(
    "v1-unknown-begins-with",
    origin="requirement v1.unknown.suffix",
    killed_by=("v1/unknown/suffix",),
    shows=b"PROXY UNKNOWNX\r\n",
    defective=AS_PEER,
)
class UnknownBeginsWith(V1Reader):
    """Any word that begins with UNKNOWN is UNKNOWN."""

    def line(self, line: bytes, size: int) -> Header:
        return self.unknown(size) if line.startswith(b"PROXY UNKNOWN") else super().line(line, size)


@seeded(
    "v1-other-protocol-as-unknown",
    origin="requirement v1.proto.tcp5",
    killed_by=("v1/protocol/udp4",),
    shows=b"PROXY TCP5 192.0.2.1 192.0.2.2 1111 25\r\n",
    defective=AS_PEER,
)
class OtherProtocolAsUnknown(V1Reader):
    """A protocol that does not exist is treated as UNKNOWN."""

    def line(self, line: bytes, size: int) -> Header:
        known = (b"TCP4", b"TCP6", b"UNKNOWN")
        return super().line(line, size) if line.split(b" ")[1] in known else self.unknown(size)


@seeded(
    "v1-udp4-as-tcp4",
    origin="requirement v1.proto.udp4",
    killed_by=("v1/protocol/udp4",),
    shows=b"PROXY UDP4 192.0.2.1 192.0.2.2 1111 25\r\n",
)
class UdpAsTcp(Rewriting):
    """UDP4 is taken for TCP4."""

    def rewrite(self, line: bytes) -> bytes:
        return line.replace(b"PROXY UDP4", b"PROXY TCP4")


@seeded(
    "v1-unknown-refused",
    origin="requirement v1.unknown.short",
    killed_by=("v1/unknown/short",),
    shows=b"PROXY UNKNOWN\r\n",
    healthy=AS_PEER,
    defective=REFUSED,
)
class UnknownRefused(V1Reader):
    """UNKNOWN is refused."""

    def unknown(self, size: int) -> Header:
        raise HeaderFault(Rule.V1_PROTOCOL, "UNKNOWN is not known")


@seeded(
    "v1-unknown-alone",
    origin="requirement v1.unknown.with-addresses",
    killed_by=("v1/unknown/with-addresses",),
    shows=b"PROXY UNKNOWN 192.0.2.1 192.0.2.2 1111 25\r\n",
    healthy=AS_PEER,
    defective=REFUSED,
)
class UnknownAlone(V1Reader):
    """UNKNOWN is refused when anything follows it."""

    def line(self, line: bytes, size: int) -> Header:
        if line.startswith(b"PROXY UNKNOWN "):
            self.wrong_fields(line.count(b" ") + 1)
        return super().line(line, size)


@seeded(
    "v1-unknown-addresses-used",
    origin="requirement v1.unknown.with-addresses",
    killed_by=("v1/unknown/with-addresses",),
    shows=b"PROXY UNKNOWN 192.0.2.1 192.0.2.2 1111 25\r\n",
    healthy=AS_PEER,
    defective=AS_PROXIED,
)
class UnknownAddressesUsed(V1Reader):
    """The addresses behind UNKNOWN are believed."""

    def line(self, line: bytes, size: int) -> Header:
        fields = line.split(b" ")
        if fields[1:2] != [b"UNKNOWN"] or len(fields) != 6:
            return super().line(line, size)
        return self.tcp6(fields, size) if b":" in fields[2] else self.tcp4(fields, size)


@seeded(
    "v1-tcp6-refused",
    origin="Envoy CVE-2024-23325",
    killed_by=("v1/tcp6/ok",),
    shows=L6,
    healthy=AS_PROXIED6,
    defective=REFUSED,
)
class Tcp6Refused(V1Reader):
    """TCP6 lines are refused on a machine without IPv6."""

    def tcp6(self, fields: list[bytes], size: int) -> Header:
        raise HeaderFault(Rule.V1_PROTOCOL, "the address family is not supported")


@seeded(
    "v1-swapped",
    origin="requirement v1.tcp4.ok",
    killed_by=("v1/tcp4/ok",),
    shows=L4,
    healthy=AS_PROXIED,
    defective=served("192.0.2.2"),
    spoils=frozenset({"v1"}),
)
class Swapped(V1Reader):
    """The destination is taken for the source."""

    def proxied(self, family: Family, source: str, destination: str, sport: int, dport: int, size: int) -> Header:
        return super().proxied(family, destination, source, dport, sport, size)


@seeded(
    "v1-lone-word-panics",
    origin="Apache CVE-2019-10097; SubethaSMTP #169",
    killed_by=("aftermath/malformed/v1-one-word",),
    shows=b"PROXY\r\n",
    defective=PROCESS_GONE,
)
class LoneWordPanics(V1Reader):
    """A line without fields is an index out of bounds, which ends the process."""

    def line(self, line: bytes, size: int) -> Header:
        if b" " not in line:
            panic()
        return super().line(line, size)
