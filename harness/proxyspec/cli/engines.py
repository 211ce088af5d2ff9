"""The HAProxies a command takes: those it names, each that cannot be used here told on its console."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from proxyspec.printable import printable

if TYPE_CHECKING:
    from rich.console import Console

    from proxyspec_haproxy import Choice

__all__ = ["engines_here"]


def engines_here(
    console: Console, specs: Sequence[str], *, words: str = "left out", style: str = "yellow"
) -> tuple[list[Choice], list[str]]:
    """Return the HAProxies that can be used, and why the others cannot; `words` begin each line about one of these.

    Raises:
        UsageError: a spec is none, or no engine is left.
    """
    from proxyspec.haproxy.engines import named_engines

    missing: list[str] = []
    choices = named_engines(specs, missing=missing.append)
    for reason in missing:
        said = printable(f"{words}: {reason}", keep="\n")
        console.print(said, style=style, highlight=False, markup=False, soft_wrap=True)
    return choices, missing
