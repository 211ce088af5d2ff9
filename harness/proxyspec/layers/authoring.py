r"""Frames in one line: what a case needs of the layers, and nothing to spell out that it does not care about.

Every function starts from a valid header (192.0.2.1:1111 to 192.0.2.2:25, or 2001:db8::1 to 2001:db8::2) and changes
only what it is given, so that a case and its control differ in what the eye sees::

    v1()                                    PROXY TCP4 192.0.2.1 192.0.2.2 1111 25\r\n
    v1("2001:db8::1")                       PROXY TCP6 2001:db8::1 2001:db8::2 1111 25\r\n
    v1(sport="01111")                       a leading zero
    v1(sep2="\t")                           a tab before the source address
    v1(eol="\n")                            no CR
    v1(protocol="TCP5")                     an undefined protocol
    unknown(" foo bar")                     PROXY UNKNOWN foo bar\r\n
    v2(tlvs=[tlv(TLVType.ALPN, "smtp")])    with one extension
    v2(tlvs=[crc32c()])                     the checksum filled in
    v2(tlvs=[crc32c(0)])                    the checksum wrong
    v2(family=0x13)                         an undefined transport, all else as it was
    v2(length=11)                           a length one byte short
    v2(command=2)                           an undefined command
    local([noop(3)])                        LOCAL without addresses

Frames are bytes: the payload is added with `+`. What no function says, ProxyV1 and ProxyV2 do.
"""

from collections.abc import Iterable
from ipaddress import IPv4Address, IPv6Address, ip_address
from typing import Final, TypeVar

from proxyspec.layers.tlv import TLV, TLVCRC32C, TLVSSL, SSLClient, SSLType, TLVNoop, TLVType
from proxyspec.layers.v1 import ProxyV1
from proxyspec.layers.v2 import SIGNATURE, UNIX_PATH_SIZE, Command, Family, ProxyV2, Transport

__all__ = [
    "Command",
    "SSLClient",
    "SSLType",
    "TLVType",
    "crc32c",
    "local",
    "noop",
    "ssl",
    "tlv",
    "unknown",
    "v1",
    "v2",
]

Text = str | bytes
Part = str | bytes | int
Extensions = Iterable[TLV | bytes]
_Layer = TypeVar("_Layer", ProxyV1, ProxyV2, TLV)

_DESTINATIONS: Final[dict[Family, str]] = {
    Family.INET: "192.0.2.2",
    Family.INET6: "2001:db8::2",
    Family.UNIX: "/run/dst.sock",
}


def v1(
    src: Text = "192.0.2.1",
    dst: Text | None = None,
    sport: Part = 1111,
    dport: Part = 25,
    protocol: Text | None = None,
    **parts: Part,
) -> bytes:
    """A version 1 line (section 2.1), every part of it sent as given.

    The protocol is TCP6 when the source address has a colon, else TCP4; the destination is the documentation address
    of the same family. An empty part goes without the space in front of it. `parts` names further fields of ProxyV1:
    `prefix`, `sep1` to `sep5`, `rest` (in front of the line end) and `eol`.

    Raises TypeError for a part that a line does not have.
    """
    known = [field.name for field in ProxyV1.fields_desc]
    if strange := sorted(set(parts).difference(known)):
        raise TypeError(f"v1() has no part {strange[0]!r}; its parts are {', '.join(known)}")
    six = ":" in src if isinstance(src, str) else b":" in src
    line = ProxyV1(
        protocol=protocol if protocol is not None else "TCP6" if six else "TCP4",
        src=src,
        dst=dst if dst is not None else _DESTINATIONS[Family.INET6 if six else Family.INET],
        sport=sport,
        dport=dport,
        **parts,
    )
    return bytes(_single(line))


def unknown(tail: Text = "") -> bytes:
    """A version 1 line of protocol UNKNOWN (section 2.1), with `tail` between that word and CRLF.

    No space is put in front of the tail.
    """
    return bytes(_single(ProxyV1(protocol="UNKNOWN", rest=tail)))


