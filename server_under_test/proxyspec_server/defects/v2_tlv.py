"""Version 2: TLVs and their checksum (sections 2.2 to 2.2.8)."""

# ruff: noqa: D102 - each class says what its one method does wrong.

from zlib import crc32

from crc32c import crc32c

from proxyspec_server.connection import Action, Connection
from proxyspec_server.defects.seed import (
    A4,
    AS_PEER,
    AS_PROXIED,
    PROCESS_GONE,
    REFUSED,
    SESSION,
    panic,
    seeded,
    session,
    steps,
    tlv,
    v2,
)
from proxyspec_server.probe import Pause
from proxyspec_server.proxy import (
    Command,
    Family,
    Header,
    HeaderFault,
    NeedMore,
    Rule,
    SslInfo,
    TlvReader,
    TlvType,
    V2Reader,
)
from proxyspec_server.proxy.tlv import spans
from proxyspec_server.smtp import SmtpSession, Standing

SSL = tlv(0x20, b"\x01\0\0\0\0" + tlv(0x21, b"TLSv1.3"))


def sealed(
    before: bytes = b"", after: bytes = b"", *, command: int = 0x21, family: int = 0x11, body: bytes = A4
) -> bytes:
    """A header with its right CRC32C between other TLVs."""
    empty = v2(body + before + tlv(0x03, bytes(4)) + after, command=command, family=family)
    at = 16 + len(body) + len(before) + 3
    checksum: int = crc32c(empty)
    return empty[:at] + checksum.to_bytes(4, "big") + empty[at + 4 :]


def spoilt(header: bytes) -> bytes:
    """The same with the last bit flipped."""
    return header[:-1] + bytes([header[-1] ^ 1])


@seeded(
    "tlv-unknown-refused",
    origin="lavinmq #1646",
    killed_by=("v2/tlv/unknown-type",),
    shows=v2(A4 + tlv(0xE0, b"abc")),
    healthy=AS_PROXIED,
    defective=REFUSED,
)
class UnknownRefused(TlvReader):
    """TLVs of types without a name are refused."""

    def check(self, header: bytes, start: int) -> None:
        if any(kind not in list(TlvType) for kind, _, _ in spans(header, start, len(header))):
            raise HeaderFault(Rule.TLV_BOUNDS, "a TLV has an unknown type")
        super().check(header, start)


@seeded(
    "tlv-empty-refused",
    origin="requirement v2.tlv.noop-empty",
    killed_by=(
        "v2/length/total-31",
        "v2/tlv/noop-empty",
    ),
    shows=v2(A4 + tlv(0x04)),
    healthy=AS_PROXIED,
    defective=REFUSED,
)
class EmptyRefused(TlvReader):
    """TLVs without a value are refused."""

    def check(self, header: bytes, start: int) -> None:
        if any(length == 0 for _, _, length in spans(header, start, len(header))):
            raise HeaderFault(Rule.TLV_BOUNDS, "a TLV is empty")
        super().check(header, start)


@seeded(
    "tlv-overrun-eats-payload",
    origin="HAProxy 1.6 to 2.1, commit 488ee7fb6 (TLV loop ignores the end of the header)",
    killed_by=("v2/tlv/overrun-into-payload",),
    shows=v2(A4 + b"\x04\0\x11abc\r\n", length=20),
    defective="220, 221, FIN",
)
class OverrunEatsPayload(V2Reader):
    """A TLV that reaches past the header takes the rest of its value from the payload."""

    def tcp4(self, family: Family, header: bytes) -> Header:
        end = 28
        while end + 3 <= len(header):
            end += 3 + (header[end + 1] << 8 | header[end + 2])
        return super().tcp4(family, header[:28] if end > len(header) else header)._replace(size=max(end, len(header)))


@seeded(
    "tlv-payload-parsed",
    origin="HAProxy 1.6-dev, commit 7209c204b (payload parsed as TLVs)",
    killed_by=(
        "v2/tlv/tcp6",
        "v2/length/total-536-tcp6",
    ),
    shows=v2(A4 + tlv(0x04, b"abc")),
    healthy=AS_PROXIED,
    defective=REFUSED,
)
class PayloadParsed(V2Reader):
    """The TLVs end where the buffer ends, so that the payload is read as TLVs."""

    def read(self, data: bytes | bytearray, max_size: int) -> Header | NeedMore:
        verdict = super().read(data, max_size)
        if isinstance(verdict, Header) and verdict.tlv_area:
            self.tlv_reader.check(bytes(data), 28)
        return verdict


@seeded(
    "tlv-overrun-panics",
    origin="netty #16866 in kind; requirement v2.tlv.len-ffff",
    killed_by=("aftermath/malformed/tlv-ffff",),
    shows=v2(A4 + b"\x04\xff\xffabc"),
    defective=PROCESS_GONE,
)
class OverrunPanics(TlvReader):
    """A TLV that reaches past the header is an index out of bounds, which ends the process."""

    def overrun(self, header: bytes, kind: int, end: int) -> None:
        panic()


