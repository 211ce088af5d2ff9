"""The PROXY protocol, receiving side: bytes in, a header or the reason why there is none out."""

from proxyspec_server.proxy.choices import STRICT_CHOICES, Choices, Freedom, Reading
from proxyspec_server.proxy.header import Command, Endpoint, Family, Header, NeedMore
from proxyspec_server.proxy.parser import DEFAULT_MAX_HEADER_SIZE, HeaderParser
from proxyspec_server.proxy.readers import Readers
from proxyspec_server.proxy.rules import HeaderFault, Malformed, Rule
from proxyspec_server.proxy.tlv import SslInfo, Tlv, TlvReader, TlvType
from proxyspec_server.proxy.v1 import V1Reader
from proxyspec_server.proxy.v2 import SIGNATURE, V2Reader

__all__ = [
    "DEFAULT_MAX_HEADER_SIZE",
    "SIGNATURE",
    "STRICT_CHOICES",
    "Choices",
    "Command",
    "Endpoint",
    "Family",
    "Freedom",
    "Header",
    "HeaderFault",
    "HeaderParser",
    "Malformed",
    "NeedMore",
    "Readers",
    "Reading",
    "Rule",
    "SslInfo",
    "Tlv",
    "TlvReader",
    "TlvType",
    "V1Reader",
    "V2Reader",
]
