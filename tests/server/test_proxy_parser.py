"""Properties of the parser that hold for all bytes and all ways of cutting them."""

import socket
import struct
from itertools import pairwise

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from proxyspec_server.proxy import SIGNATURE, Header, HeaderParser, Malformed, NeedMore, V1Reader

V1 = b"PROXY TCP4 192.0.2.1 192.0.2.2 1111 25\r\n"
V2 = SIGNATURE + bytes.fromhex("2111000c c0000201 c0000202 0457 0019")

ports = st.integers(0, 65535)
ipv4 = st.ip_addresses(v=4)
ipv6 = st.ip_addresses(v=6)
tlv_lists = st.lists(
    st.tuples(st.integers(0, 255).filter(lambda kind: kind not in (3, 5, 0x20)), st.binary(max_size=40)), max_size=6
)
nearly_headers = st.one_of(
    st.binary(max_size=200),
    st.binary(max_size=200).map(lambda tail: b"PROXY " + tail),
    st.binary(max_size=200).map(lambda tail: b"PROXY TCP4" + tail),
    st.binary(max_size=60).map(lambda tail: SIGNATURE + tail),
    st.text("PROXYTCP46UNKWN 0123456789.:abf\r\n", max_size=120).map(lambda tail: b"PROXY TCP4 " + tail.encode()),
    st.text("\r\n U", max_size=120).map(lambda tail: b"PROXY UNKNOWN" + tail.encode()),
    st.tuples(st.integers(0, 39), st.integers(0, 255)).map(lambda at: V1[: at[0]] + bytes([at[1]]) + V1[at[0] + 1 :]),
    st.tuples(st.integers(0, 27), st.integers(0, 255)).map(lambda at: V2[: at[0]] + bytes([at[1]]) + V2[at[0] + 1 :]),
)


def read(pieces: list[bytes]) -> tuple[Header | Malformed | None, bytes]:
    """The verdict, and what is left for the session."""
    parser = HeaderParser()
    for number, piece in enumerate(pieces):
        verdict = parser.feed(piece)
        if not isinstance(verdict, NeedMore):
            return verdict, (parser.rest + b"".join(pieces[number + 1 :]) if isinstance(verdict, Header) else b"")
    return None, b""


@given(nearly_headers, st.lists(st.integers(0, 200), max_size=6))
@example(b"PROXY TC\n", [])
@example(b"PROXY TCP4x\n1\r\n", [])
@example(b"PROXY\r\n", [])
@example(V1 + b"EHLO x\r\n", [])
@example(V2 + b"EHLO x\r\n", [])
def test_any_split_gives_the_same(data: bytes, cuts: list[int]) -> None:
    whole = read([data])
    bounds = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    assert read([data[a:b] for a, b in pairwise(bounds)]) == whole
    assert read([data[at : at + 1] for at in range(len(data))]) == whole


class LongWay(V1Reader):
    """Reads every line field by field."""

    def common_line(self, data: bytes | bytearray) -> None:
        return None


class LongWayParser(HeaderParser):
    v1 = LongWay()


near_lines = st.one_of(
    st.builds("PROXY TCP4 {} {} {} {}\r\n".format, ipv4, ipv4, ports, ports),
    st.builds(
        "PROXY TCP4 {}.{}.0.1 192.0.2.2 {} {}\r\n".format,
        st.integers(0, 300),
        st.sampled_from(["0", "00", "01", "9", "99", "199", "249", "250", "255", "256", "260", "300"]),
        st.one_of(st.integers(0, 70_000), st.integers(0, 99).map("0{}".format)),
        st.sampled_from([0, 9, 10, 99, 9999, 10_000, 59_999, 64_999, 65_499, 65_529, 65_535, 65_536, 65_540, 65_600]),
    ),
)


@given(near_lines)
def test_both_ways_through_a_tcp4_line_agree(line: str) -> None:
    assert HeaderParser().feed(line.encode()) == LongWayParser().feed(line.encode())


@given(st.binary(max_size=400))
def test_random_bytes_get_a_verdict(data: bytes) -> None:
    verdict, _ = read([data])
    assert verdict is None or isinstance(verdict, Header | Malformed)


