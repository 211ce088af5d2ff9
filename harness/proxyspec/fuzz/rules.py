"""What the text says of arbitrary bytes at the start of a connection: must be accepted, must be refused, or open.

Written from the text (sections 2.1 and 2.2), apart from the layers that build frames and from any server's parser.
Where the text contradicts itself, says nothing, or leaves the choice to the receiver, the answer is "either".
"""

from __future__ import annotations

import enum
import ipaddress
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Final

from proxyspec.layers.crc import checksum

__all__ = ["Class", "Expectation", "classify"]

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


class Class(enum.StrEnum):
    """What a conformant receiver does with a frame."""

    ACCEPT = "must-accept"
    REJECT = "must-reject"
    EITHER = "either"


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """Which outcomes conform, and the rule that decides; what is not named must not happen."""

    #: The rule in words, without anything of the frame's own: frames that break it alike have it alike.
    reason: str
    section: str
    #: A session may run with any of these addresses, in canonical text form.
    addresses: tuple[str, ...] = ()
    #: A session may run with the TCP peer's own address.
    real: bool = False
    #: The frame may be refused.
    refused: bool = False
    #: Bytes follow the header; what SMTP makes of them is not the header's concern.
    payload: bool = False

    @property
    def verdict(self) -> Class:
        """The class of the frame."""
        if not self.refused:
            return Class.ACCEPT
        return Class.EITHER if self.addresses or self.real else Class.REJECT


def classify(data: bytes, versions: frozenset[int], *, checksums: bool = True) -> Expectation:
    """Say what a receiver of these header versions may do with `data`, then FIN or silence.

    `checksums`: it supports CRC32C (section 2.2.3), which a receiver need not.
    """
    if data[:1] == _SIGNATURE[:1] and 2 in versions:
        found = _v2(data, checksums=checksums)
    elif data[:1] == b"P" and 1 in versions:
        found = _v1(data)
    else:
        found = _refuse("2.2", "the first bytes are those of no header that is spoken here")
    return found


def _refuse(section: str, reason: str) -> Expectation:
    return Expectation(reason=reason, section=section, refused=True)


def _open(found: Expectation, reason: str) -> Expectation:
    """Let `found` be refused as well, for `reason`; what must be refused stays so."""
    return found if found.refused and found.verdict is Class.REJECT else replace(found, refused=True, reason=reason)


def _with_payload(found: Expectation, rest: bytes) -> Expectation:
    if not rest or found.verdict is Class.REJECT:
        return found
    return replace(found, refused=True, payload=True, reason=f"{found.reason}, with payload behind it")


def _spellings(address: Address) -> tuple[str, ...]:
    """Return the forms under which a receiver may keep an address: an IPv4-mapped one may be unmapped."""
    mapped = address.ipv4_mapped if isinstance(address, ipaddress.IPv6Address) else None
    return (str(address),) if mapped is None else (str(address), str(mapped))


def _no_host(address: Address) -> bool:
    """Tell whether an address is legal and yet no remote client's, so that policy may refuse it."""
    reserved = address.version == 4 and address.is_reserved
    return address.is_unspecified or address.is_multicast or address.is_loopback or reserved


# Version 1 (section 2.1)

#: The longest line a receiver has to take, CRLF included.
_LONGEST: Final = 107
_GROUP: Final = re.compile(rb"[0-9A-Fa-f]{1,4}")


def _v1(data: bytes) -> Expectation:
    if not data.startswith(b"PROXY"[: len(data)]):
        return _refuse("2.1", "the line does not begin with PROXY")
    end = data.find(b"\r\n")
    if end < 0:
        return _refuse("2.1", "the line has no CRLF")
    found = _line(data[:end])
    if end + 2 > _LONGEST:
        found = _open(found, "a line of more than 107 bytes")
    return _with_payload(found, data[end + 2 :])


