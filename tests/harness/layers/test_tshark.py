"""Every valid header in a capture, read by Wireshark's dissector (version 4.0).

That dissector is no oracle for the checksum, which it does not compute, nor for SSL: it loses its place behind the
first sub-TLV, so lists of TLVs are compared up to the SSL TLV. It also takes the length field for the length of the
whole header and so does not see TLVs that start in the last 16 bytes; those headers are captured with 16 bytes of
padding behind them.
"""

import shutil
import subprocess
from ipaddress import ip_address
from pathlib import Path

import pytest

from .corpus import HEADERS, Valid

pytestmark = pytest.mark.tools

# The dissector wants a blank behind UNKNOWN and calls the short form malformed.
MISREAD = {"v1/unknown"}
# A packet of IPv4 has at most 65535 bytes, 40 of them headers.
TOO_LONG = {"v2-tlv/total-65551"}
NAMES = [name for name in HEADERS if name not in MISREAD | TOO_LONG]

FIRST_PORT = 20000
PADDING = b"\x04\0\x0d" + bytes(13)
COLUMNS = (
    "tcp.srcport",
    "proxy.version",
    "proxy.v1.proto",
    "proxy.v1.unknown",
    "proxy.v2.cmd",
    "proxy.v2.addr_family_protocol",
    "proxy.v2.length",
    "proxy.src.ipv4",
    "proxy.dst.ipv4",
    "proxy.src.ipv6",
    "proxy.dst.ipv6",
    "proxy.v2.src.unix",
    "proxy.v2.dst.unix",
    "proxy.srcport",
    "proxy.dstport",
    "proxy.v2.tlv.type",
    "proxy.v2.tlv.length",
    "proxy.v2.unknown",
    "_ws.malformed",
    "proxy.bad_format",
)
Row = dict[str, str]


def captured(header: Valid) -> bytes:
    """The header as it goes into the capture: with padding when it has TLVs that are to be read."""
    if not header.tlvs or header.opaque:
        return header.data
    length = int.from_bytes(header.data[14:16], "big") + len(PADDING)
    return header.data[:14] + length.to_bytes(2, "big") + header.data[16:] + PADDING


def write_capture(path: Path) -> None:
    """One TCP connection to port 25 for each header: handshake, then the header in one segment."""
    from scapy.layers.inet import IP, TCP
    from scapy.layers.l2 import Ether
    from scapy.packet import Raw
    from scapy.utils import PcapWriter

    there = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02") / IP(src="198.51.100.1", dst="198.51.100.2")
    back = Ether(src="02:00:00:00:00:02", dst="02:00:00:00:00:01") / IP(src="198.51.100.2", dst="198.51.100.1")
    with PcapWriter(str(path)) as capture:
        for port, name in enumerate(NAMES, FIRST_PORT):
            capture.write(there / TCP(sport=port, dport=25, flags="S", seq=99))
            capture.write(back / TCP(sport=25, dport=port, flags="SA", seq=499, ack=100))
            capture.write(there / TCP(sport=port, dport=25, flags="A", seq=100, ack=500))
            data = Raw(captured(HEADERS[name]))
            capture.write(there / TCP(sport=port, dport=25, flags="PA", seq=100, ack=500) / data)


@pytest.fixture(scope="module")
def rows(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Row]:
    tshark = shutil.which("tshark")
    assert tshark, "tshark is not installed: install it (Debian: apt install tshark) or deselect with -m 'not tools'"
    capture = tmp_path_factory.mktemp("tshark") / "headers.pcap"
    write_capture(capture)
    # The PROXY dissector is a heuristic one, and port 25 is taken by SMTP's: ask the heuristics first.
    command = [tshark, "-r", str(capture), "-o", "tcp.try_heuristic_first:TRUE", "-Y", "tcp.len > 0", "-T", "fields"]
    command += ["-E", "separator=|", "-E", "occurrence=a", "-E", "aggregator=,"]
    for column in COLUMNS:
        command += ["-e", column]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert result.returncode == 0, result.stderr
    lines = [dict(zip(COLUMNS, line.split("|"), strict=True)) for line in result.stdout.splitlines()]
    return {NAMES[int(line["tcp.srcport"]) - FIRST_PORT]: line for line in lines}


def test_every_header_is_in_the_capture(rows: dict[str, Row]) -> None:
    assert set(rows) == set(NAMES)
    assert len(rows) >= 60


def up_to_ssl(tlvs: tuple[tuple[int, int], ...]) -> tuple[tuple[int, int], ...]:
    types = [number for number, _ in tlvs]
    return tlvs[: types.index(0x20) + 1] if 0x20 in types else tlvs


def tlvs_of(row: Row) -> tuple[tuple[int, int], ...]:
    types, lengths = row["proxy.v2.tlv.type"], row["proxy.v2.tlv.length"]
    if not types:
        return ()
    pairs = zip(types.split(","), lengths.split(","), strict=True)
    return tuple((int(number, 16), int(length)) for number, length in pairs)


def check_addresses(header: Valid, row: Row) -> None:
    ipv4, ipv6, unix = (
        [row[f"proxy.{side}"] for side in sides]
        for sides in (("src.ipv4", "dst.ipv4"), ("src.ipv6", "dst.ipv6"), ("v2.src.unix", "v2.dst.unix"))
    )
    if isinstance(header.src, bytes) and isinstance(header.dst, bytes):
        assert (ipv4, ipv6, unix) == (["", ""], ["", ""], [header.src.hex(), header.dst.hex()])
    elif header.src:
        found = ipv6 if ":" in str(header.src) else ipv4
        assert [ip_address(text) for text in found] == [ip_address(header.src), ip_address(header.dst)]
        assert (row["proxy.srcport"], row["proxy.dstport"]) == (str(header.sport), str(header.dport))
    else:
        assert (ipv4, ipv6, unix) == (["", ""], ["", ""], ["", ""])


@pytest.mark.parametrize("name", NAMES)
def test_tshark_reads_the_same(rows: dict[str, Row], name: str) -> None:
    header, row = HEADERS[name], rows[name]
    assert (row["_ws.malformed"], row["proxy.bad_format"]) == ("", "")
    check_addresses(header, row)
    if header.version == 1:
        assert row["proxy.v1.proto"] == header.family
        assert row["proxy.v1.unknown"] == header.opaque.decode()
        return
    assert row["proxy.version"] == "2"
    assert int(row["proxy.v2.cmd"]) == header.command
    assert int(row["proxy.v2.addr_family_protocol"], 16) == header.family
    assert int(row["proxy.v2.length"]) == len(captured(header)) - 16
    if header.family == 0x00:
        assert row["proxy.v2.unknown"].replace("<MISSING>", "") == header.opaque.hex()
    else:
        found, expected = tlvs_of(row), up_to_ssl(header.tlvs)
        assert found[: len(expected)] == expected
        if 0x20 not in dict(expected):
            assert found[len(expected) :] in ((), ((0x04, 0x0D),))
