"""Whether a check began with the header it must begin with."""

from __future__ import annotations

import re
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from proxyspec.checks.model import Opening
from proxyspec.layers.crc import checksum

__all__ = ["begins_as", "header_in"]

_SIGNATURE: Final = b"\r\n\r\n\x00\r\nQUIT\n"
_CRC32C: Final = b"\x03\x00\x04"
#: Where the checksum lies that is the first TLV of a header without addresses.
_CRC32C_AT: Final = 16 + 3
#: Client and verify fields of a connection without TLS, no sub-TLV.
_SSL: Final = b"\x20\x00\x05" + bytes(5)

_ADDRESS: Final = rb"(?:[0-9]{1,3}\.){3}[0-9]{1,3}"
#: What a header without addresses must be after the signature, the checksum's own bytes left open.
_LOCALS: Final[Mapping[Opening, bytes]] = MappingProxyType(
    {
        Opening.LOCAL: b"\x20\x00\x00\x00",
        Opening.LOCAL_CRC32C: b"\x20\x00\x00\x07" + _CRC32C,
        Opening.LOCAL_SSL: b"\x20\x00\x00\x08" + _SSL,
        Opening.LOCAL_CRC32C_SSL: b"\x20\x00\x00\x0f" + _CRC32C,
    }
)


def header_in(data: bytes) -> bytes:
    """Return the header at the beginning of what a check sent, whole or not; empty where it begins with none."""
    if data.startswith(b"PROXY"):
        return data.split(b"\n", 1)[0] + b"\n" if b"\n" in data else data
    if data.startswith(_SIGNATURE[: min(len(data), len(_SIGNATURE))]) and data:
        return data[: 16 + int.from_bytes(data[14:16])] if len(data) >= 16 else data
    return b""


def begins_as(opening: Opening, data: bytes, port: int) -> bool:
    """Tell whether `data`, all that a check of the server at `port` sent, begins as `opening` says, byte by byte."""
    header = header_in(data)
    match opening:
        case Opening.NONE:
            return not header
        case Opening.V1:
            line = rb"PROXY TCP4 %b %b [1-9][0-9]{0,4} %d\r\n" % (_ADDRESS, _ADDRESS, port)
            return re.fullmatch(line, header) is not None
        case Opening.PROXY_V2:
            # version 2, PROXY; TCP over IPv4; both addresses on this machine; the server's own port at the end
            start = _SIGNATURE + b"\x21\x11\x00\x0c\x7f"
            return len(header) == 28 and header.startswith(start) and header[26:] == port.to_bytes(2)
        case _:
            return _is_local(opening, header)


def _is_local(opening: Opening, header: bytes) -> bool:
    start = _SIGNATURE + _LOCALS[opening]
    if not header.startswith(start) or len(header) != 16 + int.from_bytes(start[14:16]):
        return False
    if opening in (Opening.LOCAL, Opening.LOCAL_SSL):
        return True
    rest = header[_CRC32C_AT + 4 :]
    wanted = _SSL if opening is Opening.LOCAL_CRC32C_SSL else b""
    sent = int.from_bytes(header[_CRC32C_AT : _CRC32C_AT + 4])
    return rest == wanted and sent == checksum(header, [_CRC32C_AT])