def _line(line: bytes) -> Expectation:
    words = line.split(b" ")
    if words[0] != b"PROXY" or len(words) < 2:
        return _refuse("2.1", "PROXY is not followed by one space and a protocol")
    stray = b"\n" in line or b"\r" in line
    if words[1].startswith(b"UNKNOWN"):
        return _unknown(words[1].removeprefix(b"UNKNOWN"), "UNKNOWN with a CR or LF of its own" if stray else None)
    if stray:
        return _refuse("2.1", "the line has a CR or LF of its own")
    if words[1] not in (b"TCP4", b"TCP6"):
        return _refuse("2.1", "the protocol is none of TCP4, TCP6 and UNKNOWN")
    if len(words) != 6:
        return _refuse("2.1", "the line is not six words with one space between them")
    return _tcp(words[1] == b"TCP6", words[2:4], words[4:6])


def _unknown(suffix: bytes, disputed: str | None) -> Expectation:
    if suffix[:1].isalnum():
        return _refuse("2.1", "the protocol only begins like UNKNOWN")
    # A receiver should serve UNKNOWN, some may refuse it; none may use the addresses behind it.
    reason = disputed or "UNKNOWN, whatever follows it"
    return Expectation(reason=reason, section="2.1", real=True, refused=True)


def _tcp(six: bool, addresses: list[bytes], ports: list[bytes]) -> Expectation:  # noqa: FBT001 - one of two families
    disputed = False
    read: list[Address] = []
    for text in addresses:
        address, doubtful = _ip6(text) if six else (_ip4(text), False)
        if address is None:
            return _refuse("2.1", "an address of a TCP6 line is no IPv6 address" if six else _ip4_fault(text))
        read.append(address)
        disputed = disputed or doubtful
    for port in ports:
        if (fault := _number_fault(port, 65535)) is not None:
            return _refuse("2.1", f"a port {fault}")
    kind = "TCP6" if six else "TCP4"
    found = Expectation(reason=f"a {kind} line", section="2.1", addresses=_spellings(read[0]))
    if disputed:
        return _open(found, "an IPv6 address in a form that the text does not settle")
    if any(_no_host(address) for address in read):
        return _open(found, f"a {kind} line with an address that no remote client can have")
    return found


def _number_fault(text: bytes, most: int) -> str | None:
    """Say what keeps `text` from being a decimal number from 0 to `most` without leading zeros; None: nothing does."""
    if not text:
        return "is empty"
    if not text.isdigit():
        return "is not made of digits alone"
    if text[:1] == b"0" and len(text) > 1:
        return "has a leading zero"
    # Digits beyond these cannot make it smaller, and need not be counted.
    return f"is above {most}" if len(text) > 5 or int(text) > most else None


def _ip4_fault(text: bytes) -> str:
    octets = text.split(b".")
    if len(octets) != 4:
        return "an IPv4 address has not four numbers"
    faults = (_number_fault(octet, 255) for octet in octets)
    return next((f"a number of an IPv4 address {fault}" for fault in faults if fault is not None), "")


def _ip4(text: bytes) -> ipaddress.IPv4Address | None:
    return None if _ip4_fault(text) else ipaddress.IPv4Address(bytes(int(octet) for octet in text.split(b".")))


def _ip6(text: bytes) -> tuple[ipaddress.IPv6Address | None, bool]:
    """Return the address, if it is one, and whether the text leaves open that its form is."""
    halves = text.split(b"::")
    if len(halves) > 2:
        return None, False
    groups: list[list[bytes]] = []
    dotted = False
    for place, half in enumerate(halves):
        words = half.split(b":") if half else []
        if place == len(halves) - 1 and words and b"." in words[-1]:
            tail = _ip4(words.pop())
            if tail is None:
                return None, False
            dotted = True
            words += [b"%x" % int.from_bytes(tail.packed[at : at + 2], "big") for at in (0, 2)]
        if any(_GROUP.fullmatch(word) is None for word in words):
            return None, False
        groups.append(words)
    written = sum(len(words) for words in groups)
    missing = 8 - written
    if missing < 0 or (len(halves) == 1 and missing):
        return None, False
    zeros = [b"0"] * missing
    words = groups[0] + zeros + groups[1] if len(halves) == 2 else groups[0]
    address = ipaddress.IPv6Address(b"".join(int(word, 16).to_bytes(2, "big") for word in words))
    doubtful = dotted and address.ipv4_mapped is None
    if len(halves) == 2:
        # "::" stands for the largest range of zeros: neither for none at all nor for a part of one.
        beside = [half[at] for half, at in ((groups[0], -1), (groups[1], 0)) if half]
        doubtful = doubtful or missing == 0 or any(int(word, 16) == 0 for word in beside)
    return address, doubtful


