"""Scapy layers of the PROXY protocol, versions 1 and 2.

Only scapy.packet and scapy.fields are imported, never scapy.all: a quarter of a second instead of seconds, and no
look at the machine's interfaces and routes.
"""

import logging

from scapy.error import log_scapy

log_scapy.setLevel(logging.ERROR)  # else Scapy complains while it loads, of a Python without IPv6 for one

from proxyspec.layers.detect import dissect  # noqa: E402
from proxyspec.layers.tlv import (  # noqa: E402
    SSLCN,
    TLV,
    TLVALPN,
    TLVCRC32C,
    TLVSSL,
    SSLCipher,
    SSLClient,
    SSLClientCert,
    SSLGroup,
    SSLKeyAlg,
    SSLSigAlg,
    SSLSigScheme,
    SSLSubTLV,
    SSLType,
    SSLVersion,
    TLVAuthority,
    TLVNetNS,
    TLVNoop,
    TLVType,
    TLVUniqueID,
)
from proxyspec.layers.v1 import ProxyV1  # noqa: E402
from proxyspec.layers.v2 import Command, Family, ProxyV2, Transport  # noqa: E402

__all__ = [
    "SSLCN",
    "TLV",
    "TLVALPN",
    "TLVCRC32C",
    "TLVSSL",
    "Command",
    "Family",
    "ProxyV1",
    "ProxyV2",
    "SSLCipher",
    "SSLClient",
    "SSLClientCert",
    "SSLGroup",
    "SSLKeyAlg",
    "SSLSigAlg",
    "SSLSigScheme",
    "SSLSubTLV",
    "SSLType",
    "SSLVersion",
    "TLVAuthority",
    "TLVNetNS",
    "TLVNoop",
    "TLVType",
    "TLVUniqueID",
    "Transport",
    "dissect",
]
