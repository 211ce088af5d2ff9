"""ProxyV2: every field can be forced, every header can be read, no byte is lost."""

from typing import Any

import pytest
from hypothesis import given
from scapy.packet import Packet, Raw

from proxyspec.layers import TLV, TLVALPN, TLVCRC32C, ProxyV2, TLVAuthority, TLVNoop
from proxyspec.layers.crc import checksum
from proxyspec.layers.v2 import SIGNATURE

from .strategies import ANYTHING, UNHURRIED, fixed_part

A4 = bytes.fromhex("c0000201c000020204570019")
A6 = bytes.fromhex("20010db800000000000000000000000120010db800000000000000000000000204570019")


@pytest.mark.parametrize(
    ("fields", "behind_signature"),
    [
        ({}, bytes.fromhex("2111000c") + A4),
        ({"cmd": "LOCAL"}, bytes.fromhex("2011000c") + A4),
        ({"family": "INET6"}, bytes.fromhex("21210024") + A6),
        ({"family": "UNIX", "transport": "DGRAM"}, bytes.fromhex("213200d8") + bytes(216)),
        ({"family": "UNSPEC", "transport": "UNSPEC"}, bytes.fromhex("21000000")),
        ({"family": 4, "transport": 15}, bytes.fromhex("214f0000")),
        ({"version": 1, "cmd": 15}, bytes.fromhex("1f11000c") + A4),
        ({"len": 0}, bytes.fromhex("21110000") + A4),
        ({"len": 65535}, bytes.fromhex("2111ffff") + A4),
        ({"address": A4[:11]}, bytes.fromhex("2111000b") + A4[:11]),
        ({"address": b""}, bytes.fromhex("21110000")),
        ({"address": A4, "family": 2}, bytes.fromhex("2121000c") + A4),
        ({"sport": 0, "dport": 65535, "src": "1.2.3.4"}, bytes.fromhex("2111000c 01020304 c0000202 0000 ffff")),
        ({"tlvs": TLVNoop()}, bytes.fromhex("2111000f") + A4 + bytes.fromhex("040000")),
        ({"tlvs": (b"\x04", TLVNoop())}, bytes.fromhex("21110010") + A4 + bytes.fromhex("04 040000")),
    ],
)
def test_build(fields: dict[str, Any], behind_signature: bytes) -> None:
    assert bytes(ProxyV2(**fields)).hex(" ") == (SIGNATURE + behind_signature).hex(" ")


def test_a_forced_signature_of_another_size_does_not_shift_the_length() -> None:
    assert bytes(ProxyV2(signature=b"ABC", address=b"\1\2")) == b"ABC\x21\x11\0\2\1\2"


def test_a_header_too_long_for_its_length_is_refused_unless_forced() -> None:
    tlvs = [TLV(type=0xE0, value=bytes(65000)), TLV(type=0xE0, value=bytes(600))]
    with pytest.raises(ValueError, match=r"65618 bytes .* give len="):
        bytes(ProxyV2(tlvs=tlvs))
    assert len(bytes(ProxyV2(tlvs=tlvs, len=12))) == 16 + 65618


def test_fields_and_payload() -> None:
    packet = ProxyV2(SIGNATURE + bytes.fromhex("21110010") + A4 + b"\4\0\1x" + b"EHLO x\r\n")
    assert (packet.version, packet.cmd, packet.family, packet.transport, packet.len) == (2, 1, 1, 1, 16)
    assert (packet.src, packet.dst, packet.sport, packet.dport) == ("192.0.2.1", "192.0.2.2", 1111, 25)
    assert [(type(tlv), tlv.value) for tlv in packet.tlvs] == [(TLVNoop, b"x")]
    assert packet.payload == Raw(b"EHLO x\r\n")


@pytest.mark.parametrize(
    ("fixed", "block", "address", "payload"),
    [
        ("2111000b", A4, A4[:11], A4[11:]),
        ("21110000", b"", b"", b""),
        ("2111000c", A4[:5], A4[:5], b""),
        ("2111ffff", A4[:5], A4[:5], b""),
        ("2121000c", A4, A4, b""),
        ("2131000c", A4, A4, b""),
        ("2141000c", A4, A4, b""),
        ("21410000", b"rest", b"", b"rest"),
        ("2100000c", A4, A4, b""),
        ("20000003", b"\4\0\1", b"\4\0\1", b""),
    ],
)
def test_a_block_that_does_not_fit_its_family_is_kept_whole(
    fixed: str, block: bytes, address: bytes, payload: bytes
) -> None:
    packet = ProxyV2(SIGNATURE + bytes.fromhex(fixed) + block)
    assert packet.address == address
    assert packet.tlvs == []
    assert packet.src is None
    assert bytes(packet.payload) == payload


