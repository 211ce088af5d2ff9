"""The documentation as a test reads it: its fenced blocks, the marks before them, and every command of ours in it.

A block of `sh` is run as it stands unless a comment just before it says otherwise:

    <!-- not run: WHY -->       its commands are only parsed
    <!-- exits N: WHY -->       it is run, and must end with this code instead of 0

A block of `text` after `<!-- exact -->` must be, to the letter, what the block of `sh` before it prints.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

__all__ = ["ROOT", "Block", "blocks_of", "commands_of", "documents", "inline_commands"]

ROOT = Path(__file__).resolve().parents[2]

_BLOCK = re.compile(
    r"(?:^<!-- (?P<mark>[^\n]*?) -->\n)?^```(?P<language>\w+)\n(?P<text>.*?)^```$", re.MULTILINE | re.DOTALL
)
_INLINE = re.compile(r"(?<!`)`(?:sudo )?(?:\./)?proxyspec ([a-z][^`]*)`(?!`)", re.DOTALL)
_PROGRAMS = ("proxyspec", "./proxyspec")
#: Words after which a command of the shell is over, or begins.
_SEPARATORS = frozenset({"|", "||", "&&", ";", "&", ">", ">>", "<"})
_PREFIXES = frozenset({"sudo", "then", "do", "if", "!"})


@dataclass(frozen=True, slots=True)
class Block:
    """A fenced block: its document, the line of its fence, what it holds, and the mark before it ("" for none)."""

    document: str
    line: int
    language: str
    text: str
    mark: str

    @property
    def place(self) -> str:
        """Where it stands, for people."""
        return f"{self.document}:{self.line}"

    @property
    def is_run(self) -> bool:
        """Whether it is a block of commands that a test runs."""
        return self.language == "sh" and not self.mark.startswith("not run: ")

    @property
    def exit_code(self) -> int:
        """What the block ends with when it is run."""
        found = re.match(r"exits (\d+): ", self.mark)
        return int(found[1]) if found else 0


def documents() -> list[Path]:
    """Return every document that is written by hand, those at the root first."""
    at_root = [ROOT / name for name in ("README.md", "CONTRIBUTING.md")]
    return [*at_root, *sorted((ROOT / "docs").rglob("*.md"))]


def blocks_of(path: Path) -> Iterator[Block]:
    """Yield the fenced blocks of a document, in order."""
    text = path.read_text(encoding="utf-8")
    for found in _BLOCK.finditer(text):
        line = text.count("\n", 0, found.start("language")) + 1
        yield Block(str(path.relative_to(ROOT)), line, found["language"], found["text"], (found["mark"] or "").strip())


def commands_of(script: str) -> Iterator[list[str]]:
    """Yield the arguments of every call of proxyspec in shell or YAML, comments and redirections left out."""
    for line in script.replace("\\\n", " ").splitlines():
        lexer = shlex.shlex(re.sub(r"^\s*-? ?(?:run: )?", "", line), posix=True, punctuation_chars="|&;<>")
        lexer.whitespace_split = True
        try:
            words = list(lexer)
        except ValueError:
            continue  # prose of a YAML file, with an apostrophe
        while words:
            end = next((place for place, word in enumerate(words) if word in _SEPARATORS), len(words))
            command, words = words[:end], words[end + 1 :]
            while command and (command[0] in _PREFIXES or "=" in command[0]):
                command = command[1:]
            if command and command[0] in _PROGRAMS:
                yield command[1:]


def inline_commands(path: Path) -> Iterator[tuple[int, list[str]]]:
    """Yield line and arguments of every `proxyspec …` within the prose of a document."""
    text = path.read_text(encoding="utf-8")
    prose = _BLOCK.sub(lambda found: "\n" * found[0].count("\n"), text)
    for found in _INLINE.finditer(prose):
        yield prose.count("\n", 0, found.start()) + 1, shlex.split(found[1].replace("\n", " "))
