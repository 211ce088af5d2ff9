"""An annotated reading of bytes, field by field, for the hexdumps in reports."""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from itertools import accumulate
from typing import Any, Final

from proxyspec.layers.crc import FIELD_SIZE, checksum
from proxyspec.layers.detect import dissect
from proxyspec.layers.tlv import (
    HEADER_SIZE,
    MAX_UNIQUE_ID,
    SSL_FIXED_SIZE,
    SSL_TYPE_NAMES,
    TLVCRC32C,
    TLVSSL,
    TYPE_NAMES,
    SSLClient,
    SSLSubTLV,
    SSLType,
    TLVType,
)
from proxyspec.layers.v1 import MAX_LINE, PREFIX, ProxyV1
from proxyspec.layers.v2 import (
    ADDRESS_SIZES,
    FIXED_SIZE,
    SIGNATURE,
    UNIX_PATH_SIZE,
    Command,
    Family,
    ProxyV2,
    Transport,
)

MAX_VALUE: Final = 160  # characters of a value that are shown
MAX_TLVS: Final = 64  # TLVs of one list that are read one by one

_SIGNATURE_START: Final = SIGNATURE[:5]  # up to the NUL, which tells a signature from blank lines


@dataclass(frozen=True, slots=True)
class Field:
    """Some bytes of the input and what they say.

    `offset` and `length` are in bytes, and the length is never zero. `path` names the field, such as `v1.src` or
    `v2.tlvs[0].len`; `value` is printable ASCII, everything else escaped, of at most MAX_VALUE characters;
    `meaning` is a short reading in English, which also says what is wrong with the field.
    """

    offset: int
    length: int
    path: str
    value: str
    meaning: str


@dataclass(frozen=True, slots=True)
class _Piece:
    """A field that does not know its place yet; empty ones are dropped when it is given."""

    raw: bytes
    path: str
    value: str
    meaning: str


def describe(data: bytes) -> tuple[Field, ...]:
    """Read `data` as a PROXY protocol header of either version, good or bad, and what follows it as payload.

    The fields cover the input in order, without gaps or overlaps; no bytes, no fields. Bytes that resemble no header
    are one field of payload. A version 2 header cut short within its 16 fixed bytes is read as far as it goes. Of a
    list of TLVs, what stands behind the first MAX_TLVS is one field. Never raises.
    """
    if len(data) < FIXED_SIZE and data.startswith(_SIGNATURE_START):
        completed = ProxyV2(data + (SIGNATURE + bytes(4))[len(data) :])
        if isinstance(completed, ProxyV2):
            return _place(_cut_short(data, completed))
    packet = dissect(data)
    if isinstance(packet, ProxyV1):
        pieces = _v1(packet)
    elif isinstance(packet, ProxyV2):
        pieces = list(_v2(packet))
    else:
        return _place([_Piece(data, "payload", _text(data), "no PROXY protocol header")])
    payload = bytes(packet.payload)
    return _place([*pieces, _Piece(payload, "payload", _text(payload), "payload behind the header")])


def _place(pieces: list[_Piece]) -> tuple[Field, ...]:
    fields: list[Field] = []
    offset = 0
    for piece in pieces:
        if piece.raw:
            fields.append(Field(offset, len(piece.raw), piece.path, piece.value, piece.meaning))
            offset += len(piece.raw)
    return tuple(fields)


def _remark(pieces: list[_Piece], remark: str) -> list[_Piece]:
    """`pieces` with a remark about what is not there, made where the bytes end."""
    last = max(index for index, piece in enumerate(pieces) if piece.raw)
    spoken = replace(pieces[last], meaning=f"{pieces[last].meaning}; {remark}")
    return [*pieces[:last], spoken, *pieces[last + 1 :]]


def _text(raw: bytes) -> str:
    """`raw` as ASCII, with backslash escapes for everything that does not print."""
    return _shorten(raw[: MAX_VALUE + 1].decode("latin-1").encode("unicode_escape").decode("ascii"))


def _hex(raw: bytes) -> str:
    return _shorten(raw[: MAX_VALUE + 1].hex())


