"""Which cases a run is about."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxyspec.casebook import REFUSED, Chapter, dribble, proxied
from proxyspec.errors import UsageError
from proxyspec.model import Case, Level, Source, Via
from proxyspec.selection import Selection, in_section, named_by, select, tags_of
from proxyspec_scenarios import catalogue


def cases() -> tuple[Case, ...]:
    chapter = Chapter("v1", section="2.1", control="v1/ok", versions=[1])
    chapter.accepts("ok", b"x", "T")
    chapter.rejects("port/plus", b"y", "T")
    chapter.rejects("port/hex", b"z", "T", level=Level.SHOULD)
    chapter.rejects("portal", b"", "T", section="RFC 5321, 3.8", waits=True)
    chapter.either("pieces", dribble(b"ab", seconds=0.1), "T", proxied(), REFUSED, section="2.1.4")
    chapter.accepts("relay", b"", "T", via=Via.RELAY_V1, source=Source.TRUSTED, commands=(b"NOOP\r\n",))
    return tuple(chapter.cases)


def ids(selection: Selection) -> list[str]:
    return [case.id.removeprefix("v1/") for case in select(cases(), selection)]


@pytest.mark.parametrize(
    ("selection", "expected"),
    [
        (Selection(), ["ok", "port/plus", "port/hex", "portal", "pieces", "relay"]),
        (Selection(patterns=["v1/port"]), ["port/plus", "port/hex"]),
        (Selection(patterns=["v1/port/"]), ["port/plus", "port/hex"]),
        (Selection(patterns=["*/port*"]), ["port/plus", "port/hex", "portal"]),
        (Selection(patterns=["v1/relay", "v1/ok"]), ["ok", "relay"]),
        (Selection(sections=["2.1"]), ["ok", "port/plus", "port/hex", "pieces", "relay"]),
        (Selection(sections=["2.1.4"]), ["pieces"]),
        (Selection(sections=["rfc 5321"]), ["portal"]),
        (Selection(levels=["should", "EITHER"]), ["port/hex", "pieces"]),
        (Selection(tags=["rejects"]), ["port/plus", "port/hex", "portal"]),
        (Selection(tags=["rejects", "waits"]), ["portal"]),
        (Selection(tags=["rejects"], levels=["SHOULD"], sections=["2"]), ["port/hex"]),
        (Selection(without=["waits", "v1/port", "haproxy"]), ["ok", "pieces"]),
        (Selection(patterns=["v1/port"], without=["v1/port/plus"]), ["port/hex"]),
    ],
)
def test_parts_narrow_and_words_of_one_part_widen(selection: Selection, expected: list[str]) -> None:
    assert ids(selection) == expected


@pytest.mark.parametrize(
    ("selection", "words"),
    [
        (Selection(patterns=["v1/prot/plus"]), ["--case 'v1/prot/plus'", "did you mean v1/port/plus"]),
        (Selection(sections=["9"]), ["--section '9'", "there are", "2.1.4"]),
        (Selection(levels=["MUSTY"]), ["--level 'MUSTY'", "did you mean MUST?"]),
        (Selection(tags=["wait"]), ["--tag 'wait'", "did you mean waits"]),
        (Selection(without=["nothing-such"]), ["--not 'nothing-such'", "proxyspec list"]),
        (Selection(patterns=[""]), ["--case ''"]),
    ],
)
def test_what_fits_nothing_is_named_with_what_could_be_meant(selection: Selection, words: list[str]) -> None:
    with pytest.raises(UsageError) as caught:
        select(cases(), selection)
    for word in words:
        assert word in str(caught.value)


def test_tags_say_what_a_case_is() -> None:
    tags = {case.id: tags_of(case) for case in cases()}
    assert tags["v1/ok"] == {"trusted", "direct", "needs-v1", "accepts"}
    assert tags["v1/portal"] == {"trusted", "direct", "needs-v1", "rejects", "waits"}
    assert tags["v1/pieces"] == {"trusted", "direct", "needs-v1", "open", "pieces"}
    assert tags["v1/relay"] == {"trusted", "haproxy", "relay", "needs-v1", "accepts", "in-session"}


def test_a_selection_knows_whether_it_asks_for_anything() -> None:
    assert not Selection()
    assert Selection(without=["waits"])


@pytest.mark.parametrize(
    ("section", "of_case", "holds"),
    [
        ("2", "2", True),
        ("2", "2.2.3", True),
        ("2.2", "2.2.3", True),
        ("2.2", "2.21", False),
        ("2.2.3", "2.2", False),
        ("RFC 5321", "RFC 5321, 3.8", True),
        ("RFC 53", "RFC 5321, 3.8", False),
        ("", "2", False),
    ],
)
def test_a_section_holds_what_lies_within_it(section: str, of_case: str, holds: bool) -> None:
    assert in_section(section, of_case) is holds


@given(st.text(max_size=30), st.text(max_size=30))
def test_sections_and_names_of_any_text_are_compared_without_a_fault(one: str, other: str) -> None:
    assert in_section(one, one)
    assert in_section(one, other) in (True, False)
    assert named_by(one, one)


def test_levels_and_sections_of_the_catalogue_part_it() -> None:
    every = catalogue().cases
    used = {case.level for case in every}
    parts = [select(every, Selection(levels=[level])) for level in used]
    assert sum(len(part) for part in parts) == len(every)
    assert all(tags_of(case) for case in every)
