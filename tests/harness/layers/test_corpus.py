"""Every valid header: equal to its literal, unchanged by a round trip, read for what it says."""

import ipaddress

import pytest
from scapy.packet import Raw

from proxyspec.layers import ProxyV1, ProxyV2, dissect

from .corpus import HEADERS, LITERALS, Valid


def test_there_are_enough_and_they_differ() -> None:
    assert len(HEADERS) >= 60
    assert len({header.data for header in HEADERS.values()}) == len(HEADERS)
    assert set(LITERALS) <= set(HEADERS)


@pytest.mark.parametrize("name", LITERALS)
def test_layers_build_the_literal_bytes(name: str) -> None:
    assert HEADERS[name].data.hex(" ") == LITERALS[name].hex(" ")


@pytest.mark.parametrize("payload", [b"", b"EHLO x\r\n", b"\0"])
@pytest.mark.parametrize("name", HEADERS)
def test_round_trip(name: str, payload: bytes) -> None:
    data = HEADERS[name].data + payload
    packet = dissect(data)
    assert isinstance(packet, ProxyV1 if name.startswith("v1/") else ProxyV2)
    assert bytes(packet) == data
    packet.clear_cache()
    assert bytes(packet) == data
    assert bytes(packet.payload) == payload
    assert isinstance(packet.payload, Raw) is bool(payload)


def address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address:
    return ipaddress.ip_address(text)


@pytest.mark.parametrize("header", [h for h in HEADERS.values() if h.version == 1 and h.family != "UNKNOWN"])
def test_version_1_is_read(header: Valid) -> None:
    packet = ProxyV1(header.data)
    assert packet.protocol.decode() == header.family
    assert address(packet.src.decode()) == address(str(header.src))
    assert address(packet.dst.decode()) == address(str(header.dst))
    assert (int(packet.sport), int(packet.dport)) == (header.sport, header.dport)
    assert (packet.rest, packet.eol) == (b"", b"\r\n")


@pytest.mark.parametrize("header", [h for h in HEADERS.values() if h.family == "UNKNOWN"])
def test_unknown_keeps_its_tail_and_has_no_addresses(header: Valid) -> None:
    packet = ProxyV1(header.data)
    assert packet.rest.lstrip(b" ") == header.opaque
    assert [packet.src, packet.dst, packet.sport, packet.dport] == [b"", b"", b"", b""]


@pytest.mark.parametrize("header", [h for h in HEADERS.values() if h.version == 2])
def test_version_2_is_read(header: Valid) -> None:
    packet = ProxyV2(header.data)
    assert packet.version == 2
    assert packet.cmd == header.command
    assert packet.family << 4 | packet.transport == header.family
    assert packet.len == len(header.data) - 16
    if header.tlvs or not header.opaque:
        assert tuple((tlv.type, tlv.len) for tlv in packet.tlvs) == header.tlvs
        assert packet.address is None
    else:
        assert packet.address == header.opaque
    if isinstance(header.src, bytes):
        assert (packet.src, packet.dst) == (header.src, header.dst)
    elif header.src:
        assert address(packet.src) == address(header.src)
        assert address(packet.dst) == address(str(header.dst))
        assert (packet.sport, packet.dport) == (header.sport, header.dport)
