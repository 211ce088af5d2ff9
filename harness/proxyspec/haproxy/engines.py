"""The HAProxies a command line names, and what the record says of each."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from proxyspec.errors import UsageError
from proxyspec.records import HAProxyRecord

if TYPE_CHECKING:
    from proxyspec_haproxy import Choice

__all__ = ["haproxy_record", "named_engines"]


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


def haproxy_record(choice: Choice, config: str, log: str) -> HAProxyRecord:
    """Describe an HAProxy that took part; `config` and `log` are the files it left in the run directory."""
    return HAProxyRecord(
        engine="docker" if choice.name == "docker" else "binary",
        version=str(choice.engine.version()),
        description=choice.engine.describe(),
        why=choice.why,
        config=config,
        log=log,
    )
