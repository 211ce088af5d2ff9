"""Version 2: the length and what it bounds; LOCAL (section 2.2)."""

# ruff: noqa: D102 - each class says what its one method does wrong.

from proxyspec_server.defects.seed import (
    A4,
    AS_PEER,
    AS_PROXIED,
    CRASHED,
    PROCESS_GONE,
    REFUSED,
    SESSION,
    TIMED_OUT,
    panic,
    seeded,
    session,
    steps,
    tlv,
    v2,
)
from proxyspec_server.proxy import Command, Family, Header, HeaderFault, NeedMore, Rule, V2Reader
from proxyspec_server.proxy.v2 import FIXED_SIZE

LOCAL = 0x20


@seeded(
    "v2-short-block-padded",
    origin="HAProxy up to 1.5, commit efd3aa934 (no check of the length against the address size)",
    killed_by=("v2/length/zero", "v2/length/11"),
    shows=v2(A4[:8]),
)
class ShortBlockPadded(V2Reader):
    """Address bytes beyond the length are whatever lies in the buffer."""

    def too_short(self, family: Family, length: int, needed: int) -> None:
        pass

    def tcp4(self, family: Family, header: bytes) -> Header:
        return super().tcp4(family, header.ljust(28, b"\0"))._replace(size=len(header))

    def tcp6(self, family: Family, header: bytes) -> Header:
        return super().tcp6(family, header.ljust(52, b"\0"))._replace(size=len(header))


@seeded(
    "v2-short-block-borrows",
    origin="requirement v2.len.11-with-payload; HAProxy commit efd3aa934",
    killed_by=("v2/length/11-with-payload",),
    shows=v2(A4, length=11),
)
class ShortBlockBorrows(V2Reader):
    """A length too small for the addresses is corrected, at the cost of the payload."""

    def read(self, data: bytes | bytearray, max_size: int) -> Header | NeedMore:
        if data[13:15] == b"\x11\0" and len(data) > 15 and data[15] < 12:
            data = data[:15] + b"\x0c" + data[16:]
        return super().read(data, max_size)


@seeded(
    "v2-short-block-panics",
    origin="Caddy and mastercactapus/proxyprotocol CVE-2019-14243 (panic on 21 12 00 00)",
    killed_by=("aftermath/malformed/v2-no-block",),
    shows=v2(b"", family=0x12),
    defective=PROCESS_GONE,
)
class ShortBlockPanics(V2Reader):
    """A length too small for the addresses is an index out of bounds, which ends the process."""

    def too_short(self, family: Family, length: int, needed: int) -> None:
        panic()


@seeded(
    "v2-zero-length-hangs",
    origin="requirement v2.len.zero-tcp4",
    killed_by=("v2/length/zero",),
    shows=steps(v2(b"")),
    defective=TIMED_OUT,
)
class ZeroLengthHangs(V2Reader):
    """A length of 0 is waited on as if more had to come."""

    def read(self, data: bytes | bytearray, max_size: int) -> Header | NeedMore:
        if len(data) == FIXED_SIZE and data[12:] == b"\x21\x11\0\0":
            return NeedMore(FIXED_SIZE + 12)
        return super().read(data, max_size)


@seeded(
    "v2-tlvs-refused",
    origin="p2pool #399",
    killed_by=("v2/tlv/noop", "v2/tlv/unknown-type", "v2/tlv/ssl"),
    shows=v2(A4 + tlv(0x04, b"abc")),
    healthy=AS_PROXIED,
    defective=REFUSED,
)
class TlvsRefused(V2Reader):
    """The length has to be exactly that of the addresses."""

    def tcp4(self, family: Family, header: bytes) -> Header:
        if len(header) > 28:
            raise HeaderFault(Rule.V2_LENGTH, "the length is not that of the addresses")
        return super().tcp4(family, header)


@seeded(
    "v2-tlvs-left",
    origin="Jetty #4843 in kind; requirement inv.header-not-payload",
    killed_by=("v2/tlv/noop", "v2/tlv/unknown-type"),
    shows=v2(A4 + tlv(0x04, b"\r\n")),
    healthy=AS_PROXIED,
    defective="220, 500 5.5.1, 250 [192.0.2.1], 221, FIN",
)
class TlvsLeft(V2Reader):
    """The header ends with its addresses, and the TLVs are left to the session."""

    def tcp4(self, family: Family, header: bytes) -> Header:
        return super().tcp4(family, header)._replace(size=28)


@seeded(
    "v2-limit-232",
    origin="the sample code of section 9 (a union of 232 bytes)",
    killed_by=("v2/length/536",),
    shows=v2(A4 + tlv(0x04, bytes(233 - 28 - 3))),
    healthy=AS_PROXIED,
    defective=REFUSED,
)
class Limit232(V2Reader):
    """Headers of more than 232 bytes are refused."""

    def read(self, data: bytes | bytearray, max_size: int) -> Header | NeedMore:
        return super().read(data, min(max_size, 232))


