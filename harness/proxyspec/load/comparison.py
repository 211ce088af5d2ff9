"""What a comparison of loads sets side by side, and in which order: interleaved, so that a busy minute hits all."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TypeVar

from proxyspec.errors import UsageError
from proxyspec.load.options import HeaderKind, parse_sources
from proxyspec.model import Via

__all__ = ["MAX_ROUNDS", "Variant", "parse_variants", "rounds"]

MAX_ROUNDS = 100

_Each = TypeVar("_Each")


@dataclass(frozen=True, slots=True)
class Variant:
    """One way to the server: straight with this header, or without one through this HAProxy, which adds its own.

    `source` is the local address that connections of this road come from: a server that expects a header from one
    address may take plain SMTP from another.
    """

    name: str
    header: HeaderKind
    haproxy: str | None = None
    via: Via = Via.RELAY_V2
    source: str | None = None


def parse_variants(text: str) -> tuple[Variant, ...]:
    """Read `none@127.0.0.9,v1,v2,binary,docker:3.2/relay-v1`: headers, with the local address where it is not any.

    And engines, with the road where it is not relay-v2.

    Raises:
        UsageError: there are fewer than two, one occurs twice, or a word is neither.
    """
    found: list[Variant] = []
    for word in (word.strip() for word in text.split(",")):
        engine, _, road = word.rpartition("/") if word.rpartition("/")[2] in list(Via) else (word, "", "")
        kind, at, source = word.partition("@")
        if kind in list(HeaderKind) and bool(at) == bool(source):
            parse_sources([source] if source else [])
            variant = Variant(word, HeaderKind(kind), source=source or None)
        elif engine.partition(":")[0] in ("auto", "docker", "binary"):
            via = Via(road) if road else Via.RELAY_V2
            if via not in (Via.RELAY_V1, Via.RELAY_V2):
                raise UsageError(f"--compare {word!r}: the road is relay-v1 or relay-v2, HAProxy adds the header")
            variant = Variant(word, HeaderKind.NONE, engine, via)
        else:
            raise UsageError(
                f"--compare {word!r}: write headers ({', '.join(HeaderKind)}, each with @ADDRESS if you like) "
                "and engines (auto, docker:3.2, binary, binary:/PATH, each with /relay-v1 or /relay-v2), with commas "
                "between"
            )
        if variant in found:
            raise UsageError(f"--compare names {word!r} twice")
        found.append(variant)
    if len(found) < 2:
        raise UsageError(f"--compare {text!r}: two at least, for instance none,v1,v2,docker:3.2")
    return tuple(found)


def rounds(those: Sequence[_Each], count: int) -> Iterator[tuple[int, _Each]]:
    """Yield number of the round, from 1, and each of those compared; every other round goes backwards.

    Raises:
        UsageError: the count is out of range.
    """
    if not 1 <= count <= MAX_ROUNDS:
        raise UsageError(f"--rounds {count} is out of range: 1 to {MAX_ROUNDS}")
    for number in range(1, count + 1):
        for each in those if number % 2 else those[::-1]:
            yield number, each
