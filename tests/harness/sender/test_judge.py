"""Arrivals judged: every fault a sender can have is told, under its rule, and a sound one passes."""

from __future__ import annotations

from dataclasses import replace
from ipaddress import ip_network

import pytest

from proxyspec.layers.authoring import crc32c, local, ssl, tlv, unknown, v1, v2
from proxyspec.layers.tlv import SSLClient, SSLType, TLVType
from proxyspec.model import Ending, Verdict, View
from proxyspec.sender import rules
from proxyspec.sender.arrival import Arrival, Look
from proxyspec.sender.expectation import (
    Among,
    At,
    Concession,
    Expectation,
    Fact,
    Facts,
    Place,
    Role,
    SslWanted,
    TlvWanted,
)
from proxyspec.sender.judge import Judged, judge

PEER, HERE = View("127.0.0.1", 40001), View("127.0.0.1", 2525)
CLIENT, FRONT = View("192.0.2.1", 1111), View("192.0.2.2", 25)
V1, V2 = Expectation(version=1), Expectation(version=2)
CHECK = Expectation(version=2, role=Role.CHECK, src=Place.PEER, dst=Place.HERE)
UNTOLD = Expectation(version=None, role=Role.UNTOLD, src=Place.ANY, dst=Place.ANY, exact=False)
FACTS = Facts(CLIENT, FRONT, {Fact.SNI: b"mx.example", Fact.TLS_VERSION: b"TLSv1.3"})
EHLO = b"EHLO client.example\r\n"


def arrival(*pieces: bytes, segments: int | None = 1, gave_up: float | None = None) -> Arrival:
    looks = tuple(Look(0.001 * n, piece, segments if n == 0 else None) for n, piece in enumerate(pieces))
    return Arrival(PEER, HERE, looks, Ending.FIN, gave_up)


def told(judged: Judged) -> list[str]:
    return [finding.rule.id for finding in judged.findings]


def judged(*pieces: bytes, wanted: Expectation = V2, facts: Facts = FACTS, segments: int | None = 1) -> Judged:
    return judge(arrival(*pieces, segments=segments), wanted, facts)


def fails(found: Judged, rule: rules.Rule) -> None:
    assert (found.verdict, told(found)) == (Verdict.FAIL, [rule.id])


@pytest.mark.parametrize(("header", "wanted"), [(v1(), V1), (v2(), V2), (v1(), UNTOLD), (local(), CHECK)])
def test_what_is_promised_passes(header: bytes, wanted: Expectation) -> None:
    found = judged(header, EHLO, wanted=wanted)
    assert (found.verdict, found.findings) == (Verdict.PASS, ())
    assert found.reason.startswith("as declared: ")


def test_a_mapped_end_is_the_end_it_maps() -> None:
    mixed = v2("2001:db8::7", "::ffff:192.0.2.2")
    wanted = replace(V2, src=At("2001:db8::7", Place.CLIENT))
    assert judged(mixed, wanted=wanted).verdict is Verdict.PASS
    fails(judged(v2("2001:db8::7", "::ffff:192.0.2.3"), wanted=wanted), rules.ADDRESSES)


# Presence and delivery


def test_no_header_at_all() -> None:
    found = judged(EHLO)
    fails(found, rules.HEADER)
    assert "EHLO client.example" in found.reason


def test_silence_until_the_greeting() -> None:
    silent = Arrival(PEER, HERE, (), Ending.OPEN, gave_up=5.0)
    fails(judge(silent, V2, FACTS), rules.HEADER)
    # Our greeting went out, and the client spoke.
    spoken = replace(silent, looks=(Look(5.1, EHLO),))
    fails(judge(spoken, V2, FACTS), rules.HEADER)


def test_a_connection_without_a_byte_proves_nothing() -> None:
    found = judge(Arrival(PEER, HERE, (), Ending.RST), V2, FACTS)
    assert (found.verdict, found.reason) == (
        Verdict.INFO,
        "nothing to judge: the connection was reset before a byte came",
    )


@pytest.mark.parametrize(("data", "words"), [(v2()[:20], "20 of 28 bytes"), (v1()[:9], "9 bytes")])
def test_a_header_cut_short(data: bytes, words: str) -> None:
    found = judged(data)
    fails(found, rules.HEADER)
    assert words in found.reason


@pytest.mark.parametrize("header", [v1(), v2()])
def test_payload_in_front_of_the_header(header: bytes) -> None:
    found = judged(EHLO + header)
    fails(found, rules.FIRST)
    assert found.reason.startswith(f"{len(EHLO)} bytes in front")


@pytest.mark.parametrize("second", [v1(), v2(), local()])
@pytest.mark.parametrize("between", [b"", EHLO])
def test_a_second_header(second: bytes, between: bytes) -> None:
    fails(judged(v2(), between + second), rules.ONCE)
    fails(judged(v2() + between + second), rules.ONCE)


