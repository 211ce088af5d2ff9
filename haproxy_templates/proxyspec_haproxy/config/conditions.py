"""Which lines of haproxy.cfg count for a release: the blocks of .if, .elif, .else and .endif."""

from __future__ import annotations

import enum
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from proxyspec_haproxy.version import HAProxyVersion

__all__ = ["BadCondition", "Blocks", "Truth"]

_MAX_DEPTH: Final = 64
_TOKEN: Final = re.compile(r"\s*(?:(&&|\|\||!|\(|\)|,)|([^\s&|!(),]+))")


class BadCondition(ValueError):
    """A conditional directive that does not fit where it stands, or whose condition cannot be read."""


class Truth(enum.Enum):
    """What a condition comes to; UNKNOWN is for what only HAProxy itself can tell, such as feature(…)."""

    NO = 0
    YES = 1
    UNKNOWN = 2


def _truth(value: bool) -> Truth:  # noqa: FBT001 - the value itself
    return Truth.YES if value else Truth.NO


def _opposite(value: Truth) -> Truth:
    return {Truth.YES: Truth.NO, Truth.NO: Truth.YES}.get(value, Truth.UNKNOWN)


def _either(values: Sequence[Truth]) -> Truth:
    if Truth.YES in values:
        return Truth.YES
    return Truth.UNKNOWN if Truth.UNKNOWN in values else Truth.NO


class _Condition:
    """A recursive-descent reader: `||` of `&&` of optionally negated terms, parentheses, predicates, integers."""

    def __init__(self, text: str, environment: Mapping[str, str], version: HAProxyVersion) -> None:
        self._tokens: list[str] = []
        at = 0
        text = text.rstrip()
        while at < len(text):
            match = _TOKEN.match(text, at)
            if match is None:
                raise BadCondition(f"{text!r} is not understood at character {at + 1}")
            self._tokens.append(match[1] or match[2])
            at = match.end()
        self._environment = environment
        self._version = version
        self._depth = 0

    def value(self) -> Truth:
        result = self._any()
        if self._tokens:
            raise BadCondition(f"unexpected {self._tokens[0]!r}")
        return result

    def _next(self) -> str:
        if not self._tokens:
            raise BadCondition("the condition ends too early")
        return self._tokens.pop(0)

    def _take(self, token: str) -> bool:
        if self._tokens and self._tokens[0] == token:
            self._tokens.pop(0)
            return True
        return False

    def _any(self) -> Truth:
        values = [self._all()]
        while self._take("||"):
            values.append(self._all())
        return _either(values)

    def _all(self) -> Truth:
        values = [self._term()]
        while self._take("&&"):
            values.append(self._term())
        return _opposite(_either([_opposite(value) for value in values]))

    def _term(self) -> Truth:
        self._depth += 1
        if self._depth > _MAX_DEPTH:
            raise BadCondition(f"nested deeper than {_MAX_DEPTH}")
        try:
            if self._take("!"):
                return _opposite(self._term())
            if self._take("("):
                inner = self._any()
                if not self._take(")"):
                    raise BadCondition("a parenthesis is never closed")
                return inner
            return self._predicate(self._next())
        finally:
            self._depth -= 1

    def _predicate(self, word: str) -> Truth:
        if word in ("true", "false"):
            return _truth(word == "true")
        if re.fullmatch(r"\d{1,9}", word):
            return _truth(int(word) != 0)
        if not self._take("("):
            raise BadCondition(f"{word!r} is neither a number nor a predicate")
        arguments: list[str] = []
        while not self._take(")"):
            argument = self._next()
            if argument != ",":
                arguments.append(argument)
        match word, arguments:
            case "defined", [name]:
                return _truth(name in self._environment)
            case "streq", [one, other]:
                return _truth(one == other)
            case "strneq", [one, other]:
                return _truth(one != other)
            case (("version_atleast" | "version_before"), [release]):
                try:
                    atleast = self._version >= HAProxyVersion.parse(release)
                except ValueError:
                    raise BadCondition(f"{release!r} is no release of HAProxy") from None
                return _truth(atleast == (word == "version_atleast"))
            case _:
                return Truth.UNKNOWN


@dataclass
class _Block:
    taken: Truth
    now: Truth
    outer: Truth
    closing: bool = False


@dataclass
class Blocks:
    """The open blocks while a file is read from top to bottom for one release."""

    environment: Mapping[str, str]
    version: HAProxyVersion
    _open: list[_Block] = field(default_factory=list)

    @property
    def reading(self) -> Truth:
        """Whether the next line counts; UNKNOWN when that hangs on something only HAProxy can tell."""
        return self._open[-1].now if self._open else Truth.YES

    @property
    def depth(self) -> int:
        """How many blocks are open."""
        return len(self._open)

    def directive(self, name: str, rest: str) -> None:
        """Take .if, .elif, .else or .endif with the words after it; raises BadCondition."""
        if name == ".if":
            if len(self._open) >= _MAX_DEPTH:
                raise BadCondition(f"blocks nested deeper than {_MAX_DEPTH}")
            outer = self.reading
            value = self._value(rest) if outer is not Truth.NO else Truth.NO
            self._open.append(_Block(value, _both(outer, value), outer))
            return
        if not self._open:
            raise BadCondition(f"{name} without .if")
        block = self._open[-1]
        if name == ".endif":
            self._open.pop()
        elif block.closing:
            raise BadCondition(f"{name} after .else")
        else:
            untaken = _opposite(block.taken)
            value = Truth.YES
            if name == ".else":
                block.closing = True
            elif untaken is not Truth.NO and block.outer is not Truth.NO:
                value = self._value(rest)
            block.now = _both(block.outer, _both(untaken, value))
            block.taken = _either([block.taken, value])

    def _value(self, text: str) -> Truth:
        return _Condition(text, self.environment, self.version).value() if text.strip() else Truth.NO


def _both(one: Truth, other: Truth) -> Truth:
    return _opposite(_either([_opposite(one), _opposite(other)]))
