"""Frames and neighbours that several chapters share."""

from __future__ import annotations

from proxyspec.layers.authoring import v1, v2
from proxyspec.model import Capability, Neighbour

__all__ = [
    "BOTH",
    "EHLO",
    "FORGED",
    "NEXT_ADDRESS",
    "NEXT_V1",
    "NEXT_V2",
    "SERVES_UNKNOWN",
    "TAKES_MAIL",
    "TOO_LONG",
    "V1",
    "V2",
    "next_of",
]

V1 = frozenset({1})
V2 = frozenset({2})
BOTH = frozenset({1, 2})

#: What cases need that are about lines of UNKNOWN being served.
SERVES_UNKNOWN = frozenset({Capability.UNKNOWN})
#: What cases need that send mail, not to be refused for want of a login.
TAKES_MAIL = frozenset({Capability.ANONYMOUS_MAIL})
#: A line that is refused for its length, if not for its port.
TOO_LONG = v1(sport="0" * 4000 + "1111")
#: A command in the same segment as a header.
EHLO = b"EHLO x\r\n"
#: The address of headers that must not be obeyed.
FORGED = "198.51.100.9"
#: The address of neighbours.
NEXT_ADDRESS = "203.0.113.9"
NEXT_V1 = Neighbour(v1(NEXT_ADDRESS, "203.0.113.2", 9999, 25), NEXT_ADDRESS)
NEXT_V2 = Neighbour(v2(NEXT_ADDRESS, "203.0.113.2", 9999, 25), NEXT_ADDRESS)


def next_of(version: int) -> Neighbour:
    """Return the neighbour whose header is of this version."""
    return NEXT_V1 if version == 1 else NEXT_V2