def test_a_split_header() -> None:
    found = judged(v2()[:16], v2()[16:], EHLO)
    fails(found, rules.WHOLE)
    assert found.reason == "the first segment has 16 of the header's 28 bytes"


def test_a_header_split_and_joined_again_by_the_kernel() -> None:
    fails(judged(v2(), segments=2), rules.WHOLE)


@pytest.mark.parametrize("segments", [None, 1])
def test_segments_that_say_nothing_against_it(segments: int | None) -> None:
    assert judged(v2(), segments=segments).verdict is Verdict.PASS


def test_payload_in_the_first_look_leaves_open_which_segment_was_which() -> None:
    assert judged(v2() + EHLO, segments=2).verdict is Verdict.PASS


# Version, role, addresses


def test_the_wrong_version() -> None:
    fails(judged(v1(), wanted=V2), rules.VERSION)
    fails(judged(v2(), wanted=V1), rules.VERSION)


def test_a_header_nobody_asked_for() -> None:
    nothing = Expectation(version=0)
    fails(judged(v1(), wanted=nothing), rules.UNASKED)
    assert judged(EHLO, wanted=nothing).verdict is Verdict.PASS
    fails(judged(EHLO + v1(), wanted=nothing), rules.FIRST)


@pytest.mark.parametrize(
    "header",
    [
        v2(sport=1112),
        v2(dport=26),
        v2("192.0.2.3"),
        v2(dst="192.0.2.3"),
        v2("2001:db8::1"),
        v2("/run/client.sock"),
        v2(family=0x00, address=b""),
    ],
)
def test_wrong_ends(header: bytes) -> None:
    assert rules.ADDRESSES.id in told(judged(header))
    assert judged(header).verdict is Verdict.FAIL


def test_a_wrong_port_is_named_beside_the_right_one() -> None:
    assert judged(v1(sport=1112), wanted=V1).reason == "the source is 192.0.2.1 1112, and it should be 192.0.2.1 1111"


def test_ends_where_none_can_be_told() -> None:
    wanted = replace(V1, src=Place.NOWHERE, dst=Place.NOWHERE)
    assert judged(unknown(), wanted=wanted).verdict is Verdict.PASS
    assert set(told(judged(v1(), wanted=wanted))) == {rules.ADDRESSES.id}


def test_clients_of_a_range() -> None:
    wanted = replace(UNTOLD, src=Among((ip_network("192.0.2.0/30"),)))
    assert judged(v2(), wanted=wanted).verdict is Verdict.PASS
    fails(judged(v2("192.0.2.9"), wanted=wanted), rules.ADDRESSES)


def test_a_client_announced_as_local() -> None:
    fails(judged(local()), rules.CLIENT_PROXY)


def test_a_check_announced_as_a_client() -> None:
    own = v2(PEER.address, HERE.address, PEER.port or 0, HERE.port or 0)
    fails(judged(own, wanted=CHECK), rules.CHECK_LOCAL)
    # Nobody said that it is a check, but its ends give it away.
    fails(judged(own, wanted=UNTOLD), rules.CHECK_LOCAL)
    assert judged(v2(), wanted=UNTOLD).verdict is Verdict.PASS


def test_a_check_of_version_1_tells_its_own_ends() -> None:
    wanted = replace(CHECK, version=1)
    line = v1(PEER.address, HERE.address, PEER.port or 0, HERE.port or 0)
    assert judged(line, wanted=wanted).verdict is Verdict.PASS
    assert judged(line, wanted=replace(UNTOLD, src=Among((ip_network("192.0.2.0/24"),)))).verdict is Verdict.PASS
    assert set(told(judged(v1(), wanted=wanted))) == {rules.ADDRESSES.id}


# TLVs


def test_a_tlv_that_is_not_there() -> None:
    found = judged(v2(), wanted=replace(V2, tlvs=(TlvWanted(TLVType.CRC32C),)))
    fails(found, rules.TLV_DECLARED)
    assert found.reason == "CRC32C is not there"


def test_a_tlv_with_another_value() -> None:
    wanted = replace(V2, tlvs=(TlvWanted(TLVType.AUTHORITY, Fact.SNI),))
    assert judged(v2(tlvs=[tlv(TLVType.AUTHORITY, "mx.example")]), wanted=wanted).verdict is Verdict.PASS
    found = judged(v2(tlvs=[tlv(TLVType.AUTHORITY, "other\r\n")]), wanted=wanted)
    fails(found, rules.TLV_DECLARED)
    assert found.reason == r"AUTHORITY is 'other\r\n', and it should be 'mx.example'"


