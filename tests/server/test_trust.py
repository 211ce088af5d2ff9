"""The trust list: what it takes, what it matches, what it says of a bad line."""

from pathlib import Path

import pytest

from proxyspec_server.trust import TrustList, TrustListError

TEXT = """
# the two balancers
192.0.2.1
198.51.100.0/24   # and their spare
2001:db8::1

2001:db8:1::/48
"""


@pytest.mark.parametrize(
    ("peer", "trusted"),
    [
        ("192.0.2.1", True),
        ("192.0.2.2", False),
        ("198.51.100.0", True),
        ("198.51.100.255", True),
        ("198.51.101.0", False),
        ("2001:db8::1", True),
        ("2001:db8::2", False),
        ("2001:db8:1:ffff::1", True),
        ("2001:db8:2::1", False),
        ("::ffff:192.0.2.1", True),
        ("::ffff:192.0.2.2", False),
        ("::192.0.2.1", False),
        ("127.0.0.1", False),
        ("2001:db8::1%eth0", True),
    ],
)
def test_membership(peer: str, trusted: bool) -> None:
    assert (peer in TrustList.parse(TEXT, "hosts")) is trusted


def test_nobody_is_trusted_by_default() -> None:
    assert "127.0.0.1" not in TrustList()
    assert "::1" not in TrustList.parse("# nothing\n\n", "hosts")


def test_everybody_of_one_family() -> None:
    assert "203.0.113.9" in TrustList.parse("0.0.0.0/0", "hosts")
    assert "2001:db8::1" not in TrustList.parse("0.0.0.0/0", "hosts")


def test_both_lists_together() -> None:
    both = TrustList.parse("192.0.2.1", "a") | TrustList.parse("192.0.2.2\n192.0.2.1", "b")
    assert len(both) == 2
    assert "192.0.2.1" in both
    assert "192.0.2.2" in both


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("proxy.example.com", '"proxy.example.com" is neither an IP address nor a CIDR range; write an address'),
        ("192.0.2.256", "neither an IP address"),
        ("192.0.2.01", "neither an IP address"),
        ("192.0.2.1 192.0.2.2", "neither an IP address"),
        ("192.0.2.0/33", "neither an IP address"),
        ("[2001:db8::1]", "neither an IP address"),
        ("192.0.2.1/24", "host bits set; write 192.0.2.0/24 for the range, or 192.0.2.1 for the one address"),
        ("2001:db8::1/64", "write 2001:db8::/64 for the range"),
        ("fe80::1%eth0", "has a zone"),
        ("::ffff:192.0.2.1", "IPv4 in IPv6 form; write 192.0.2.1/32"),
        ("::ffff:192.0.2.0/120", "write 192.0.2.0/24"),
        ("evil\x1b[2J", r"evil\x1b[2J"),
        ("x" * 5000, "x..."),
    ],
)
def test_a_bad_line_is_named_with_its_remedy(line: str, told: str) -> None:
    with pytest.raises(TrustListError) as caught:
        TrustList.parse(f"# first\n192.0.2.7\n{line}\n", "haproxy_hosts")
    assert str(caught.value).startswith("haproxy_hosts, line 3: ")
    assert told in str(caught.value)
    assert len(str(caught.value)) < 300


def test_load(tmp_path: Path) -> None:
    path = tmp_path / "hosts"
    path.write_text(TEXT)
    assert len(TrustList.load(path)) == 4


def test_load_says_what_is_wrong_with_the_file(tmp_path: Path) -> None:
    with pytest.raises(TrustListError, match=r"missing: No such file.*check the path"):
        TrustList.load(tmp_path / "missing")
    (tmp_path / "binary").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(TrustListError, match="not a text file"):
        TrustList.load(tmp_path / "binary")
    (tmp_path / "bad").write_text("nonsense")
    with pytest.raises(TrustListError, match="bad, line 1"):
        TrustList.load(tmp_path / "bad")
