# scapy.contrib.description = PROXY protocol version 1
# scapy.contrib.status = library
# mypy: allow-subclassing-any
# (Scapy comes without types that mypy may follow, so its classes are Any.)
"""The human-readable header, version 1, as a Scapy layer (section 2.1)."""

import re
from typing import Any, ClassVar, Final

from scapy.fields import StrField
from scapy.packet import Packet, Raw

PREFIX: Final = b"PROXY"
CRLF: Final = b"\r\n"
MAX_LINE: Final = 107  # bytes a receiver must support, CRLF included

# The addresses and ports that stand in for parts left at None: documentation addresses (RFC 5737, RFC 3849).
_EXAMPLES: Final = {
    b"TCP4": {"src": b"192.0.2.1", "dst": b"192.0.2.2", "sport": b"1111", "dport": b"25"},
    b"TCP6": {"src": b"2001:db8::1", "dst": b"2001:db8::2", "sport": b"1111", "dport": b"25"},
}

# Looser than the grammar on purpose, so that a line that breaks it can still be read part by part.
_PREFIX: Final = re.compile(rb"[ \t]*(?i:PROXY)")
_BLANKS: Final = re.compile(rb"[ \t]*")
_WORD: Final = re.compile(rb"[^ \t\r\n]*")
_NOTHING: Final = re.compile(b"")


class _PartField(StrField):
    """One part of the line: bytes, text or an int, sent as given and read up to where its pattern ends."""

    __slots__ = ("pattern",)

    def __init__(self, name: str, default: bytes | None, pattern: re.Pattern[bytes]) -> None:
        super().__init__(name, default)
        self.pattern = pattern

    def any2i(self, pkt: Any, x: Any) -> Any:
        """Accept an int as its decimal digits."""
        return super().any2i(pkt, str(x) if isinstance(x, int) else x)

    def getfield(self, pkt: Any, s: bytes) -> tuple[bytes, bytes]:
        """Take what the pattern matches, which may be nothing."""
        match = self.pattern.match(s)
        value = match[0] if match else b""
        return s[len(value) :], value


class _AddressPartField(_PartField):
    """A part that UNKNOWN has no use for: what follows that word is for the receiver to ignore."""

    def i2m(self, pkt: Any, x: Any) -> bytes:
        """The bytes to send: the value, or the example of the protocol when there is none."""
        if x is None:
            return _EXAMPLES.get(_protocol(pkt), {}).get(self.name, b"")
        return bytes(super().i2m(pkt, x))

    def getfield(self, pkt: Any, s: bytes) -> tuple[bytes, bytes]:
        """Read nothing behind UNKNOWN."""
        return (s, b"") if pkt.protocol == b"UNKNOWN" else super().getfield(pkt, s)


class _SeparatorField(_AddressPartField):
    """Blanks in front of the part named `before`: one space when None and that part is not empty."""

    __slots__ = ("before",)

    def __init__(self, name: str, before: str) -> None:
        super().__init__(name, None, _BLANKS)
        self.before = before

    def i2m(self, pkt: Any, x: Any) -> bytes:
        """The bytes to send."""
        if x is not None:
            return bytes(super().i2m(pkt, x))
        part, value = pkt.getfield_and_val(self.before)
        return b" " if part.i2m(pkt, value) else b""

    def getfield(self, pkt: Any, s: bytes) -> tuple[bytes, bytes]:
        """Read blanks; behind UNKNOWN they belong to the rest of the line."""
        return _PartField.getfield(self, pkt, s) if self.before == "protocol" else super().getfield(pkt, s)


class _RestField(_PartField):
    """Whatever stands before the first CRLF, or all there is when there is none."""

    def getfield(self, pkt: Any, s: bytes) -> tuple[bytes, bytes]:
        """Take the bytes up to CRLF."""
        end = s.find(CRLF)
        return (s[end:], s[:end]) if end >= 0 else (b"", s)


def _protocol(pkt: Any) -> bytes:
    field, value = pkt.getfield_and_val("protocol")
    return bytes(field.i2m(pkt, value))


class ProxyV1(Packet):
    r"""A version 1 line, each part of which can be forced to any bytes (section 2.1).

    Parts left at None follow from the others: addresses and ports are documentation addresses, 1111 and 25 for TCP4
    and TCP6 and absent otherwise; a separator is one space unless the part behind it is empty. `rest` stands between
    the last port and `eol`; behind UNKNOWN it is all there is. To send a wrong separator, give `sep1` (before the
    protocol), `sep2` (source), `sep3` (destination), `sep4` (source port) or `sep5` (destination port)::

        ProxyV1(sport="01111")          PROXY TCP4 192.0.2.1 192.0.2.2 01111 25\r\n
        ProxyV1(dport="", eol="\n")     PROXY TCP4 192.0.2.1 192.0.2.2 1111\n
        ProxyV1(protocol="UNKNOWN", rest=" a b")

    Dissection takes the line up to the first CRLF, and to the end of the bytes when there is none: a lone CR or LF
    does not end it. Good and bad lines are read alike; bytes that do not start with PROXY, in whatever letter case,
    are Raw. Runs of blanks count as one separator. The payload is what follows CRLF.
    """

    name = "PROXY v1"
    fields_desc: ClassVar[list[Any]] = [
        _PartField("prefix", PREFIX, _PREFIX),
        _SeparatorField("sep1", before="protocol"),
        _PartField("protocol", b"TCP4", _WORD),
        _SeparatorField("sep2", before="src"),
        _AddressPartField("src", None, _WORD),
        _SeparatorField("sep3", before="dst"),
        _AddressPartField("dst", None, _WORD),
        _SeparatorField("sep4", before="sport"),
        _AddressPartField("sport", None, _WORD),
        _SeparatorField("sep5", before="dport"),
        _AddressPartField("dport", None, _WORD),
        _RestField("rest", b"", _NOTHING),
        _PartField("eol", CRLF, re.compile(CRLF)),
    ]

    @classmethod
    def dispatch_hook(cls, data: bytes = b"", *_args: Any, **_fields: Any) -> Any:
        """Raw for bytes that do not look like a version 1 line."""
        return Raw if data and not cls.resembles(data) else cls

    @classmethod
    def resembles(cls, data: bytes) -> bool:
        """Whether `data` starts with PROXY, in any letter case and with blanks before it if need be."""
        return _PREFIX.match(data) is not None

    def mysummary(self) -> str:
        """The line as it is sent, for Scapy's summary()."""
        return f"PROXY v1 {self.self_build()!r}"