def _shorten(text: str) -> str:
    return text if len(text) <= MAX_VALUE else text[: MAX_VALUE - 3] + "..."


# Version 1

_ROLES: Final = {
    "src": "source address",
    "dst": "destination address",
    "sport": "source port",
    "dport": "destination port",
}
_PROTOCOLS: Final = {b"TCP4": "TCP over IPv4", b"TCP6": "TCP over IPv6", b"UNKNOWN": "the rest of the line is ignored"}
_PORT: Final = re.compile(rb"0|[1-9][0-9]{0,4}")


def _v1(packet: Any) -> list[_Piece]:
    size = len(packet.self_build())
    pieces = []
    for field in packet.fields_desc:
        name, raw = field.name, bytes(packet.getfieldval(field.name))
        pieces.append(_Piece(raw, f"v1.{name}", _text(raw), _v1_meaning(packet, name, raw, size)))
    return pieces if packet.eol else _remark(pieces, f"no CRLF in {size} bytes")


def _v1_meaning(packet: Any, name: str, raw: bytes, size: int) -> str:
    if name == "prefix":
        return "version 1" if raw == PREFIX else "not exactly PROXY"
    if name.startswith("sep"):
        return "separator" if raw == b" " else "separator, but not exactly one space"
    if name == "protocol":
        return _PROTOCOLS.get(raw, "no protocol of version 1")
    if name in ("src", "dst"):
        return _ROLES[name] + _address_fault(packet.protocol, raw)
    if name in ("sport", "dport"):
        sound = _PORT.fullmatch(raw) and int(raw) <= 0xFFFF
        return _ROLES[name] + ("" if sound else ", but not a decimal number from 0 to 65535 without leading zeros")
    if name == "rest":
        return "ignored" if packet.protocol == b"UNKNOWN" else "unexpected bytes before the line end"
    missing = [role for part, role in _ROLES.items() if not packet.getfieldval(part)]
    meaning = f"end of a line of {size} bytes" + (f", but the most is {MAX_LINE}" if size > MAX_LINE else "")
    return f"{meaning}; no {missing[0]}" if missing and packet.protocol in (b"TCP4", b"TCP6") else meaning


def _address_fault(protocol: bytes, raw: bytes) -> str:
    family = {b"TCP4": IPv4Address, b"TCP6": IPv6Address}.get(protocol)
    if family is None:
        return ""
    version = protocol.decode().removeprefix("TCP")
    fault = f", but not an IPv{version} address in the form that is asked for"
    try:
        family(raw.decode("ascii"))
    except (AddressValueError, UnicodeDecodeError):
        return fault
    return fault if b"%" in raw else ""  # a zone is an address to Python, not to the specification


# Version 2

_ENDPOINT_SIZES: Final = {
    Family.INET: (("src", 4), ("dst", 4), ("sport", 2), ("dport", 2)),
    Family.INET6: (("src", 16), ("dst", 16), ("sport", 2), ("dport", 2)),
    Family.UNIX: (("src", UNIX_PATH_SIZE), ("dst", UNIX_PATH_SIZE)),
}
_FAMILIES: Final = {Family.UNSPEC: "unspecified", Family.INET: "IPv4", Family.INET6: "IPv6", Family.UNIX: "UNIX socket"}
_TRANSPORTS: Final = {Transport.UNSPEC: "unspecified", Transport.STREAM: "stream", Transport.DGRAM: "datagram"}
_VALUES: Final[dict[int, str]] = {
    TLVType.ALPN: "application protocol",
    TLVType.AUTHORITY: "host name the client asked for",
    TLVType.CRC32C: "checksum, but not of four bytes",
    TLVType.NOOP: "padding",
    TLVType.UNIQUE_ID: "identifier of the connection",
    TLVType.SSL: "TLS information, but too short",
    TLVType.NETNS: "network namespace",
    SSLType.VERSION: "TLS version",
    SSLType.CN: "common name in the client certificate",
    SSLType.CIPHER: "cipher suite",
    SSLType.SIG_ALG: "signature algorithm of the proxy's certificate",
    SSLType.KEY_ALG: "key algorithm of the proxy's certificate",
    SSLType.GROUP: "key exchange group",
    SSLType.SIG_SCHEME: "signature scheme of the handshake",
    SSLType.CLIENT_CERT: "client certificate",
}
_BINARY: Final = frozenset({TLVType.NOOP, TLVType.CRC32C, TLVType.SSL, SSLType.CLIENT_CERT})


