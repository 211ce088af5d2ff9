from __future__ import annotations

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxyspec_haproxy import HAProxyVersion
from proxyspec_haproxy.config.conditions import BadCondition, Blocks, Truth

VERSION = HAProxyVersion(2, 6, 12)


def blocks() -> Blocks:
    return Blocks({"SITE": "a"}, VERSION)


@pytest.mark.parametrize(
    ("condition", "value"),
    [
        ("1", Truth.YES),
        ("0", Truth.NO),
        ("", Truth.NO),
        ("true", Truth.YES),
        ("!true", Truth.NO),
        ("defined(SITE)", Truth.YES),
        ("defined(OTHER)", Truth.NO),
        ("streq(a,a)", Truth.YES),
        ("strneq(a,a)", Truth.NO),
        ("version_atleast(2.6)", Truth.YES),
        ("version_atleast(2.6.13)", Truth.NO),
        ("version_before(2.7)", Truth.YES),
        ("feature(OPENSSL)", Truth.UNKNOWN),
        ("feature(OPENSSL) && 0", Truth.NO),
        ("feature(OPENSSL) && 1", Truth.UNKNOWN),
        ("feature(OPENSSL) || 1", Truth.YES),
        ("0 || 1 && 0", Truth.NO),
        ("(0 || 1) && !(0)", Truth.YES),
    ],
)
def test_conditions(condition: str, value: Truth) -> None:
    block = blocks()
    block.directive(".if", condition)
    assert block.reading is value


def test_branches_exclude_each_other() -> None:
    block = blocks()
    seen = []
    for name, rest in ((".if", "0"), (".elif", "1"), (".elif", "1"), (".else", ""), (".endif", "")):
        block.directive(name, rest)
        seen.append(block.reading)
    assert seen == [Truth.NO, Truth.YES, Truth.NO, Truth.NO, Truth.YES]


def test_what_is_unknown_leaves_every_branch_open() -> None:
    block = blocks()
    seen = []
    for name, rest in ((".if", "feature(LUA)"), (".if", "0"), (".endif", ""), (".else", "")):
        block.directive(name, rest)
        seen.append(block.reading)
    assert seen == [Truth.UNKNOWN, Truth.NO, Truth.UNKNOWN, Truth.UNKNOWN]
    assert block.depth == 1


@pytest.mark.parametrize(
    ("directives", "reason"),
    [
        ([(".endif", "")], "without .if"),
        ([(".if", "1"), (".else", ""), (".else", "")], "after .else"),
        ([(".if", "maybe")], "neither a number nor a predicate"),
        ([(".if", "(1")], "never closed"),
        ([(".if", "1 1")], "unexpected '1'"),
        ([(".if", "streq(a")], "ends too early"),
        ([(".if", "version_atleast(x)")], "no release"),
        ([(".if", "!" * 100 + "1")], "nested deeper"),
        ([(".if", "1")] * 65, "nested deeper"),
    ],
)
def test_what_does_not_fit_is_named(directives: list[tuple[str, str]], reason: str) -> None:
    block = blocks()
    *before, last = directives
    for name, rest in before:
        block.directive(name, rest)
    with pytest.raises(BadCondition, match=reason):
        block.directive(*last)


@given(st.text(alphabet="()!&|,01 abdefinstru", max_size=60))
def test_any_condition_has_a_value_or_is_refused(text: str) -> None:
    block = blocks()
    with suppress(BadCondition):
        block.directive(".if", text)
        assert block.reading in Truth
