"""The chapter of malformations: each row changes something, and two readings of the text agree on it."""

from __future__ import annotations

import pytest

from proxyspec.fuzz.rules import Class, classify
from proxyspec.layers.authoring import v1, v2
from proxyspec.model import ACCEPTED, REJECTED, Case, Level, OutcomeKind
from proxyspec_scenarios.cases.malformed import chapter

ROWS = [pytest.param(case, id=case.id) for case in chapter.cases]
BOTH = frozenset({1, 2})


@pytest.mark.parametrize("case", ROWS)
def test_the_rules_say_the_same(case: Case) -> None:
    refused = all(accept.kind in REJECTED for accept in case.accept)
    served = all(accept.kind in ACCEPTED for accept in case.accept)
    found = classify(case.header, BOTH)
    assert found.verdict is (Class.REJECT if refused else Class.ACCEPT if served else Class.EITHER)
    assert (case.level is Level.EITHER) == (found.verdict is Class.EITHER)
    sees = {accept.address for accept in case.accept if accept.kind is OutcomeKind.ACCEPTED_PROXIED}
    assert sees == set(found.addresses)


@pytest.mark.parametrize("case", ROWS)
def test_a_row_is_not_its_control(case: Case) -> None:
    assert case.header not in (v1(), v2())
    assert case.header


def test_no_two_rows_send_the_same() -> None:
    sent = [(case.header, len(case.steps)) for case in chapter.cases]
    assert len(set(sent)) == len(sent)


@pytest.mark.parametrize("case", [row for row in ROWS if "/broken-seal/flipped-" in str(row.id)])
def test_a_flipped_bit_is_all_that_parts_a_broken_seal_from_its_control(case: Case) -> None:
    assert case.control is not None
    (control,) = (other for other in chapter.cases if other.id == case.control)
    assert len(case.header) == len(control.header)
    flipped = int.from_bytes(case.header) ^ int.from_bytes(control.header)
    assert flipped.bit_count() == 1
