"""The catalogue as a whole: every case has what a verdict needs."""

from __future__ import annotations

import pytest

from proxyspec.casebook import Chapter, catalogue_of
from proxyspec.layers.authoring import v1, v2
from proxyspec.model import (
    ACCEPTED,
    REJECTED,
    Accept,
    Capability,
    Case,
    HalfClose,
    Level,
    OutcomeKind,
    Reset,
    Send,
    Source,
    Via,
)
from proxyspec_scenarios import catalogue
from proxyspec_scenarios.headers import FORGED

CASES = catalogue().cases


def refuses(case: Case) -> bool:
    return all(accept.kind in REJECTED for accept in case.accept)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.id)
def test_a_case_says_what_it_is(case: Case) -> None:
    assert case.title[0].isupper() or case.title.startswith("107")
    assert not case.title.endswith(".")
    assert case.accept
    assert case.section
    assert case.id.count("/") >= 1
    assert not any(isinstance(step, Send) and not step.data for step in case.steps)


@pytest.mark.parametrize("case", [case for case in CASES if refuses(case)], ids=lambda case: case.id)
def test_a_refusal_has_a_control_that_must_be_accepted(case: Case) -> None:
    assert case.control is not None
    control = catalogue()[case.control]
    assert any(accept.kind in ACCEPTED for accept in control.accept)
    assert not refuses(control)
    assert (control.steps, control.source) != (case.steps, case.source)
    assert control.versions <= case.versions, "a control that is skipped makes its case untestable"
    assert control.needs <= case.needs, "a control that is skipped makes its case untestable"


def plain(case: Case) -> bytes:
    """The header itself: with the address of all others, without what the target is to keep to itself."""
    header = case.header
    for forged, usual in ((FORGED.encode(), b"192.0.2.1"), (v2(FORGED)[16:20], v2()[16:20])):
        header = header.replace(forged, usual, 1) if header.find(forged) in (11, 16) else header
    for secret in case.forbid:
        header = header.replace(b" " + secret, b"")
    return header


PRESUMING = [case for case in CASES if case.premise is not None]


@pytest.mark.parametrize("case", PRESUMING, ids=lambda case: case.id)
def test_a_premise_is_a_case_that_asks_whether_the_same_header_is_refused(case: Case) -> None:
    assert case.premise is not None
    premise = catalogue()[case.premise]
    assert premise.premise is None, "premises do not rest on each other"
    if case.source is Source.TRUSTED:
        assert refuses(premise)
    assert not any(
        accept.kind in (OutcomeKind.ACCEPTED_PROXIED, OutcomeKind.ACCEPTED_UNSEEN) for accept in premise.accept
    )
    assert (premise.source, premise.via) == (case.source, case.via)
    assert premise.versions <= case.versions, "a premise that is skipped makes its case untestable"
    assert premise.needs <= case.needs, "a premise that is skipped makes its case untestable"
    assert plain(case).startswith(premise.header)
    closes = [any(isinstance(step, HalfClose) for step in one.steps) for one in (case, premise)]
    assert closes[0] == closes[1]
    assert premise.header or case.steps == premise.steps, "whatever begins with nothing"


def test_no_other_case_asks_how_a_header_is_refused() -> None:
    how = {case.id for case in CASES if case.id.startswith(("general/abort/", "smtp/greeting/not-for-malformed"))}
    how |= {case.id for case in CASES if case.id.startswith("aftermath/") and refuses(case)}
    how |= {case.id for case in CASES if case.beside is not None and refuses(case)}
    how |= {case.id for case in CASES if Accept(OutcomeKind.REJECTED_REPLY, code_class=4) in case.accept}
    assert how == {case.id for case in PRESUMING} - {"smtp/implicit-tls/malformed"}


def test_both_versions_and_every_road_are_covered() -> None:
    assert {case.via for case in CASES} == set(Via)
    assert {case.source for case in CASES} == set(Source)
    assert {level for level in Level if any(case.level is level for case in CASES)} >= {
        Level.MUST,
        Level.SHOULD,
        Level.SECURITY,
        Level.EITHER,
    }
    assert sum(case.waits for case in CASES) >= 6
    kinds = {accept.kind for case in CASES for accept in case.accept}
    assert kinds >= {OutcomeKind.ACCEPTED_PROXIED, OutcomeKind.ACCEPTED_REAL, OutcomeKind.REJECTED_SILENT}


def _binary(frame: bytes) -> bool:
    return frame.startswith(v2()[:12]) and len(frame) >= 16


