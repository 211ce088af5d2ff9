"""Targets from the command line: what is taken, what is refused and in which words."""

from __future__ import annotations

import pytest

from proxyspec.errors import ExitCode, UsageError
from proxyspec.targets import make_target, parse_url


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("smtp://127.0.0.1:2525", ("127.0.0.1", 2525)),
        ("127.0.0.1:25", ("127.0.0.1", 25)),
        ("smtp://[::1]:25/", ("::1", 25)),
        ("localhost:65535", ("localhost", 65535)),
    ],
)
def test_urls(text: str, expected: tuple[str, int]) -> None:
    assert parse_url(text) == expected


@pytest.mark.parametrize(
    "text",
    ["", "127.0.0.1", "smtp://127.0.0.1", "http://127.0.0.1:25", "127.0.0.1:0", "127.0.0.1:65536", "::1:25", "a b:25"],
)
def test_what_is_no_target_is_named(text: str) -> None:
    with pytest.raises(UsageError, match="no target") as caught:
        parse_url(text)
    assert repr(text) in str(caught.value)
    assert caught.value.code is ExitCode.USAGE


def test_a_loopback_target_gets_an_unlisted_neighbour() -> None:
    target = make_target("127.0.0.1:25")
    assert (target.host, target.trusted_source, target.untrusted_source) == ("127.0.0.1", None, "127.0.0.2")
    assert make_target("127.0.0.1:25", untrusted_source="none").untrusted_source is None
    assert make_target("127.0.0.1:25", untrusted_source="127.0.0.5").untrusted_source == "127.0.0.5"
    assert make_target("127.0.0.1:25", trusted_source="127.0.0.2").untrusted_source is None
    assert make_target("[::1]:25").untrusted_source is None


def test_other_machines_need_consent() -> None:
    with pytest.raises(UsageError, match=r"--allow-target 192\.0\.2\.1"):
        make_target("192.0.2.1:25")
    assert make_target("192.0.2.1:25", allowed=["192.0.2.0/24"]).host == "192.0.2.1"
    with pytest.raises(UsageError, match="not-a-range"):
        make_target("192.0.2.1:25", allowed=["not-a-range"])


def test_local_addresses_must_be_local() -> None:
    with pytest.raises(UsageError, match=r"--untrusted 192\.0\.2\.77 is no address of this machine"):
        make_target("127.0.0.1:25", untrusted_source="192.0.2.77")
    with pytest.raises(UsageError, match="--trusted 'me' is no IP address"):
        make_target("127.0.0.1:25", trusted_source="me")


@pytest.mark.parametrize(("option", "key"), [("--trusted", "trusted_source"), ("--untrusted", "untrusted_source")])
def test_local_addresses_are_of_the_targets_family(option: str, key: str) -> None:
    words = f"{option} ::1 and the target 127.0.0.1 are not of one family"
    with pytest.raises(UsageError, match=words):
        make_target("127.0.0.1:25", **{key: "::1"})  # type: ignore[arg-type]


def test_no_address_is_trusted_and_untrusted() -> None:
    with pytest.raises(UsageError, match=r"--untrusted 127\.0\.0\.5 is the trusted address as well"):
        make_target("127.0.0.1:25", trusted_source="127.0.0.5", untrusted_source="127.0.0.5")


@pytest.mark.parametrize("seconds", [0.0, -1.0, 3601.0, float("nan")])
def test_deadlines_out_of_range(seconds: float) -> None:
    with pytest.raises(UsageError, match="--header-timeout"):
        make_target("127.0.0.1:25", header_timeout=seconds)


def test_an_ipv6_address_stands_in_brackets() -> None:
    target = make_target("smtp://[::1]:25")
    assert (target.place, target.url) == ("[::1]:25", "smtp://[::1]:25")
