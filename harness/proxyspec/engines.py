"""The HAProxies a command line names, several at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from proxyspec.errors import UsageError

if TYPE_CHECKING:
    from proxyspec_haproxy import Choice

__all__ = ["named_engines"]


def named_engines(specs: Sequence[str], *, missing: Callable[[str], None]) -> list[Choice]:
    """Take the engines that `specs` name (see proxyspec_haproxy.choose_all), each once.

    What cannot be used here is told to `missing`, one sentence each, and left out.

    Raises:
        UsageError: a spec is none, or no engine is left.
    """
    # Imported here: this is the road to Docker's client, and most commands need none.
    from proxyspec_haproxy import HAProxyError, choose_all

    try:
        return choose_all(specs, missing=missing)
    except (HAProxyError, ValueError) as error:
        raise UsageError(f"--haproxy: {error}") from error