# Version 2 (section 2.2)

_SIGNATURE: Final = bytes.fromhex("0d0a0d0a000d0a515549540a")
_FIXED: Final = 16
#: 14th byte -> bytes of the addresses and ports it describes.
_BLOCKS: Final = {0x11: 12, 0x12: 12, 0x21: 36, 0x22: 36, 0x31: 216, 0x32: 216}
#: What every receiver here implements; a family it does not, it may skip by its length, whatever that is.
_TCP: Final = (0x11, 0x21)
#: What the text promises to arrive at once: 576 bytes less 40 of IP and TCP (section 2).
_AT_ONCE: Final = 536
_ALPN, _AUTHORITY, _CRC32C, _NOOP, _UNIQUE_ID, _SSL = 0x01, 0x02, 0x03, 0x04, 0x05, 0x20
#: Least values that are longer than a receiver has to take, by type; the text bounds UNIQUE_ID alone.
_LONG: Final = {_AUTHORITY: 256, _UNIQUE_ID: 129}
_LONG_ANYWAY: Final = 1025


def _v2(data: bytes, *, checksums: bool) -> Expectation:
    if not data.startswith(_SIGNATURE[: len(data)]):
        return _refuse("2.2", "the signature is wrong")
    if len(data) > 12 and data[12] >> 4 != 2:
        return _refuse("2.2", "the version of a binary header is not 2")
    if len(data) > 12 and data[12] & 15 > 1:
        return _refuse("2.2", "the command is neither LOCAL nor PROXY")
    if len(data) < _FIXED:
        return _refuse("2.2", "the header ends within its 16 fixed bytes")
    local, family = data[12] & 15 == 0, data[13]
    size = _FIXED + int.from_bytes(data[14:16], "big")
    undefined = family >> 4 > 3 or family & 15 > 2
    if undefined and not local:
        return _refuse("2.2", "the address family or the transport is undefined")
    short = not local and size < _FIXED + _BLOCKS.get(family, 0)
    if short and family in _TCP:
        return _refuse("2.2", "the length is too small for the addresses of the family")
    if len(data) < size:
        return _refuse("2.2", "the header ends before its length says")
    header = data[:size]
    if local:
        found = _local(header, family, undefined=undefined, checksums=checksums)
    elif family in _TCP:
        found = _proxied(header, family, checksums=checksums)
    else:
        found = _unserved(header, family, short=short)
    if size > _AT_ONCE:
        found = _open(found, "a header of more than 536 bytes")
    return _with_payload(found, data[size:])


@dataclass(frozen=True, slots=True)
class _Tlv:
    type: int
    value: bytes
    #: Offset of the value in the header.
    at: int


def _tlvs(header: bytes, start: int) -> Iterator[_Tlv | None]:
    """Take the TLVs apart from `start` on; a last None says that the bytes do not add up."""
    at = start
    while at < len(header):
        end = at + 3 + int.from_bytes(header[at + 1 : at + 3], "big")
        if at + 3 > len(header) or end > len(header):
            yield None
            return
        yield _Tlv(header[at], header[at + 3 : end], at + 3)
        at = end


def _sealed(found: Expectation, header: bytes, seal: _Tlv, *, checksums: bool) -> Expectation:
    """Return `found` if the checksum is right, or does not count."""
    if not checksums or int.from_bytes(seal.value, "big") == checksum(header, [seal.at]):
        return found
    return _refuse("2.2.3", "the CRC32C is wrong")