@seeded(
    "tlv-walk-off-by-one",
    origin="requirement v2.tlv.noop-10",
    killed_by=("v2/tlv/noop",),
    shows=v2(A4 + tlv(0x02, b"example.com") + tlv(0x04, b"abc")),
    healthy=AS_PROXIED,
    defective=REFUSED,
)
class WalkOffByOne(TlvReader):
    """The next TLV is looked for one byte early."""

    def check(self, header: bytes, start: int) -> None:
        end = len(header)
        while start < end:
            if start + 3 > end:
                self.overrun(header, header[start], end)
            kind = header[start]
            start += 2 + (header[start + 1] << 8 | header[start + 2])
            if start > end:
                self.overrun(header, kind, end)


@seeded(
    "tlv-duplicate-refused",
    origin="Envoy #42075 in kind; requirement v2.tlv.noop-many",
    killed_by=(
        "malformed/v2/tlv/added",
        "v2/tlv/noop-many",
    ),
    shows=v2(A4 + tlv(0x04) * 2),
    healthy=AS_PROXIED,
    defective=REFUSED,
)
class DuplicateRefused(TlvReader):
    """A second TLV of the same type is refused, NOOP too."""

    def check(self, header: bytes, start: int) -> None:
        kinds = [kind for kind, _, _ in spans(header, start, len(header))]
        if len(kinds) != len(set(kinds)):
            raise HeaderFault(Rule.TLV_BOUNDS, "a TLV comes twice")
        super().check(header, start)


@seeded(
    "tlv-unique-id-128-refused",
    origin="requirement v2.tlv.unique-id-128",
    killed_by=("v2/tlv/unique-id-128",),
    shows=v2(A4 + tlv(0x05, b"u" * 128)),
    healthy=AS_PROXIED,
    defective=REFUSED,
)
class UniqueId128Refused(TlvReader):
    """A UNIQUE_ID of 128 bytes is refused, by a limit that is one too low."""

    def check_unique_id(self, length: int) -> None:
        super().check_unique_id(length + 1)


@seeded(
    "ssl-refused",
    origin="requirement v2.tlv.ssl-ok",
    killed_by=("v2/tlv/ssl",),
    shows=v2(A4 + SSL),
    healthy=AS_PROXIED,
    defective=REFUSED,
)
class SslRefused(TlvReader):
    """SSL TLVs are refused."""

    def check_ssl(self, value: bytes) -> None:
        raise HeaderFault(Rule.SSL, "SSL TLVs are not supported")


@seeded(
    "ssl-recursion",
    origin="netty CVE-2022-41881",
    killed_by=("v2/tlv/ssl-nested/500",),
    shows=v2(
        A4 + b"".join(b"\x20" + (5 + 8 * left).to_bytes(2, "big") + b"\x01\0\0\0\0" for left in range(500, -1, -1))
    ),
    healthy=AS_PROXIED,
    defective=PROCESS_GONE,
)
class SslRecursion(TlvReader):
    """SSL TLVs inside an SSL TLV are read by recursion, and a stack that runs over ends the process."""

    def check_ssl(self, value: bytes) -> None:
        try:
            self.check_inside(SslInfo.of(value))
        except RecursionError:
            panic()

    def check_inside(self, info: SslInfo) -> None:
        for inner in info.tlvs:
            if inner.kind == TlvType.SSL:
                self.check_ssl(inner.value)


@seeded(
    "ssl-empty-panics",
    origin="requirement v2.tlv.ssl-len0",
    killed_by=("aftermath/malformed/ssl-empty",),
    shows=v2(A4 + tlv(0x20)),
    defective=PROCESS_GONE,
)
class SslEmptyPanics(TlvReader):
    """The first byte of an SSL TLV is read where there is none, which ends the process."""

    def check_ssl(self, value: bytes) -> None:
        if not value:
            panic()
        super().check_ssl(value)


@seeded(
    "ssl-unknown-bits-refused",
    origin="requirement v2.tlv.ssl-unknown-client-bits",
    killed_by=(
        "v2/tlv/ssl-client/all-bits",
        "v2/tlv/ssl-client/unknown-bits",
    ),
    shows=v2(A4 + tlv(0x20, b"\xf8\0\0\0\0")),
    healthy=AS_PROXIED,
    defective=REFUSED,
)
class SslUnknownBitsRefused(TlvReader):
    """Client bits without a meaning are refused."""

    def check_ssl(self, value: bytes) -> None:
        super().check_ssl(value)
        if value[0] & ~0x07:
            raise HeaderFault(Rule.SSL, "unknown client bits")