def v2(
    src: Text = "192.0.2.1",
    dst: Text | None = None,
    sport: int = 1111,
    dport: int = 25,
    *,
    tlvs: Extensions = (),
    command: int = Command.PROXY,
    family: int | None = None,
    address: bytes | None = None,
    length: int | None = None,
    version: int = 2,
    signature: bytes = SIGNATURE,
) -> bytes:
    """A version 2 header (section 2.2).

    `src` and `dst` are IPv4 or IPv6 addresses of one family, or UNIX socket paths of at most 108 bytes (text that
    starts with a slash, or any bytes), which go without ports. They make up the address block, unless `address` gives
    its bytes. `family` is the whole 14th byte, address family and transport: 0x11 is TCP over IPv4, 0x21 TCP over
    IPv6, 0x31 a UNIX stream; by default it is what `src` is. It changes that byte alone, never the block. `length` is
    the length field, by default the bytes of block and TLVs; `command` and `version` are four bits each.

    Raises ValueError for a value that does not fit its field, naming it.
    """
    natural, block = _block(src, dst, sport, dport)
    byte = natural << 4 | Transport.STREAM if family is None else family
    for name, number, most in (("family", byte, 0xFF), ("command", command, 0xF), ("version", version, 0xF)):
        if not 0 <= number <= most:
            raise ValueError(f"{name} {number:#x} does not fit its field; it must be at most {most:#x}")
    header = ProxyV2(
        signature=signature,
        version=version,
        cmd=command,
        family=byte >> 4,
        transport=byte & 0x0F,
        len=length,
        address=block if address is None else address,
        tlvs=list(tlvs),
    )
    return bytes(_single(header))


def local(tlvs: Extensions = ()) -> bytes:
    """A version 2 LOCAL header as a health check of HAProxy sends it: UNSPEC, no addresses (section 2.2)."""
    return v2(command=Command.LOCAL, family=0x00, address=b"", tlvs=tlvs)


def tlv(type: int, value: Text = b"", length: int | None = None) -> TLV:
    """A TLV of any type (section 2.2); `length` is its length field, by default the bytes of the value."""
    return _single(TLV(type=type, value=value, len=length))


def noop(size: int = 0) -> TLV:
    """Padding that adds 3 + `size` bytes to the header (section 2.2.4)."""
    return _single(TLVNoop(value=bytes(size)))


def crc32c(value: int | None = None) -> TLV:
    """The checksum TLV (section 2.2.3): filled in over the whole header, or the given 32-bit number.

    For a checksum of another length use `tlv(TLVType.CRC32C, ...)`.
    """
    return _single(TLVCRC32C(value=value))


def ssl(client: int = SSLClient.SSL, verify: int = 0, tlvs: Extensions = (), length: int | None = None) -> TLV:
    """The SSL TLV (section 2.2.6): SSLClient bits, 32-bit result of the verification, sub-TLVs, length field.

    Sub-TLVs are written `tlv(SSLType.VERSION, "TLSv1.3")`.
    """
    return _single(TLVSSL(client=int(client), verify=verify, tlvs=list(tlvs), len=length))


def _single(packet: _Layer) -> _Layer:
    """Tell Scapy that no field holds a set of values: it copies a packet before it builds it, to choose one of each."""
    packet.explicit = 1
    return packet


def _block(src: Text, dst: Text | None, sport: int, dport: int) -> tuple[Family, bytes]:
    """The family of `src` and the address block from `src` to `dst`."""
    source = _endpoint("source", src)
    family = source[0]
    target, packed = _endpoint("destination", _DESTINATIONS[family] if dst is None else dst)
    if target is not family:
        raise ValueError(f"destination {dst!r} is {target.name} but source {src!r} is {family.name}; use address=")
    if family is Family.UNIX:
        return family, source[1] + packed
    for name, port in (("source", sport), ("destination", dport)):
        if not 0 <= port <= 0xFFFF:
            raise ValueError(f"{name} port {port} does not fit 16 bits")
    return family, source[1] + packed + sport.to_bytes(2, "big") + dport.to_bytes(2, "big")


def _endpoint(role: str, text: Text) -> tuple[Family, bytes]:
    """The family of an address and its bytes in the block."""
    if isinstance(text, bytes) or text.startswith("/"):
        path = text if isinstance(text, bytes) else text.encode()
        if len(path) > UNIX_PATH_SIZE:
            raise ValueError(f"{role} path of {len(path)} bytes; at most {UNIX_PATH_SIZE} fit, use address=")
        return Family.UNIX, path.ljust(UNIX_PATH_SIZE, b"\0")
    try:
        address: IPv4Address | IPv6Address = ip_address(text)
    except ValueError:
        raise ValueError(f"{role} {text!r} is no IPv4 or IPv6 address and no UNIX path; use address=") from None
    return (Family.INET if address.version == 4 else Family.INET6), address.packed
