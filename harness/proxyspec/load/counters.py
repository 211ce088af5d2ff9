"""What the reference server counted of the ends of its connections, held against what was planned."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Mapping, Sequence

from proxyspec.errors import UsageError
from proxyspec.load.scripts import Pattern
from proxyspec.records import Threshold

__all__ = ["Endings", "classes", "compare", "read_endings", "settled"]

#: How often which ending was counted, by its name.
Endings = Mapping[str, int]

#: Bytes of counters read at most, seconds their server may take, seconds until they have to stand still.
MAX_BYTES = 1024 * 1024
PATIENCE = 5.0
SETTLE = 5.0


def read_endings(url: str) -> dict[str, int]:
    """Return the endings counted so far, from `/metrics.json` of the reference server on this machine.

    Raises:
        UsageError: the URL is no such thing, or does not answer with counters.
    """
    parts = urllib.parse.urlsplit(url)
    if parts.scheme != "http" or parts.hostname not in ("127.0.0.1", "::1", "localhost"):
        raise UsageError(f"--server-metrics {url!r}: write http://127.0.0.1:PORT/metrics.json")
    try:
        with urllib.request.urlopen(url, timeout=PATIENCE) as answer:  # noqa: S310 - the scheme was looked at
            counters = json.loads(answer.read(MAX_BYTES))
    except (OSError, ValueError) as error:
        raise UsageError(f"--server-metrics {url!r} cannot be read: {error}") from error
    match counters:
        case {"endings": dict(endings)} if all(isinstance(count, int) for count in endings.values()):
            return {str(name): count for name, count in endings.items()}
        case _:
            raise UsageError(f"--server-metrics {url!r} holds no counted endings: start `serve --metrics HOST:PORT`")


def settled(read: Callable[[], dict[str, int]], wanted: int) -> dict[str, int]:
    """Read until `wanted` endings in all are counted, or it is clear that they will not be; return the last reading.

    The last connections' ends may still be on their way when the load is over.
    """
    deadline = time.monotonic() + SETTLE
    while sum((found := read()).values()) < wanted and time.monotonic() < deadline:
        time.sleep(0.05)
    return found


def classes(patterns: Sequence[Pattern]) -> list[tuple[tuple[str, ...], frozenset[str]]]:
    """Return which patterns have to be counted together, and as what: those that may count as the same ending."""
    found: list[tuple[tuple[str, ...], frozenset[str]]] = []
    for pattern in patterns:
        names: tuple[str, ...] = (pattern.name,)
        endings = pattern.endings
        apart = []
        for other in found:
            if other[1] & endings:
                names, endings = other[0] + names, other[1] | endings
            else:
                apart.append(other)
        found = [*apart, (names, endings)]
    return found


def compare(
    patterns: Sequence[Pattern], planned: Mapping[str, int], before: Endings, after: Endings
) -> list[Threshold]:
    """Judge class by class whether the server counted what was planned; `actual` is what it counted."""
    verdicts = []
    for names, endings in classes(patterns):
        wanted = sum(planned.get(name, 0) for name in names)
        counted = sum(after.get(ending, 0) - before.get(ending, 0) for ending in endings)
        expression = f"counted({' + '.join(names)}) == {wanted}"
        verdicts.append(Threshold(expression=expression, actual=float(counted), met=counted == wanted))
    return verdicts
