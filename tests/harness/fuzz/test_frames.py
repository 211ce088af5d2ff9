"""The series of frames: the same for a seed, of every class, bounded."""

from __future__ import annotations

from collections import Counter

import pytest

from proxyspec.fuzz.frames import MAX_FRAME, frame
from proxyspec.fuzz.rules import Class, classify

BOTH = frozenset({1, 2})


def test_a_seed_gives_the_same_series_again_and_another_seed_another() -> None:
    one = [frame("a", index, BOTH).data for index in range(200)]
    assert [frame("a", index, BOTH).data for index in reversed(range(200))] == one[::-1]
    other = [frame("b", index, BOTH).data for index in range(200)]
    assert sum(x == y for x, y in zip(one, other, strict=True)) < 20
    assert len(set(one)) > 150


def test_every_class_is_well_represented() -> None:
    made = [frame("mix", index, BOTH) for index in range(1000)]
    classes = Counter(classify(one.data, BOTH).verdict for one in made)
    assert min(classes[verdict] for verdict in Class) >= 80
    reasons = {classify(one.data, BOTH).reason for one in made}
    assert len(reasons) >= 35
    assert all(len(one.data) <= MAX_FRAME for one in made)
    assert all(one.describe().isprintable() for one in made)


@pytest.mark.parametrize("version", [1, 2])
def test_frames_are_of_the_versions_that_are_spoken(version: int) -> None:
    made = [frame("v", index, frozenset({version})) for index in range(200)]
    bases = [one.base for one in made if one.base_name != "random bytes"]
    assert len(bases) > 150
    assert all(base.startswith(b"PROXY " if version == 1 else b"\r\n\r\n\0\r\nQUIT\n") for base in bases)


def test_a_base_is_never_what_must_be_refused() -> None:
    for index in range(500):
        made = frame("base", index, BOTH)
        if made.base_name != "random bytes":
            assert classify(made.base, BOTH).verdict is not Class.REJECT