@seeded(
    "crc32c-ignored",
    origin="requirement v2.tlv.crc32c-mismatch",
    killed_by=("v2/tlv/crc32c-mismatch",),
    shows=spoilt(sealed()),
)
class CrcIgnored(TlvReader):
    """The checksum is not checked."""

    def check_crc32c(self, header: bytes, value: int, length: int, count: int) -> None:
        pass


@seeded(
    "crc32c-zero-accepted",
    origin="requirement v2.tlv.crc32c-zero",
    killed_by=("v2/tlv/crc32c-wrong-zero",),
    shows=v2(A4 + tlv(0x03, bytes(4))),
)
class CrcZeroAccepted(TlvReader):
    """A checksum of 0 counts as none."""

    def check_crc32c(self, header: bytes, value: int, length: int, count: int) -> None:
        if header[value : value + length] != bytes(4):
            super().check_crc32c(header, value, length, count)


@seeded(
    "crc32c-length-unchecked",
    origin="requirements v2.tlv.crc32c-len3, v2.tlv.crc32c-len5",
    killed_by=(
        "v2/tlv/crc32c-length-0",
        "v2/tlv/crc32c-length-3",
    ),
    shows=v2(A4 + tlv(0x03, bytes(3))),
)
class CrcLengthUnchecked(TlvReader):
    """A checksum of any other length than 4 is passed over."""

    def check_crc32c(self, header: bytes, value: int, length: int, count: int) -> None:
        if length == 4:
            super().check_crc32c(header, value, length, count)


@seeded(
    "crc32c-field-not-zeroed",
    origin="requirement v2.tlv.crc32c-ok (computed with its own field zero)",
    killed_by=("v2/tlv/crc32c",),
    shows=sealed(),
    healthy=AS_PROXIED,
    defective=REFUSED,
)
class CrcFieldNotZeroed(TlvReader):
    """The checksum is computed over itself, too."""

    def crc32c(self, header: bytes, value: int) -> bytes:
        checksum: int = crc32c(header)
        return checksum.to_bytes(4, "big")


@seeded(
    "crc32c-ieee",
    origin="requirement v2.tlv.crc32c-wrong-algo",
    killed_by=("v2/tlv/crc32c",),
    shows=sealed(),
    healthy=AS_PROXIED,
    defective=REFUSED,
)
class CrcIeee(TlvReader):
    """The checksum is computed with the polynomial of IEEE 802.3."""

    def crc32c(self, header: bytes, value: int) -> bytes:
        return crc32(header[:value] + bytes(4) + header[value + 4 :]).to_bytes(4, "big")


@seeded(
    "crc32c-byte-swapped",
    origin="requirement v2.tlv.crc32c-wrong-algo",
    killed_by=("v2/tlv/crc32c",),
    shows=sealed(),
    healthy=AS_PROXIED,
    defective=REFUSED,
)
class CrcByteSwapped(TlvReader):
    """The checksum is expected with its lowest byte first."""

    def crc32c(self, header: bytes, value: int) -> bytes:
        return super().crc32c(header, value)[::-1]


@seeded(
    "crc32c-no-final-xor",
    origin="requirement v2.tlv.crc32c-wrong-algo",
    killed_by=("v2/tlv/crc32c",),
    shows=sealed(),
    healthy=AS_PROXIED,
    defective=REFUSED,
)
class CrcNoFinalXor(TlvReader):
    """The checksum is not inverted at the end."""

    def crc32c(self, header: bytes, value: int) -> bytes:
        return bytes(0xFF ^ byte for byte in super().crc32c(header, value))


@seeded(
    "crc32c-up-to-itself",
    origin="requirement v2.tlv.crc32c-ok-not-last (whole header)",
    killed_by=(
        "v2/tlv/crc32c-first",
        "malformed/v2/sealed/added",
    ),
    shows=sealed(after=tlv(0x04, b"abcd")),
    healthy=AS_PROXIED,
    defective=REFUSED,
)
class CrcUpToItself(TlvReader):
    """The checksum is computed without the TLVs behind it."""

    def crc32c(self, header: bytes, value: int) -> bytes:
        return super().crc32c(header[: value + 4], value)


@seeded(
    "crc32c-only-last",
    origin="requirement v2.tlv.crc32c-ok-not-last",
    killed_by=(
        "malformed/v2/broken-seal/added",
        "malformed/v2/broken-seal/flipped-16",
    ),
    shows=v2(A4 + tlv(0x03, bytes(4)) + tlv(0x04, b"abcd")),
)
class CrcOnlyLast(TlvReader):
    """The checksum is checked only where it is the last TLV."""

    def check_crc32c(self, header: bytes, value: int, length: int, count: int) -> None:
        if value + length == len(header):
            super().check_crc32c(header, value, length, count)