@seeded(
    "v2-limit-535",
    origin="requirement v2.len.total-536",
    killed_by=("v2/length/536",),
    shows=v2(A4 + tlv(0x04, bytes(536 - 28 - 3))),
    healthy=AS_PROXIED,
    defective=REFUSED,
)
class Limit535(V2Reader):
    """Headers of 536 bytes are refused, by a limit that is one too low."""

    def read(self, data: bytes | bytearray, max_size: int) -> Header | NeedMore:
        return super().read(data, min(max_size, 535))


@seeded(
    "v2-length-low-byte",
    origin="requirement v2.len.total-536 (the length has two bytes)",
    killed_by=("v2/length/536",),
    shows=v2(A4 + tlv(0x04, b"\r\n" * 128)),
    healthy=AS_PROXIED,
    defective=REFUSED,
)
class LengthLowByte(V2Reader):
    """Only the low byte of the length counts."""

    def read(self, data: bytes | bytearray, max_size: int) -> Header | NeedMore:
        return super().read(data[:14] + b"\0" + data[15:] if len(data) > 14 else data, max_size)


@seeded(
    "v2-local-refused",
    origin="kanidm #3866; tbmq #326; VictoriaMetrics #4373",
    killed_by=("v2/local/empty",),
    shows=v2(b"", command=LOCAL, family=0),
    healthy=AS_PEER,
    defective=REFUSED,
)
class LocalRefused(V2Reader):
    """LOCAL is refused."""

    def local(self, family: Family, header: bytes) -> Header:
        raise HeaderFault(Rule.V2_COMMAND, "LOCAL is not supported")


@seeded(
    "v2-local-crashes",
    origin="MongooseIM #4795; Envoy CVE-2024-23327",
    killed_by=("v2/local/empty", "general/pipelined/local"),
    shows=v2(b"", command=LOCAL, family=0),
    healthy=AS_PEER,
    defective=CRASHED,
)
class LocalCrashes(V2Reader):
    """LOCAL leaves no address, and the first use of it is an exception."""

    def local(self, family: Family, header: bytes) -> Header:
        raise AttributeError("there is no address to take the host of")


@seeded(
    "v2-local-with-block-refused",
    origin="Dovecot PR 125; HAProxy #511",
    killed_by=("v2/local/with-address", "v2/local/with-tlv"),
    shows=v2(command=LOCAL),
    healthy=AS_PEER,
    defective=REFUSED,
)
class LocalWithBlockRefused(V2Reader):
    """LOCAL is refused unless its length is 0."""

    def local(self, family: Family, header: bytes) -> Header:
        if len(header) > FIXED_SIZE:
            raise HeaderFault(Rule.TLV_BOUNDS, "LOCAL has a block")
        return super().local(family, header)


@seeded(
    "v2-local-addresses-used",
    origin="requirement v2.local.tcp4-address",
    killed_by=("v2/local/with-address",),
    shows=v2(command=LOCAL),
    healthy=AS_PEER,
)
class LocalAddressesUsed(V2Reader):
    """The addresses of LOCAL are believed."""

    def local(self, family: Family, header: bytes) -> Header:
        return (
            self.tcp4(family, header) if family is Family.TCP4 and len(header) >= 28 else super().local(family, header)
        )


@seeded(
    "v2-local-not-skipped",
    origin="Jetty #4843",
    killed_by=("v2/local/with-address", "v2/local/with-tlv"),
    shows=v2(tlv(0x04, b"\r\n"), command=LOCAL, family=0),
    healthy=AS_PEER,
    defective="220, 500 5.5.1, 250 [127.0.0.1], 221, FIN",
)
class LocalNotSkipped(V2Reader):
    """The block of LOCAL is left to the session."""

    def local(self, family: Family, header: bytes) -> Header:
        return super().local(family, header)._replace(size=FIXED_SIZE)


@seeded(
    "v2-local-not-awaited",
    origin="requirement v2.local.truncated",
    killed_by=("v2/local/truncated",),
    shows=steps(v2(b"", command=LOCAL, family=0, length=12)),
    healthy=TIMED_OUT,
    defective="220, open",
)
class LocalNotAwaited(V2Reader):
    """LOCAL is obeyed before its block has arrived."""

    def read(self, data: bytes | bytearray, max_size: int) -> Header | NeedMore:
        verdict = super().read(data, max_size)
        if isinstance(verdict, NeedMore) and len(data) >= FIXED_SIZE and data[12] == LOCAL:
            return Header(2, Command.LOCAL, Family.UNSPEC, None, None, b"", len(data))
        return verdict