def _local(header: bytes, family: int, *, undefined: bool, checksums: bool) -> Expectation:
    found = Expectation(reason="LOCAL, whatever its block", section="2.2", real=True)
    if undefined:
        return _open(found, "LOCAL with an undefined family")
    # The text does not say where the TLVs of LOCAL start when it has a family: look at both places.
    behind = min(_FIXED + _BLOCKS.get(family, 0), len(header))
    readings = [list(_tlvs(header, start)) for start in sorted({_FIXED, behind})]
    seals = [tlv for reading in readings for tlv in reading if tlv is not None and tlv.type == _CRC32C]
    if not seals:
        return _open(found, "LOCAL with TLVs that do not add up") if None in readings[-1] else found
    if len(readings) == 1 and None not in readings[0] and len(seals) == 1 and len(seals[0].value) == 4:
        sealed = _sealed(found, header, seals[0], checksums=checksums)
        # Section 2.2 has LOCAL accepted and its block discarded, section 2.2.3 has a wrong checksum end the connection.
        return sealed if sealed == found else _open(found, "LOCAL with a wrong CRC32C")
    return _open(found, "LOCAL with bytes that may be read as a checksum")


def _unserved(header: bytes, family: int, *, short: bool) -> Expectation:
    """PROXY of a family that is no TCP: the receiver may fall back to the real addresses, or refuse."""
    addresses: tuple[str, ...] = ()
    if family in (0x12, 0x22) and not short:
        end = _FIXED + (4 if family == 0x12 else 16)
        addresses = _spellings(ipaddress.ip_address(header[_FIXED:end]))
    reason = "PROXY of a family that is not TCP over IPv4 or IPv6"
    return Expectation(reason=reason, section="2.2", addresses=addresses, real=True, refused=True)


def _proxied(header: bytes, family: int, *, checksums: bool) -> Expectation:
    width = 4 if family == 0x11 else 16
    ends = [ipaddress.ip_address(header[at : at + width]) for at in (_FIXED, _FIXED + width)]
    kind = "TCP4" if width == 4 else "TCP6"
    found = Expectation(reason=f"a {kind} header", section="2.2", addresses=_spellings(ends[0]))
    tlvs = list(_tlvs(header, _FIXED + _BLOCKS[family]))
    if tlvs:
        found = replace(found, reason=f"a {kind} header with TLVs")
    if tlvs and tlvs[-1] is None:
        return _open(found, "TLVs that do not add up, which may be refused or skipped")
    whole = [tlv for tlv in tlvs if tlv is not None]
    seals = [tlv for tlv in whole if tlv.type == _CRC32C]
    if len(seals) == 1 and len(seals[0].value) == 4:
        found = _sealed(found, header, seals[0], checksums=checksums)
    elif seals:
        return _open(found, "checksums of a number or size the text does not settle")
    if any(_no_host(end) for end in ends) or len(found.addresses) > 1:
        found = _open(found, f"a {kind} header with an address that no remote client can have")
    doubt = next(filter(None, map(_doubt, whole)), None)
    types = [tlv.type for tlv in whole if tlv.type != _NOOP]
    if doubt is None and len(set(types)) < len(types):
        doubt = "a type of TLV twice"
    return found if doubt is None else _open(found, doubt)


def _doubt(tlv: _Tlv) -> str | None:
    """Say why a receiver may refuse a TLV that it could as well ignore."""
    if len(tlv.value) >= _LONG.get(tlv.type, _LONG_ANYWAY):
        return "a TLV longer than a receiver has to take"
    if tlv.type == _SSL and (len(tlv.value) < 5 or None in _tlvs(tlv.value, 5)):
        return "an SSL TLV that does not add up"
    if tlv.type == _SSL and any(sub is not None and sub.type == _SSL for sub in _tlvs(tlv.value, 5)):
        return "an SSL TLV inside another"
    if tlv.type in (_ALPN, _AUTHORITY) and any(byte < 0x20 or byte == 0x7F for byte in tlv.value):
        return "a TLV of text with control characters"
    if tlv.type == _AUTHORITY:
        try:
            tlv.value.decode()
        except UnicodeDecodeError:
            return "an AUTHORITY that is no UTF-8"
    return None
