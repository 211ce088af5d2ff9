"""What a kill matrix has to know beside cases and defects: which cases kill nothing and why, and the sound profiles."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

__all__ = ["IDLE", "PROFILES", "SoundProfile"]

#: Case id -> why no seeded defect fails it.
IDLE: Mapping[str, str] = MappingProxyType(
    {
        "general/half-close/complete": "a greeting, silence and a refusal all conform behind a complete header and a "
        "FIN; whether the server lives on is what aftermath/half-close looks at",
        "smtp/privilege/loopback-relay": "for whom a server relays is its configuration: the reply is recorded for a "
        "reader and not judged; the address itself is what smtp/privilege/loopback looks at",
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SoundProfile:
    """A profile of the reference server that no case may flag, as a target profile would declare it."""

    name: str
    grounds: str
    versions: frozenset[int] = frozenset({1, 2})
    #: Capabilities declared absent.
    lacks: tuple[str, ...] = ()
    #: Cases that may warn of it.
    warned: tuple[str, ...] = ()


PROFILES = (
    SoundProfile(name="lenient", grounds="section 2.2: what the text leaves free, taken the tolerant way"),
    SoundProfile(
        name="haraka",
        grounds="section 2.1: some receivers refuse UNKNOWN; section 2.2: to speak both versions is recommended",
        versions=frozenset({1}),
        # Its Received fields have no tag before IPv6 addresses: a deviation from RFC 5321, section 4.1.3, of its own.
        lacks=("unknown", "received"),
    ),
)
