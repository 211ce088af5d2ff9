"""The harness's Scapy layers and the server's parser, written apart, read the same bytes alike."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given, settings

from proxyspec.layers import ProxyV1, ProxyV2, dissect
from proxyspec_server.proxy import Header, HeaderParser, Malformed, Rule

from .harness.layers.corpus import HEADERS, Valid
from .harness.layers.strategies import ANYTHING

#: Above the largest header of the corpus.
LIMIT = 1 << 17

#: The text does not say how two checksums go together: the layers write both ways, the server refuses either.
OPEN = {"v2-tlv/crc32c-twice", "v2-tlv/crc32c-chained"}

Address = ipaddress.IPv4Address | ipaddress.IPv6Address
View = tuple[Address, Address, int, int]


def server_reads(data: bytes) -> Header | Malformed | None:
    """What the server's parser makes of bytes; None while it waits for more."""
    verdict = HeaderParser(max_header_size=LIMIT).feed(data)
    return verdict if isinstance(verdict, Header | Malformed) else None


def server_view(header: Header) -> View | None:
    if header.source is None or header.destination is None:
        return None
    hosts = [ipaddress.ip_address(end.host) for end in (header.source, header.destination)]
    return (hosts[0], hosts[1], header.source.port, header.destination.port)


def layer_view(data: bytes) -> View | None:
    """The addresses the layers read; None where there are none to use."""
    packet = dissect(data)
    if isinstance(packet, ProxyV1):
        if packet.protocol == b"UNKNOWN":
            return None
        hosts = [ipaddress.ip_address(text.decode()) for text in (packet.src, packet.dst)]
        return (hosts[0], hosts[1], int(packet.sport), int(packet.dport))
    assert isinstance(packet, ProxyV2)
    if int(packet.cmd) == 0 or (int(packet.family) << 4 | int(packet.transport)) not in (0x11, 0x21):
        return None
    hosts = [ipaddress.ip_address(text) for text in (packet.src, packet.dst)]
    return (hosts[0], hosts[1], int(packet.sport), int(packet.dport))


@pytest.mark.parametrize("valid", [pytest.param(HEADERS[name], id=name) for name in HEADERS if name not in OPEN])
def test_both_read_every_valid_header_alike(valid: Valid) -> None:
    header = server_reads(valid.data)
    assert isinstance(header, Header), header
    assert header.size == len(valid.data)
    assert server_view(header) == layer_view(valid.data)
    packet = dissect(valid.data)
    if isinstance(packet, ProxyV2) and header.tlv_area:
        assert [(tlv.kind, len(tlv.value)) for tlv in header.tlvs] == list(valid.tlvs)


@settings(max_examples=500, deadline=None)
@given(ANYTHING)
def test_whatever_the_server_accepts_the_layers_read_alike(data: bytes) -> None:
    header = server_reads(data)
    if isinstance(header, Header):
        assert server_view(header) == layer_view(data[: header.size])
        rest = dissect(data).payload
        assert bytes(rest) == data[header.size :]


@settings(max_examples=300, deadline=None)
@given(ANYTHING)
def test_the_server_never_takes_a_byte_more_than_the_layers(data: bytes) -> None:
    """No payload is borrowed: cut at its end, an accepted header is accepted again with the same addresses."""
    header = server_reads(data)
    if isinstance(header, Header):
        again = server_reads(data[: header.size])
        assert again == header
        assert server_reads(data[: header.size - 1]) is None


@pytest.mark.parametrize("name", sorted(OPEN))
def test_what_the_text_leaves_open_is_refused_for_its_checksum(name: str) -> None:
    verdict = server_reads(HEADERS[name].data)
    assert isinstance(verdict, Malformed)
    assert verdict.rule is Rule.CRC32C