def test_a_tlv_nobody_asked_for() -> None:
    header = v2(tlvs=[tlv(0xE0, "x"), tlv(0xE0, "y")])
    found = judged(header)
    fails(found, rules.TLV_UNASKED)
    assert "2 times" in found.reason
    assert judged(header, wanted=replace(V2, exact=False)).verdict is Verdict.PASS


def test_a_wrong_checksum() -> None:
    fails(judged(v2(tlvs=[crc32c(1)]), wanted=replace(V2, tlvs=(TlvWanted(TLVType.CRC32C),))), rules.CRC32C)


def test_a_check_of_unknown_origin_has_no_tlvs_of_a_session() -> None:
    wanted = replace(UNTOLD, tlvs=(TlvWanted(TLVType.AUTHORITY), TlvWanted(TLVType.CRC32C)))
    assert judged(local([crc32c()]), wanted=wanted).verdict is Verdict.PASS
    fails(judged(local(), wanted=wanted), rules.TLV_DECLARED)
    fails(judged(v2(tlvs=[crc32c()]), wanted=wanted), rules.TLV_DECLARED)


def _ssl(client: SSLClient, verify: int, version: str = "TLSv1.3") -> bytes:
    return v2(tlvs=[ssl(client, verify, [tlv(SSLType.VERSION, version)])])


def test_what_the_ssl_tlv_says() -> None:
    came = replace(V2, ssl=SslWanted(SSLClient.SSL, (TlvWanted(SSLType.VERSION, Fact.TLS_VERSION),)))
    assert judged(_ssl(SSLClient.SSL, 1), wanted=came).verdict is Verdict.PASS
    fails(judged(_ssl(SSLClient.SSL, 1, "TLSv1.2"), wanted=came), rules.TLV_DECLARED)
    fails(judged(_ssl(SSLClient.SSL | SSLClient.CERT_CONN, 1), wanted=came), rules.SSL_CLIENT)
    fails(judged(v2(), wanted=came), rules.TLV_DECLARED)
    certified = replace(V2, ssl=SslWanted(SSLClient.SSL | SSLClient.CERT_CONN, (TlvWanted(SSLType.VERSION),)))
    assert judged(_ssl(SSLClient.SSL | SSLClient.CERT_CONN, 0), wanted=certified).verdict is Verdict.PASS
    fails(judged(_ssl(SSLClient.SSL | SSLClient.CERT_CONN, 1), wanted=certified), rules.SSL_VERIFY)


def test_a_verification_without_a_certificate_is_a_warning() -> None:
    came = replace(V2, ssl=SslWanted(SSLClient.SSL, (TlvWanted(SSLType.VERSION),)))
    found = judged(_ssl(SSLClient.SSL, 0), wanted=came)
    assert (found.verdict, told(found)) == (Verdict.WARN, [rules.SSL_VERIFY.id])


# Weighing


def test_a_concession_turns_a_failure_into_a_warning_and_covers_nothing_else() -> None:
    wanted = replace(V2, concessions=(Concession(rules.CLIENT_PROXY, "issue 1"),))
    found = judged(local(), wanted=wanted)
    assert (found.verdict, told(found)) == (Verdict.WARN, [rules.CLIENT_PROXY.id])
    assert found.reason.endswith("(known: issue 1)")
    assert judged(local([tlv(0xE0, "x")]), wanted=wanted).verdict is Verdict.FAIL
    assert judged(v2(), wanted=wanted).verdict is Verdict.PASS


def test_the_gravest_finding_is_the_reason() -> None:
    found = judged(v2(sport=5, tlvs=[tlv(0x06, "x")]), wanted=replace(V2, exact=False))
    assert (found.verdict, found.reason) == (
        Verdict.FAIL,
        "the source is 192.0.2.1 5, and it should be 192.0.2.1 1111",
    )
    assert set(told(found)) == {rules.ADDRESSES.id, rules.TLV_TYPE.id}


@pytest.mark.parametrize(
    ("wanted", "words"),
    [
        (Expectation(version=0), "no header"),
        (V1, "v1 from the client to what it called"),
        (CHECK, "v2 LOCAL"),
        (replace(V1, src=Place.NOWHERE, dst=Place.NOWHERE), "v1 without addresses"),
        (
            replace(UNTOLD, src=Among((ip_network("192.0.2.0/30"),))),
            "any version from 192.0.2.0/30 to any",
        ),
        (
            replace(
                V2, tlvs=(TlvWanted(TLVType.AUTHORITY, Fact.SNI), TlvWanted(0xE0, b"x")), ssl=SslWanted(SSLClient(0))
            ),
            "v2 PROXY from the client to what it called "
            "AUTHORITY (the host name it asked for) CUSTOM_E0 ('x') SSL (no TLS)",
        ),
    ],
)
def test_an_expectation_in_words(wanted: Expectation, words: str) -> None:
    assert str(wanted) == words
