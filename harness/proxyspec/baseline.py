"""What a user already knows of a target: the baseline file, and what it makes of verdicts.

    [[entry]]
    case = "v1/ip4/*"                      # an id, the beginning of one up to a slash, or a glob
    kind = "known-failure"                 # known-failure, wont-fix or flaky
    reason = "the resolver takes octets with leading zeros"
    link = "https://example.org/issues/12" # a known failure names where it is being mended
    outcome = "accepted-proxied"           # optional: it has to fail in this way
    verdict = "UNTESTABLE"                 # optional: with this verdict, instead of FAIL or WARN
    expires = 2027-03-31                   # optional: from the day after, the entry excuses nothing

The rule behind it: a baseline excuses what it describes and nothing else, and it must not outlive its reason.
"""

from __future__ import annotations

import datetime
import enum
import tomllib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from proxyspec.errors import UsageError
from proxyspec.model import Disposition, OutcomeKind, Verdict
from proxyspec.records import CaseRecord
from proxyspec.selection import named_by

__all__ = ["Baseline", "Entry", "Expectations", "Kind", "load_baseline", "parse_baseline"]

#: A baseline names cases, of which there are hundreds: a file larger than this is another file.
MAX_BYTES = 4 * 1024 * 1024

_GREEN = frozenset({Verdict.PASS, Verdict.INFO})


class Kind(enum.StrEnum):
    """Why a failure is expected."""

    #: A defect of the target somebody is working on.
    KNOWN_FAILURE = "known-failure"
    #: A deviation the owners of the target have decided to keep.
    WONT_FIX = "wont-fix"
    #: Sometimes it passes; neither is news.
    FLAKY = "flaky"


class Entry(BaseModel):
    """One expected failure."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    case: str = Field(min_length=1)
    kind: Kind
    reason: str = Field(min_length=1)
    link: str | None = None
    outcome: OutcomeKind | None = None
    verdict: Verdict | None = None
    expires: datetime.date | None = None

    @model_validator(mode="after")
    def _makes_sense(self) -> Entry:
        if self.kind is Kind.KNOWN_FAILURE and not self.link:
            raise ValueError("a known-failure needs a `link` to where it is being mended (or is it a wont-fix?)")
        if self.verdict is not None and self.verdict not in (Verdict.FAIL, Verdict.WARN, Verdict.UNTESTABLE):
            raise ValueError("`verdict` is one that can be excused: FAIL, WARN or UNTESTABLE")
        return self

    def expired(self, today: datetime.date) -> bool:
        """Tell whether the day it expires is over."""
        return self.expires is not None and today > self.expires

    def describes(self, record: CaseRecord) -> bool:
        """Tell whether a failure is the one that was expected."""
        verdicts = {self.verdict} if self.verdict is not None else {Verdict.FAIL, Verdict.WARN}
        kind = record.outcome.kind if record.outcome is not None else None
        return record.verdict in verdicts and (self.outcome is None or self.outcome is kind)


class _File(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    entry: list[Entry] = []


@dataclass(frozen=True, slots=True)
class Baseline:
    """The entries of one file, in order; of several that name a case the first counts."""

    path: str
    entries: tuple[Entry, ...]

    def entry_of(self, case_id: str) -> Entry | None:
        """Return the entry that speaks of a case."""
        return next((entry for entry in self.entries if named_by(entry.case, case_id)), None)

    def check(self, case_ids: Sequence[str]) -> None:
        """See that every entry names a case of the catalogue.

        Raises:
            UsageError: one does not; it would excuse nothing and never be missed.
        """
        for number, entry in enumerate(self.entries, 1):
            if not any(named_by(entry.case, case_id) for case_id in case_ids):
                raise UsageError(
                    f"{self.path}, entry {number}: {entry.case!r} names no case of this catalogue; correct it or take "
                    "the entry out (`proxyspec list` shows all cases)"
                )


def parse_baseline(text: str, path: str) -> Baseline:
    """Read a baseline; `path` is for messages.

    Raises:
        UsageError: it is no TOML, or an entry is not one; the message names file, entry, key and remedy.
    """
    try:
        data = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise UsageError(f"{path} is no TOML: {error}; a baseline is a list of [[entry]] tables") from error
    try:
        read = _File.model_validate(data)
    except ValidationError as error:
        first = error.errors()[0]
        raise UsageError(f"{path}, {_where(first['loc'], data)}: {_remedy(first['type'], first['msg'])}") from error
    return Baseline(path, tuple(read.entry))


def _where(location: tuple[int | str, ...], data: dict[str, object]) -> str:
    if len(location) < 2 or not isinstance(location[1], int):
        return f"key {str(location[0])[:80]!r}" if location else "the top level"
    number = location[1]
    entries = data.get("entry")
    named = entries[number].get("case") if isinstance(entries, list) and isinstance(entries[number], dict) else None
    keys = ".".join(str(part) for part in location[2:])
    words = f"entry {number + 1}" + (f" ({str(named)[:80]!r})" if named else "")
    return f"{words}, key {keys[:80]!r}" if keys else words


def _remedy(kind: str, message: str) -> str:
    if kind == "missing":
        return "it is missing; an entry has at least case, kind and reason"
    if kind == "extra_forbidden":
        return f"no such key; an entry has {', '.join(Entry.model_fields)}"
    return message.removeprefix("Value error, ")


def load_baseline(path: Path) -> Baseline:
    """Read the baseline file at `path`.

    Raises:
        UsageError: it cannot be read, or is none.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except OSError as error:
        raise UsageError(f"the baseline {path} cannot be read: {error.strerror or error}") from error
    if len(data) > MAX_BYTES:
        raise UsageError(f"the baseline {path} is larger than {MAX_BYTES} bytes: not a baseline")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UsageError(f"the baseline {path} is not UTF-8 text: byte {error.start}") from error
    return parse_baseline(text, str(path))


