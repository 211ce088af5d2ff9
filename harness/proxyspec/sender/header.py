"""Bytes as the header a sender meant, with every rule its form breaks; no I/O."""

from __future__ import annotations

import contextlib
import enum
import re
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import Any, Final

from proxyspec.layers import TLVCRC32C, TLVSSL, ProxyV1, ProxyV2, SSLSubTLV, TLVType
from proxyspec.layers.crc import checksum
from proxyspec.layers.tlv import HEADER_SIZE, MAX_UNIQUE_ID, SSL_TYPE_NAMES, TYPE_NAMES, SSLClient, SSLType, well_formed
from proxyspec.layers.v1 import CRLF, MAX_LINE
from proxyspec.layers.v2 import ADDRESS_SIZES, FIXED_SIZE, SIGNATURE, Command, Family, Transport
from proxyspec.model import View
from proxyspec.sender import rules
from proxyspec.sender.rules import Finding

__all__ = ["Extent", "Header", "Ssl", "Standing", "Tlv", "extent", "find_header", "quoted", "read_header"]

#: Bytes that every TCP segment can carry (section 2).
SAFE_SIZE: Final = 536
#: A line longer than this is no header any more, in bytes.
LONGEST_LINE: Final = 1024

_V1_START: Final = b"PROXY "
_V1_LINE: Final = re.compile(rb"^PROXY (?:TCP4|TCP6|UNKNOWN)(?=[ \r])", re.MULTILINE)
_PORT: Final = re.compile(rb"0|[1-9][0-9]{0,4}")
_VISIBLE: Final = 60


class Standing(enum.Enum):
    """What the first bytes of a connection are so far."""

    #: They may still become a header.
    WAITING = enum.auto()
    #: They begin with a whole header, good or bad.
    WHOLE = enum.auto()
    #: They begin with something else.
    NONE = enum.auto()


@dataclass(frozen=True, slots=True)
class Extent:
    """How far a header reaches: `size` in bytes where it is known."""

    standing: Standing
    size: int | None = None


@dataclass(frozen=True, slots=True)
class Tlv:
    """A TLV or sub-TLV (section 2.2)."""

    type: int
    value: bytes


@dataclass(frozen=True, slots=True)
class Ssl:
    """What an SSL TLV says (section 2.2.6)."""

    client: SSLClient
    verify: int
    tlvs: tuple[Tlv, ...]


@dataclass(frozen=True, slots=True)
class Header:
    """A header as it can be understood; `src` and `dst` are None where it names no IP addresses."""

    version: int
    command: Command
    family: Family
    src: View | None
    dst: View | None
    #: TLVs in the order of the wire, the SSL TLV's own value as raw bytes among them.
    tlvs: tuple[Tlv, ...]
    ssl: Ssl | None
    size: int
    #: The rules its form breaks.
    findings: tuple[Finding, ...]

    def __str__(self) -> str:
        """Say it in a line: `v2 PROXY TCP4 192.0.2.1:1111 > 192.0.2.2:25 CRC32C`."""
        words = [f"v{self.version}"]
        if self.version == 2 or self.family is Family.UNSPEC:
            words.append("UNKNOWN" if self.version == 1 else self.command.name)
        if self.src is not None and self.dst is not None:
            kind = "TCP4" if self.family is Family.INET else "TCP6"
            words += [kind, f"{_place(self.src)} > {_place(self.dst)}"]
        elif self.family is Family.UNIX:
            words.append("UNIX")
        elif self.family is not Family.UNSPEC:
            words.append("with addresses that cannot be read")
        words += [_name(tlv) for tlv in self.tlvs]
        return " ".join(words)


def _place(view: View) -> str:
    mapped = IPv6Address(view.address).ipv4_mapped if ":" in view.address else None
    if mapped is not None:
        return f"[::ffff:{mapped}]:{view.port}"
    return f"[{view.address}]:{view.port}" if ":" in view.address else f"{view.address}:{view.port}"


def _name(tlv: Tlv) -> str:
    return TYPE_NAMES.get(tlv.type, f"0x{tlv.type:02x}")


def quoted(data: bytes) -> str:
    """Show the beginning of `data` as ASCII between quotes, everything else escaped."""
    shown = data[:_VISIBLE].decode("latin-1").encode("unicode_escape").decode("ascii")
    return f"'{shown}…'" if len(data) > _VISIBLE else f"'{shown}'"


