"""The header as TCP segments made one by one: cut, out of order, overlapping, ended by FIN or RST (sections 2, 2.2).

They run with `proxyspec tcp`, which starts the target in a network namespace of its own.
"""

from typing import Final

from proxyspec.casebook import LEFT, REFUSED, Chapter, proxied
from proxyspec.layers.authoring import v1, v2
from proxyspec.model import HalfClose, Level, Reset, Send, Via
from proxyspec.tcp.delivery import (
    Delivery,
    bytewise,
    conflicting,
    doubled,
    overlapping,
    reverse,
    split_at,
)
from proxyspec_scenarios.headers import next_of

chapter = Chapter(
    "tcp",
    section="2",
    via=Via.PACKETS,
    requirements={
        "whole": ("gen.exact-length",),
        "segments": ("gen.fragments", "gen.exact-length"),
        "order": ("gen.fragments", "gen.exact-length"),
        "fin": ("gen.end-of-stream", "inv.no-downgrade"),
        "rst": ("gen.end-of-stream", "inv.per-connection"),
        "window": ("gen.exact-length",),
        "half-open": ("inv.bounded",),
    },
)

#: Case id -> how its header becomes segments; the others go whole.
DELIVERIES: Final[dict[str, Delivery]] = {}

for _version, _header in ((1, v1()), (2, v2())):
    _size = len(_header)
    _only = frozenset({_version})
    _control = f"tcp/whole/v{_version}"
    chapter.accepts(
        f"whole/v{_version}", _header, f"A version {_version} header in one segment is served", versions=_only
    )
    for _name, _delivery, _words in (
        ("bytewise", bytewise(_size), "in segments of one byte"),
        ("bytewise-unpushed", bytewise(_size, push=False), "in segments of one byte without PSH"),
        ("halves", split_at(_size, _size // 2), "in two segments"),
        ("halves-unpushed", split_at(_size, _size // 2, push=False), "in two segments without PSH"),
        ("last-byte", split_at(_size, _size - 1, gap=0.1), "whose last byte comes late"),
        ("overlapping", overlapping(_size, 8), "in segments that overlap"),
        ("doubled", doubled(_size, 8), "in segments that all come twice"),
        ("conflicting", conflicting(_size, _size // 2), "of which a part is sent again with other bytes"),
        ("conflicting-first", conflicting(_size, 1), "whose first byte is sent again as another"),
    ):
        chapter.either(
            f"segments/v{_version}/{_name}",
            _header,
            f"A header {_words} is read whole, or refused",
            proxied(),
            REFUSED,
            control=_control,
            versions=_only,
        )
        DELIVERIES[f"tcp/segments/v{_version}/{_name}"] = _delivery
    for _name, _delivery, _words in (
        ("reversed-halves", reverse(_size, (_size + 1) // 2), "whose second half comes first"),
        ("reversed-bytes", reverse(_size, 1), "whose bytes come last to first"),
        ("reversed-eights", reverse(_size, 8), "in segments that come last to first"),
    ):
        chapter.accepts(
            f"order/v{_version}/{_name}",
            _header,
            f"A header {_words} is put in order and served",
            level=Level.IMPLIED,
            versions=_only,
        )
        DELIVERIES[f"tcp/order/v{_version}/{_name}"] = _delivery
    for _at in range(1, _size):
        chapter.rejects(
            f"fin/v{_version}/with-byte-{_at:02}",
            _header[:_at],
            f"A FIN in the segment of byte {_at} gets no session",
            level=Level.IMPLIED,
            control=_control,
            versions=_only,
        )
        DELIVERIES[f"tcp/fin/v{_version}/with-byte-{_at:02}"] = Delivery(fin=True)
        chapter.add(
            f"rst/v{_version}/after-byte-{_at:02}",
            (Send(_header[:_at]), Reset()),
            f"An RST after byte {_at} leaves nothing behind",
            LEFT,
            level=Level.SECURITY,
            versions=_only,
            then=next_of(_version),
        )
    chapter.rejects(
        f"fin/v{_version}/before-any-byte",
        (HalfClose(),),
        "A FIN instead of a header gets no session",
        level=Level.IMPLIED,
        control=_control,
        versions=_only,
    )
    chapter.add(
        f"rst/v{_version}/after-the-header",
        (Send(_header), Reset()),
        "An RST behind a whole header leaves nothing behind",
        LEFT,
        level=Level.SECURITY,
        versions=_only,
        then=next_of(_version),
    )
    chapter.accepts(
        f"window/v{_version}/closed",
        _header,
        "A client whose window is closed for a while gets its greeting when it opens",
        level=Level.IMPLIED,
        versions=_only,
    )
    DELIVERIES[f"tcp/window/v{_version}/closed"] = Delivery(closed_for=0.5)
    chapter.accepts(
        f"half-open/v{_version}",
        _header,
        "Sixty-four handshakes left half-open stand in nobody's way",
        level=Level.SECURITY,
        versions=_only,
    )
    DELIVERIES[f"tcp/half-open/v{_version}"] = Delivery(half_open=64)
