"""How every run starts its HAProxies: on ports that were free a moment ago, in a thread where others wait meanwhile."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Final, TypeVar

if TYPE_CHECKING:
    from proxyspec_haproxy import HAProxy

__all__ = ["on_free_ports", "on_free_ports_in_thread"]

#: How often at most it is started.
TRIES: Final = 3

_T = TypeVar("_T")


def on_free_ports(start: Callable[[], _T]) -> _T:
    """Call `start`, which finds free ports and starts HAProxy on them; again where another process was faster.

    Raises:
        HAProxyError: whatever `start` raises, at the third time even that an address is in use.
    """
    # Imported here: this is the road to Docker's client, and most commands need none.
    from proxyspec_haproxy import StartFailed

    for _ in range(TRIES - 1):
        try:
            return start()
        except StartFailed as error:
            if "Address already in use" not in str(error):
                raise
    return start()


async def on_free_ports_in_thread(start: Callable[[], HAProxy]) -> HAProxy:
    """Do the same in a thread; an HAProxy whose starter is cancelled meanwhile is killed as soon as it is there.

    Raises:
        HAProxyError: as `on_free_ports`.
    """
    from proxyspec_haproxy import HAProxyError

    starting = asyncio.create_task(asyncio.to_thread(on_free_ports, start))
    try:
        return await asyncio.shield(starting)
    except asyncio.CancelledError:
        # The thread goes on, and nobody else knows of what it starts.
        with contextlib.suppress(HAProxyError):
            await asyncio.to_thread((await starting).kill)
        raise
