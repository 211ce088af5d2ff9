"""The annotated reading: covers every byte once, says what is there and what is wrong with it."""

import pytest
from hypothesis import example, given, settings

from proxyspec.layers.authoring import crc32c, local, ssl, tlv, unknown, v1, v2
from proxyspec.layers.decode import MAX_TLVS, MAX_VALUE, Field, describe

from .corpus import HEADERS
from .strategies import ANYTHING, UNHURRIED


def check(data: bytes) -> None:
    fields = describe(data)
    position = 0
    for field in fields:
        assert field.offset == position
        assert field.length > 0
        assert field.path
        assert field.meaning
        assert len(field.value) <= MAX_VALUE
        assert field.value.isascii()
        assert field.value.isprintable()
        position += field.length
    assert position == len(data)
    assert len({field.path for field in fields}) == len(fields)


@settings(UNHURRIED, max_examples=400)
@given(ANYTHING)
@example(b"\r\n\r\n\0\0\0\0")
def test_fields_cover_any_input_without_gaps_or_overlaps(data: bytes) -> None:
    check(data)


@pytest.mark.parametrize("name", HEADERS)
def test_fields_cover_valid_headers(name: str) -> None:
    check(HEADERS[name].data)
    check(HEADERS[name].data + b"EHLO x\r\n")


@pytest.mark.parametrize("name", HEADERS)
def test_nothing_is_wrong_with_a_valid_header(name: str) -> None:
    for field in describe(HEADERS[name].data):
        for word in ("but", "not ", "undefined ", "cut short", "stray", "unexpected"):
            accepted = name in {"v2-tlv/ssl-not-verified", "v2-tlv/ssl-undefined-bits", "v2-tlv/crc32c-chained"}
            assert accepted or word not in field.meaning, field


@pytest.mark.parametrize("data", [HEADERS["v1/tcp6"].data, HEADERS["v2-tlv/every-option"].data])
def test_every_prefix_is_read(data: bytes) -> None:
    for size in range(len(data)):
        check(data[:size])


def test_no_bytes_no_fields() -> None:
    assert describe(b"") == ()


def test_version_1_line() -> None:
    assert describe(b"PROXY TCP4 192.0.2.1 192.0.2.2 1111 25\r\nEHLO\x1b\r\n") == (
        Field(0, 5, "v1.prefix", "PROXY", "version 1"),
        Field(5, 1, "v1.sep1", " ", "separator"),
        Field(6, 4, "v1.protocol", "TCP4", "TCP over IPv4"),
        Field(10, 1, "v1.sep2", " ", "separator"),
        Field(11, 9, "v1.src", "192.0.2.1", "source address"),
        Field(20, 1, "v1.sep3", " ", "separator"),
        Field(21, 9, "v1.dst", "192.0.2.2", "destination address"),
        Field(30, 1, "v1.sep4", " ", "separator"),
        Field(31, 4, "v1.sport", "1111", "source port"),
        Field(35, 1, "v1.sep5", " ", "separator"),
        Field(36, 2, "v1.dport", "25", "destination port"),
        Field(38, 2, "v1.eol", "\\r\\n", "end of a line of 40 bytes"),
        Field(40, 7, "payload", "EHLO\\x1b\\r\\n", "payload behind the header"),
    )


def test_version_2_header() -> None:
    assert describe(v2(tlvs=[tlv(1, "smtp"), crc32c(), b"\4"]) + b"hi") == (
        Field(0, 12, "v2.signature", "0d0a0d0a000d0a515549540a", "version 2 signature"),
        Field(12, 1, "v2.command", "0x21", "version 2; PROXY"),
        Field(13, 1, "v2.family", "0x11", "address family IPv4; transport stream"),
        Field(14, 2, "v2.len", "27", "27 bytes follow"),
        Field(16, 4, "v2.src", "192.0.2.1", "source address"),
        Field(20, 4, "v2.dst", "192.0.2.2", "destination address"),
        Field(24, 2, "v2.sport", "1111", "source port"),
        Field(26, 2, "v2.dport", "25", "destination port"),
        Field(28, 1, "v2.tlvs[0].type", "0x01", "ALPN"),
        Field(29, 2, "v2.tlvs[0].len", "4", "4 bytes follow"),
        Field(31, 4, "v2.tlvs[0].value", "smtp", "application protocol"),
        Field(35, 1, "v2.tlvs[1].type", "0x03", "CRC32C"),
        Field(36, 2, "v2.tlvs[1].len", "4", "4 bytes follow"),
        Field(38, 4, "v2.tlvs[1].value", "0x2926a2ce", "checksum of this header"),
        Field(42, 1, "v2.tlvs[2]", "04", "stray bytes, too few for a TLV"),
        Field(43, 2, "payload", "hi", "payload behind the header"),
    )


