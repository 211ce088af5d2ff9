"""Connections that look, in the middle of a load, whether the server still is as strict and discreet as without it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import Final

from proxyspec.load.frames import Source, v1_frame, v2_frame, v2_tlv_frame
from proxyspec.load.options import HeaderKind

__all__ = ["ADDRESS_HIDDEN", "ADDRESS_TOLD", "REFUSED", "strangers", "wrong_headers"]

#: Names of the planned ends.
REFUSED: Final = "wrong header refused"
ADDRESS_TOLD: Final = "address told"
#: The class of failure of a session in whose reply to EHLO its own address is missing.
ADDRESS_HIDDEN: Final = "another address at ehlo"

_SOURCE: Final = Source.of("192.0.2.99")
_PORT: Final = 40_000
#: Offsets within a header of version 2 (section 2.2).
_VERSION, _LENGTH, _ADDRESSES = 12, 14, 16
#: TEST-NET-3 (RFC 5737): hosts 1 to 254.
_STRANGERS: Final = tuple(f"203.0.113.{host}" for host in range(1, 255))


def wrong_headers() -> tuple[bytes, ...]:
    """Return what a server that expects a header must not take for one (sections 2.1 and 2.2), nor for SMTP."""
    line, binary = v1_frame(4).patched(_SOURCE, _PORT), v2_frame(4).patched(_SOURCE, _PORT)
    short = 4
    return (
        # The port is out of range.
        line.replace(b" %d " % _PORT, b" 65536 "),
        # The word is in capitals.
        line.replace(b"PROXY", b"proxy"),
        # There is no version 3.
        binary[:_VERSION] + b"\x31" + binary[_VERSION + 1 :],
        # Two IPv4 addresses and ports take 12 bytes.
        binary[:_LENGTH] + short.to_bytes(2, "big") + binary[_ADDRESSES : _ADDRESSES + short],
        # No header at all, as from a client that came past the proxy.
        b"EHLO client.example\r\n",
    )


def strangers(kind: HeaderKind) -> Iterator[tuple[str, bytes]]:
    """Yield addresses without end, and a header for each.

    Raises:
        KeyError: of `HeaderKind.NONE` there are no headers.
    """
    frame = {HeaderKind.V1: v1_frame, HeaderKind.V2: v2_frame, HeaderKind.V2_TLV: v2_tlv_frame}[kind](4)
    for address in itertools.cycle(_STRANGERS):
        yield address, frame.patched(Source.of(address), _PORT)
