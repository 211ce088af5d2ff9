"""A configuration written anew, line by line, so that each line of the result is known by its place in the original."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from proxyspec_haproxy.config.document import Directive, Document, Place, Section, SourceFile
from proxyspec_haproxy.render import hapquote
from proxyspec_haproxy.topology import FILES_DIR

__all__ = ["FILE_WORDS", "Change", "NeededFile", "Raw", "Rewritten", "file_words", "quoted", "rewrite"]

#: Words on bind, server and default-server lines that a path follows.
FILE_WORDS: Final = frozenset(("crt", "ca-file", "crl-file", "ca-verify-file", "crt-list"))
_PATH_AT: Final[Mapping[str, int]] = {
    "errorfile": 2,
    "lua-load": 1,
    "lua-load-per-thread": 1,
    "ssl-dh-param-file": 1,
    "server-state-file": 1,
}
_VARIABLE: Final = re.compile(r"(?:\$\{?|defined\(\s*)([A-Za-z_][A-Za-z0-9_]*)")


@dataclass(frozen=True, slots=True)
class Change:
    """What was changed at a place, in words for people."""

    place: Place
    what: str


@dataclass(frozen=True, slots=True)
class NeededFile:
    """A file the configuration names: the path as written (below its base, if it has one), and its name in the copy."""

    place: Place
    path: str
    name: str


@dataclass(frozen=True, slots=True)
class Raw:
    """A word that is written as it is, quotes and variables included."""

    text: str


Words = Sequence[str | Raw]


@dataclass(frozen=True, slots=True)
class Rewritten:
    """The new text, the place each of its lines comes from, and the files it wants in topology.FILES_DIR."""

    text: str
    places: tuple[Place | None, ...]
    needed: tuple[NeededFile, ...]
    changes: tuple[Change, ...]

    def place_of(self, line: int) -> Place | None:
        """Return where a line of the new text (counted from 1) comes from; None for lines that are ours."""
        return self.places[line - 1] if 1 <= line <= len(self.places) else None


def quoted(words: Words) -> str:
    """Write words as one line HAProxy cuts into the same words."""
    return " ".join(word.text if isinstance(word, Raw) else hapquote(word) for word in words)


def file_words(directive: Directive) -> list[int]:
    """Return the positions of the words of a line that are paths of files HAProxy opens."""
    words = directive.words
    at = _PATH_AT.get(words[0])
    found = [at] if at is not None and at < len(words) else []
    if words[0] in ("bind", "server", "default-server"):
        found += [i + 1 for i, word in enumerate(words[:-1]) if word in FILE_WORDS and not words[i + 1].startswith("@")]
    elif "-f" in words[1:-1] and words[0] not in _PATH_AT:
        found += [i + 1 for i, word in enumerate(words[:-1]) if i and word == "-f"]
    return found


def _base(document: Document, word: str) -> str:
    """Return the folder below which HAProxy looks for certificates of this kind."""
    keyword = "crt-base" if word in ("crt", "crt-list") else "ca-base"
    lines = [line for line in document.global_directives if line.starts(keyword) and len(line.words) > 1]
    return lines[-1].words[1] if lines and word in FILE_WORDS else ""


@dataclass
class _Files:
    document: Document
    needed: list[NeededFile] = field(default_factory=list)

    def localised(self, directive: Directive) -> list[str | Raw] | None:
        """Return the words of a line with its paths in FILES_DIR, or None when it has none."""
        positions = file_words(directive)
        if not positions:
            return None
        words: list[str | Raw] = list(directive.words)
        for at in positions:
            path = directive.words[at]
            if not path.startswith("/"):
                path = f"{_base(self.document, directive.words[at - 1])}/{path}".removeprefix("/")
                if _base(self.document, directive.words[at - 1]).startswith("/"):
                    path = f"/{path}"
            known = next((file.name for file in self.needed if file.path == path), None)
            name = known or f"{len(self.needed)}-{re.sub('[^A-Za-z0-9_.-]', '_', path.rpartition('/')[2])[-60:]}"
            if known is None:
                self.needed.append(NeededFile(directive.place, path, name))
            words[at] = Raw(f'"{FILES_DIR}/{name}"')
        return words


#: Given a section and one of its lines (its head included), its words with paths localised: the lines to write in its
#: place. None keeps the line as it is.
Rewrite = Callable[[Section, Directive, Words | None], list[Words] | None]


def rewrite(
    document: Document,
    files: Sequence[SourceFile],
    change: Rewrite,
    *,
    before: Sequence[Words] = (),
    environment: Mapping[str, str],
    unread: bool,
    changes: list[Change] | None = None,
) -> Rewritten:
    """Write a configuration anew: `before` first, then every line, as `change` wants it.

    Variables that the text names and the environment has are set in front, for HAProxy may run elsewhere. `unread`
    says whether lines stay that do not count for this release, or that cannot be read; conditions always stay.
    """
    known: dict[tuple[int, int], tuple[Section, Directive]] = {}
    for section in document.sections:
        for line in (section.head, *section.directives):
            known[line.place.file, line.place.line] = section, line
    text = "\n".join(file.text for file in files)
    named = sorted(set(_VARIABLE.findall(text)) & set(environment))
    presets: list[Words] = [("presetenv", name, environment[name]) for name in named if "\0" not in environment[name]]
    out: list[tuple[str, Place | None]] = []
    if before or presets:
        out += [(quoted(words), None) for words in (["global"], *presets, *before)]
    copies = _Files(document)
    for number, file in enumerate(files):
        for count, original in enumerate(file.lines, 1):
            place = Place(number, count, file.name)
            if (number, count) not in known:
                condition = original.lstrip().startswith((".if", ".elif", ".else", ".endif"))
                out.append((original if unread or condition else "", place))
                continue
            section, line = known[number, count]
            localised = copies.localised(line)
            lines = change(section, line, localised)
            if lines is None:
                lines = [localised] if localised is not None else None
            written = [original] if lines is None else [f"    {quoted(words)}" for words in lines] or [""]
            out += [(text_of_line, place) for text_of_line in written]
    written_text = "".join(f"{line}\n" for line, _ in out)
    return Rewritten(
        written_text,
        tuple(place for _, place in out),
        # A line that was left out takes its files with it.
        tuple(file for file in copies.needed if f'"{FILES_DIR}/{file.name}"' in written_text),
        tuple(changes or ()),
    )
