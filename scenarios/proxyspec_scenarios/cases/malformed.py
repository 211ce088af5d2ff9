"""Valid headers with a named malformation, row by row, where the text says what becomes of them (2.1 and 2.2)."""

from collections.abc import Iterable
from typing import Final

from proxyspec.casebook import REAL, REFUSED, Chapter, proxied
from proxyspec.layers.authoring import TLVType, crc32c, noop, tlv, v1, v2
from proxyspec.malform import (
    AddTlv,
    Cut,
    DropPart,
    DropTlv,
    DuplicatePart,
    DuplicateTlv,
    FlipBit,
    Insert,
    LengthBy,
    LengthTo,
    Malformation,
    NestTlv,
    Pad,
    Refit,
    Remove,
    Repeat,
    Reseal,
    ReverseTlvs,
    SetField,
    Splice,
    SwapBytes,
    SwapParts,
    SwapTlvs,
    in_words,
    malformed,
)
from proxyspec.model import Accept, Capability, HalfClose, Level, OutcomeKind, Send

chapter = Chapter(
    "malformed",
    section="2.1",
    requirements={
        "v1": ("v1.line.grammar",),
        "v1/cut": ("v1.line.crlf", "inv.atomic-address"),
        "v1/inserted": ("v1.line.grammar", "v1.separator"),
        "v1/swapped": ("v1.line.grammar", "v1.address.source-first"),
        "v2": ("v2.length.address",),
        "v2/cut": ("v2.header.partial", "inv.atomic-address"),
        "v2/signature": ("v2.signature",),
        "v2/version": ("v2.version",),
        "v2/command": ("v2.command",),
        "v2/family": ("v2.family.undefined",),
        "v2/family/flipped-0": ("v2.unspec",),
        "v2/family/flipped-4": ("v2.unspec",),
        "v2/family/flipped-5": ("v2.length.address", "v2.family.unsupported"),
        "v2/longer": ("v2.header.partial",),
        "v2/order": ("v2.byte-order", "v2.address.layout"),
        "v2/tlv": ("tlv.layout", "tlv.skip"),
        "v2/tlv/length": ("tlv.bounds",),
        "v2/sealed": ("tlv.crc32c.verify", "tlv.crc32c.scope"),
        "v2/broken-seal": ("tlv.crc32c.abort",),
    },
)

_V1: Final = frozenset({1})
_V2: Final = frozenset({2})
_CRC: Final = frozenset({Capability.CRC32C})
_AS_SMTP: Final = (Accept(OutcomeKind.TREATED_AS_SMTP),)

_LINE: Final = v1()
_HEADER: Final = v2()
_EXTENDED: Final = v2(tlvs=[tlv(TLVType.ALPN, "smtp"), noop(3), tlv(0xE0, "abc")])
_SEALED: Final = v2(tlvs=[tlv(TLVType.ALPN, "smtp"), crc32c(), tlv(0xE0, "abc")])


def _line(name: str, *chain: Malformation) -> None:
    """A version 1 line that is none any more."""
    title = f"A TCP4 line is refused with {in_words(chain)}"
    chapter.rejects(f"v1/{name}", malformed(_LINE, *chain), title, control="v1/tcp4/ok", versions=_V1)


def _header(name: str, *chain: Malformation, waits: bool = False) -> None:
    """A version 2 header that is none any more; `waits` where it ends before its length says."""
    title = f"A TCP4 header is refused with {in_words(chain)}"
    data = malformed(_HEADER, *chain)
    control = "v2/tcp4/ok"
    chapter.rejects(f"v2/{name}", data, title, section="2.2", control=control, versions=_V2, waits=waits)


def _open(name: str, base: bytes, *chain: Malformation, conforms: Iterable[tuple[Accept, ...]]) -> None:
    """A version 2 header that the text leaves open."""
    title = f"A TCP4 header is served or refused with {in_words(chain)}"
    accept = tuple(conforms)
    data = malformed(base, *chain)
    chapter.either(f"v2/{name}", data, title, *accept, section="2.2", control="v2/tcp4/ok", versions=_V2)


# Version 1

for _at in range(11):
    _line(f"flipped/{_at:02}", FlipBit(_at, 0))
for _part in ("prefix", "protocol", "src", "dst", "sport", "dport"):
    _line(f"without/{_part}", DropPart(_part))
    _line(f"twice/{_part}", DuplicatePart(_part))
for _one, _other in (("protocol", "src"), ("src", "sport"), ("dst", "dport"), ("prefix", "protocol")):
    _line(f"swapped/{_one}-{_other}", SwapParts(_one, _other))
for _name, _bytes in (("nul", b"\0"), ("lf", b"\n"), ("high", b"\xff")):
    for _at in (0, 5, 10, 20, 30, 35, 38):
        _line(f"inserted/{_name}-{_at:02}", Insert(_at, _bytes))
_line("spliced/v2", Splice(6, v2(), 0))
_line("repeated/part-of-the-source", Repeat(11, 4))
_line("padded/before-the-end", SetField("rest", b"\0" * 8))
for _one, _other, _sees in (("src", "dst", "192.0.2.2"), ("sport", "dport", "192.0.2.1")):
    chapter.accepts(
        f"v1/swapped/{_one}-{_other}",
        malformed(_LINE, SwapParts(_one, _other)),
        f"A TCP4 line is as good with {SwapParts(_one, _other).describe()}",
        sees=_sees,
        versions=_V1,
    )
for _at in range(1, len(_LINE)):
    chapter.rejects(
        f"v1/cut/{_at:02}",
        (Send(Cut(_at)(_LINE)), HalfClose()),
        f"A FIN at byte {_at} of the line gets no session",
        level=Level.IMPLIED,
        control="v1/tcp4/ok",
        versions=_V1,
    )

