"""The header at the start of one connection: which version it is, when it is complete, and what follows it."""

from typing import ClassVar

from proxyspec_server.proxy.header import Header, NeedMore
from proxyspec_server.proxy.rules import HeaderFault, Malformed, Rule
from proxyspec_server.proxy.v1 import V1Reader
from proxyspec_server.proxy.v2 import FIXED_SIZE, V2QuickReader, V2Reader

DEFAULT_MAX_HEADER_SIZE = FIXED_SIZE + 4096
"""Largest version 2 header accepted, in bytes.

Section 2 promises 536 bytes; client certificates in TLVs (section 2.2.6) need a few thousand. The length field would
allow 65,551.
"""

_NOTHING_YET = NeedMore(1)
_BOTH_VERSIONS = frozenset({1, 2})


class HeaderParser:
    """Reads the one header a connection may begin with.

    Arguments: `versions`, those spoken here; `max_header_size` in bytes, a security limit on version 2 (version 1 has
    its own, 107 bytes unless its choices say otherwise). The parser buffers no more than that beyond what a single
    `feed` brings.
    """

    __slots__ = ("_buffer", "_max_header_size", "_versions", "_waiting", "rest")

    v1: ClassVar[V1Reader] = V1Reader()
    v2: ClassVar[V2Reader] = V2QuickReader()

    def __init__(
        self,
        versions: frozenset[int] = _BOTH_VERSIONS,
        max_header_size: int = DEFAULT_MAX_HEADER_SIZE,
    ) -> None:
        self._versions = versions
        self._max_header_size = max_header_size
        self._buffer: bytearray | None = None
        self._waiting: NeedMore | None = _NOTHING_YET
        self.rest = b""
        """The bytes after the header, once there is one."""

    @property
    def received(self) -> int:
        """How many bytes of an unfinished header have arrived."""
        return len(self._buffer) if self._buffer is not None else 0

    def feed(self, data: bytes) -> Header | NeedMore | Malformed:
        """Take the next bytes of the connection.

        Returns the header as soon as it is complete, and leaves what follows it in `rest`; Malformed as soon as the
        bytes cannot become a header; NeedMore otherwise. The verdict is the same however the bytes are split.
        Raises ValueError when there has been a verdict already.
        """
        waiting = self._waiting
        if waiting is None:
            raise ValueError("this connection's header has been judged already")
        seen: bytes | bytearray = data
        if self._buffer is not None:
            self._buffer += data
            seen = self._buffer
        if len(seen) < waiting.wanted:
            return waiting
        try:
            verdict = self.read(seen)
        except HeaderFault as fault:
            self._waiting = self._buffer = None
            return Malformed(fault.rule, fault.reason)
        if isinstance(verdict, NeedMore):
            if self._buffer is None:
                self._buffer = bytearray(data)
            self._waiting = verdict
            return verdict
        self._waiting = self._buffer = None
        size = verdict.size
        if len(seen) > size:
            self.rest = bytes(seen[size:])
        return verdict

    def read(self, data: bytes | bytearray) -> Header | NeedMore:
        """Read `data`, all of the connection so far, as the version its first byte belongs to. Raises HeaderFault."""
        first = data[0]
        if first == 0x50 and 1 in self._versions:
            return self.v1.read(data)
        if first == 0x0D and 2 in self._versions:
            return self.v2.read(data, self._max_header_size)
        raise HeaderFault(Rule.PREFIX, 'the connection does not begin with "PROXY " or the version 2 signature')
