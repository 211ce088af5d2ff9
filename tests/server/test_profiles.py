"""Profiles are data, the page about them is what running servers do, and each keeps the rules it may not break."""

import asyncio
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from proxyspec_server.behaviour import page
from proxyspec_server.connection import Action, Connection, Service, State, Write
from proxyspec_server.ending import Ending
from proxyspec_server.profile import STRICT, Profile
from proxyspec_server.profiles import HARAKA, LENIENT, PROFILES
from proxyspec_server.proxy import (
    SIGNATURE,
    Choices,
    Endpoint,
    Freedom,
    Header,
    HeaderParser,
    Malformed,
    NeedMore,
    Readers,
    Reading,
    Rule,
    V1Reader,
)
from proxyspec_server.trust import TrustList

PAGE = Path(__file__).parents[2] / "docs" / "profiles.md"
PROXY = Endpoint("198.51.100.1", 40000)
LOCAL = Endpoint("198.51.100.9", 25)
L4 = b"PROXY TCP4 192.0.2.1 192.0.2.2 1111 25\r\n"
A4 = bytes.fromhex("c0000201 c0000202 0457 0019")


def v2(body: bytes, *, command: int = 0x21, family: int = 0x11) -> bytes:
    return SIGNATURE + bytes([command, family]) + len(body).to_bytes(2, "big") + body


def connection(profile: Profile) -> Connection:
    service = Service(name="mx.test", trust=TrustList.parse("198.51.100.1", "test"), profile=profile)
    core = Connection(service, "c1", PROXY, LOCAL)
    core.connected()
    return core


def written(actions: list[Action]) -> bytes:
    return b"".join(action.data for action in actions if isinstance(action, Write))


def parser(profile: Profile) -> HeaderParser:
    return profile.header_parser(profile.versions, profile.limits.header_size)


def test_the_page_is_what_the_servers_do() -> None:
    regenerate = "python -m proxyspec_server.behaviour > docs/profiles.md"
    assert asyncio.run(page()) == PAGE.read_text(encoding="utf-8"), f"regenerate it: {regenerate}"


def test_profiles_are_listed_by_name_with_the_default_first() -> None:
    assert list(PROFILES) == ["strict", "lenient", "haraka"]
    assert all(name == profile.name for name, profile in PROFILES.items())
    assert all(profile.summary.endswith(".") for profile in PROFILES.values())


def test_the_strict_profile_reads_with_the_plain_parser() -> None:
    assert STRICT.header_parser is HeaderParser
    assert replace(STRICT, name="other").header_parser is HeaderParser


def test_choices_reach_the_readers_of_every_copy() -> None:
    copy = replace(LENIENT, name="copy")
    assert copy.header_parser is not HeaderParser
    assert copy.header_parser.v2.tlv_reader.choices == LENIENT.choices


def test_another_reader_takes_the_place_of_the_sound_one() -> None:
    class Deaf(V1Reader):
        def common_line(self, data: bytes | bytearray) -> None:
            return None

        def line(self, line: bytes, size: int) -> Header:
            return self.unknown(size)

    profile = replace(STRICT, readers=Readers(v1=Deaf))
    verdict = parser(profile).feed(L4)
    assert isinstance(verdict, Header)
    assert verdict.source is None


@pytest.mark.parametrize(
    ("freedom", "header"),
    [
        (Freedom.STRAY_BYTES, v2(A4 + b"\x04\x00")),
        (Freedom.STRAY_BYTES, v2(A4 + b"\x04\x00\x09abc")),
        (Freedom.LONG_UNIQUE_ID, v2(A4 + b"\x05\x00\x81" + b"u" * 129)),
        (Freedom.BROKEN_SSL, v2(A4 + b"\x20\x00\x00")),
        (Freedom.BROKEN_SSL, v2(A4 + b"\x20\x00\x08\x01\x00\x00\x00\x00\x21\x00\x01")),
        (
            Freedom.SECOND_CRC32C,
            v2(A4 + b"\x03\x00\x04" + bytes.fromhex("b641b8d9") + b"\x03\x00\x04\x00\x00\x00\x00"),
        ),
    ],
)
def test_each_freedom_passes_over_its_own_oddity_and_no_other(freedom: Freedom, header: bytes) -> None:
    for taken in Freedom:
        profile = replace(STRICT, choices=Choices(passed_over=frozenset({taken})))
        verdict = parser(profile).feed(header)
        assert isinstance(verdict, Header if taken is freedom else Malformed)
        if isinstance(verdict, Header):
            assert verdict.source == ("192.0.2.1", 1111)
            assert verdict.size == len(header)
            assert verdict.ssl is None