# Version 2

for _at in range(12):
    _header(f"signature/flipped-{_at:02}", FlipBit(_at, 0))
for _bit in (4, 5, 6, 7):
    _header(f"version/flipped-{_bit}", FlipBit(12, _bit))
for _bit in (1, 2, 3):
    _header(f"command/flipped-{_bit}", FlipBit(12, _bit))
chapter.accepts_real(
    "v2/command/flipped-0",
    FlipBit(12, 0)(_HEADER),
    "The bit between PROXY and LOCAL decides whose address counts",
    section="2.2",
    versions=_V2,
)
for _bit in (1, 2, 3, 6, 7):
    _header(f"family/flipped-{_bit}", FlipBit(13, _bit))
for _bit in (0, 4, 5):
    _open(f"family/flipped-{_bit}", _HEADER, FlipBit(13, _bit), conforms=(REAL, REFUSED))
for _less in range(1, 13):
    _header(f"shorter/by-{_less:02}", LengthBy(-_less))
for _more in (1, 2, 3, 12, 256):
    _header(f"longer/by-{_more}", LengthBy(_more), waits=True)
for _length in (0x0C00, 0x8000, 0xFFFF):
    _header(f"longer/to-{_length:04x}", LengthTo(_length), waits=True)
for _at in (12, 13, 14):
    _header(f"inserted/nul-{_at}", Insert(_at, b"\0"), waits=_at == 13)
    _header(f"removed/{_at}", Remove(_at), waits=_at != 12)
_header("spliced/v1", Splice(12, v1(), 0))
_header("cut-and-refitted", Cut(24), Refit())
for _at in range(1, len(_HEADER)):
    chapter.rejects(
        f"v2/cut/{_at:02}",
        (Send(Cut(_at)(_HEADER)), HalfClose()),
        f"A FIN at byte {_at} of the header gets no session",
        section="2.2",
        level=Level.IMPLIED,
        control="v2/tcp4/ok",
        versions=_V2,
    )
for _name, _change, _sees in (
    ("addresses", (Repeat(16, 8), Remove(16, 4), Remove(24, 4)), "192.0.2.2"),
    ("source-reversed", (SwapBytes(16, 4),), "1.2.0.192"),
    ("ports-reversed", (SwapBytes(24), SwapBytes(26)), "192.0.2.1"),
):
    chapter.accepts(
        f"v2/order/{_name}",
        malformed(_HEADER, *_change),
        f"A TCP4 header means what its bytes say with {in_words(_change)}",
        sees=_sees,
        section="2.2",
        versions=_V2,
    )

# TLVs

for _name, _extra in (
    ("reversed", (ReverseTlvs(),)),
    ("swapped", (SwapTlvs(0, 1),)),
    ("left-out", (DropTlv(1),)),
    ("nested", (NestTlv(0),)),
    ("added", (AddTlv(TLVType.NOOP, b"\xff" * 64),)),
):
    chapter.accepts(
        f"v2/tlv/{_name}",
        malformed(_EXTENDED, *_extra),
        f"A header with TLVs is as good with {in_words(_extra)}",
        section="2.2",
        versions=_V2,
    )
_open("tlv/twice", _EXTENDED, DuplicateTlv(0), conforms=(proxied(), REFUSED))
_open("tlv/nested-deep", _EXTENDED, NestTlv(0, 50), conforms=(proxied(), REFUSED))
for _index in range(3):
    for _delta in (-1, 1):
        _open(f"tlv/length-{_index}{_delta:+}", _EXTENDED, LengthBy(_delta, _index), conforms=(proxied(), REFUSED))
    _open(f"tlv/length-{_index}-ffff", _EXTENDED, LengthTo(0xFFFF, _index), conforms=(proxied(), REFUSED))
_open("tlv/cut-off", _EXTENDED, LengthBy(-1), conforms=(proxied(), REFUSED, _AS_SMTP))
_open("tlv/padded", _EXTENDED, Pad(b"\0\0"), Refit(), conforms=(proxied(), REFUSED))

_SEALED_CHANGES: Final[dict[str, tuple[Malformation, ...]]] = {
    "reversed": (ReverseTlvs(),),
    "left-out": (DropTlv(0),),
    "added": (AddTlv(0xE1, b"xyz"),),
    "nested": (NestTlv(0),),
    "port": (SetField("sport", 2222),),
}
for _name, _bent in _SEALED_CHANGES.items():
    chapter.accepts(
        f"v2/sealed/{_name}",
        malformed(_SEALED, *_bent, Reseal()),
        f"A checksum holds with {in_words((*_bent, Reseal()))}",
        section="2.2.3",
        versions=_V2,
    )
    chapter.rejects(
        f"v2/broken-seal/{_name}",
        malformed(_SEALED, *_bent),
        f"A checksum breaks with {in_words(_bent)}",
        section="2.2.3",
        control=f"malformed/v2/sealed/{_name}",
        versions=_V2,
        needs=_CRC,
    )
chapter.accepts("v2/sealed/ok", _SEALED, "A checksum between other TLVs holds", section="2.2.3", versions=_V2)
for _at in (16, 20, 26, 31, 38, 45):
    chapter.rejects(
        f"v2/broken-seal/flipped-{_at}",
        FlipBit(_at, 0)(_SEALED),
        f"A checksum breaks with {FlipBit(_at, 0).describe()}",
        section="2.2.3",
        control="malformed/v2/sealed/ok",
        versions=_V2,
        needs=_CRC,
    )