@seeded(
    "v2-local-family-refused",
    origin="requirement v2.local.tcp4-len0 (family ignored, length 0 legal)",
    killed_by=(
        "v2/local/family-without-block",
        "v2/local/short-block",
    ),
    shows=v2(b"", command=LOCAL),
    healthy=AS_PEER,
    defective=REFUSED,
)
class LocalFamilyRefused(V2Reader):
    """LOCAL needs the addresses of the family it names."""

    def local(self, family: Family, header: bytes) -> Header:
        if family is Family.TCP4 and len(header) < 28:
            self.too_short(family, len(header) - FIXED_SIZE, 12)
        return super().local(family, header)


@seeded(
    "v2-rest-dropped",
    origin="requirement gen.pipelined.v2",
    killed_by=(
        "general/pipelined/v2",
        "smtp/implicit-tls/local-one-segment",
    ),
    shows=steps(v2() + SESSION),
    healthy=AS_PROXIED,
    defective="220, open",
)
class RestDropped(V2Reader):
    """What came in the same segment as the header is dropped."""

    def read(self, data: bytes | bytearray, max_size: int) -> Header | NeedMore:
        verdict = super().read(data, max_size)
        return verdict._replace(size=len(data)) if isinstance(verdict, Header) else verdict


@seeded(
    "v2-one-byte-too-many",
    origin="requirement gen.pipelined.v2 (16 + length)",
    killed_by=("general/pipelined/v2",),
    shows=session(v2()),
    healthy=AS_PROXIED,
    defective="220, 500 5.5.1, 221, FIN",
)
class OneByteTooMany(V2Reader):
    """The first byte behind the header is taken for part of it."""

    def tcp4(self, family: Family, header: bytes) -> Header:
        return super().tcp4(family, header)._replace(size=len(header) + 1)


@seeded(
    "v2-unix-length-ignored",
    origin="requirement v2.proxy.unix-short; Apache CVE-2019-10097 in kind",
    killed_by=("v2/length/zero-unix-with-payload",),
    shows=session(v2(bytes(216), family=0x31, length=0)),
    defective=AS_PEER,
)
class UnixLengthIgnored(V2Reader):
    """UNIX addresses are taken to be 216 bytes where the length says fewer, at the payload's expense."""

    def read(self, data: bytes | bytearray, max_size: int) -> Header | NeedMore:
        if len(data) >= FIXED_SIZE and data[12:14] == b"\x21\x31" and int.from_bytes(data[14:16], "big") < 216:
            data = bytes(data[:14]) + b"\0\xd8" + bytes(data[16:])
        return super().read(data, max_size)


@seeded(
    "v2-unix-leaks",
    origin="requirement v2.proxy.unix-stream; Jetty #4843 in kind (what is not used is not skipped)",
    killed_by=("v2/proxy/unix-stream", "v2/proxy/unix-datagram", "v2/proxy/unix-unspec"),
    shows=v2(b"/a\r\n".ljust(216, b"\0"), family=0x31),
    healthy=AS_PEER,
    defective="220, 500 5.5.1, 500 5.5.1, 221, FIN",
)
class UnixLeaks(V2Reader):
    """The addresses of UNIX sockets are not used, and left to the session."""

    def not_tcp(self, family: Family, header: bytes) -> Header:
        read = super().not_tcp(family, header)
        return read._replace(size=FIXED_SIZE) if family.value & 0xF0 == 0x30 else read


@seeded(
    "v2-udp-leaks",
    origin="requirement v2.proxy.udp4; Jetty #4843 in kind (what is not used is not skipped)",
    killed_by=("v2/proxy/udp4", "v2/proxy/udp6"),
    shows=v2(family=0x12),
    healthy=AS_PEER,
    defective="220, 500 5.5.1, 221, FIN",
)
class UdpLeaks(V2Reader):
    """The addresses of UDP are not used, and left to the session."""

    def not_tcp(self, family: Family, header: bytes) -> Header:
        header_read = super().not_tcp(family, header)
        return header_read._replace(size=FIXED_SIZE) if family in (Family.UDP4, Family.UDP6) else header_read


@seeded(
    "v2-too-large-leaks",
    origin="requirement gen.leak.header-bytes-to-smtp (over-long header)",
    killed_by=("v2/length/beyond-4113", "v2/length/beyond-16384", "v2/length/beyond-65551"),
    shows=v2(A4 + tlv(0x04, b"\n" * 4200)),
    healthy=REFUSED,
    defective="220, 500 5.5.1, 221, FIN",
)
class TooLargeLeaks(V2Reader):
    """A header larger than the limit is cut there, and the session gets what is behind."""

    def read(self, data: bytes | bytearray, max_size: int) -> Header | NeedMore:
        if len(data) >= FIXED_SIZE and data[12:14] == b"\x21\x11" and int.from_bytes(data[14:16], "big") > 4096:
            if len(data) < 28:
                return NeedMore(28)
            cut = super().read(bytes(data[:14]) + b"\0\x0c" + bytes(data[16:28]), max_size)
            return cut._replace(size=4112) if isinstance(cut, Header) and len(data) >= 4112 else NeedMore(4112)
        return super().read(data, max_size)
