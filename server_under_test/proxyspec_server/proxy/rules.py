"""The rules a malformed header can break, and how breaking one is said."""

from dataclasses import dataclass
from enum import StrEnum


class Rule(StrEnum):
    """The rule a malformed header breaks."""

    PREFIX = "prefix"
    V1_PROTOCOL = "v1-protocol"
    V1_LINE_END = "v1-line-end"
    V1_LENGTH = "v1-length"
    V1_FIELDS = "v1-fields"
    V1_ADDRESS = "v1-address"
    V1_PORT = "v1-port"
    V2_VERSION = "v2-version"
    V2_COMMAND = "v2-command"
    V2_FAMILY = "v2-family"
    V2_LENGTH = "v2-length"
    V2_SIZE_LIMIT = "v2-size-limit"
    TLV_BOUNDS = "tlv-bounds"
    CRC32C = "crc32c"
    UNIQUE_ID = "unique-id"
    SSL = "ssl"

    @property
    def section(self) -> str:
        """The section of the PROXY protocol text that states the rule."""
        return _SECTIONS[self]


_SECTIONS = {
    Rule.PREFIX: "2",
    Rule.V1_PROTOCOL: "2.1",
    Rule.V1_LINE_END: "2.1",
    Rule.V1_LENGTH: "2.1",
    Rule.V1_FIELDS: "2.1",
    Rule.V1_ADDRESS: "2.1",
    Rule.V1_PORT: "2.1",
    Rule.V2_VERSION: "2.2",
    Rule.V2_COMMAND: "2.2",
    Rule.V2_FAMILY: "2.2",
    Rule.V2_LENGTH: "2.2",
    Rule.V2_SIZE_LIMIT: "2.2",
    Rule.TLV_BOUNDS: "2.2",
    Rule.CRC32C: "2.2.3",
    Rule.UNIQUE_ID: "2.2.5",
    Rule.SSL: "2.2.6",
}


class HeaderFault(Exception):
    """Raised inside the readers for a broken rule; `HeaderParser` turns it into `Malformed`."""

    def __init__(self, rule: Rule, reason: str) -> None:
        super().__init__(reason)
        self.rule = rule
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Malformed:
    """The bytes are no valid header, and no byte to come can change that.

    `reason` is one line of printable ASCII that quotes nothing the peer sent.
    """

    rule: Rule
    reason: str
