from __future__ import annotations

import pytest

from proxyspec.checks.layout import Places, backend_name, layout, needs_witness, same_process
from proxyspec.checks.model import Behind, Connect, Expect, Expected, Kind, Opening, Proxy, Say, Scenario
from proxyspec.checks.record import column_names, section_of
from proxyspec_haproxy import HAProxyVersion, render_topology

EXPECTED = {(2, 2, 0): Expected(up=True, results=("L7OK",), opening=Opening.V1)}
LATEST = HAProxyVersion(3, 4, 7)


def scenario(check: str, **changes: object) -> Scenario:
    given: dict[str, object] = {"proxy": Proxy.V1, "title": check, "kind": Kind.SMTPCHK, "expected": EXPECTED}
    return Scenario(check=check, **{**given, **changes})  # type: ignore[arg-type]


def section(one: Scenario, places: Places) -> list[str]:
    text = render_topology(layout([one], {one.id: places}), LATEST)
    return section_of(text, backend_name(one))


def test_a_reference_row_has_a_server_that_is_judged_and_a_witness() -> None:
    one = scenario("smtpchk-ehlo", helo="EHLO a.test", proxy=Proxy.V2, crc32c=True, timeout=0.3)
    assert needs_witness(one)
    assert section(one, Places((2501,), 2502, None)) == [
        "backend smtpchk-ehlo.v2",
        "balance roundrobin",
        "option smtpchk EHLO a.test",
        "timeout check 300ms",
        "server smtp1 127.0.0.1:2501 check-send-proxy check inter 100ms rise 1 fall 1 send-proxy-v2 "
        "proxy-v2-options crc32c",
        "server witness 127.0.0.1:2502 check-send-proxy check inter 1000ms rise 1 fall 1 send-proxy-v2 "
        "proxy-v2-options crc32c",
    ]


def test_rules_and_the_check_port_reach_the_configuration() -> None:
    rules = (Connect(default=False), Connect(linger=True), Expect("^220 "), Say("QUIT"))
    one = scenario("rules", kind=Kind.TCPCHECK, rules=rules, behind=Behind.BUSY, own_port=True, check_header=False)
    assert not needs_witness(one)
    assert section(one, Places((2501,), None, None)) == [
        "backend rules.v1",
        "balance roundrobin",
        "option tcp-check",
        "tcp-check connect",
        "tcp-check connect default linger",
        'tcp-check expect rstring "^220 "',
        'tcp-check send "QUIT\\r\\n"',
        "timeout check 5000ms",
        "server smtp1 127.0.0.1:2501 check port 2501 inter 100ms rise 1 fall 1 send-proxy",
    ]


def test_the_documented_listener_stands_word_for_word() -> None:
    one = scenario("documented", documented=True, servers=2, behind=Behind.ORDINARY)
    assert section(one, Places((2501, 2502), None, 2525)) == [
        "listen documented.v1",
        "bind 127.0.0.1:2525",
        "mode tcp",
        "option tcplog",
        "option smtpchk",
        "balance roundrobin",
        "server smtp1 127.0.0.1:2501 check-send-proxy check inter 10s send-proxy",
        "server smtp2 127.0.0.1:2502 check-send-proxy check inter 10s send-proxy",
    ]


def test_what_holds_for_a_process_parts_the_scenarios() -> None:
    plain, other = scenario("a"), scenario("b")
    never, documented = scenario("c", never_send_local=True), scenario("d", documented=True)
    assert same_process([plain, never, documented, other]) == [(plain, other), (never,), (documented,)]
    with pytest.raises(ValueError, match="same_process"):
        layout([plain, never], {})
    text = render_topology(layout([never], {never.id: Places((1,), 2, None)}), LATEST)
    assert "\n    pp2-never-send-local\n" in text
    assert "never-send-local" not in render_topology(layout([plain], {plain.id: Places((1,), 2, None)}), LATEST)


def test_equal_releases_are_told_apart_in_the_table() -> None:
    assert column_names([("2.6.12", "docker"), ("3.2.26", "docker"), ("2.6.12", "binary")]) == [
        "HAProxy 2.6.12 (docker)",
        "HAProxy 3.2.26",
        "HAProxy 2.6.12 (binary)",
    ]


def test_a_section_ends_where_the_next_one_begins() -> None:
    text = "backend a\n    one\n\nbackend ab\n    two\nlisten b\n    three"
    assert section_of(text, "a") == ["backend a", "one"]
    assert section_of(text, "ab") == ["backend ab", "two"]
    assert section_of(text, "b") == ["listen b", "three"]
    assert section_of(text, "c") == []