def extent(data: bytes) -> Extent:
    """Tell whether `data` begins with a header (detection order of section 2.2), and how long it is."""
    if data.startswith(SIGNATURE):
        if len(data) < FIXED_SIZE:
            return Extent(Standing.WAITING)
        size = FIXED_SIZE + int.from_bytes(data[14:16], "big")
        return Extent(Standing.WHOLE if len(data) >= size else Standing.WAITING, size)
    if data.startswith(_V1_START):
        end = data.find(CRLF, 0, LONGEST_LINE)
        if end >= 0:
            return Extent(Standing.WHOLE, end + len(CRLF))
        return Extent(Standing.WAITING if len(data) < LONGEST_LINE else Standing.NONE)
    begun = SIGNATURE.startswith(data) or _V1_START.startswith(data)
    return Extent(Standing.WAITING if begun else Standing.NONE)


def find_header(data: bytes) -> int | None:
    """Return where the first thing that is plainly meant as a header stands in `data`; None: nowhere."""
    line = _V1_LINE.search(data)
    places = [place for place in (data.find(SIGNATURE), line.start() if line else -1) if place >= 0]
    return min(places, default=None)


def read_header(data: bytes) -> Header:
    """Read the header that `data` begins with.

    Raises:
        ValueError: `data` does not begin with a whole one (see `extent`).
    """
    found = extent(data)
    if found.standing is not Standing.WHOLE or found.size is None:
        raise ValueError(f"no whole header at the start of {quoted(data)}")
    raw = data[: found.size]
    return _read_v2(raw) if raw.startswith(SIGNATURE) else _read_v1(raw)


def _oversize(raw: bytes) -> Iterator[Finding]:
    if len(raw) > SAFE_SIZE:
        yield Finding.breach(rules.SIZE, f"the header has {len(raw)} bytes, and {SAFE_SIZE} are safe")


# Version 1


def _read_v1(raw: bytes) -> Header:
    packet: Any = ProxyV1(raw)
    families = {b"TCP4": Family.INET, b"TCP6": Family.INET6, b"UNKNOWN": Family.UNSPEC}
    family = families.get(packet.protocol, Family.UNSPEC)
    src = dst = None
    faults = [f"a line of {len(raw)} bytes, and {MAX_LINE} is the most"] if len(raw) > MAX_LINE else []
    if packet.protocol not in families:
        faults.append(f"protocol {quoted(packet.protocol)} is none of TCP4, TCP6, UNKNOWN")
    if family is not Family.UNSPEC:
        separators = (packet.sep1, packet.sep2, packet.sep3, packet.sep4, packet.sep5)
        if any(separator != b" " for separator in separators) or packet.rest:
            faults.append(f"not six words with one space between them: {quoted(raw)}")
        src, wrong = _v1_view(family, packet.src, packet.sport, "source")
        dst, wrong_too = _v1_view(family, packet.dst, packet.dport, "destination")
        faults += [*wrong, *wrong_too]
    elif packet.protocol == b"UNKNOWN" and packet.rest[:1] not in (b"", b" "):
        faults.append(f"{quoted(packet.rest)} directly behind UNKNOWN")
    findings = [Finding.breach(rules.V1_LINE, fault) for fault in faults]
    known = src is not None and dst is not None
    return Header(1, Command.PROXY, family, src, dst if known else None, (), None, len(raw), tuple(findings))


def _v1_view(family: Family, address: bytes, port: bytes, role: str) -> tuple[View | None, list[str]]:
    faults = []
    kind = IPv4Address if family is Family.INET else IPv6Address
    text = address.decode("latin-1")
    parsed: IPv4Address | IPv6Address | None = None
    with contextlib.suppress(AddressValueError):
        parsed = kind(text)
    if parsed is None or "%" in text:  # a zone is an address to Python, not to the text
        faults.append(f"{role} address {quoted(address)} is no address of TCP{6 if kind is IPv6Address else 4}")
    if not _PORT.fullmatch(port) or int(port) > 0xFFFF:
        faults.append(f"{role} port {quoted(port)} is no number from 0 to 65535 without leading zeros")
    if parsed is None or faults:
        return None, faults
    return View(str(parsed), int(port)), faults


# Version 2


def _read_v2(raw: bytes) -> Header:
    packet: Any = ProxyV2(raw)
    findings = [*_fixed(packet), *_oversize(raw)]
    defined_family = packet.family in Family.__members__.values()
    family = Family(packet.family) if defined_family else Family.UNSPEC
    command = Command.LOCAL if packet.cmd == Command.LOCAL else Command.PROXY
    src = dst = None
    ssl: Ssl | None = None
    block = raw[FIXED_SIZE:]
    needed = ADDRESS_SIZES[family]
    tlvs: tuple[Tlv, ...] = ()
    if len(block) < needed:
        findings.append(Finding.breach(rules.V2_LENGTH, f"{len(block)} bytes for addresses of {needed}"))
    elif defined_family:
        if family in (Family.INET, Family.INET6) and packet.address is None:
            src, dst = View.of(packet.src, packet.sport), View.of(packet.dst, packet.dport)
        tlvs, ssl, faults = _tlvs(packet, raw, needed)
        findings += faults
    if command is Command.LOCAL and (packet.family, packet.transport) != (Family.UNSPEC, Transport.UNSPEC):
        said = f"family {packet.family:x}{packet.transport:x} in a LOCAL header"
        findings.append(Finding.breach(rules.LOCAL_BARE, said))
    return Header(2, command, family, src, dst, tlvs, ssl, len(raw), tuple(findings))