def meaning(data: bytes, path: str) -> str:
    return {field.path: field.meaning for field in describe(data)}[path]


@pytest.mark.parametrize(
    ("data", "path", "words"),
    [
        (b"EHLO x\r\n", "payload", "no PROXY protocol header"),
        (v1(prefix="proxy"), "v1.prefix", "not exactly PROXY"),
        (v1(sep3="  "), "v1.sep3", "not exactly one space"),
        (v1(protocol="TCP5"), "v1.protocol", "no protocol of version 1"),
        (v1("192.000.2.1"), "v1.src", "not an IPv4 address"),
        (v1("1.2.3.4\xff"), "v1.src", "not an IPv4 address"),
        (v1("fe80::1%eth0"), "v1.src", "not an IPv6 address"),
        (v1(protocol="TCP6"), "v1.dst", "not an IPv6 address"),
        (v1(sport="01111"), "v1.sport", "without leading zeros"),
        (v1(dport=65536), "v1.dport", "from 0 to 65535"),
        (v1(dport=""), "v1.eol", "no destination port"),
        (v1(sport="1" * 80), "v1.eol", "the most is 107"),
        (v1(rest=" x"), "v1.rest", "unexpected"),
        (unknown(" x"), "v1.rest", "ignored"),
        (v1(eol="\n"), "v1.rest", "no CRLF in 39 bytes"),
        (v1()[:20], "v1.src", "no CRLF in 20 bytes"),
        (v2(version=3), "v2.command", "version 3, but only 2 is defined"),
        (v2(command=2), "v2.command", "command 2, which is undefined"),
        (v2(family=0x43), "v2.family", "family 4, which is undefined; transport 3, which is undefined"),
        (v2(signature=b"x" * 2 + v2()[2:12]), "v2.signature", "byte 0 and 1 differs"),
        (v2(length=13), "v2.len", "13 bytes announced, but 12 are here"),
        (v2(length=11), "v2.address", "11 of 12 bytes"),
        (v2(family=0x41), "v2.address", "undefined family"),
        (v2(family=0), "v2.address", "opaque"),
        (v2()[:13], "v2.command", "ends before its 16th byte"),
        (v2()[:7], "v2.signature", "7 of 12 bytes; the header ends before its 16th byte"),
        (v2(tlvs=[tlv(2, "abc", length=4)]), "v2.tlvs[0].len", "4 bytes announced, but 3 are here"),
        (v2(tlvs=[crc32c(0)]), "v2.tlvs[0].value", "which is 0x047edc6e"),
        (v2(tlvs=[crc32c()], length=20), "v2.tlvs[0].value", "cannot be compared"),
        (v2(tlvs=[crc32c(), crc32c()]), "v2.tlvs[0].value", "every checksum as zero"),
        (v2(tlvs=[tlv(3, "abc")]), "v2.tlvs[0].value", "not of four bytes"),
        (v2(tlvs=[tlv(5, "u" * 129)]), "v2.tlvs[0].value", "longer than 128 bytes"),
        (v2(tlvs=[tlv(0x20, "abcd")]), "v2.tlvs[0].value", "too short"),
        (v2(tlvs=[tlv(0x21, "x")]), "v2.tlvs[0].type", "unassigned type"),
        (v2(tlvs=[ssl(0)]), "v2.tlvs[0].client", "no TLS"),
        (v2(tlvs=[ssl(0x81)]), "v2.tlvs[0].client", "SSL, undefined bits 0x80"),
        (v2(tlvs=[ssl(3)]), "v2.tlvs[0].verify", "client certificate verified"),
        (v2(tlvs=[ssl(1)]), "v2.tlvs[0].verify", "no client certificate"),
        (v2(tlvs=[ssl(3, 1)]), "v2.tlvs[0].verify", "no client certificate that was verified"),
        (v2(tlvs=[ssl(1, 0, [tlv(0x22, "ab", 9)])]), "v2.tlvs[0].tlvs[0].len", "9 bytes announced, but 2 are here"),
        (local([crc32c()]), "v2.tlvs[0].value", "checksum of this header"),
    ],
)
def test_what_is_wrong_is_said(data: bytes, path: str, words: str) -> None:
    assert words in meaning(data, path)
    check(data)


def test_values_are_bounded_and_long_lists_are_summed_up() -> None:
    data = v2(tlvs=[b"\4\0\0" * 5000])
    fields = describe(data)
    assert fields[-1].path == f"v2.tlvs[{MAX_TLVS}:]"
    assert fields[-1].meaning == f"{5000 - MAX_TLVS} more TLVs"
    assert len(fields) == 8 + 2 * MAX_TLVS + 1
    check(data)
    check(b"\xff" * 1_000_000)