def _cut_short(data: bytes, completed: Any) -> list[_Piece]:
    """The fixed part of a header that ends before its 16th byte, by way of one that goes on to there."""
    pieces: list[_Piece] = []
    left = data
    for piece in _fixed(completed, completed.self_build()):
        raw, left = left[: len(piece.raw)], left[len(piece.raw) :]
        partly = replace(piece, raw=raw, value=_hex(raw), meaning=f"{len(raw)} of {len(piece.raw)} bytes")
        pieces.append(piece if len(raw) == len(piece.raw) else partly)
    return _remark(pieces, f"the header ends before its {FIXED_SIZE}th byte")


def _v2(packet: Any) -> Iterator[_Piece]:
    header = packet.self_build()
    yield from _fixed(packet, header)
    start = FIXED_SIZE
    for piece in _addresses(packet, header):
        start += len(piece.raw)
        yield piece
    offsets = list(accumulate((len(bytes(tlv)) for tlv in packet.tlvs), initial=start))
    checksums = [at + HEADER_SIZE for at, tlv in zip(offsets, packet.tlvs, strict=False) if isinstance(tlv, TLVCRC32C)]
    for index, tlv in enumerate(packet.tlvs[:MAX_TLVS]):
        path = f"v2.tlvs[{index}]"
        if isinstance(tlv, TLVCRC32C):
            yield from _checksum(packet, header, offsets[index], checksums, path)
        else:
            yield from _tlv(tlv, path)
    yield from _surplus(packet.tlvs, "v2.tlvs")


def _fixed(packet: Any, header: bytes) -> Iterator[_Piece]:
    """The 16 bytes that every header begins with."""
    signature = header[:12]
    wrong = [str(at) for at, (want, got) in enumerate(zip(SIGNATURE, signature, strict=True)) if want != got]
    meaning = f"not the version 2 signature: byte {' and '.join(wrong)} differs" if wrong else "version 2 signature"
    yield _Piece(signature, "v2.signature", _hex(signature), meaning)
    command = {Command.LOCAL: "LOCAL", Command.PROXY: "PROXY"}.get(
        packet.cmd, f"command {packet.cmd}, which is undefined"
    )
    version = f"version {packet.version}" + ("" if packet.version == 2 else ", but only 2 is defined")
    yield _Piece(header[12:13], "v2.command", _byte(header[12]), f"{version}; {command}")
    family = _FAMILIES.get(packet.family, f"{packet.family}, which is undefined")
    transport = _TRANSPORTS.get(packet.transport, f"{packet.transport}, which is undefined")
    yield _Piece(header[13:14], "v2.family", _byte(header[13]), f"address family {family}; transport {transport}")
    yield _Piece(header[14:16], "v2.len", str(packet.len), _announced(packet.len, len(header) - FIXED_SIZE))


def _addresses(packet: Any, header: bytes) -> Iterator[_Piece]:
    if packet.address is not None:
        needed = ADDRESS_SIZES.get(packet.family)
        if needed is None:
            meaning = "address block of an undefined family"
        elif needed:
            meaning = f"address block cut short: {len(packet.address)} of {needed} bytes"
        else:
            meaning = "opaque bytes of an unspecified family"
        yield _Piece(packet.address, "v2.address", _hex(packet.address), meaning)
        return
    offset = FIXED_SIZE
    for name, size in _ENDPOINT_SIZES.get(packet.family, ()):
        raw = header[offset : offset + size]
        value = packet.getfieldval(name)
        shown = _text(raw.rstrip(b"\0")) if packet.family == Family.UNIX else str(value)
        yield _Piece(raw, f"v2.{name}", shown, _ROLES[name])
        offset += size


