"""What the text says of bytes: literal frames, the whole catalogue, and the reference server's parser beside it."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from proxyspec.fuzz.frames import frame
from proxyspec.fuzz.rules import Class, Expectation, classify
from proxyspec.fuzz.trials import case_of
from proxyspec.layers.authoring import crc32c, local, noop, ssl, tlv, unknown, v1, v2
from proxyspec.model import Case, OutcomeKind, Send, Source, Via
from proxyspec_scenarios import catalogue
from proxyspec_server.proxy import Header, HeaderParser

from ..layers.strategies import ANYTHING

BOTH = frozenset({1, 2})
CHECKED = v2(tlvs=[crc32c()])
BROKEN = CHECKED[:-1] + bytes([CHECKED[-1] ^ 1])


def verdict(data: bytes, versions: frozenset[int] = BOTH) -> Class:
    return classify(data, versions).verdict


@pytest.mark.parametrize(
    ("data", "address"),
    [
        (b"PROXY TCP4 192.0.2.1 192.0.2.2 1111 25\r\n", "192.0.2.1"),
        (b"PROXY TCP4 192.0.2.1 192.0.2.2 0 65535\r\n", "192.0.2.1"),
        (b"PROXY TCP6 2001:DB8::A 2001:db8::2 1111 25\r\n", "2001:db8::a"),
        (b"PROXY TCP6 2001:0db8:0:0:0:0:0:1 2001:db8::2 1111 25\r\n", "2001:db8::1"),
        (b"PROXY TCP6 1:2:3:4:5:6:7:: 2001:db8::2 1111 25\r\n", "1:2:3:4:5:6:7:0"),
        (v2(), "192.0.2.1"),
        (v2("2001:db8::1"), "2001:db8::1"),
        (v2("1.2.3.4", "5.6.7.8", 2320, 4370), "1.2.3.4"),
        (CHECKED, "192.0.2.1"),
        (v2(tlvs=[noop(505)]), "192.0.2.1"),
        (v2(tlvs=[noop(), noop(), tlv(0xE0, b"x"), ssl(tlvs=[tlv(0x21, "TLSv1.3")])]), "192.0.2.1"),
    ],
)
def test_what_must_be_served_with_its_address(data: bytes, address: str) -> None:
    found = classify(data, BOTH)
    assert found.verdict is Class.ACCEPT
    assert found.addresses == (address,)
    assert not found.real


@pytest.mark.parametrize("data", [local(), local([noop(3)]), local([crc32c()]), v2(command=0)])
def test_what_must_be_served_as_the_peer(data: bytes) -> None:
    found = classify(data, BOTH)
    assert found.verdict is Class.ACCEPT
    assert found.real
    assert not found.addresses


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "no header"),
        (b"EHLO x\r\n", "no header"),
        (b"PROXY", "no CRLF"),
        (b"PROXX TCP4", "does not begin with PROXY"),
        (b"PROXY\r\n", "one space and a protocol"),
        (b"PROXY TCP4 192.0.2.1 192.0.2.2 1111 25\n", "no CRLF"),
        (b"PROXY TCP4 192.0.2.1 192.0.2.2 1111 25\nX\r\n", "CR or LF of its own"),
        (b"PROXY TCP4  192.0.2.1 192.0.2.2 1111 25\r\n", "six words"),
        (b"PROXY TCP4 192.0.2.1 192.0.2.2 1111 25 \r\n", "six words"),
        (v1(protocol="TCP5"), "none of TCP4"),
        (v1(sport="01111"), "leading zero"),
        (v1(sport=""), "six words"),
        (v1(sport="", sep4=" "), "is empty"),
        (v1(dport=65536), "above 65535"),
        (v1(dport="9" * 5000), "above 65535"),
        (v1(dport="\u0662\u0665"), "digits alone"),
        (v1(dport="-1"), "digits alone"),
        (v1("192.0.2.01"), "leading zero"),
        (v1("192.0.2.256"), "above 255"),
        (v1("192.0.2"), "four numbers"),
        (v1("2001:db8::1", protocol="TCP4"), "four numbers"),
        (v1(protocol="TCP6"), "no IPv6 address"),
        (v1("2001:db8::1%eth0", protocol="TCP6"), "no IPv6 address"),
        (v1("2001::db8::1", protocol="TCP6"), "no IPv6 address"),
        (v1("1:2:3:4:5:6:7:8:9", protocol="TCP6"), "no IPv6 address"),
        (v1(":::", protocol="TCP6"), "no IPv6 address"),
        (v1("::ffff:192.0.2.01", protocol="TCP6"), "no IPv6 address"),
        (b"PROXY UNKNOWNX\r\n", "only begins like UNKNOWN"),
        (b"\r\n\r\n\0\r\nQUIX\n" + v2()[12:], "signature"),
        (v2()[:12], "16 fixed bytes"),
        (v2(version=3), "not 2"),
        (v2()[:12] + b"\x31", "not 2"),
        (v2(command=2), "neither LOCAL nor PROXY"),
        (v2(family=0x13), "undefined"),
        (v2(family=0x41), "undefined"),
        (v2(length=11), "too small"),
        (v2(length=13), "ends before"),
        (v2()[:-1], "ends before"),
        (v2("2001:db8::1", length=35), "too small"),
        (local()[:-1], "16 fixed bytes"),
        (BROKEN, "CRC32C is wrong"),
        (v2(tlvs=[crc32c(0)]), "CRC32C is wrong"),
    ],
)
def test_what_must_be_refused_and_why(data: bytes, reason: str) -> None:
    found = classify(data, BOTH)
    assert found.verdict is Class.REJECT
    assert reason in found.reason


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (unknown(" foo"), "UNKNOWN"),
        (b"PROXY UNKNOWN a\nb\r\n", "CR or LF"),
        (unknown(" " + "A" * 92), "107 bytes"),
        (v1("0.0.0.0"), "no remote client"),
        (v1("::192.0.2.1", protocol="TCP6"), "does not settle"),
        (v1("1:2:3:4:5:6:7:8::", protocol="TCP6"), "does not settle"),
        (v1("1::0:2", protocol="TCP6"), "does not settle"),
        (v2(family=0x00), "not TCP"),
        (v2(family=0x12), "not TCP"),
        (v2(family=0x12, address=b""), "not TCP"),
        (v2(family=0x31, address=b"/x"), "not TCP"),
        (v2(family=0x10), "not TCP"),
        (v2(command=0, family=0x13), "undefined family"),
        (v2(command=0, tlvs=[crc32c()]), "may be read as a checksum"),
        (v2(tlvs=[noop(506)]), "536 bytes"),
        (v2(tlvs=[tlv(4, b"abc", 4)]), "do not add up"),
        (v2(tlvs=[b"\x04"]), "do not add up"),
        (v2(tlvs=[crc32c(), crc32c()]), "does not settle"),
        (v2(tlvs=[tlv(3, b"abc")]), "does not settle"),
        (v2(tlvs=[tlv(5, b"u" * 129)]), "longer"),
        (v2(tlvs=[tlv(2, b"a"), tlv(2, b"b")]), "twice"),
        (v2(tlvs=[tlv(0x20, b"abc")]), "SSL TLV that does not add up"),
        (v2(tlvs=[tlv(2, b"\xff")]), "UTF-8"),
        (v2(tlvs=[tlv(2, b"\r\n")]), "control characters"),
        (v1() + b"EHLO x\r\n", "payload"),
        (v2() + b"\r\n", "payload"),
    ],
)
def test_what_the_text_leaves_open_and_why(data: bytes, reason: str) -> None:
    found = classify(data, BOTH)
    assert found.verdict is Class.EITHER
    assert reason in found.reason


def test_a_version_that_is_not_spoken_is_refused() -> None:
    assert verdict(v1(), frozenset({2})) is Class.REJECT
    assert verdict(v2(), frozenset({1})) is Class.REJECT
    assert verdict(v1(), frozenset({1})) is Class.ACCEPT


def test_a_checksum_does_not_count_where_none_is_supported() -> None:
    assert classify(BROKEN, BOTH, checksums=False).verdict is Class.ACCEPT
    assert classify(local([crc32c(0)]), BOTH, checksums=False).verdict is Class.ACCEPT


def test_a_wrong_checksum_of_local_is_open_since_the_text_says_both() -> None:
    found = classify(local([crc32c(0)]), BOTH)
    assert found.verdict is Class.EITHER
    assert found.real
    assert not found.addresses


def one_segment(case: Case) -> bool:
    plain = len(case.steps) == 1 and isinstance(case.steps[0], Send)
    return plain and case.source is Source.TRUSTED and case.via is Via.DIRECT and case.versions <= BOTH


def conforming(case: Case) -> set[tuple[OutcomeKind, str | None]]:
    return {(accept.kind, str(accept.address) if accept.address is not None else None) for accept in case.accept}


@pytest.mark.parametrize("case", [pytest.param(case, id=case.id) for case in catalogue().cases if one_segment(case)])
def test_the_rules_never_contradict_the_catalogue(case: Case) -> None:
    """Written apart, both leave a conformant receiver at least one way to satisfy them."""
    mine = conforming(case_of("x", case.header, classify(case.header, BOTH)))
    theirs = conforming(case)
    anybody = {OutcomeKind.ACCEPTED_REAL, OutcomeKind.ACCEPTED_PROXIED}
    shared = {kind for kind, _ in mine} & {kind for kind, address in theirs if address is None or kind not in anybody}
    assert mine & theirs or shared


def server_agrees(data: bytes, found: Expectation) -> bool:
    header = HeaderParser().feed(data)
    if not isinstance(header, Header):
        return found.refused
    if header.source is None:
        return found.real
    return str(ipaddress.ip_address(header.source.host)) in found.addresses


@settings(max_examples=300)
@given(ANYTHING)
def test_the_reference_server_conforms_on_anything(data: bytes) -> None:
    assert server_agrees(data, classify(data, BOTH))


@settings(max_examples=300)
@given(st.integers(0, 1 << 40))
def test_the_reference_server_conforms_on_frames(index: int) -> None:
    data = frame("rules", index, BOTH).data
    assert server_agrees(data, classify(data, BOTH))


@given(ANYTHING, st.binary(min_size=1, max_size=20))
def test_payload_never_makes_an_address_of_its_own(data: bytes, payload: bytes) -> None:
    alone = classify(data, BOTH)
    if alone.verdict is Class.ACCEPT:
        beside = classify(data + payload, BOTH)
        assert beside.addresses == alone.addresses
        assert beside.real == alone.real
        assert beside.payload


@given(ANYTHING)
def test_a_header_that_must_be_served_is_no_header_without_its_last_byte(data: bytes) -> None:
    if data and verdict(data) is Class.ACCEPT:
        assert verdict(data[:-1]) is Class.REJECT
