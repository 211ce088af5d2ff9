from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxyspec_haproxy import FEATURES, HAProxyVersion, UnsupportedByHAProxy

DEBIAN = """\
HAProxy version 2.6.12-1+deb12u4 2026/10/17 - https://haproxy.org/
Status: long-term supported branch - will stop receiving fixes around Q2 2027.
Known bugs: http://www.haproxy.org/bugs/bugs-2.6.12.html
Running on: Linux 6.18.44 #1 SMP x86_64
"""


@pytest.mark.parametrize(
    ("text", "numbers", "raw"),
    [
        (DEBIAN, (2, 6, 12), "2.6.12-1+deb12u4"),
        ("HA-Proxy version 2.2.9-2+deb11u7 2023/02/14 - https://haproxy.org/\n", (2, 2, 9), "2.2.9-2+deb11u7"),
        ("HAProxy version 3.5-dev5-1a2b3c 2026/08/01", (3, 5, 0), "3.5-dev5-1a2b3c"),
        ("3.4.7", (3, 4, 7), "3.4.7"),
        ("3.0.11-1+deb13u5\n", (3, 0, 11), "3.0.11-1+deb13u5"),
        ("2.8", (2, 8, 0), "2.8"),
    ],
)
def test_reads_every_form_of_version(text: str, numbers: tuple[int, int, int], raw: str) -> None:
    version = HAProxyVersion.parse(text)
    assert (version.major, version.minor, version.patch) == numbers
    assert str(version) == raw
    assert version.series == f"{numbers[0]}.{numbers[1]}"


@pytest.mark.parametrize("text", ["", "true (GNU coreutils) 9.1", "HAProxy", "lts", "Linux 6.18.44"])
def test_refuses_what_holds_no_version(text: str) -> None:
    with pytest.raises(ValueError, match="no HAProxy version in"):
        HAProxyVersion.parse(text)


@given(st.tuples(*[st.integers(0, 999)] * 3), st.tuples(*[st.integers(0, 999)] * 3))
def test_orders_like_its_numbers(left: tuple[int, int, int], right: tuple[int, int, int]) -> None:
    parsed = [HAProxyVersion.parse(".".join(map(str, numbers))) for numbers in (left, right)]
    assert (parsed[0] < parsed[1]) == (left < right)
    assert (parsed[0] == parsed[1]) == (left == right)


@pytest.mark.parametrize("feature", FEATURES)
def test_gates_open_with_their_series(feature: str) -> None:
    major, minor = FEATURES[feature]
    assert HAProxyVersion(major, minor).has(feature)
    before = HAProxyVersion(major, minor - 1, 99, "the one before")
    assert not before.has(feature)
    with pytest.raises(
        UnsupportedByHAProxy, match=f"needs HAProxy {major}.{minor} or later, and this is the one before"
    ):
        before.need(feature)


def test_an_unknown_feature_is_a_mistake_of_the_caller() -> None:
    with pytest.raises(KeyError):
        HAProxyVersion(9, 9).has("teleport")
