r"""The words of one line of haproxy.cfg, as HAProxy cuts them: blanks, comments, quotes, escapes, variables.

Our own, since a finding needs the place of every word, cut as HAProxy itself cuts it. HAProxy has no line continuation:
a backslash at the end of a line stands for itself.
"""

from __future__ import annotations

import string
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

__all__ = ["MAX_LINE", "BadLine", "Word", "split_line"]

#: Longest line read, in characters; HAProxy itself takes about 2,048 (or 64 kB in later releases).
MAX_LINE: Final = 65_536
_BLANKS: Final = " \t\v\f"
_NAME_START: Final = frozenset(string.ascii_letters + "_.")
_NAME: Final = frozenset(string.ascii_letters + string.digits + "_.")
_ESCAPES: Final[Mapping[str, str]] = {
    " ": " ",
    "\\": "\\",
    "#": "#",
    '"': '"',
    "'": "'",
    "t": "\t",
    "r": "\r",
    "n": "\n",
}


class BadLine(ValueError):
    """HAProxy cannot cut this line into words; `column` is where, counted from 1."""

    def __init__(self, reason: str, column: int) -> None:
        super().__init__(f"column {column}: {reason}")
        self.reason = reason
        self.column = column


@dataclass(frozen=True, slots=True)
class Word:
    """One word: its value, the column it begins at (from 1), and the variables that were not set when it was read."""

    text: str
    column: int
    unset: tuple[str, ...] = ()

    def __str__(self) -> str:
        return self.text


class _Cutter:
    """Walks over one line; every character is looked at once."""

    def __init__(self, line: str, environment: Mapping[str, str]) -> None:
        self._line = line
        self._environment = environment
        self._at = 0
        self._quote = ""
        self._quoted_at = 0
        self._text: list[str] = []
        self._unset: list[str] = []
        self._start: int | None = None

    def words(self) -> Iterator[Word]:
        line = self._line
        while self._at < len(line):
            char = line[self._at]
            if char in "\r\n\0" or (char == "#" and not self._quote):
                break
            if char in _BLANKS and not self._quote:
                yield from self._end()
                self._at += 1
                continue
            if self._start is None:
                self._start = self._at
            if char in "\"'" and self._quote in ("", char):
                self._quote = "" if self._quote else char
                self._quoted_at = self._at
                self._at += 1
            elif char == "\\" and self._quote != "'":
                self._escape()
            elif char == "$" and self._quote == '"':
                yield from self._variable()
            else:
                self._text.append(char)
                self._at += 1
        if self._quote:
            raise BadLine(f"the quote {self._quote} is never closed", self._quoted_at + 1)
        yield from self._end()

    def _end(self) -> Iterator[Word]:
        if self._start is not None:
            yield Word("".join(self._text), self._start + 1, tuple(self._unset))
        self._start, self._text, self._unset = None, [], []

    def _escape(self) -> None:
        following = self._line[self._at + 1 : self._at + 2]
        if following == "x":
            digits = self._line[self._at + 2 : self._at + 4]
            if len(digits) < 2 or any(digit not in string.hexdigits for digit in digits):
                raise BadLine("\\x wants two hexadecimal digits", self._at + 1)
            self._text.append(chr(int(digits, 16)))
            self._at += 4
        elif following in _ESCAPES and following:
            self._text.append(_ESCAPES[following])
            self._at += 2
        elif following == "$" and self._quote == '"':
            self._text.append("$")
            self._at += 2
        else:
            self._text.append("\\")
            self._at += 1

    def _variable(self) -> Iterator[Word]:
        line, begin = self._line, self._at
        at = begin + 1
        braces = line[at : at + 1] == "{"
        at += braces
        name_at = at
        if line[at : at + 1] not in _NAME_START or at >= len(line):
            raise BadLine("a variable's name begins with a letter, _ or .; write \\$ for a dollar sign", begin + 1)
        while at < len(line) and line[at] in _NAME:
            at += 1
        name, default, spread = line[name_at:at], None, False
        if braces:
            if line.startswith("[*]", at):
                spread, at = True, at + 3
            if line[at : at + 1] == "-":
                end = line.find("}", at)
                default, at = (line[at + 1 : end], end) if end >= 0 else (None, len(line))
            if line[at : at + 1] != "}":
                raise BadLine(f"the brace of variable {name} is never closed", begin + 1)
            at += 1
        self._at = at
        value = self._environment.get(name, default)
        if value is None:
            # Names with a dot are HAProxy's own (.FILE, .LINE, .SECTION): they are always set.
            if not name.startswith("."):
                self._unset.append(name)
            value = ""
        if not spread:
            self._text.append(value)
            return
        first, *others = value.split(" ")
        self._text.append(first)
        for part in others:
            yield from self._end()
            self._start = begin
            self._text.append(part)


def split_line(line: str, environment: Mapping[str, str]) -> tuple[Word, ...]:
    r"""Cut one line (without its line feed) into words.

    Outside quotes and in weak ones (") a backslash escapes; in strong quotes (') nothing does. Variables are replaced
    in weak quotes only. Raises BadLine where HAProxy gives up too: an open quote, \x without digits, a bad variable.
    """
    if len(line) > MAX_LINE:
        raise BadLine(f"longer than {MAX_LINE} characters", MAX_LINE + 1)
    return tuple(_Cutter(line, environment).words())
