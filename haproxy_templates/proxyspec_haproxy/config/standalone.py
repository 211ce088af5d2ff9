"""A configuration that `haproxy -c` can judge anywhere: no users, no names to look up, files from a copy."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from proxyspec_haproxy.config.document import Directive, Document, Place, Section, SourceFile
from proxyspec_haproxy.config.findings import Finding, Level
from proxyspec_haproxy.config.proxies import Address
from proxyspec_haproxy.config.rewriting import Rewritten, Words, rewrite

__all__ = ["findings_of_haproxy", "standalone"]

#: Whether these fit is a matter of the machine, not of the file.
_OF_THE_MACHINE: Final = frozenset(("user", "group", "uid", "gid", "chroot", "crt-base", "ca-base", "default-path"))
_LONGEST: Final = 400
_ELSEWHERE: Final = re.compile(r"[^\s\[]*haproxy\.cfg:(\d{1,7})")
_AT_LINE: Final = re.compile(r"(?:parsing )?\[[^\]\s]*?:(?P<line>\d{1,7})\]\s*:?\s*")


def standalone(document: Document, files: Sequence[SourceFile], environment: Mapping[str, str]) -> Rewritten:
    """Return the files as one text for `haproxy -c` on this or any other machine; every line keeps its meaning.

    Host names of servers become 127.0.0.1, so that nothing is looked up; users and folders of `global` are left out.
    """

    def change(section: Section, line: Directive, localised: Words | None) -> list[Words] | None:
        if section.kind == "global" and line.keyword in _OF_THE_MACHINE:
            return []
        at = {"server": 2, "server-template": 3}.get(line.keyword)
        if at is not None and at < len(line.words) and section.kind in ("listen", "backend"):
            address = Address.parse(line.words[at])
            if address.is_name:
                words = list(localised if localised is not None else line.words)
                words[at] = line.words[at].replace(address.host, "127.0.0.1", 1)
                return [words]
        return None

    return rewrite(document, files, change, environment=environment, unread=True)


def findings_of_haproxy(
    rewritten: Rewritten, alerts: Iterable[str], warnings: Iterable[str], first: Place
) -> list[Finding]:
    """Turn HAProxy's own messages into findings at the lines they are about, or at `first` where they name none.

    What it says of several lines in the same words, as it does of a whole section it could not open, is one finding.
    """
    findings: list[Finding] = []
    for level, messages in ((Level.FAIL, alerts), (Level.WARN, warnings)):
        places: dict[str, list[Place]] = {}
        for message in messages:
            match = _AT_LINE.search(message)
            place = rewritten.place_of(int(match["line"])) if match else None
            words = _AT_LINE.sub("", message, count=1).strip() if match else message
            words = _ELSEWHERE.sub(lambda other: str(rewritten.place_of(int(other[1])) or other[0]), words)
            places.setdefault(words[:_LONGEST], []).append(place or first)
        refused = level is Level.FAIL
        for words, found in places.items():
            others = f" (and of {len(found) - 1} lines more)" if len(found) > 1 else ""
            findings.append(
                Finding(
                    "haproxy/refuses" if refused else "haproxy/warns",
                    level,
                    found[0],
                    f"{words}{others}",
                    "these are the words of `haproxy -c`",
                    "correct the line: HAProxy does not start with it" if refused else "correct the line",
                )
            )
    return findings