def test_payload_is_never_read_as_tlv() -> None:
    packet = ProxyV2(SIGNATURE + bytes.fromhex("21110012") + A4 + b"\2\0\4abc" + b"EHLO x\r\n")
    assert [(tlv.len, tlv.value) for tlv in packet.tlvs] == [(4, b"abc")]
    assert packet.payload == Raw(b"EHLO x\r\n")


@pytest.mark.parametrize("stray", [b"\4", b"\4\0"])
def test_stray_bytes_stay_visible(stray: bytes) -> None:
    packet = ProxyV2(bytes(ProxyV2(tlvs=[TLVALPN(value="smtp"), stray])))
    assert packet.tlvs[-1] == Raw(stray)


@pytest.mark.parametrize("data", [SIGNATURE, bytes(ProxyV2())[:15], b"x" * 40, b"\r\n" + bytes(ProxyV2())])
def test_what_is_no_header_is_raw(data: bytes) -> None:
    packet = ProxyV2(data)
    assert type(packet) is Raw
    assert bytes(packet) == data


@pytest.mark.parametrize(("wrong", "layer"), [(1, ProxyV2), (2, ProxyV2), (3, Raw)])
def test_a_nearly_right_signature_is_read(wrong: int, layer: Any) -> None:
    data = b"x" * wrong + bytes(ProxyV2())[wrong:]
    assert type(ProxyV2(data)) is layer


def test_checksum_covers_what_stands_behind_it() -> None:
    header = bytes(ProxyV2(tlvs=[TLVAuthority(value="a"), TLVCRC32C(), TLVNoop(value="abcd")]) / Raw(b"EHLO x\r\n"))
    at = 16 + 12 + 4 + 3
    assert int.from_bytes(header[at : at + 4], "big") == checksum(header[: -len("EHLO x\r\n")], [at])


def test_checksum_covers_a_forced_length_as_it_is_sent() -> None:
    header = bytes(ProxyV2(len=1, tlvs=[TLVCRC32C()]))
    assert header[14:16] == b"\0\1"
    assert int.from_bytes(header[-4:], "big") == checksum(header, [31])


def test_several_checksums_share_one_value() -> None:
    header = bytes(ProxyV2(tlvs=[TLVCRC32C(), TLVCRC32C()]))
    assert header[31:35] == header[38:42] == checksum(header, [31, 38]).to_bytes(4, "big")


def test_a_forced_checksum_is_covered_by_the_other() -> None:
    header = bytes(ProxyV2(tlvs=[TLVCRC32C(), TLVCRC32C(value=0x01020304)]))
    assert header[38:42] == b"\1\2\3\4"
    assert header[31:35] == checksum(header, [31]).to_bytes(4, "big")


def test_checksum_is_computed_anew_when_removed() -> None:
    packet = ProxyV2(bytes(ProxyV2(tlvs=[TLVCRC32C(value=0)])))
    assert bytes(packet).endswith(bytes(4))
    packet.tlvs[0].value = None
    assert bytes(packet).hex().endswith("030004047edc6e")


@UNHURRIED
@given(ANYTHING | fixed_part())
def test_build_of_a_dissection_is_identical(data: bytes) -> None:
    packet = ProxyV2(data)
    assert bytes(packet) == (data or bytes(ProxyV2()))
    packet.clear_cache()
    assert bytes(packet) == (data or bytes(ProxyV2()))


@UNHURRIED
@given(fixed_part())
def test_nothing_behind_the_announced_length_is_read(data: bytes) -> None:
    length = int.from_bytes(data[14:16], "big")
    assert bytes(ProxyV2(data).payload) == data[16 + length :]


def test_twenty_thousand_tlvs_are_read_and_built_again() -> None:
    data = bytes(ProxyV2(tlvs=[b"\4\0\0" * 20_000]))
    packet = ProxyV2(data)
    assert len(packet.tlvs) == 20_000
    assert {len(tlv.original) for tlv in packet.tlvs} == {3}
    packet.clear_cache()
    assert bytes(packet) == data


def test_no_field_hides_an_attribute_of_packets() -> None:
    assert [field.name for field in ProxyV2.fields_desc if field.name in dir(Packet)] == []


def test_summary_names_the_endpoints() -> None:
    assert ProxyV2().summary() == "PROXY v2 PROXY 192.0.2.1 1111 > 192.0.2.2 25"
