"""What a PROXY protocol header says once it has been read."""

from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from functools import partial
from typing import NamedTuple

from proxyspec_server.proxy.rules import HeaderFault
from proxyspec_server.proxy.tlv import SslInfo, Tlv, TlvType, find, whole


class Command(Enum):
    """Who opened the connection (section 2.2); a version 1 line is PROXY, or LOCAL in effect when it says UNKNOWN."""

    LOCAL = 0x0
    PROXY = 0x1


class Family(Enum):
    """Address family and transport of the proxied connection: the 14th byte of a version 2 header (section 2.2).

    The combinations of an UNSPEC half with a defined one are legal nibble by nibble and describe nothing usable.
    """

    UNSPEC = 0x00
    UNSPEC_STREAM = 0x01
    UNSPEC_DGRAM = 0x02
    INET_UNSPEC = 0x10
    TCP4 = 0x11
    UDP4 = 0x12
    INET6_UNSPEC = 0x20
    TCP6 = 0x21
    UDP6 = 0x22
    UNIX_UNSPEC = 0x30
    UNIX_STREAM = 0x31
    UNIX_DGRAM = 0x32


class Endpoint(NamedTuple):
    """An address in its canonical text form, without brackets or zone, and a port."""

    host: str
    port: int

    def __str__(self) -> str:
        """HOST:PORT, an IPv6 address in brackets."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


@dataclass(frozen=True, slots=True)
class NeedMore:
    """No decision yet; looking again is pointless before `wanted` bytes of the connection have arrived in all."""

    wanted: int


class Header(NamedTuple):
    """A complete, valid header of `size` bytes.

    `source` and `destination` are None where the receiver has to use the addresses of the TCP connection itself:
    LOCAL, UNKNOWN, and the families that do not describe TCP. `tlv_area` holds the TLVs, checked but not yet taken
    apart; it is empty in version 1 and wherever the addresses are unused.

    It is a tuple because a frozen dataclass takes as long to build as all the rest takes to read.
    """

    version: int
    command: Command
    family: Family
    source: Endpoint | None
    destination: Endpoint | None
    tlv_area: bytes
    size: int

    @property
    def tlvs(self) -> tuple[Tlv, ...]:
        """All TLVs in the order sent, duplicates included (section 2.2); stray bytes let pass are left out."""
        return whole(self.tlv_area)

    def tlv(self, kind: TlvType) -> bytes | None:
        """The value of the first TLV of this type, or None."""
        return find(self.tlv_area, kind)

    @property
    def ssl(self) -> SslInfo | None:
        """What the first SSL TLV tells of the client's TLS session with the proxy (2.2.6); None if none can be read."""
        value = self.tlv(TlvType.SSL)
        if value is None:
            return None
        try:
            return SslInfo.of(value)
        except HeaderFault:
            return None


# The readers build these for every connection; going round NamedTuple's own constructor halves the cost.
make_endpoint: Callable[[tuple[str, int]], Endpoint] = partial(tuple.__new__, Endpoint)
make_header: Callable[[tuple[int, Command, Family, Endpoint | None, Endpoint | None, bytes, int]], Header] = partial(
    tuple.__new__, Header
)
