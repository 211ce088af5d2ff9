"""Headers read strictly: what is sound, what is broken and by which rule."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxyspec.layers.authoring import crc32c, local, ssl, tlv, unknown, v1, v2
from proxyspec.layers.tlv import SSLClient, SSLType, TLVType
from proxyspec.layers.v2 import Command, Family
from proxyspec.model import View
from proxyspec.sender import rules
from proxyspec.sender.header import Extent, Standing, extent, find_header, quoted, read_header
from proxyspec.sender.rules import RULES

#: What HAProxy 2.6 sends for a health check with `proxy-v2-options crc32c`.
CHECK_WITH_CRC = bytes.fromhex("0d0a0d0a000d0a515549540a20000007030004a9b87e8f")


def broken(data: bytes) -> list[str]:
    return [finding.rule.id for finding in read_header(data).findings]


def test_a_version_1_line() -> None:
    header = read_header(b"PROXY TCP4 127.0.0.7 127.0.0.1 53258 23201\r\nEHLO x\r\n")
    assert (header.version, header.size, header.findings) == (1, 44, ())
    assert (header.src, header.dst) == (View("127.0.0.7", 53258), View("127.0.0.1", 23201))
    assert str(header) == "v1 TCP4 127.0.0.7:53258 > 127.0.0.1:23201"


def test_a_mapped_address_is_shown_as_such() -> None:
    header = read_header(b"PROXY TCP6 2001:db8::7 ::ffff:127.0.0.1 47808 23204\r\n")
    assert header.findings == ()
    assert str(header) == "v1 TCP6 [2001:db8::7]:47808 > [::ffff:127.0.0.1]:23204"


def test_unknown_has_no_ends() -> None:
    header = read_header(unknown(" whatever it likes"))
    assert (header.family, header.src, header.dst, header.findings) == (Family.UNSPEC, None, None, ())
    assert str(header) == "v1 UNKNOWN"


def test_a_check_of_haproxy() -> None:
    header = read_header(CHECK_WITH_CRC)
    assert (header.command, header.family, header.findings) == (Command.LOCAL, Family.UNSPEC, ())
    assert [one.type for one in header.tlvs] == [TLVType.CRC32C]
    assert str(header) == "v2 LOCAL CRC32C"


def test_a_version_2_header_with_everything() -> None:
    inner = [tlv(SSLType.VERSION, "TLSv1.3"), tlv(SSLType.CN, "client.example")]
    certified = SSLClient.SSL | SSLClient.CERT_CONN | SSLClient.CERT_SESS
    header = read_header(v2("2001:db8::1", tlvs=[crc32c(), tlv(TLVType.ALPN, "smtp"), ssl(certified, 0, inner)]))
    assert header.findings == ()
    assert header.ssl is not None
    assert (header.ssl.client, header.ssl.verify) == (certified, 0)
    assert [one.value for one in header.ssl.tlvs] == [b"TLSv1.3", b"client.example"]
    assert str(header) == "v2 PROXY TCP6 [2001:db8::1]:1111 > [2001:db8::2]:25 CRC32C ALPN SSL"


@pytest.mark.parametrize(
    "line",
    [
        v1(sport="01111"),
        v1(dport="65536"),
        v1(sport=""),
        v1(src="192.0.2.01"),
        v1(src="2001:db8::1", protocol="TCP4"),
        v1(src="2001:db8::1%eth0"),
        v1(sep2="  "),
        v1(protocol="TCP5"),
        v1(rest=" "),
        b"PROXY TCP6 " + b"0" * 40 + b"::1 ::1 1 2\r\n",
        b"PROXY UNKNOWN " + b"x" * 100 + b"\r\n",
        b"PROXY TCP4\r\n",
    ],
)
def test_a_line_against_the_grammar(line: bytes) -> None:
    assert set(broken(line)) == {rules.V1_LINE.id}


@pytest.mark.parametrize(
    ("data", "rule"),
    [
        (v2(version=1), rules.V2_FIXED),
        (v2(command=2), rules.V2_FIXED),
        (v2(family=0x51), rules.V2_FIXED),
        (v2(family=0x12), rules.V2_FIXED),
        (v2(address=bytes(11)), rules.V2_LENGTH),
        (v2(command=0), rules.LOCAL_BARE),
        (v2(tlvs=[b"\x04\x00"]), rules.TLV_FORM),
        (v2(tlvs=[tlv(TLVType.ALPN, "smtp", length=9)]), rules.TLV_FORM),
        (v2(tlvs=[crc32c(0)]), rules.CRC32C),
        (v2(tlvs=[tlv(TLVType.CRC32C, b"abc")]), rules.CRC32C),
        (CHECK_WITH_CRC[:-1] + b"\x8e", rules.CRC32C),
        (v2(tlvs=[tlv(TLVType.UNIQUE_ID, "u" * 129)]), rules.UNIQUE_ID),
        (v2(tlvs=[tlv(0x06, "x")]), rules.TLV_TYPE),
        (v2(tlvs=[tlv(TLVType.SSL, b"abc")]), rules.SSL_CLIENT),
        (v2(tlvs=[ssl(SSLClient.SSL | SSLClient.CERT_CONN, 0)]), rules.SSL_VERSION),
        (v2(tlvs=[ssl(SSLClient(0), 0)]), rules.SSL_VERIFY),
        (v2(tlvs=[ssl(SSLClient(0), 1, [b"\x21\x00"])]), rules.TLV_FORM),
        (v2(tlvs=[tlv(0xE0, "x" * 600)]), rules.SIZE),
    ],
)
def test_a_header_against_a_rule(data: bytes, rule: rules.Rule) -> None:
    assert broken(data) == [rule.id]


def test_every_rule_has_a_name_of_its_own_and_a_section() -> None:
    assert len({rule.id for rule in RULES}) == len(RULES)
    assert all(rule.section == "setting" or rule.section[0] == "2" for rule in RULES)


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", Extent(Standing.WAITING)),
        (b"PRO", Extent(Standing.WAITING)),
        (b"PROXY TCP4", Extent(Standing.WAITING)),
        (b"PROXY\r\n", Extent(Standing.NONE)),
        (b"EHLO x\r\n", Extent(Standing.NONE)),
        (b"\r\n\r\nX", Extent(Standing.NONE)),
        (b"PROXY " + b"x" * 2000, Extent(Standing.NONE)),
        (v2()[:15], Extent(Standing.WAITING)),
        (v2()[:20], Extent(Standing.WAITING, 28)),
        (v2() + b"EHLO", Extent(Standing.WHOLE, 28)),
        (unknown() + b"EHLO", Extent(Standing.WHOLE, 15)),
    ],
)
def test_how_far_a_header_reaches(data: bytes, expected: Extent) -> None:
    assert extent(data) == expected


def test_reading_what_is_not_whole_is_refused() -> None:
    with pytest.raises(ValueError, match="no whole header"):
        read_header(v2()[:20])


def test_headers_are_found_within_a_stream() -> None:
    assert find_header(b"EHLO x\r\n" + v2()) == 8
    assert find_header(b"EHLO x\r\n" + v1()) == 8
    assert find_header(b"MAIL FROM:<PROXY TCP4 x@example.org>\r\n") is None
    assert find_header(b"PROXYING\r\n") is None


def test_what_a_peer_says_is_quoted_and_short() -> None:
    assert quoted(b"a\r\n\x1b[31m\xff") == r"'a\r\n\x1b[31m\xff'"
    assert len(quoted(b"\0" * 10_000)) < 300


@given(st.binary(max_size=300))
def test_any_bytes_have_an_extent_and_whole_ones_are_read(data: bytes) -> None:
    for piece in (data, b"PROXY " + data, v2()[:12] + data, v2(tlvs=[data])):
        found = extent(piece)
        if found.standing is Standing.WHOLE:
            header = read_header(piece)
            assert header.size == found.size
            assert str(header).isprintable()
            assert all(finding.words.isprintable() for finding in header.findings)


@given(st.ip_addresses(), st.ip_addresses(), st.integers(0, 65535), st.integers(0, 65535))
def test_sound_headers_are_read_back(
    src: IPv4Address | IPv6Address, dst: IPv4Address | IPv6Address, sport: int, dport: int
) -> None:
    other = dst if dst.version == src.version else src
    for data in (v1(str(src), str(other), sport, dport), v2(str(src), str(other), sport, dport, tlvs=[crc32c()])):
        header = read_header(data + b"payload")
        assert header.findings == ()
        assert (header.src, header.dst) == (View(str(src), sport), View(str(other), dport))


@given(st.binary(min_size=0, max_size=40), st.integers(0, 2**32 - 1))
def test_a_checksum_is_right_or_reported(value: bytes, checksum: int) -> None:
    right = v2(tlvs=[tlv(0xE0, value), crc32c()])
    assert broken(right) == []
    guessed = v2(tlvs=[tlv(0xE0, value), crc32c(checksum)])
    assert broken(guessed) == ([] if guessed == right else [rules.CRC32C.id])


def test_local_without_anything() -> None:
    assert broken(local()) == []
