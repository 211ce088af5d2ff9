"""Files of haproxy.cfg as sections and directives, each with the place it stands at."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from proxyspec_haproxy.config.conditions import BadCondition, Blocks, Truth
from proxyspec_haproxy.config.words import BadLine, Word, split_line
from proxyspec_haproxy.version import HAProxyVersion

__all__ = ["SECTIONS", "Directive", "Document", "Place", "Section", "SourceFile", "Trouble", "read_document"]

_SECTIONS: Final = """
    acme backend cache crt-store defaults fcgi-app frontend global http-errors listen log-forward log-profile
    mailers peers program resolvers ring traces userlist
"""
#: Keywords that begin a section when they are the first word of a line.
SECTIONS: Final = frozenset(_SECTIONS.split())
_CONDITIONS: Final = frozenset((".if", ".elif", ".else", ".endif"))
_SAYING: Final = frozenset((".notice", ".warning", ".alert", ".diag"))
#: Lines read of all files together.
_MAX_LINES: Final = 200_000


@dataclass(frozen=True, slots=True)
class SourceFile:
    """One file as the user named it, and its text."""

    name: str
    text: str

    @property
    def lines(self) -> list[str]:
        """The lines without their line feeds."""
        lines = self.text.split("\n")
        return lines[:-1] if lines and not lines[-1] else lines


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A line of a file, counted from 1; `file` counts the files from 0, in the order given."""

    file: int
    line: int
    name: str = field(compare=False)

    def __str__(self) -> str:
        return f"{self.name}:{self.line}"


@dataclass(frozen=True, slots=True)
class Directive:
    """One line that says something; `certain` is false in a block whose condition only HAProxy can tell."""

    place: Place
    words: tuple[str, ...]
    columns: tuple[int, ...]
    certain: bool = True

    @property
    def keyword(self) -> str:
        """Its first word."""
        return self.words[0]

    def starts(self, *words: str) -> bool:
        """Whether it begins with these words."""
        return self.words[: len(words)] == words


@dataclass(frozen=True, slots=True)
class Section:
    """A section; `parent` is the name behind `from`, `head` its own line."""

    kind: str
    name: str
    parent: str | None
    head: Directive
    directives: tuple[Directive, ...]

    @property
    def place(self) -> Place:
        """Where it begins."""
        return self.head.place


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something the reader could not take as it stands; `fatal` when HAProxy stops at it as well."""

    place: Place
    reason: str
    fatal: bool


@dataclass(frozen=True, slots=True)
class Document:
    """All files as one release of HAProxy reads them, one after another."""

    sections: tuple[Section, ...]
    troubles: tuple[Trouble, ...]
    version: HAProxyVersion

    def of_kind(self, *kinds: str) -> Iterator[Section]:
        """Yield the sections of these kinds, in order."""
        return (section for section in self.sections if section.kind in kinds)

    @property
    def global_directives(self) -> Iterator[Directive]:
        """The lines of all `global` sections."""
        return (line for section in self.of_kind("global") for line in section.directives)


class _Reader:
    def __init__(self, environment: Mapping[str, str], version: HAProxyVersion) -> None:
        self.environment = dict(environment)
        self.version = version
        self.sections: list[Section] = []
        self.troubles: list[Trouble] = []
        self.head: Directive | None = None
        self.body: list[Directive] = []

    def close(self) -> None:
        if self.head is None:
            return
        words = self.head.words
        parent = words[words.index("from") + 1] if "from" in words[1:-1] else None
        name = words[1] if len(words) > 1 and words[1] != "from" else ""
        self.sections.append(Section(words[0], name, parent, self.head, tuple(self.body)))
        self.head, self.body = None, []

    def trouble(self, place: Place, reason: str, *, fatal: bool = True) -> None:
        self.troubles.append(Trouble(place, reason, fatal))

    def file(self, number: int, source: SourceFile) -> None:
        self.close()
        blocks = Blocks(self.environment, self.version)
        place = Place(number, 1, source.name)
        for count, line in enumerate(source.lines, 1):
            place = Place(number, count, source.name)
            stripped = line.lstrip()
            name = stripped.split(None, 1)[0] if stripped else ""
            if blocks.reading is Truth.NO and name not in _CONDITIONS:
                continue
            try:
                words = split_line(line, self.environment)
                if name in _CONDITIONS:
                    blocks.directive(name, " ".join(word.text for word in words[1:]))
                    if name in (".if", ".elif") and blocks.reading is Truth.UNKNOWN:
                        self.trouble(place, "only HAProxy can tell whether this block counts; it is read", fatal=False)
                    continue
            except (BadLine, BadCondition) as error:
                self.trouble(place, str(error))
                continue
            if words and name not in _SAYING:
                self.line(place, words, certain=blocks.reading is Truth.YES)
        if blocks.depth:
            self.trouble(place, f"{blocks.depth} .if without .endif at the end of the file")

    def line(self, place: Place, words: Sequence[Word], *, certain: bool) -> None:
        directive = Directive(place, tuple(w.text for w in words), tuple(w.column for w in words), certain)
        for name in sorted({name for word in words for name in word.unset}):
            self.trouble(place, f"variable {name} is not set, so HAProxy puts nothing in its place", fatal=False)
        if directive.keyword in SECTIONS:
            self.close()
            self.head = directive
        elif self.head is None:
            self.trouble(place, f"{directive.keyword!r} stands before the first section of its file")
        else:
            self.body.append(directive)
            if self.head.keyword == "global":
                self.variable(directive)

    def variable(self, directive: Directive) -> None:
        match directive.words:
            case ("setenv", name, value):
                self.environment[name] = value
            case ("presetenv", name, value):
                self.environment.setdefault(name, value)
            case ("unsetenv", *names):
                for name in names:
                    self.environment.pop(name, None)
            case ("resetenv", *names):
                self.environment = {key: value for key, value in self.environment.items() if key in names}
            case _:
                pass


def read_document(files: Iterable[SourceFile], version: HAProxyVersion, environment: Mapping[str, str]) -> Document:
    """Read files in order as `haproxy -f FILE -f FILE` of a release does, with these variables set.

    Nothing is raised for what is wrong in them: what cannot be read is among the `troubles`. Raises ValueError for more
    lines than anybody's configuration has.
    """
    sources = list(files)
    if sum(source.text.count("\n") for source in sources) > _MAX_LINES:
        named = ", ".join(source.name for source in sources)
        raise ValueError(f"{named}: more than {_MAX_LINES} lines of configuration; is this haproxy.cfg?")
    reader = _Reader(environment, version)
    for number, source in enumerate(sources):
        reader.file(number, source)
    reader.close()
    return Document(tuple(reader.sections), tuple(reader.troubles), version)
