"""Choosing the layer for bytes whose version is not known beforehand (detection order of section 2.2)."""

from typing import Any

from scapy.packet import Raw

from proxyspec.layers.v1 import ProxyV1
from proxyspec.layers.v2 import ProxyV2


def dissect(data: bytes) -> Any:
    """Dissect `data` as ProxyV2 or ProxyV1, good or bad, and as Raw when it resembles neither.

    The build of the result is byte for byte `data`. Never raises.
    """
    for layer in (ProxyV2, ProxyV1):
        if layer.resembles(data):
            return layer(data)
    return Raw(data)