@seeded(
    "crc32c-over-payload",
    origin="requirement v2.tlv.crc32c-ok-payload",
    killed_by=(
        "v2/tlv/crc32c-tcp6",
        "v2/tlv/crc32c-payload-tls",
    ),
    shows=session(sealed()),
    healthy=AS_PROXIED,
    defective=REFUSED,
)
class CrcOverPayload(V2Reader):
    """The checksum is computed over the payload, too."""

    def read(self, data: bytes | bytearray, max_size: int) -> Header | NeedMore:
        verdict = super().read(data, max_size)
        if isinstance(verdict, Header) and verdict.tlv(TlvType.CRC32C) is not None:
            at = next(value for kind, value, _ in spans(bytes(data), 28, verdict.size) if kind == TlvType.CRC32C)
            self.tlv_reader.check_crc32c(bytes(data), at, 4, 1)
        return verdict


@seeded(
    "crc32c-local-ignored",
    origin="requirement v2.tlv.crc32c-local-bad",
    killed_by=("v2/tlv/crc32c-mismatch-local",),
    shows=spoilt(sealed(command=0x20, family=0x00, body=b"")),
    defective=AS_PEER,
)
class CrcLocalIgnored(V2Reader):
    """The checksum of LOCAL is not checked."""

    def check_opaque(self, header: bytes) -> None:
        pass


@seeded(
    "tlv-fault-served-as-peer",
    origin="requirement inv.no-downgrade",
    killed_by=("v2/tlv/overrun", "v2/tlv/stray-1", "v2/tlv/ssl-broken/empty", "v2/tlv/crc32c-twice"),
    shows=v2(A4 + b"\x04"),
    defective=AS_PEER,
)
class FaultServedAsPeer(V2Reader):
    """A header whose TLVs are broken counts as one without an address."""

    def tcp4(self, family: Family, header: bytes) -> Header:
        try:
            return super().tcp4(family, header)
        except HeaderFault:
            return Header(2, Command.PROXY, family, None, None, b"", len(header))


@seeded(
    "tlv-duplicate-leaks",
    origin="Envoy #42075 in kind (types that come twice); requirement inv.header-not-payload",
    killed_by=("v2/tlv/duplicate",),
    shows=v2(A4 + tlv(0x02, b"a.test") + tlv(0x02, b"b.test")),
    healthy=AS_PROXIED,
    defective="220, 500 5.5.1, 221, FIN",
)
class DuplicateLeaks(V2Reader):
    """The first TLV whose type has come before ends the header, and the session gets it."""

    def tcp4(self, family: Family, header: bytes) -> Header:
        read = super().tcp4(family, header)
        known: set[int] = set()
        for kind, value, _ in spans(header, 28, len(header)):
            if kind in known and kind != TlvType.NOOP:
                return read._replace(size=value - 3)
            known.add(kind)
        return read


@seeded(
    "unique-id-echoed",
    origin="Envoy CVE-2024-23324 in kind; requirement v2.tlv.log-injection",
    killed_by=("v2/tlv/log-injection/unique-id",),
    shows=steps(v2(A4 + tlv(0x05, b"a\r\n250 b")), Pause(0.2), SESSION),
    healthy=AS_PROXIED,
    defective="220, 250 [192.0.2.1], 250, 221, FIN",
)
class UniqueIdEchoed(Connection):
    """The bytes of a UNIQUE_ID TLV stand as they are in the answer to EHLO."""

    kind = TlvType.UNIQUE_ID

    class Session(SmtpSession):
        """A session that says what it is called elsewhere."""

        label = ""

        def hello(self) -> str:
            return f"{super().hello()}{self.label}"

        def say(self, text: str, **fields: str) -> None:
            """Queue the reply, its bytes as they came."""
            self._out.append(text.format(**fields).encode("latin-1", "replace") + b"\r\n")

    session_type = Session

    def begin_session(self, standing: Standing, rest: bytes) -> list[Action]:
        actions = super().begin_session(standing, rest)
        value = self.header.tlv(self.kind) if self.header is not None else None
        if value is not None and isinstance(self._session, UniqueIdEchoed.Session):
            self._session.label = " " + value.decode("latin-1")
        return actions


@seeded(
    "alpn-echoed",
    origin="Envoy CVE-2024-23324 in kind; requirement v2.tlv.log-injection",
    killed_by=("v2/tlv/log-injection/alpn",),
    shows=steps(v2(A4 + tlv(0x01, b"a\r\n250 b")), Pause(0.2), SESSION),
    healthy=AS_PROXIED,
    defective="220, 250 [192.0.2.1], 250, 221, FIN",
)
class AlpnEchoed(UniqueIdEchoed):
    """The bytes of an ALPN TLV stand as they are in the answer to EHLO."""

    kind = TlvType.ALPN
