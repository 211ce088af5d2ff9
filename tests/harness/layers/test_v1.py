"""ProxyV1: every part can be forced, every line can be read, no byte is lost."""

from typing import Any

import pytest
from hypothesis import given
from scapy.packet import Packet, Raw

from proxyspec.layers import ProxyV1

from .strategies import ANYTHING, UNHURRIED, line


@pytest.mark.parametrize(
    ("parts", "expected"),
    [
        ({}, b"PROXY TCP4 192.0.2.1 192.0.2.2 1111 25\r\n"),
        ({"protocol": "TCP6"}, b"PROXY TCP6 2001:db8::1 2001:db8::2 1111 25\r\n"),
        ({"protocol": "UNKNOWN"}, b"PROXY UNKNOWN\r\n"),
        ({"protocol": "UNKNOWN", "rest": b" \0\xff"}, b"PROXY UNKNOWN \0\xff\r\n"),
        ({"protocol": "TCP5"}, b"PROXY TCP5\r\n"),
        ({"prefix": "PROXX"}, b"PROXX TCP4 192.0.2.1 192.0.2.2 1111 25\r\n"),
        ({"sport": "01111", "dport": "0x10"}, b"PROXY TCP4 192.0.2.1 192.0.2.2 01111 0x10\r\n"),
        ({"sport": 0, "dport": 65536}, b"PROXY TCP4 192.0.2.1 192.0.2.2 0 65536\r\n"),
        ({"sport": -1}, b"PROXY TCP4 192.0.2.1 192.0.2.2 -1 25\r\n"),
        ({"src": b"\xff", "dst": "..."}, b"PROXY TCP4 \xff ... 1111 25\r\n"),
        ({"dport": ""}, b"PROXY TCP4 192.0.2.1 192.0.2.2 1111\r\n"),
        ({"sport": "", "dport": ""}, b"PROXY TCP4 192.0.2.1 192.0.2.2\r\n"),
        ({"sport": "", "dport": "", "sep4": " ", "sep5": " "}, b"PROXY TCP4 192.0.2.1 192.0.2.2  \r\n"),
        ({"sep1": ""}, b"PROXYTCP4 192.0.2.1 192.0.2.2 1111 25\r\n"),
        ({f"sep{n}": "\t" for n in range(1, 6)}, b"PROXY\tTCP4\t192.0.2.1\t192.0.2.2\t1111\t25\r\n"),
        ({"sep3": "  "}, b"PROXY TCP4 192.0.2.1  192.0.2.2 1111 25\r\n"),
        ({"rest": " junk"}, b"PROXY TCP4 192.0.2.1 192.0.2.2 1111 25 junk\r\n"),
        ({"eol": "\n"}, b"PROXY TCP4 192.0.2.1 192.0.2.2 1111 25\n"),
        ({"eol": ""}, b"PROXY TCP4 192.0.2.1 192.0.2.2 1111 25"),
        ({"protocol": "", "prefix": "PROXY"}, b"PROXY\r\n"),
    ],
)
def test_build(parts: dict[str, Any], expected: bytes) -> None:
    assert bytes(ProxyV1(**parts)) == expected


def test_payload_is_added_with_a_slash() -> None:
    assert bytes(ProxyV1() / Raw(b"EHLO x\r\n")).endswith(b" 25\r\nEHLO x\r\n")


def parts(data: bytes) -> list[bytes]:
    packet = ProxyV1(data)
    return [packet.getfieldval(field.name) for field in packet.fields_desc]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (
            b"PROXY TCP4 1.2.3.4 5.6.7.8 9 10\r\n",
            [b"PROXY", b" ", b"TCP4", b" ", b"1.2.3.4", b" ", b"5.6.7.8", b" ", b"9", b" ", b"10", b"", b"\r\n"],
        ),
        (b"PROXY\r\n", [b"PROXY", *[b""] * 11, b"\r\n"]),
        (b"PROXY", [b"PROXY", *[b""] * 12]),
        (b"PROXYTCP4 1\r\n", [b"PROXY", b"", b"TCP4", b" ", b"1", *[b""] * 7, b"\r\n"]),
        (b" proxy  tcp4\t1", [b" proxy", b"  ", b"tcp4", b"\t", b"1", *[b""] * 8]),
        (b"PROXY UNKNOWN a b\r\n", [b"PROXY", b" ", b"UNKNOWN", *[b""] * 8, b" a b", b"\r\n"]),
        (b"PROXY UNKNOWNX a\r\n", [b"PROXY", b" ", b"UNKNOWNX", b" ", b"a", *[b""] * 7, b"\r\n"]),
        (b"PROXY TCP4 1\r2\r\n", [b"PROXY", b" ", b"TCP4", b" ", b"1", *[b""] * 6, b"\r2", b"\r\n"]),
        (b"PROXY TCP4\r\r\n", [b"PROXY", b" ", b"TCP4", *[b""] * 8, b"\r", b"\r\n"]),
        (b"PROXY TCP4\n\r", [b"PROXY", b" ", b"TCP4", *[b""] * 8, b"\n\r", b""]),
    ],
)
def test_parts_of_good_and_bad_lines(data: bytes, expected: list[bytes]) -> None:
    assert parts(data) == expected
    assert b"".join(expected) == data


@pytest.mark.parametrize("data", [b"EHLO x\r\n", b"PROX", b"\r\nPROXY TCP4 1 2 3 4\r\n", b"\0PROXY\r\n", b"P"])
def test_what_is_no_header_is_raw(data: bytes) -> None:
    packet = ProxyV1(data)
    assert type(packet) is Raw
    assert bytes(packet) == data


def test_payload_begins_behind_the_first_crlf() -> None:
    packet = ProxyV1(b"PROXY UNKNOWN\r\nPROXY UNKNOWN\r\n")
    assert packet.payload == Raw(b"PROXY UNKNOWN\r\n")


@UNHURRIED
@given(ANYTHING | line())
def test_build_of_a_dissection_is_identical(data: bytes) -> None:
    packet = ProxyV1(data)
    assert bytes(packet) == (data or bytes(ProxyV1()))
    packet.clear_cache()
    assert bytes(packet) == (data or bytes(ProxyV1()))


@UNHURRIED
@given(line())
def test_dissection_of_a_build_is_stable(data: bytes) -> None:
    packet = ProxyV1(data)
    packet.clear_cache()
    assert parts(bytes(packet)) == parts(data)


def test_a_long_line_is_read_in_one_pass() -> None:
    data = b"PROXY TCP4 " + b"0" * 1_000_000 + b" " * 1_000_000 + b"\r\n"
    packet = ProxyV1(data)
    assert packet.src == b"0" * 1_000_000
    assert bytes(packet) == data


def test_no_field_hides_an_attribute_of_packets() -> None:
    assert [field.name for field in ProxyV1.fields_desc if field.name in dir(Packet)] == []


def test_summary_is_the_line() -> None:
    assert "192.0.2.1 192.0.2.2 1111 25\\r\\n" in ProxyV1().summary()
