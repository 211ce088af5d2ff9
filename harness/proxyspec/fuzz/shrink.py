"""Makes a frame that shows a fault as small as it still shows it: fewer malformations first, then TLVs, then bytes."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator

from proxyspec.malform import DropTlv, Malformation, Refit, Reseal, malformed

__all__ = ["fewer_bytes", "fewer_malformations", "fewer_tlvs"]

#: Sends bytes and tells whether they show the same fault.
Shows = Callable[[bytes], Awaitable[bool]]

#: TLVs of one frame that are tried one by one.
_TLVS = 32


async def fewer_malformations(base: bytes, chain: tuple[Malformation, ...], shows: Shows) -> tuple[Malformation, ...]:
    """Return the shortest chain found by leaving out one malformation after another.

    None of what is left can be left out. Asks at most len(chain)² times.
    """
    position = 0
    while position < len(chain):
        shorter = chain[:position] + chain[position + 1 :]
        if await shows(malformed(base, *shorter)):
            chain, position = shorter, 0
        else:
            position += 1
    return chain


async def fewer_tlvs(data: bytes, shows: Shows) -> bytes:
    """Return the frame without every TLV that can be left out, its length (and checksum, if need be) made right."""
    for index in reversed(range(_TLVS)):
        shorter = DropTlv(index)(data)
        if shorter == data:
            continue
        for candidate in dict.fromkeys((shorter, Reseal()(shorter))):
            if await shows(candidate):
                data = candidate
                break
    return data


async def fewer_bytes(data: bytes, shows: Shows, tries: int) -> bytes:
    """Return the smallest frame found by cutting pieces out of `data`, large ones first, in at most `tries` tries."""
    size = len(data) // 2
    while size:
        position = 0
        while position < len(data):
            for candidate in _without(data, position, size):
                if tries <= 0:
                    return data
                tries -= 1
                if await shows(candidate):
                    data = candidate
                    break
            else:
                position += size
        size = min(size, len(data)) // 2
    return data


def _without(data: bytes, position: int, size: int) -> Iterator[bytes]:
    """Yield `data` without a piece: as it then is, with its length made right, and with its checksum, too."""
    shorter = data[:position] + data[position + size :]
    refitted = Refit()(shorter)
    yield from (one for one in dict.fromkeys((shorter, refitted, Reseal()(refitted))) if one)
