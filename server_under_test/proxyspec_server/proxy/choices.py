"""What the text leaves to the receiver, as data; the defaults are the strict way."""

from dataclasses import dataclass
from enum import Enum

MAX_LINE = 107
"""Longest version 1 line in bytes, its CRLF included (section 2.1)."""


class Reading(Enum):
    """What becomes of a header that is well-formed and names no address."""

    SERVED = "served"
    """The session runs with the addresses of the TCP connection."""
    REFUSED = "refused"


class Freedom(Enum):
    """What a receiver may refuse or pass over, as it likes."""

    STRAY_BYTES = "stray-bytes"
    """Bytes behind the addresses that are no whole TLVs (section 2.2: a receiver may skip and ignore them)."""
    SECOND_CRC32C = "second-crc32c"
    """A CRC32C TLV after the first; nothing says what it would cover (section 2.2.3)."""
    LONG_UNIQUE_ID = "long-unique-id"
    """A UNIQUE_ID longer than a sender may make it (section 2.2.5)."""
    BROKEN_SSL = "broken-ssl"
    """An SSL TLV whose inside does not fit (section 2.2.6); nothing of it is believed then."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """One receiver's choices."""

    unknown: Reading = Reading.SERVED
    """UNKNOWN in version 1: should be accepted, may be refused (section 2.1)."""
    max_line: int = MAX_LINE
    """Bytes after which a version 1 line without line end is refused; 107 at least, so that none is cut."""
    whole_lines: bool = False
    """Whether a line is judged only once it has ended, instead of at the first byte that spoils it (section 2.1)."""
    passed_over: frozenset[Freedom] = frozenset()
    """What is passed over instead of refused."""


STRICT_CHOICES = Choices()
