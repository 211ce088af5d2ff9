from __future__ import annotations

import pytest

from proxyspec.errors import UsageError
from proxyspec.load.comparison import Variant, parse_variants, rounds
from proxyspec.load.distribution import Master, parse_bind
from proxyspec.load.options import HeaderKind
from proxyspec.model import Via


def test_headers_and_engines() -> None:
    assert parse_variants("none@127.0.0.9, v2,docker:3.2/relay-v1,binary:/opt/haproxy") == (
        Variant("none@127.0.0.9", HeaderKind.NONE, source="127.0.0.9"),
        Variant("v2", HeaderKind.V2),
        Variant("docker:3.2/relay-v1", HeaderKind.NONE, "docker:3.2", Via.RELAY_V1),
        Variant("binary:/opt/haproxy", HeaderKind.NONE, "binary:/opt/haproxy"),
    )


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("v1", "two at least"),
        ("v1,v1", "twice"),
        ("v1,v3", "'v3'"),
        ("v1,v2@", "'v2@'"),
        ("v1,v2@nowhere", "no address"),
        ("v1,docker/chain-v1", "HAProxy adds the header"),
        ("", "''"),
    ],
)
def test_anything_else_is_named(text: str, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        parse_variants(text)


def test_rounds_go_to_and_fro() -> None:
    one, two = parse_variants("v1,v2")
    assert list(rounds((one, two), 3)) == [(1, one), (1, two), (2, two), (2, one), (3, one), (3, two)]


@pytest.mark.parametrize("count", [0, 101])
def test_rounds_have_limits(count: int) -> None:
    with pytest.raises(UsageError, match=f"--rounds {count}"):
        list(rounds(parse_variants("v1,v2"), count))


def test_where_a_master_listens() -> None:
    assert parse_bind("10.0.0.1", 2) == Master("10.0.0.1", 5557, 2)
    assert parse_bind("master.example:6000", 1) == Master("master.example", 6000, 1)


@pytest.mark.parametrize("text", ["", ":5557", "host:", "host:0", "host:65536", "host:x", "host:５"])
def test_no_place_of_a_master(text: str) -> None:
    with pytest.raises(UsageError, match="no address of a master"):
        parse_bind(text, 1)


@pytest.mark.parametrize("workers", [0, 1001])
def test_workers_have_limits(workers: int) -> None:
    with pytest.raises(UsageError, match=f"--expect-workers {workers}"):
        parse_bind("127.0.0.1", workers)