@given(ipv4, ipv4, ports, ports, st.binary(max_size=20))
def test_v1_tcp4_round_trip(source: object, destination: object, sport: int, dport: int, rest: bytes) -> None:
    line = f"PROXY TCP4 {source} {destination} {sport} {dport}\r\n".encode()
    header, left = read([line + rest])
    assert isinstance(header, Header)
    assert header.source == (str(source), sport)
    assert header.destination == (str(destination), dport)
    assert (header.size, left) == (len(line), rest)


@given(ipv6, ipv6, ports, ports, st.sampled_from(["compressed", "exploded"]), st.booleans())
def test_v1_tcp6_round_trip(
    source: object, destination: object, sport: int, dport: int, form: str, upper: bool
) -> None:
    text = f"{getattr(source, form)} {getattr(destination, form)}"
    header, _ = read([f"PROXY TCP6 {text.upper() if upper else text} {sport} {dport}\r\n".encode()])
    assert isinstance(header, Header)
    assert header.source is not None
    assert header.destination is not None
    assert socket.inet_pton(socket.AF_INET6, header.source.host) == source.packed  # type: ignore[attr-defined]
    assert socket.inet_pton(socket.AF_INET6, header.destination.host) == destination.packed  # type: ignore[attr-defined]
    assert (header.source.port, header.destination.port) == (sport, dport)


@given(st.one_of(st.tuples(ipv4, ipv4), st.tuples(ipv6, ipv6)), ports, ports, tlv_lists, st.binary(max_size=20))
def test_v2_round_trip(
    addresses: tuple[object, object], sport: int, dport: int, tlvs: list[tuple[int, bytes]], rest: bytes
) -> None:
    source, destination = (address.packed for address in addresses)  # type: ignore[attr-defined]
    body = source + destination + struct.pack("!HH", sport, dport)
    body += b"".join(struct.pack("!BH", kind, len(value)) + value for kind, value in tlvs)
    data = SIGNATURE + struct.pack("!BBH", 0x21, 0x11 if len(source) == 4 else 0x21, len(body)) + body
    header, left = read([data + rest])
    assert isinstance(header, Header)
    assert header.source is not None
    assert header.destination is not None
    family = socket.AF_INET if len(source) == 4 else socket.AF_INET6
    assert socket.inet_pton(family, header.source.host) == source
    assert socket.inet_pton(family, header.destination.host) == destination
    assert (header.source.port, header.destination.port) == (sport, dport)
    assert [(tlv.kind, tlv.value) for tlv in header.tlvs] == tlvs
    assert (header.size, left) == (len(data), rest)


@pytest.mark.parametrize(
    "data", [b"PROXX", b"PROXY T1", b"EHLO", b"\r\n\r\nX", SIGNATURE[:11] + b"X", SIGNATURE + b"\x31"]
)
def test_a_hopeless_beginning_dies_at_its_last_byte(data: bytes) -> None:
    parser = HeaderParser()
    for at in range(len(data) - 1):
        verdict = parser.feed(data[at : at + 1])
        if isinstance(verdict, Malformed):
            assert data == b"EHLO"
            return
        assert isinstance(verdict, NeedMore)
    assert isinstance(parser.feed(data[-1:]), Malformed)


def test_a_judged_connection_is_not_judged_again() -> None:
    parser = HeaderParser()
    parser.feed(V1)
    with pytest.raises(ValueError, match="judged already"):
        parser.feed(b"x")


def test_a_64_kib_header_byte_by_byte_is_looked_at_no_more_than_needed() -> None:
    looks = 0

    class Counting(HeaderParser):
        def read(self, data: bytes | bytearray) -> Header | NeedMore:
            nonlocal looks
            looks += 1
            return super().read(data)

    body = bytes.fromhex("c0000201c000020204570019") + b"\x04" + struct.pack("!H", 65520) + bytes(65520)
    header = SIGNATURE + struct.pack("!BBH", 0x21, 0x11, len(body)) + body
    parser = Counting(max_header_size=len(header))
    verdicts = [parser.feed(header[at : at + 1]) for at in range(len(header))]
    assert isinstance(verdicts[-1], Header)
    assert all(isinstance(verdict, NeedMore) for verdict in verdicts[:-1])
    assert looks < 20


def test_a_header_that_announces_too_much_is_not_waited_for() -> None:
    parser = HeaderParser()
    assert isinstance(parser.feed(SIGNATURE + b"\x21\x11\xff\xff"), Malformed)
    assert parser.received == 0