@pytest.mark.parametrize(
    "header",
    [
        v2(A4 + b"\x03\x00\x04abcd"),
        v2(A4 + b"\x03\x00\x03abc"),
        v2(A4[:11]),
        v2(A4, family=0x13),
        v2(A4, command=0x22),
        v2(A4, command=0x31),
        L4.replace(b"\r", b""),
        L4.lower(),
        b"PROXY UNKNOWN ".ljust(106, b"A") + b"\r\n",
    ],
)
def test_lenient_breaks_no_rule(header: bytes) -> None:
    assert isinstance(parser(LENIENT).feed(header), Malformed)


def test_stray_bytes_are_no_tlvs() -> None:
    verdict = parser(LENIENT).feed(v2(A4 + b"\x04\x00\x01x\x05\x00\x09abc"))
    assert isinstance(verdict, Header)
    assert [(tlv.kind, tlv.value) for tlv in verdict.tlvs] == [(4, b"x")]


def test_haraka_waits_for_the_deadline_with_what_is_no_proxy_line() -> None:
    core = connection(HARAKA)
    assert written(core.received(b"EHLO x\r\n")) == b""
    assert core.state is State.AWAIT_HEADER
    assert core.received(L4) == []
    assert written(core.header_deadline()) == b"421 PROXY timeout\r\n"
    assert core.ending is Ending.HEADER_DEADLINE


@pytest.mark.parametrize(
    ("line", "reply"),
    [
        (b"PROXY UNKNOWN\r\n", b"421 Invalid PROXY format\r\n"),
        (b"PROXY UNKNOWN 192.0.2.1 192.0.2.2 1111 25\r\n", b"421 Invalid PROXY format\r\n"),
        (b"PROXY UNKNOWN".ljust(510, b"A") + b"\r\n", b"421 Invalid PROXY format\r\n"),
        (b"PROXY UNKNOWN".ljust(512, b"A"), b"521 Command line too long\r\n"),
    ],
)
def test_haraka_refuses_in_its_own_words(line: bytes, reply: bytes) -> None:
    core = connection(HARAKA)
    assert written(core.received(line[:13])) == b""
    assert written(core.received(line[13:])) == reply
    assert core.ending is Ending.HEADER_MALFORMED


def test_haraka_shows_the_address_without_a_tag() -> None:
    core = connection(HARAKA)
    greeting = written(core.received(b"PROXY TCP6 2001:db8::1 2001:db8::2 1 25\r\nEHLO x\r\n"))
    assert b"250-mx.test Hello unknown [2001:db8::1], Haraka is at your service.\r\n" in greeting
    assert core._session is not None
    assert "Received: from x (unknown [2001:db8::1])\r\n" in core._session.received_field("1")


def test_unknown_is_refused_where_that_is_the_choice() -> None:
    profile = replace(STRICT, choices=Choices(unknown=Reading.REFUSED))
    verdict = parser(profile).feed(b"PROXY UNKNOWN\r\n")
    assert isinstance(verdict, Malformed)
    assert verdict.rule is Rule.V1_PROTOCOL


def read(profile: Profile, pieces: list[bytes]) -> tuple[Header | Malformed | None, bytes]:
    reading = parser(profile)
    for number, piece in enumerate(pieces):
        verdict = reading.feed(piece)
        if not isinstance(verdict, NeedMore):
            return verdict, (reading.rest + b"".join(pieces[number + 1 :]) if isinstance(verdict, Header) else b"")
    return None, b""


nearly_headers = st.one_of(
    st.text("PROXYTCP46UNKWN 0123456789.:abf\r\n", max_size=120).map(lambda tail: b"PROXY TCP4 " + tail.encode()),
    st.text("\r\n U", max_size=700).map(lambda tail: b"PROXY UNKNOWN" + tail.encode()),
    st.binary(max_size=60).map(lambda tail: v2(A4 + tail)),
    st.binary(max_size=40),
)


@pytest.mark.parametrize("profile", [LENIENT, HARAKA], ids=lambda profile: profile.name)
@given(data=nearly_headers, cuts=st.lists(st.integers(0, 700), max_size=4))
@example(data=L4 + b"EHLO x\r\n", cuts=[39])
@example(data=b"PROXY TCP4 x\ny\r\n", cuts=[13])
@example(data=v2(A4 + b"\x04\x00") + b"EHLO x\r\n", cuts=[29])
def test_any_split_gives_the_same(profile: Profile, data: bytes, cuts: list[int]) -> None:
    bounds = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    pieces = [data[a:b] for a, b in pairwise(bounds) if b > a]
    assert read(profile, pieces) == read(profile, [data] if data else [])
