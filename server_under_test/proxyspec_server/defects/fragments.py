"""Headers that come in pieces, and what is made of the pieces (sections 2 and 2.2)."""

# ruff: noqa: D102 - each class says what its one method does wrong.

from typing import ClassVar

from proxyspec_server.connection import Action, Connection, State
from proxyspec_server.defects.seed import A4, AS_PROXIED, L4, REFUSED, SESSION, seeded, steps, tlv, v2
from proxyspec_server.probe import Pause, Probe
from proxyspec_server.proxy import Header, HeaderParser, NeedMore, V1Reader, V2Reader
from proxyspec_server.proxy.v2 import FIXED_SIZE
from proxyspec_server.smtp import Standing

GAP = Pause(0.1)
TAIL_AS_COMMANDS = "220, 500 5.5.1, 250 [127.0.0.1], 221, FIN"


@seeded(
    "fragment-short-line-served",
    origin="section 2.2, a receiver's detection wants 8 bytes of a line: fewer are taken for no header at all",
    killed_by=("general/fragments/v1-at-05",),
    shows=steps(L4[:5], GAP, L4[5:] + SESSION),
    healthy=AS_PROXIED,
    defective=TAIL_AS_COMMANDS,
)
class ShortLineServed(Connection):
    """A line of which fewer than 8 bytes come at first counts as none, and the peer is served as a direct client."""

    def header_bytes(self, parser: HeaderParser, data: bytes) -> list[Action]:
        first = not parser.received
        actions = super().header_bytes(parser, data)
        if first and not actions and len(data) < 8 and data.startswith(b"P"):
            return self.begin_session(Standing.LISTED, b"")
        return actions


@seeded(
    "fragment-signature-served",
    origin="section 2.2, a receiver's detection wants 16 bytes: fewer are taken for no header at all",
    killed_by=("general/fragments/v2-at-12",),
    shows=steps(v2()[:12], GAP, v2()[12:] + SESSION),
    healthy=AS_PROXIED,
    defective="220, 500 5.5.1, 221, FIN",
)
class SignatureServed(Connection):
    """A binary header of which fewer than 16 bytes come at first counts as none: the peer is a direct client."""

    def header_bytes(self, parser: HeaderParser, data: bytes) -> list[Action]:
        first = not parser.received
        actions = super().header_bytes(parser, data)
        if first and not actions and len(data) < FIXED_SIZE and data.startswith(b"\r"):
            return self.begin_session(Standing.LISTED, b"")
        return actions


@seeded(
    "fragment-cr-is-enough",
    origin="requirement gen.fragment.v1-between-cr-lf (must not accept at the CR)",
    killed_by=("general/fragments/v1-at-39",),
    shows=steps(L4[:-1], GAP, L4[-1:] + SESSION),
    healthy=AS_PROXIED,
    defective="220, 500 5.5.1, 221, FIN",
)
class CrIsEnough(V1Reader):
    """A line is obeyed at its CR where no more has come, and the LF is left to the session."""

    def read(self, data: bytes | bytearray) -> Header | NeedMore:
        verdict = super().read(data)
        if isinstance(verdict, NeedMore) and data[-1:] == b"\r":
            whole = super().read(bytes(data) + b"\n")
            return whole._replace(size=len(data)) if isinstance(whole, Header) else whole
        return verdict


@seeded(
    "fragment-block-not-awaited",
    origin="HAProxy up to 1.5, commit efd3aa934 in kind (addresses read from a buffer that does not hold them yet)",
    killed_by=("general/fragments/v2-at-16", "general/fragments/v2-at-27"),
    shows=steps(v2()[:20], GAP, v2()[20:] + SESSION),
    healthy=AS_PROXIED,
    defective="220, 500 5.5.1, 221, FIN",
)
class BlockNotAwaited(V2Reader):
    """The addresses are read as soon as the fixed part is there, whether or not they have come."""

    def read(self, data: bytes | bytearray, max_size: int) -> Header | NeedMore:
        verdict = super().read(data, max_size)
        if isinstance(verdict, NeedMore) and FIXED_SIZE <= len(data) < 28 and data[13] == 0x11:
            return self.tcp4_of(bytes(data))
        return verdict

    def tcp4_of(self, data: bytes) -> Header | NeedMore:
        whole = super().read((data[:14] + b"\0\x0c" + data[16:]).ljust(28, b"\0"), 28)
        return whole._replace(size=len(data)) if isinstance(whole, Header) else whole


@seeded(
    "fragment-tlvs-not-awaited",
    origin="requirement gen.fragment.v2-inside-tlv",
    killed_by=("general/fragments/tlv-at-28", "general/fragments/tlv-at-33"),
    shows=steps(v2(A4 + tlv(0x04, b"abc"))[:28], GAP, tlv(0x04, b"abc") + SESSION),
    healthy=AS_PROXIED,
    defective="220, 500 5.5.1, 221, FIN",
)
class TlvsNotAwaited(V2Reader):
    """A header is obeyed as soon as its addresses are there, and TLVs that come later are left to the session."""

    def read(self, data: bytes | bytearray, max_size: int) -> Header | NeedMore:
        verdict = super().read(data, max_size)
        if isinstance(verdict, NeedMore) and len(data) >= 28 and data[12:14] == b"\x21\x11":
            short = super().read(bytes(data[:14]) + b"\0\x0c" + bytes(data[16:28]), max_size)
            return short._replace(size=len(data)) if isinstance(short, Header) else short
        return verdict


@seeded(
    "fragment-to-next",
    origin="requirement inv.per-connection (also after the reuse of an object)",
    killed_by=("aftermath/half-close/v1-20", "aftermath/reset/v1-20"),
    shows=Probe(steps=(L4 + SESSION,), before=Probe(steps=(L4[:20],), fin=True)),
    healthy=AS_PROXIED,
    defective=REFUSED,
    spreads=True,
)
class FragmentToNext(Connection):
    """What a connection leaves of an unfinished header stands before the next connection's bytes."""

    left: ClassVar[bytes] = b""

    def header_bytes(self, parser: HeaderParser, data: bytes) -> list[Action]:
        left, type(self).left = type(self).left, b""
        return super().header_bytes(parser, left + data)

    def eof(self) -> list[Action]:
        self.leave()
        return super().eof()

    def reset(self) -> None:
        self.leave()
        super().reset()

    def leave(self) -> None:
        """Keep what has come of the header."""
        if self.state is State.AWAIT_HEADER and self._parser is not None and self._parser.received:
            type(self).left = bytes(self._parser._buffer or b"")
