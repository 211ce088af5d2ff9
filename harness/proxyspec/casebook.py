"""The words in which cases are written: one line a case, grouped in chapters of one subject.

chapter = Chapter("v1", section="2.1", control="tcp4/ok")
chapter.accepts("tcp4/ok", v1(), "A complete TCP4 line is accepted")
chapter.rejects("port/leading-zero", v1(sport="01111"), "A port with a leading zero is refused")
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import TypedDict, Unpack

from proxyspec.model import (
    Accept,
    Capability,
    Case,
    Catalogue,
    Crowd,
    Level,
    Neighbour,
    OutcomeKind,
    Pause,
    Requirement,
    Send,
    Source,
    Step,
    Timing,
    Via,
    View,
    WatchCheck,
    Who,
)

__all__ = [
    "CONTROL_ADDRESS",
    "LEFT",
    "REAL",
    "REFUSED",
    "REFUSED_IN_WORDS",
    "SOFT_REFUSED",
    "UNSEEN",
    "Chapter",
    "catalogue_of",
    "dribble",
    "proxied",
    "split",
]

#: The source address of every header that says nothing else (RFC 5737 documentation range).
CONTROL_ADDRESS = "192.0.2.1"

REFUSED = (Accept(OutcomeKind.REJECTED_SILENT), Accept(OutcomeKind.REJECTED_REPLY))
#: How a client that speaks before the greeting is turned away (RFC 5321, sections 3.1 and 3.8): never without a word.
REFUSED_IN_WORDS = (Accept(OutcomeKind.REJECTED_REPLY),)
#: A refusal after which a sending client tries again (RFC 5321, section 4.2.1).
SOFT_REFUSED = (Accept(OutcomeKind.REJECTED_SILENT), Accept(OutcomeKind.REJECTED_REPLY, code_class=4))
#: The harness itself resets the connection; what counts is what happens to others.
LEFT = (Accept(OutcomeKind.LEFT),)
REAL = (Accept(OutcomeKind.ACCEPTED_REAL, Who.PEER),)
#: A session whose address no oracle shows: for cases whose subject is not the address, beside the one it must have.
UNSEEN = (Accept(OutcomeKind.ACCEPTED_UNSEEN),)


def proxied(address: str | Who = CONTROL_ADDRESS) -> tuple[Accept, ...]:
    """Accept a session that runs with `address`, in any legal spelling of it."""
    seen = address if isinstance(address, Who) else View.of(address).address
    return (Accept(OutcomeKind.ACCEPTED_PROXIED, seen),)


def dribble(data: bytes, *, seconds: float = 0.0, timeouts: float = 0.0) -> tuple[Step, ...]:
    """Send every byte as a segment of its own, with this gap between two of them."""
    steps: list[Step] = []
    for i in range(len(data)):
        if i:
            steps.append(Pause(seconds, timeouts))
        steps.append(Send(data[i : i + 1]))
    return tuple(steps)


def split(data: bytes, at: int, *, seconds: float = 0.12) -> tuple[Step, ...]:
    """Send `data` in two segments, the first of `at` bytes, with this gap between them."""
    return (Send(data[:at]), Pause(seconds), Send(data[at:]))


class _Options(TypedDict, total=False):
    """Fields of a `Case` that one line may set beside its name, bytes and title."""

    section: str
    level: Level
    control: str | None
    premise: str | None
    source: Source
    via: Via
    timing: Timing
    versions: frozenset[int]
    forbid: tuple[bytes, ...]
    commands: tuple[bytes, ...]
    extra_replies: int
    expected_errors: int
    least_errors: int
    require: tuple[bytes, ...]
    trace: tuple[bytes, ...]
    ends: bool
    waits: bool
    requirements: tuple[str, ...]
    needs: frozenset[Capability]
    beside: Neighbour
    then: Neighbour
    crowd: Crowd


class Chapter:
    """Collects the cases of one subject; the chapter's name is the first part of their ids."""

    def __init__(
        self,
        name: str,
        *,
        section: str,
        control: str | None = None,
        level: Level = Level.MUST,
        versions: Iterable[int] = (),
        via: Via = Via.DIRECT,
        needs: Iterable[Capability] = (),
        requirements: Mapping[str, tuple[str, ...]] | None = None,
    ) -> None:
        """Open a chapter whose cases take these unless they say otherwise.

        `requirements` says what a case tests, by its name or the longest beginning of it that ends before a slash or
        a hyphen; the empty beginning is for all others.
        """
        self.name = name
        self.cases: list[Case] = []
        self._section = section
        self._control = control
        self._level = level
        self._versions = frozenset(versions)
        self._via = via
        self._needs = frozenset(needs)
        self._requirements = requirements if requirements is not None else {}

    def _tested(self, name: str) -> tuple[str, ...]:
        keys = [key for key in self._requirements if name == key or not key or name.startswith((f"{key}/", f"{key}-"))]
        return self._requirements[max(keys, key=len)] if keys else ()

    def add(
        self,
        name: str,
        header: bytes | Sequence[Step],
        title: str,
        accept: tuple[Accept, ...],
        **options: Unpack[_Options],
    ) -> Case:
        """Write down a case that accepts any of `accept`; `header` is sent as one segment if it is bytes."""
        steps: tuple[Step, ...] = ((Send(header),) if header else ()) if isinstance(header, bytes) else tuple(header)
        fields = _Options(
            section=self._section,
            level=self._level,
            versions=self._versions,
            via=self._via,
            needs=self._needs,
            requirements=self._tested(name),
        )
        fields.update(options)
        case = Case(id=f"{self.name}/{name}", title=title, steps=steps, accept=accept, **fields)
        self.cases.append(case)
        return case

    def accepts(
        self,
        name: str,
        header: bytes | Sequence[Step],
        title: str,
        *,
        sees: str | Who = CONTROL_ADDRESS,
        **options: Unpack[_Options],
    ) -> Case:
        """Write down a case whose session must run with the address `sees`."""
        return self.add(name, header, title, proxied(sees), **options)

    def accepts_real(self, name: str, header: bytes | Sequence[Step], title: str, **options: Unpack[_Options]) -> Case:
        """Write down a case whose session must run with the TCP peer's own address."""
        return self.add(name, header, title, REAL, **options)

    def rejects(self, name: str, header: bytes | Sequence[Step], title: str, **options: Unpack[_Options]) -> Case:
        """Write down a case that must get no usable session; its control is the chapter's unless it names one."""
        options.setdefault("control", self._control)
        return self.add(name, header, title, REFUSED, **options)

    def either(
        self,
        name: str,
        header: bytes | Sequence[Step],
        title: str,
        *accept: tuple[Accept, ...],
        **options: Unpack[_Options],
    ) -> Case:
        """Write down a case the text leaves open: the outcome is recorded, only one outside `accept` fails."""
        options.setdefault("level", Level.EITHER)
        options.setdefault("control", self._control)
        return self.add(name, header, title, tuple(one for some in accept for one in some), **options)

    def check(self, name: str, watched: str, title: str, *, up: bool, **options: Unpack[_Options]) -> Case:
        """Write down what HAProxy must report of its own health check called `watched`."""
        accept = (Accept(OutcomeKind.CHECK_UP if up else OutcomeKind.CHECK_DOWN),)
        options["via"] = Via.CHECK
        return self.add(name, (WatchCheck(watched),), title, accept, **options)


def catalogue_of(chapters: Iterable[Chapter], requirements: Iterable[Requirement] = ()) -> Catalogue:
    """Join chapters into one catalogue of cases for `requirements`.

    Raises:
        ValueError: two cases share an id, or a control or premise does not exist.
    """
    return Catalogue(tuple(case for chapter in chapters for case in chapter.cases), tuple(requirements))
