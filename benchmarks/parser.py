"""Goal P1: how fast headers are read, beside the parsers of aiosmtpd and proxy-protocol.

Each reads a complete header from memory and gives the source address and, where there are TLVs, the value of one.
Theirs are made for streams: aiosmtpd's coroutine gets a reader that always has the bytes at hand, and proxy-protocol's
is asked to unpack them, so that nobody pays for input or for an event loop.
"""

import argparse
import struct
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

from aiosmtpd.proxy_protocol import get_proxy
from crc32c import crc32c
from proxyprotocol.detect import ProxyProtocolDetect

from benchmarks.rounds import Bound, Finding, Goal, Measure, Report, Sample, cpu, interleaved, quotients, tell
from proxyspec_server.proxy import HeaderParser, TlvType

OURS, AIOSMTPD, PROXY_PROTOCOL = "proxyspec", "aiosmtpd", "proxy-protocol"
ADDRESS = "192.0.2.1"
AUTHORITY = TlvType.AUTHORITY

V1 = b"PROXY TCP4 192.0.2.1 198.51.100.25 51234 25\r\n"


def v2(*tlvs: tuple[int, bytes]) -> bytes:
    """A version 2 header from 192.0.2.1 with these TLVs."""
    area = b"".join(struct.pack("!BH", kind, len(value)) + value for kind, value in tlvs)
    addresses = bytes((192, 0, 2, 1, 198, 51, 100, 25)) + struct.pack("!HH", 51234, 25)
    return b"\r\n\r\n\0\r\nQUIT\n\x21\x11" + struct.pack("!H", len(addresses) + len(area)) + addresses + area


TLVS = (
    (0x01, b"smtp"),
    (0x02, b"mx.example.com"),
    (0x05, bytes(range(16))),
    (0x20, b"\x01\0\0\0\0" + b"\x21\0\x07TLSv1.3" + b"\x23\0\x16TLS_AES_128_GCM_SHA256"),
    (0xE4, b"a private value"),
)


def checksummed(*tlvs: tuple[int, bytes]) -> bytes:
    """The same with a CRC32C.

    The TLVs are sent in the order of their types: proxy-protocol checks its own serialisation, which has that order.
    """
    checksum = crc32c(v2(*sorted([*tlvs, (0x03, bytes(4))])))
    return v2(*sorted([*tlvs, (0x03, struct.pack("!I", checksum))]))


class Memory:
    """An asyncio-like reader whose bytes are all there."""

    __slots__ = ("_at", "_data")

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._at = 0

    async def read(self, n: int = -1) -> bytes:
        """At most `n` bytes."""
        return await self.readexactly(len(self._data) - self._at if n < 0 else n)

    async def readexactly(self, n: int) -> bytes:
        """The next `n` bytes."""
        start, self._at = self._at, self._at + n
        return self._data[start : self._at]

    async def readuntil(self, separator: bytes = b"\n") -> bytes:
        """The bytes up to and with the separator."""
        return await self.readexactly(self._data.index(separator, self._at) + len(separator) - self._at)


_DETECT = ProxyProtocolDetect()


def ours_plain(data: bytes) -> tuple[str, bytes | None]:
    """Source alone, as a connection of the reference server gets it."""
    header: Any = HeaderParser().feed(data)
    return header.source.host, None


def ours(data: bytes) -> tuple[str, bytes | None]:
    """Source and AUTHORITY."""
    header: Any = HeaderParser().feed(data)
    return header.source.host, header.tlv(AUTHORITY)


def aiosmtpd_plain(data: bytes) -> tuple[str, bytes | None]:
    """Source alone."""
    try:
        get_proxy(Memory(data)).send(None)
    except StopIteration as result:
        return str(result.value.src_addr), None
    raise RuntimeError("aiosmtpd waits for more than the header")


def aiosmtpd(data: bytes) -> tuple[str, bytes | None]:
    """Source and AUTHORITY; its TLVs are taken apart when first asked for."""
    try:
        get_proxy(Memory(data)).send(None)
    except StopIteration as result:
        return str(result.value.src_addr), result.value.tlv.AUTHORITY
    raise RuntimeError("aiosmtpd waits for more than the header")


def proxy_protocol_plain(data: bytes) -> tuple[str, bytes | None]:
    """Source alone."""
    found: Any = _DETECT.unpack(data)
    return str(found.source[0]), None


def proxy_protocol(data: bytes) -> tuple[str, bytes | None]:
    """Source and AUTHORITY, which it gives as text."""
    found: Any = _DETECT.unpack(data)
    return str(found.source[0]), found.tlv.authority.encode()


Reader = Callable[[bytes], tuple[str, bytes | None]]
PLAIN: dict[str, Reader] = {OURS: ours_plain, AIOSMTPD: aiosmtpd_plain, PROXY_PROTOCOL: proxy_protocol_plain}
WITH_TLVS: dict[str, Reader] = {OURS: ours, AIOSMTPD: aiosmtpd, PROXY_PROTOCOL: proxy_protocol}

WORKLOADS: dict[str, tuple[bytes, dict[str, Reader], float]] = {
    "v1 TCP4": (V1, PLAIN, 5.0),
    "v2 TCP4": (v2(), PLAIN, 5.0),
    "v2 TCP4, 5 TLVs": (v2(*TLVS), WITH_TLVS, 4.0),
    "v2 TCP4, 5 TLVs, CRC32C": (checksummed(*TLVS), WITH_TLVS, 3.5),
}
"""The header, who reads it, and how many times faster than aiosmtpd we want to be."""


def measure(read: Reader, data: bytes, times: int) -> Sample:
    """Read the header that many times."""
    start, began = process_time(), perf_counter()
    for _ in range(times):
        read(data)
    return Sample((process_time() - start) / times, (perf_counter() - began) / times)


def check() -> None:
    """Make sure that everybody reads the same in every header. Raises RuntimeError."""
    for workload, (data, readers, _) in WORKLOADS.items():
        wanted = (ADDRESS, b"mx.example.com" if readers is WITH_TLVS else None)
        for name, read in readers.items():
            found = read(data)
            if found != wanted:
                raise RuntimeError(f"{workload}: {name} read {found} instead of {wanted}")


def run(rounds: int, times: int) -> Report:
    """Measure all workloads."""
    check()
    samples = {}
    findings = []
    for workload, (data, readers, factor) in WORKLOADS.items():
        tell(f"{workload}: {rounds} rounds")
        contenders: dict[str, Measure] = {name: partial(measure, read, data, times) for name, read in readers.items()}
        samples[workload] = taken = interleaved(contenders, rounds)
        for peer, limit in ((AIOSMTPD, factor), (PROXY_PROTOCOL, 2.5)):
            goal = Goal("P1", f"{workload}: rate over {peer}'s", Bound.AT_LEAST, limit)
            findings.append(Finding(goal, quotients(cpu(taken[peer]), cpu(taken[OURS]))))
    return Report("PROXY header parsers", rounds, samples, findings)


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark; 0 when it ran, whatever came out."""
    options = argparse.ArgumentParser(prog="python -m benchmarks.parser", description=__doc__.partition("\n")[0])
    options.add_argument("--rounds", type=int, default=15, help="rounds counted (default %(default)s)")
    options.add_argument("--times", type=int, default=20_000, help="headers in a round (default %(default)s)")
    options.add_argument("--json", type=Path, metavar="FILE", help="write the figures as JSON")
    found = options.parse_args(argv)
    run(found.rounds, found.times).publish(found.json)
    return 0


if __name__ == "__main__":
    sys.exit(main())