def _surplus(tlvs: list[Any], path: str) -> Iterator[_Piece]:
    """The TLVs that are too many to be read one by one."""
    surplus = tlvs[MAX_TLVS:]
    raw = b"".join(bytes(tlv) for tlv in surplus)
    yield _Piece(raw, f"{path}[{MAX_TLVS}:]", _hex(raw), f"{len(surplus)} more TLVs")


def _head(raw: bytes, path: str, names: dict[int, str]) -> Iterator[_Piece]:
    """Type and length of a TLV."""
    length = int.from_bytes(raw[1:HEADER_SIZE], "big")
    yield _Piece(raw[:1], f"{path}.type", _byte(raw[0]), names.get(raw[0], "unassigned type"))
    yield _Piece(raw[1:HEADER_SIZE], f"{path}.len", str(length), _announced(length, len(raw) - HEADER_SIZE))


def _checksum(packet: Any, header: bytes, offset: int, checksums: list[int], path: str) -> Iterator[_Piece]:
    """A checksum TLV at `offset`, compared with the header; `checksums` are the offsets of all checksum values."""
    own = offset + HEADER_SIZE
    raw = header[offset : own + FIELD_SIZE]
    value = int.from_bytes(raw[HEADER_SIZE:], "big")
    alone = checksum(header, [own])
    if len(header) != FIXED_SIZE + packet.len:
        meaning = "checksum that cannot be compared: the header is cut short"
    elif value == alone:
        meaning = "checksum of this header"
    elif value == checksum(header, checksums):
        meaning = "checksum of this header with every checksum as zero"
    else:
        meaning = f"not the checksum of this header, which is 0x{alone:08x}"
    yield from _head(raw, path, TYPE_NAMES)
    yield _Piece(raw[HEADER_SIZE:], f"{path}.value", f"0x{value:08x}", meaning)


def _tlv(tlv: Any, path: str) -> Iterator[_Piece]:
    raw = bytes(tlv)
    if len(raw) < HEADER_SIZE:
        yield _Piece(raw, path, _hex(raw), "stray bytes, too few for a TLV")
        return
    names = SSL_TYPE_NAMES if isinstance(tlv, SSLSubTLV) else TYPE_NAMES
    yield from _head(raw, path, names)
    if isinstance(tlv, TLVSSL):
        yield from _ssl(tlv, raw, path)
        return
    value = raw[HEADER_SIZE:]
    shown = _hex(value) if raw[0] in _BINARY else _text(value)
    meaning = _VALUES.get(raw[0], "value") if raw[0] in names else "value"
    if raw[0] == TLVType.UNIQUE_ID and len(value) > MAX_UNIQUE_ID:
        meaning += f", but longer than {MAX_UNIQUE_ID} bytes"
    yield _Piece(value, f"{path}.value", shown, meaning)


def _ssl(tlv: Any, raw: bytes, path: str) -> Iterator[_Piece]:
    client, verify = raw[HEADER_SIZE : HEADER_SIZE + 1], raw[HEADER_SIZE + 1 : HEADER_SIZE + SSL_FIXED_SIZE]
    known = [flag.name or "" for flag in SSLClient if client[0] & flag]
    unknown = client[0] & ~sum(SSLClient)
    bits = [*known, *([f"undefined bits 0x{unknown:02x}"] if unknown else [])]
    yield _Piece(client, f"{path}.client", _byte(client[0]), ", ".join(bits) or "no TLS with the client")
    yield _Piece(verify, f"{path}.verify", f"0x{verify.hex()}", _verify(client[0], verify))
    for index, sub in enumerate(tlv.tlvs[:MAX_TLVS]):
        yield from _tlv(sub, f"{path}.tlvs[{index}]")
    yield from _surplus(tlv.tlvs, f"{path}.tlvs")


def _verify(client: int, verify: bytes) -> str:
    if any(verify):
        return "no client certificate that was verified"
    presented = client & (SSLClient.CERT_CONN | SSLClient.CERT_SESS)
    return "client certificate verified" if presented else "no verification error, and no client certificate"


def _byte(value: int) -> str:
    return f"0x{value:02x}"


def _announced(length: int, present: int) -> str:
    meaning = f"{length} bytes follow"
    return meaning if present >= length else f"{length} bytes announced, but {present} are here"
