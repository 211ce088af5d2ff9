"""The one-line frames: exact bytes, one change at a time, clear refusals."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxyspec.layers import ProxyV2
from proxyspec.layers.authoring import (
    Command,
    SSLClient,
    SSLType,
    TLVType,
    crc32c,
    local,
    noop,
    ssl,
    tlv,
    unknown,
    v1,
    v2,
)

from .strategies import UNHURRIED

SIG = bytes.fromhex("0d0a0d0a000d0a515549540a")
A4 = bytes.fromhex("c0000201c000020204570019")
A6 = bytes.fromhex("20010db800000000000000000000000120010db800000000000000000000000204570019")


@pytest.mark.parametrize(
    ("frame", "expected"),
    [
        (v1(), b"PROXY TCP4 192.0.2.1 192.0.2.2 1111 25\r\n"),
        (v1("2001:db8::1"), b"PROXY TCP6 2001:db8::1 2001:db8::2 1111 25\r\n"),
        (v1(b"2001:db8::1"), b"PROXY TCP6 2001:db8::1 2001:db8::2 1111 25\r\n"),
        (v1("010.0.0.1"), b"PROXY TCP4 010.0.0.1 192.0.2.2 1111 25\r\n"),
        (v1("", ""), b"PROXY TCP4 1111 25\r\n"),
        (v1("2001:db8::1", protocol="TCP4"), b"PROXY TCP4 2001:db8::1 2001:db8::2 1111 25\r\n"),
        (v1(protocol="TCP6"), b"PROXY TCP6 192.0.2.1 192.0.2.2 1111 25\r\n"),
        (v1(protocol="tcp4"), b"PROXY tcp4 192.0.2.1 192.0.2.2 1111 25\r\n"),
        (v1(protocol="UNKNOWN"), b"PROXY UNKNOWN 192.0.2.1 192.0.2.2 1111 25\r\n"),
        (v1(sport="01111", dport=65561), b"PROXY TCP4 192.0.2.1 192.0.2.2 01111 65561\r\n"),
        (v1(prefix="proxy"), b"proxy TCP4 192.0.2.1 192.0.2.2 1111 25\r\n"),
        (v1(sep2="\t", eol="\n"), b"PROXY TCP4\t192.0.2.1 192.0.2.2 1111 25\n"),
        (v1(rest=" junk"), b"PROXY TCP4 192.0.2.1 192.0.2.2 1111 25 junk\r\n"),
        (unknown(), b"PROXY UNKNOWN\r\n"),
        (unknown(b" \0\xff"), b"PROXY UNKNOWN \0\xff\r\n"),
        (unknown("X"), b"PROXY UNKNOWNX\r\n"),
        (v2(), SIG + b"\x21\x11\0\x0c" + A4),
        (v2("2001:db8::1"), SIG + b"\x21\x21\0\x24" + A6),
        (v2("/a", "/b"), SIG + b"\x21\x31\0\xd8/a" + bytes(106) + b"/b" + bytes(106)),
        (v2(b"", b"\0x"), SIG + b"\x21\x31\0\xd8" + bytes(109) + b"x" + bytes(106)),
        (v2(command=2), SIG + b"\x22\x11\0\x0c" + A4),
        (v2(version=3), SIG + b"\x31\x11\0\x0c" + A4),
        (v2(family=0x13), SIG + b"\x21\x13\0\x0c" + A4),
        (v2(family=0x21), SIG + b"\x21\x21\0\x0c" + A4),
        (v2(family=0), SIG + b"\x21\0\0\x0c" + A4),
        (v2(family=0, address=b""), SIG + b"\x21\0\0\0"),
        (v2(address=A4[:11]), SIG + b"\x21\x11\0\x0b" + A4[:11]),
        (v2(length=11), SIG + b"\x21\x11\0\x0b" + A4),
        (v2(signature=b"X" + SIG[1:]), b"X" + SIG[1:] + b"\x21\x11\0\x0c" + A4),
        (v2(tlvs=[tlv(1, "smtp"), b"\4"]), SIG + b"\x21\x11\0\x14" + A4 + b"\1\0\4smtp\4"),
        (v2(tlvs=[tlv(TLVType.NOOP, "abc", length=4)]), SIG + b"\x21\x11\0\x12" + A4 + b"\4\0\4abc"),
        (v2(tlvs=[noop(2)]), SIG + b"\x21\x11\0\x11" + A4 + b"\4\0\2\0\0"),
        (v2(tlvs=[crc32c()]), SIG + b"\x21\x11\0\x13" + A4 + bytes.fromhex("030004047edc6e")),
        (v2(tlvs=[crc32c(0)]), SIG + b"\x21\x11\0\x13" + A4 + bytes.fromhex("03000400000000")),
        (
            v2(tlvs=[ssl(SSLClient.SSL, 0, [tlv(SSLType.VERSION, "TLSv1.3")])]),
            SIG + b"\x21\x11\0\x1e" + A4 + b"\x20\0\x0f\1\0\0\0\0\x21\0\7TLSv1.3",
        ),
        (v2(tlvs=[ssl(length=4)]), SIG + b"\x21\x11\0\x14" + A4 + b"\x20\0\4\1\0\0\0\0"),
        (local(), SIG + b"\x20\0\0\0"),
        (local([crc32c()]), SIG + b"\x20\0\0\7" + bytes.fromhex("030004a9b87e8f")),
        (v2(command=Command.LOCAL), SIG + b"\x20\x11\0\x0c" + A4),
    ],
)
def test_exact_bytes(frame: bytes, expected: bytes) -> None:
    assert frame == expected


@pytest.mark.parametrize(
    ("write", "error", "message"),
    [
        (lambda: v1(port=1), TypeError, r"no part 'port'.*sport.*eol"),
        (lambda: v2("192.0.2.999"), ValueError, r"source '192\.0\.2\.999' is no IPv4.*address="),
        (lambda: v2(dst="mx.example"), ValueError, r"destination 'mx\.example' is no IPv4"),
        (lambda: v2("192.0.2.1", "2001:db8::2"), ValueError, r"destination '2001:db8::2' is INET6.*INET"),
        (lambda: v2(b"x" * 109), ValueError, r"source path of 109 bytes"),
        (lambda: v2(sport=65536), ValueError, r"source port 65536"),
        (lambda: v2(dport=-1), ValueError, r"destination port -1"),
        (lambda: v2(family=0x100), ValueError, r"family 0x100"),
        (lambda: v2(command=16), ValueError, r"command 0x10"),
        (lambda: v2(version=-1), ValueError, r"version -0x1"),
        (lambda: v2(tlvs=[noop(65534)]), ValueError, r"65549 bytes"),
    ],
)
def test_refusals_name_the_input(write: Callable[[], bytes], error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        write()


@UNHURRIED
@given(st.ip_addresses(v=4), st.ip_addresses(v=4), st.integers(0, 65535), st.integers(0, 65535))
def test_every_ipv4_pair_is_read_back(src: object, dst: object, sport: int, dport: int) -> None:
    packet = ProxyV2(v2(str(src), str(dst), sport, dport))
    assert (packet.src, packet.dst, packet.sport, packet.dport) == (str(src), str(dst), sport, dport)


@UNHURRIED
@given(st.lists(st.tuples(st.integers(0, 255), st.binary(max_size=20)), max_size=8))
def test_every_list_of_tlvs_is_read_back(pairs: list[tuple[int, bytes]]) -> None:
    packet = ProxyV2(v2(tlvs=[tlv(number, value) for number, value in pairs]))
    assert [(item.type, bytes(item)[3:]) for item in packet.tlvs] == pairs
