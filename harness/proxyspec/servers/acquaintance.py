"""A first look at a server nobody has described: which headers it takes, what it shows, how long it waits."""

from __future__ import annotations

import asyncio
import contextlib
import time
from dataclasses import dataclass, replace
from typing import Final

from proxyspec.conformance import direct_roads, preflight
from proxyspec.model import Capability, Source, Target
from proxyspec.wire import TcpWire

__all__ = ["LONGEST", "Acquaintance", "get_acquainted"]

#: Seconds a connection without a header is watched: no deadline that anybody sets is longer.
LONGEST: Final = 65.0
#: Seconds after which a server that has said nothing is one that waits for a header.
_FIRST_WORD: Final = 1.5


@dataclass(frozen=True, slots=True)
class Acquaintance:
    """What was seen; `deadline` in seconds from the connection, None where it was not looked for or did not come."""

    versions: tuple[int, ...]
    oracle: str
    capabilities: frozenset[Capability]
    speaks_first: bool
    deadline: float | None
    #: Why nothing could be judged; None: it can.
    unjudgeable: str | None
    #: It served a header whose CRC32C is wrong, where that was tried.
    takes_wrong_crc32c: bool = False


async def get_acquainted(target: Target, *, deadline: bool, longest: float = LONGEST) -> Acquaintance:
    """Send the target a valid header of each version, and none; with `deadline`, see how long it waits for one."""
    looks = [preflight(replace(target, versions=frozenset({version}), oracle="auto")) for version in (1, 2)]
    silent = asyncio.create_task(_silence(target, longest if deadline else _FIRST_WORD))
    found = await asyncio.gather(*looks)
    able = [(version, look) for version, look in zip((1, 2), found, strict=True) if look.unjudgeable is None]
    if not able:
        silent.cancel()
        # Not awaited itself: its cancellation could not be told from ours.
        await asyncio.wait({silent})
        return Acquaintance(
            (), "none", frozenset(), speaks_first=False, deadline=None, unjudgeable=found[0].unjudgeable
        )
    speaks_first, ended = await silent
    oracle = "ehlo" if any(look.oracle == "ehlo" for _, look in able) else "none"
    seen = frozenset[Capability]().union(*(look.capabilities for _, look in able))
    versions = tuple(version for version, _ in able)
    source = f" from {target.trusted_source}" if target.trusted_source is not None else ""
    why = f"it greets without a header: it does not expect PROXY{source}" if speaks_first else None
    return Acquaintance(
        versions,
        oracle,
        seen,
        speaks_first=speaks_first,
        deadline=ended,
        unjudgeable=why,
        takes_wrong_crc32c=any(look.takes_wrong_crc32c for _, look in able),
    )


async def _silence(target: Target, seconds: float) -> tuple[bool, float | None]:
    """Connect and say nothing; return whether it spoke at once, and when it ended the connection."""
    wire = TcpWire(direct_roads(target)[Source.TRUSTED])
    began, spoke, ended = time.monotonic(), False, None
    with contextlib.suppress(TimeoutError, OSError):
        async with asyncio.timeout(seconds):
            await wire.connect()
            began = time.monotonic()
            try:
                while await wire.receive():
                    spoke = spoke or time.monotonic() - began < _FIRST_WORD
            except OSError:
                pass
            ended = time.monotonic() - began
    wire.close()
    return spoke, None if spoke else ended
