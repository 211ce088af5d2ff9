"""TLVs: each type has its layer, none can be cut so short that it cannot be read."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.packet import Packet, Raw

from proxyspec import layers
from proxyspec.layers import TLV, TLVALPN, TLVCRC32C, TLVSSL, SSLSubTLV, SSLType, SSLVersion, TLVType
from proxyspec.layers.tlv import split, well_formed

from .strategies import UNHURRIED

TYPED = {
    "TLVALPN": 0x01,
    "TLVAuthority": 0x02,
    "TLVCRC32C": 0x03,
    "TLVNoop": 0x04,
    "TLVUniqueID": 0x05,
    "TLVSSL": 0x20,
    "TLVNetNS": 0x30,
}
SSL_TYPED = {
    "SSLVersion": 0x21,
    "SSLCN": 0x22,
    "SSLCipher": 0x23,
    "SSLSigAlg": 0x24,
    "SSLKeyAlg": 0x25,
    "SSLGroup": 0x26,
    "SSLSigScheme": 0x27,
    "SSLClientCert": 0x28,
}
CLASSES = [getattr(layers, name) for name in ["TLV", "SSLSubTLV", *TYPED, *SSL_TYPED]]


def test_numbers_of_the_specification() -> None:
    assert {int(member) for member in TLVType} == set(TYPED.values())
    assert {int(member) for member in SSLType} == set(SSL_TYPED.values())


@pytest.mark.parametrize(("name", "number"), [*TYPED.items(), *SSL_TYPED.items()])
def test_each_type_has_its_layer(name: str, number: int) -> None:
    cls = getattr(layers, name)
    built = bytes(cls())
    assert built[0] == number
    assert int.from_bytes(built[1:3], "big") == len(built) - 3
    base = TLV if number in TYPED.values() else SSLSubTLV
    assert type(base(built)) is cls


@pytest.mark.parametrize("number", [0x00, 0x06, 0x7E, 0xE0, 0xEF, 0xF0, 0xF7, 0xF8, 0xFF, *SSL_TYPED.values()])
def test_other_types_are_plain(number: int) -> None:
    packet = TLV(bytes([number]) + b"\0\3abc")
    assert type(packet) is TLV
    assert (packet.type, packet.len, packet.value) == (number, 3, b"abc")


@pytest.mark.parametrize(("number", "name"), [(0xE0, "CUSTOM_E0"), (0xF7, "EXPERIMENT_F7"), (0xFF, "FUTURE_FF")])
def test_reserved_ranges_have_names(number: int, name: str) -> None:
    assert TLV(type=number).summary() == f"TLV {name}"


@pytest.mark.parametrize(
    ("data", "layer"),
    [
        (b"\x03\0\4abcd", TLVCRC32C),
        (b"\x03\0\3abc", TLV),
        (b"\x03\0\5abcde", TLV),
        (b"\x03\0\4abc", TLV),
        (b"\x20\0\5\1\0\0\0\0", TLVSSL),
        (b"\x20\0\0", TLV),
        (b"\x20\0\4\1\0\0\0", TLV),
        (b"\x20\0\5\1\0\0\0", TLV),
        (b"\x20\xff\xff\1\0\0\0\0", TLVSSL),
        (b"\x20\0", Raw),
        (b"\x20", Raw),
    ],
)
@pytest.mark.parametrize("entry", [TLV, TLVSSL, TLVALPN])
def test_what_is_too_short_for_its_type_is_plain(entry: Any, data: bytes, layer: Any) -> None:
    packet = entry(data)
    assert type(packet) is layer
    packet.clear_cache()
    assert bytes(packet) == data


@pytest.mark.parametrize(
    ("tlv", "expected"),
    [
        (TLV(type=0xE0, value="abc"), "e0 0003 616263"),
        (TLV(type=0xE0, value="abc", len=4), "e0 0004 616263"),
        (TLV(type=0xE0, len=0xFFFF), "e0 ffff"),
        (TLVALPN(type=0x99, value="x"), "99 0001 78"),
        (TLVCRC32C(), "03 0004 00000000"),
        (TLVCRC32C(value=0x047EDC6E), "03 0004 047edc6e"),
        (TLVSSL(), "20 0005 00 00000000"),
        (TLVSSL(client="SSL+CERT_SESS", verify=18), "20 0005 05 00000012"),
        (TLVSSL(client=1, tlvs=[SSLVersion(value="TLSv1.3")]), "20 000f 01 00000000 21 0007 544c5376312e33"),
        (TLVSSL(client=1, tlvs=[b"\x21"]), "20 0006 01 00000000 21"),
    ],
)
def test_build(tlv: Any, expected: str) -> None:
    assert bytes(tlv) == bytes.fromhex(expected)


def test_a_value_too_long_for_its_length_is_refused_unless_forced() -> None:
    with pytest.raises(ValueError, match=r"65536 bytes.*give len="):
        bytes(TLV(value=bytes(65536)))
    assert bytes(TLV(value=bytes(65536), len=1))[:3] == b"\0\0\1"


def test_a_sub_tlv_cannot_reach_beyond_its_parent() -> None:
    packet = TLV(b"\x20\0\x0a\1\0\0\0\0\x21\0\x63ab" + b"behind")
    assert [(sub.len, sub.value) for sub in packet.tlvs] == [(0x63, b"ab")]
    assert packet.payload.load == b"behind"


def test_nesting_is_one_level_deep() -> None:
    data = b""
    for _ in range(1500):
        data = b"\x20" + (len(data) + 5).to_bytes(2, "big") + b"\1\0\0\0\0" + data
    packet = TLV(data)
    assert [type(sub) for sub in packet.tlvs] == [SSLSubTLV]
    assert len(packet.tlvs[0].value) == len(data) - 8 - 3
    packet.clear_cache()
    assert bytes(packet) == data


@pytest.mark.parametrize(
    ("block", "pieces"),
    [
        (b"", []),
        (b"\1", [b"\1"]),
        (b"\1\0", [b"\1\0"]),
        (b"\1\0\0", [b"\1\0\0"]),
        (b"\1\0\1a\2\0\2bc", [b"\1\0\1a", b"\2\0\2bc"]),
        (b"\1\0\1a\2\0\3bc", [b"\1\0\1a", b"\2\0\3bc"]),
        (b"\1\0\1a\2\0", [b"\1\0\1a", b"\2\0"]),
    ],
)
def test_split(block: bytes, pieces: list[bytes]) -> None:
    assert list(split(block)) == pieces


@UNHURRIED
@given(st.binary(max_size=200))
def test_split_loses_nothing(block: bytes) -> None:
    pieces = list(split(block))
    assert b"".join(pieces) == block
    assert all(pieces)
    assert all(well_formed(piece) for piece in pieces[:-1])
    assert well_formed(block) is (not pieces or well_formed(pieces[-1]))


@UNHURRIED
@given(st.sampled_from(CLASSES), st.binary(min_size=1, max_size=60))
def test_build_of_a_dissection_is_identical(cls: Any, data: bytes) -> None:
    packet = cls(data)
    assert bytes(packet) == data
    packet.clear_cache()
    assert bytes(packet) == data


@pytest.mark.parametrize("cls", CLASSES)
def test_no_field_hides_an_attribute_of_packets(cls: Any) -> None:
    assert [field.name for field in cls.fields_desc if field.name in dir(Packet)] == []