def _today() -> datetime.date:
    return datetime.datetime.now(datetime.UTC).date()


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectations:
    """What a run measures its verdicts by: how strictly, and against which baseline if there is one."""

    baseline: Baseline | None = None
    #: A WARN is a failure too.
    strict: bool = False
    today: datetime.date = field(default_factory=_today)

    def disposition(self, record: CaseRecord) -> Disposition | None:
        """Say whether a verdict was expected; None: nobody had to expect it, or there is no baseline."""
        if self.baseline is None:
            return None
        entry = self.baseline.entry_of(record.id)
        if record.verdict in _GREEN:
            told = entry is not None and entry.kind is not Kind.FLAKY and entry.case == record.id
            return Disposition.FIXED if told else None
        if record.verdict in (Verdict.SKIP, Verdict.ERROR):
            return None
        if entry is None:
            return Disposition.NEW if record.fails(strict=self.strict) else None
        if entry.expired(self.today):
            return Disposition.STALE
        return Disposition.KNOWN if entry.describes(record) else Disposition.REGRESSED

    def stale(self, records: Iterable[CaseRecord]) -> tuple[str, ...]:
        """Name in words each entry that has outlived its reason: expired, or everything it names passes.

        Entries whose cases were not judged in this run are left alone.
        """
        if self.baseline is None:
            return ()
        of_entry: dict[int, list[CaseRecord]] = {}
        for record in records:
            if record.verdict in (Verdict.SKIP, Verdict.ERROR) or record.outcome is None:
                continue
            entry = self.baseline.entry_of(record.id)
            if entry is not None:
                of_entry.setdefault(self.baseline.entries.index(entry), []).append(record)
        words = []
        for number, judged in sorted(of_entry.items()):
            entry = self.baseline.entries[number]
            where = f"entry {number + 1} ({entry.case})"
            if entry.expired(self.today):
                words.append(f"{where} expired on {entry.expires}: mend the target, or renew the entry")
            elif entry.kind is not Kind.FLAKY and all(record.verdict in _GREEN for record in judged):
                words.append(f"{where} passes now: take the entry out")
        return tuple(words)
