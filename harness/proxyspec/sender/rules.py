"""What a sender of the PROXY protocol owes: one entry a rule, in our own words, with its section."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from proxyspec.model import Level, Verdict

__all__ = [
    "ADDRESSES",
    "CHECK_LOCAL",
    "CLIENT_PROXY",
    "CRC32C",
    "FIRST",
    "HEADER",
    "LOCAL_BARE",
    "ONCE",
    "RULES",
    "SIZE",
    "SSL_CLIENT",
    "SSL_VERIFY",
    "SSL_VERSION",
    "TLV_DECLARED",
    "TLV_FORM",
    "TLV_TYPE",
    "TLV_UNASKED",
    "UNASKED",
    "UNIQUE_ID",
    "V1_LINE",
    "V2_FIXED",
    "V2_LENGTH",
    "VERSION",
    "WHOLE",
    "Finding",
    "Rule",
]


@dataclass(frozen=True, slots=True)
class Rule:
    """One rule; `breach` is what breaking it is worth."""

    id: str
    #: Section of the PROXY protocol text; "setting" where only the proxy's own configuration says so.
    section: str
    level: Level
    sentence: str
    breach: Verdict = Verdict.FAIL


@dataclass(frozen=True, slots=True)
class Finding:
    """A rule that was broken, or something worth a word; `words` say what was seen, controls made visible."""

    rule: Rule
    verdict: Verdict
    words: str

    @classmethod
    def breach(cls, rule: Rule, words: str) -> Finding:
        """Note a broken rule at its full weight."""
        return cls(rule, rule.breach, words)


_MUST, _SHOULD, _IMPLIED = Level.MUST, Level.SHOULD, Level.IMPLIED

HEADER: Final = Rule("send.header", "2", _MUST, "Every connection begins with a header")
FIRST: Final = Rule("send.first", "2", _MUST, "Nothing is sent in front of the header")
WHOLE: Final = Rule("send.whole", "2", _MUST, "The header is sent at once, so that it arrives in the first segment")
ONCE: Final = Rule("send.once", "2", _IMPLIED, "A connection has one header; a second one is payload to its receiver")
SIZE: Final = Rule(
    "send.size", "2", _IMPLIED, "A header fits the smallest segment TCP must carry, 536 bytes", Verdict.WARN
)
V1_LINE: Final = Rule("send.v1.line", "2.1", _MUST, "A version 1 line follows its grammar to the letter")
V2_FIXED: Final = Rule("send.v2.fixed", "2.2", _MUST, "Signature, version, command and family are defined ones")
V2_LENGTH: Final = Rule("send.v2.length", "2.2", _MUST, "The length holds the addresses of the family")
LOCAL_BARE: Final = Rule(
    "send.v2.local-bare", "2.2", _SHOULD, "A LOCAL header has the family UNSPEC and no address", Verdict.WARN
)
CHECK_LOCAL: Final = Rule(
    "send.check.local", "2.2", _IMPLIED, "A connection of the proxy's own, such as a health check, is LOCAL"
)
CLIENT_PROXY: Final = Rule("send.client.proxy", "2.2", _IMPLIED, "A relayed connection is PROXY, never LOCAL")
ADDRESSES: Final = Rule("send.addresses", "2, 2.1, 2.2", _MUST, "The addresses are those of the relayed connection")
TLV_FORM: Final = Rule("send.tlv.form", "2.2", _MUST, "The bytes behind the addresses are whole TLVs")
TLV_TYPE: Final = Rule("send.tlv.type", "2.2.8", _IMPLIED, "A TLV has an assigned type or one set aside", Verdict.WARN)
CRC32C: Final = Rule("send.tlv.crc32c", "2.2.3", _MUST, "The checksum is that of the whole header")
UNIQUE_ID: Final = Rule("send.tlv.unique-id", "2.2.5", _IMPLIED, "A unique identifier has 128 bytes at most")
SSL_CLIENT: Final = Rule("send.tlv.ssl.client", "2.2.6", _IMPLIED, "The SSL TLV tells how the client really came")
SSL_VERSION: Final = Rule("send.tlv.ssl.version", "2.2.6", _IMPLIED, "A client that came over TLS has a TLS version")
# The text says so without a verb, and no sender is known that heeds it: a warning.
SSL_VERIFY: Final = Rule(
    "send.tlv.ssl.verify",
    "2.2.6",
    _IMPLIED,
    "The result of the verification is zero only where a certificate was presented and verified",
    Verdict.WARN,
)
VERSION: Final = Rule("send.version", "setting", _IMPLIED, "The header is of the version that was declared")
UNASKED: Final = Rule("send.unasked", "setting", _IMPLIED, "Without a setting that asks for it there is no header")
TLV_DECLARED: Final = Rule("send.tlv.declared", "setting", _IMPLIED, "What the setting promises is there, as promised")
TLV_UNASKED: Final = Rule("send.tlv.unasked", "setting", _IMPLIED, "A TLV that nobody asked for is not there")

RULES: Final = (
    *(HEADER, FIRST, WHOLE, ONCE, SIZE, V1_LINE, V2_FIXED, V2_LENGTH, LOCAL_BARE, CHECK_LOCAL, CLIENT_PROXY, ADDRESSES),
    *(TLV_FORM, TLV_TYPE, CRC32C, UNIQUE_ID, SSL_CLIENT, SSL_VERSION, SSL_VERIFY),
    *(VERSION, UNASKED, TLV_DECLARED, TLV_UNASKED),
)
