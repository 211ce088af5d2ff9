"""Which cases of a catalogue a run is about: by id, section, level and tag, as a pure function."""

from __future__ import annotations

import difflib
import fnmatch
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

from proxyspec.errors import UsageError
from proxyspec.model import ACCEPTED, REJECTED, Case, Level, Send, Via

__all__ = ["Selection", "hint", "in_section", "named_by", "select", "tags_of"]

_ROADS = {
    Via.DIRECT: frozenset({"direct"}),
    Via.RELAY_V1: frozenset({"haproxy", "relay"}),
    Via.RELAY_V2: frozenset({"haproxy", "relay"}),
    Via.CHAIN_V1: frozenset({"haproxy", "chain"}),
    Via.CHAIN_V2: frozenset({"haproxy", "chain"}),
    Via.CHECK: frozenset({"haproxy", "check"}),
    Via.PACKETS: frozenset({"packets"}),
}


@dataclass(frozen=True, slots=True)
class Selection:
    """What the user asked for; empty parts ask for everything.

    A case is taken if one pattern names it, one section holds it, one level is its own, it bears every tag, and nothing
    in `without` names or tags it.
    """

    patterns: Sequence[str] = ()
    sections: Sequence[str] = ()
    levels: Sequence[str] = ()
    tags: Sequence[str] = ()
    without: Sequence[str] = ()

    def __bool__(self) -> bool:
        """Whether anything was asked for at all."""
        return bool(self.patterns or self.sections or self.levels or self.tags or self.without)


def tags_of(case: Case) -> frozenset[str]:
    """Return the tags a case bears by what it is, not by what somebody wrote beside it.

    Its road (`direct`, `haproxy`, `relay`, `chain`, `check`), its peer (`trusted`, `untrusted`), the versions and
    capabilities it needs (`needs-v1`, `needs-v2`, `needs-starttls`, …), what conforms (`accepts`, `rejects`, `open`),
    and how it goes about it (`waits` for the header deadline, `pieces`: several segments, `in-session`: sends commands
    of its own).
    """
    tags = {str(case.source), *_ROADS[case.via], *(f"needs-v{version}" for version in case.versions)}
    tags |= {f"needs-{capability}" for capability in case.needs}
    if case.level is Level.EITHER:
        tags.add("open")
    elif all(accept.kind in REJECTED for accept in case.accept):
        tags.add("rejects")
    elif all(accept.kind in ACCEPTED for accept in case.accept):
        tags.add("accepts")
    if case.waits:
        tags.add("waits")
    if sum(isinstance(step, Send) for step in case.steps) > 1:
        tags.add("pieces")
    if case.commands:
        tags.add("in-session")
    return frozenset(tags)


def named_by(pattern: str, case_id: str) -> bool:
    """Tell whether `pattern` is the id, its beginning up to a slash, or a glob that matches it."""
    return case_id == pattern or case_id.startswith(pattern.rstrip("/") + "/") or fnmatch.fnmatchcase(case_id, pattern)


def in_section(section: str, of_case: str) -> bool:
    """Tell whether a case's section is `section` or lies within it: `2.2` holds `2.2.3`, `RFC 5321` its sections."""
    if of_case.casefold() == section.casefold():
        return True
    return of_case.casefold().startswith(section.casefold()) and of_case[len(section)] in "., "


def _chosen(
    option: str, asked: Sequence[str], cases: Sequence[Case], fits: Callable[[str, Case], bool], known: Iterable[str]
) -> frozenset[str] | None:
    """Return the ids that any of `asked` fits, or None if nothing was asked.

    Raises:
        UsageError: one of them fits no case; `known` is what could have been meant.
    """
    if not asked:
        return None
    chosen: set[str] = set()
    for word in asked:
        found = {case.id for case in cases if fits(word, case)}
        if not found:
            raise UsageError(f"{option} {word!r} names no case{hint(word, known)}")
        chosen |= found
    return frozenset(chosen)


def hint(word: str, known: Iterable[str]) -> str:
    """Return the end of a sentence that refuses `word`: which of `known` could have been meant, where all are shown."""
    every = sorted(set(known))
    close = difflib.get_close_matches(word, every, 3)
    if close:
        return f"; did you mean {', '.join(close)}? `proxyspec list` shows all cases"
    listed = f"; there are: {', '.join(every)}" if len(every) <= 40 else ""
    return f"{listed}; `proxyspec list` shows all cases"


def select(cases: Sequence[Case], selection: Selection) -> tuple[Case, ...]:
    """Return what `selection` asks for, in the order of `cases`.

    Raises:
        UsageError: a pattern, section, level or tag fits no case of the catalogue.
    """
    tags = {case.id: tags_of(case) for case in cases}
    every_tag = {tag for some in tags.values() for tag in some}
    ids = [case.id for case in cases]
    parts = [
        _chosen("--case", selection.patterns, cases, lambda word, case: named_by(word, case.id), ids),
        _chosen(
            "--section",
            selection.sections,
            cases,
            lambda word, case: in_section(word, case.section),
            [case.section for case in cases],
        ),
        _chosen(
            "--level",
            selection.levels,
            cases,
            lambda word, case: word.casefold() == case.level.casefold(),
            [str(level) for level in Level],
        ),
        *(
            _chosen("--tag", [tag], cases, lambda word, case: word in tags[case.id], every_tag)
            for tag in selection.tags
        ),
    ]
    without = _chosen(
        "--not",
        selection.without,
        cases,
        lambda word, case: word in tags[case.id] or named_by(word, case.id),
        [*every_tag, *ids],
    )
    return tuple(
        case
        for case in cases
        if all(part is None or case.id in part for part in parts) and (without is None or case.id not in without)
    )