def _fixed(packet: Any) -> Iterator[Finding]:
    if packet.version != 2:
        yield Finding.breach(rules.V2_FIXED, f"version {packet.version} behind the signature of version 2")
    if packet.cmd not in (Command.LOCAL, Command.PROXY):
        yield Finding.breach(rules.V2_FIXED, f"command {packet.cmd} is undefined")
    if packet.family > Family.UNIX or packet.transport > Transport.DGRAM:
        yield Finding.breach(rules.V2_FIXED, f"family 0x{packet.family:x}{packet.transport:x} is undefined")
    elif packet.transport == Transport.DGRAM:
        yield Finding.breach(rules.V2_FIXED, "datagrams announced over TCP")


def _tlvs(packet: Any, raw: bytes, needed: int) -> tuple[tuple[Tlv, ...], Ssl | None, list[Finding]]:
    block = raw[FIXED_SIZE + needed :]
    if not well_formed(block):
        return (), None, [Finding.breach(rules.TLV_FORM, f"no chain of TLVs: {quoted(block)}")]
    found: list[Tlv] = []
    findings: list[Finding] = []
    ssl: Ssl | None = None
    sums: list[tuple[int, int]] = []
    offset = FIXED_SIZE + needed
    for layer in packet.tlvs:
        size = len(bytes(layer))
        value = raw[offset + HEADER_SIZE : offset + size]
        tlv = Tlv(raw[offset], value)
        found.append(tlv)
        if isinstance(layer, TLVSSL):
            ssl = Ssl(
                SSLClient(int(layer.client) & 7),
                int(layer.verify),
                tuple(Tlv(int(sub.type), bytes(sub)[HEADER_SIZE:]) for sub in layer.tlvs if isinstance(sub, SSLSubTLV)),
            )
            findings += _ssl(ssl, value)
        elif isinstance(layer, TLVCRC32C):
            sums.append((offset + HEADER_SIZE, int(layer.value)))
        else:
            findings += _form(tlv)
        offset += size
    findings += _sums(raw, sums)
    return tuple(found), ssl, findings


def _form(tlv: Tlv) -> Iterator[Finding]:
    match tlv.type:
        case TLVType.CRC32C:
            yield Finding.breach(rules.CRC32C, f"a checksum of {len(tlv.value)} bytes, and 4 are defined")
        case TLVType.SSL:
            yield Finding.breach(rules.SSL_CLIENT, f"an SSL TLV of {len(tlv.value)} bytes, and 5 is the least")
        case TLVType.UNIQUE_ID if len(tlv.value) > MAX_UNIQUE_ID:
            yield Finding.breach(rules.UNIQUE_ID, f"a unique identifier of {len(tlv.value)} bytes")
        case number if number not in TYPE_NAMES:
            yield Finding.breach(rules.TLV_TYPE, f"type 0x{number:02x} is neither assigned nor set aside")


def _ssl(ssl: Ssl, value: bytes) -> Iterator[Finding]:
    if not well_formed(value[5:]):
        yield Finding.breach(rules.TLV_FORM, f"no chain of sub-TLVs within SSL: {quoted(value[5:])}")
    if ssl.client & SSLClient.SSL and not any(tlv.type == SSLType.VERSION for tlv in ssl.tlvs):
        yield Finding.breach(rules.SSL_VERSION, "the client came over TLS, and no TLS version is told")
    for tlv in ssl.tlvs:
        if tlv.type not in SSL_TYPE_NAMES:
            yield Finding.breach(rules.TLV_TYPE, f"sub-type 0x{tlv.type:02x} within SSL is not assigned")
    if ssl.verify == 0 and not ssl.client & (SSLClient.CERT_CONN | SSLClient.CERT_SESS):
        yield Finding.breach(
            rules.SSL_VERIFY, "the verification is told as passed (0) though no client certificate was presented"
        )


def _sums(raw: bytes, sums: list[tuple[int, int]]) -> Iterator[Finding]:
    every = [offset for offset, _ in sums]
    for offset, value in sums:
        alone = checksum(raw, [offset])
        if value not in (alone, checksum(raw, every)):
            yield Finding.breach(rules.CRC32C, f"checksum 0x{value:08x}, but this header's is 0x{alone:08x}")