def test_every_unassigned_nibble_has_its_case() -> None:
    frames = [case.header for case in CASES if case.id.startswith("v2/") and refuses(case) and _binary(case.header)]
    assert {frame[12] >> 4 for frame in frames} >= {0, 1, *range(3, 16)}
    assert {frame[12] & 15 for frame in frames if frame[12] >> 4 == 2} >= set(range(2, 16))
    assert {frame[13] >> 4 for frame in frames if frame[13] & 15 == 1} >= set(range(4, 16))
    for family in (0x10, 0x20):
        assert {frame[13] for frame in frames} >= {family | transport for transport in range(3, 16)}


def test_headers_are_split_at_every_byte() -> None:
    split = {case.steps[0].data for case in CASES if len(case.steps) == 3 and isinstance(case.steps[0], Send)}
    for frame in (v1(), v2()):
        assert {frame[:at] for at in range(1, len(frame))} <= split


def test_every_type_of_tlv_has_its_case() -> None:
    seen = set()
    for case in CASES:
        block = case.header[28:] if case.id.startswith("v2/tlv/") and case.header[12:14] == b"\x21\x11" else b""
        while len(block) >= 3:
            seen.add(block[0])
            block = block[3 + int.from_bytes(block[1:3], "big") :]
    assert seen == set(range(256))


def test_what_ends_in_the_middle_is_followed_by_a_look_at_the_target() -> None:
    for case in CASES:
        if any(isinstance(step, Reset) for step in case.steps):
            assert case.then is not None, case.id
    cut = [case for case in CASES if any(isinstance(step, HalfClose) for step in case.steps) and case.then is not None]
    assert {len(case.header) for case in cut if _binary(case.header)} >= {16, 27}
    assert len(cut) >= 15


def test_capabilities_and_neighbours_are_covered() -> None:
    assert {need for case in CASES for need in case.needs} == set(Capability)
    assert sum(case.beside is not None for case in CASES) >= 12
    assert sum(case.crowd is not None for case in CASES) >= 4
    for case in CASES:
        for neighbour in (case.beside, case.then):
            if neighbour is not None:
                needed = {2} if _binary(neighbour.header) else {1}
                assert needed <= case.versions, f"{case.id} meets a neighbour whose version may be undeclared"


def test_what_the_text_leaves_open_is_never_failed_for_what_it_allows() -> None:
    for case in CASES:
        if case.level is Level.EITHER and not refuses(case):
            assert len(case.accept) > 1, case.id


def test_there_are_enough_cases_and_they_differ() -> None:
    assert len(CASES) >= 700
    same: dict[object, str] = {}
    for case in CASES:
        key = (case.steps, case.commands, case.source, case.via, case.beside, case.then, case.crowd, case.needs)
        if case.via is Via.DIRECT and case.accept:
            same.setdefault((key, case.accept, case.level, case.forbid), case.id)
    assert len(same) >= 0.9 * sum(case.via is Via.DIRECT for case in CASES)


def test_two_cases_of_one_name_are_refused() -> None:
    chapter = Chapter("c", section="2")
    chapter.accepts("same", b"x", "T")
    chapter.accepts("same", b"y", "T")
    with pytest.raises(ValueError, match="two cases are called c/same"):
        catalogue_of([chapter])


def test_a_control_that_does_not_exist_is_refused() -> None:
    chapter = Chapter("c", section="2")
    chapter.rejects("bad", b"x", "T", control="c/none")
    with pytest.raises(ValueError, match="c/none, which does not exist"):
        catalogue_of([chapter])


def test_a_premise_that_does_not_exist_or_has_one_itself_is_refused() -> None:
    chapter = Chapter("c", section="2")
    chapter.rejects("how", b"x", "T", premise="c/none")
    with pytest.raises(ValueError, match="c/how names the premise c/none, which does not exist"):
        catalogue_of([chapter])
    chapter = Chapter("c", section="2")
    chapter.rejects("one", b"x", "T", premise="c/other")
    chapter.rejects("other", b"x", "T", premise="c/one")
    with pytest.raises(ValueError, match="c/one names the premise c/other, which has one itself"):
        catalogue_of([chapter])


def test_a_case_is_selected_with_its_premise_and_with_the_control_of_that() -> None:
    chosen = catalogue().with_prerequisites([catalogue()["aftermath/malformed/v2-no-block-tcp6"]])
    ids = ["aftermath/malformed/v2-no-block-tcp6", "v2/tcp4/ok", "v2/tcp6/ok", "v2/length/zero-tcp6"]
    assert [case.id for case in chosen] == ids


def test_a_chapter_can_be_selected_with_its_controls_from_other_chapters() -> None:
    chosen = catalogue().with_prerequisites(case for case in CASES if case.id == "general/deadline/silent")
    assert [case.id for case in chosen] == ["general/deadline/silent", "v1/tcp4/ok"]
