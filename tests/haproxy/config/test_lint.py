from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from proxyspec_haproxy import HAProxyVersion
from proxyspec_haproxy.config import RULES, Expected, Level, SourceFile, lint
from proxyspec_haproxy.config.findings import Found, Setup, rule

FILES = Path(__file__).with_name("files")
OLD, OWN, NEW = HAProxyVersion(2, 2, 9), HAProxyVersion(2, 6, 12), HAProxyVersion(3, 2, 26)

Row = tuple[str, int, str, tuple[str, ...]]

# file -> (level, line, rule, releases it is true of where that is not all three)
EXPECTED: dict[str, list[Row]] = {
    "documented.cfg": [
        ("FAIL", 2, "bind/missing", ()),
        ("WARN", 2, "timeout/missing", ()),
        ("WARN", 5, "check/closes-early", ("2.2.9",)),
        ("INFO", 5, "check/false-up", ()),
    ],
    "corrected.cfg": [],
    "always-down.cfg": [
        ("WARN", 14, "check/closes-early", ("2.2.9",)),
        ("INFO", 14, "check/false-up", ()),
        ("FAIL", 15, "check/without-header", ()),
        ("FAIL", 20, "check/connect-without-header", ()),
    ],
    "impatient.cfg": [
        ("FAIL", 5, "timeout/below-deadline", ()),
        ("WARN", 6, "timeout/below-rfc-5321", ()),
        ("WARN", 10, "check/proves-nothing", ()),
        ("WARN", 10, "check/too-often", ()),
        ("WARN", 11, "check/none", ()),
    ],
    "credulous.cfg": [
        ("WARN", 10, "check/resets", ()),
        ("INFO", 10, "check/pattern", ()),
        ("FAIL", 13, "trust/unbounded", ()),
        ("WARN", 17, "trust/unbounded", ()),
    ],
    "two-versions.cfg": [
        ("INFO", 4, "container/global", ()),
        ("INFO", 5, "container/global", ()),
        ("WARN", 12, "check/closes-early", ("2.2.9",)),
        ("WARN", 18, "header/both-versions", ()),
        ("FAIL", 19, "header/options-without-header", ("2.2.9", "2.6.12")),
        ("FAIL", 19, "header/options-without-header", ("3.2.26",)),
    ],
    "web-defaults.cfg": [
        ("FAIL", 3, "mode/http", ()),
        ("FAIL", 5, "timeout/below-deadline", ()),
        ("FAIL", 6, "timeout/below-deadline", ()),
        ("WARN", 18, "check/proves-nothing", ()),
        ("WARN", 24, "greeting/delayed", ()),
        ("WARN", 29, "balance/first", ()),
        ("FAIL", 30, "header/only-in-checks", ()),
        ("WARN", 30, "check/proves-nothing", ()),
        ("INFO", 30, "check/slow-to-notice", ()),
        ("INFO", 31, "check/slow-to-notice", ()),
    ],
}


def test_every_file_is_expected() -> None:
    assert {path.name for path in FILES.iterdir()} == set(EXPECTED)


@pytest.mark.parametrize("name", EXPECTED)
def test_findings_of_the_files(name: str) -> None:
    source = SourceFile(name, (FILES / name).read_text())
    findings = lint([source], [OLD, OWN, NEW], environment={}).findings
    assert [(str(f.level), f.place.line, f.rule, f.versions) for f in findings] == EXPECTED[name]


def rules_of(text: str, version: HAProxyVersion = NEW, expected: Expected | None = None) -> dict[str, Level]:
    """The rules that find something in a listener of one section, `text` its lines."""
    base = "defaults\n mode tcp\n timeout connect 5s\n timeout client 5m\n timeout server 5m\n"
    source = SourceFile("a.cfg", base + text)
    return {f.rule: f.level for f in lint([source], [version], environment={}, expected=expected).findings}


CHECK = " option tcp-check\n tcp-check connect default linger\n tcp-check expect rstring ^220\n"
GOOD = f"listen mx\n bind :25\n{CHECK} server a 192.0.2.1:25 check send-proxy\n"
SECOND = " server b 192.0.2.2:25 check send-proxy\n"


def check(*lines: str) -> str:
    """The good listener with these lines for its check."""
    return GOOD.replace(CHECK, "".join(f" {line}\n" for line in lines))


def also(*lines: str) -> str:
    """The good listener with these lines before its check."""
    return check(*lines, *(line.strip() for line in CHECK.splitlines()))


def server(options: str) -> str:
    """The good listener with these options for its server."""
    return GOOD.replace("check send-proxy", options)


def bind(options: str, *lines: str) -> str:
    """The good listener with this bind line, and lines after it."""
    return GOOD.replace(" bind :25\n", "".join(f" {line}\n" for line in (f"bind {options}", *lines)))


@dataclass(frozen=True)
class Pair:
    """Text in which a rule finds something, and the same put right."""

    bad: str
    good: str = GOOD
    expected: Expected = field(default_factory=Expected)
    version: HAProxyVersion = NEW


INSPECT = "tcp-request inspect-delay 5s"
PAIRS = {
    "check/without-header": Pair(
        check("option smtpchk").replace("check s", "check port 25 s"),
        server("check check-send-proxy port 25 send-proxy"),
    ),
    "check/connect-without-header": Pair(GOOD.replace(" default linger", ""), GOOD.replace("default", "send-proxy")),
    "check/proves-nothing": Pair(check()),
    "check/closes-early": Pair(check("option smtpchk"), version=HAProxyVersion(2, 6, 6)),
    "check/resets": Pair(GOOD.replace(" linger", "")),
    "check/pattern": Pair(GOOD.replace("^220", '"^220 "'), GOOD.replace("^220", '"^220[ -]"')),
    "check/false-up": Pair(check("option smtpchk"), check("option smtpchk").replace("xy\n", "xy-v2\n")),
    "check/none": Pair(server("send-proxy"), server("track b/c send-proxy")),
    "check/too-often": Pair(server("check inter 999 send-proxy"), server("check inter 1s send-proxy")),
    "check/slow-to-notice": Pair(server("check inter 1m send-proxy"), server("check inter 30s send-proxy")),
    "check/two-kinds": Pair(also("option smtpchk")),
    "header/version": Pair(server("check send-proxy-v2"), expected=Expected(frozenset({1}))),
    "header/both-versions": Pair(server("check send-proxy send-proxy-v2")),
    "header/options-without-header": Pair(
        server("check proxy-v2-options ssl"), server("check send-proxy-v2 proxy-v2-options ssl")
    ),
    "header/only-in-checks": Pair(server("check check-send-proxy"), server("check check-send-proxy send-proxy")),
    "header/mixed": Pair(GOOD + SECOND.replace(" send-proxy", ""), GOOD + SECOND),
    "header/none": Pair(server("check")),
    "timeout/below-deadline": Pair(also("timeout client 30s")),
    "timeout/below-rfc-5321": Pair(also("timeout tunnel 299s"), also("timeout tunnel 1h", "timeout client 1m")),
    "timeout/missing": Pair(f"defaults\n mode tcp\n{GOOD}"),
    "timeout/check-races-deadline": Pair(also("timeout check 30s"), also("timeout check 5s")),
    "bind/missing": Pair(GOOD.replace(" bind :25\n", ""), GOOD.replace("listen", "backend").replace(" bind :25\n", "")),
    "mode/http": Pair(also("mode http")),
    "mode/unsaid": Pair(f"defaults\n timeout client 5m\n{GOOD}"),
    "trust/unbounded": Pair(
        bind(":25 accept-proxy"),
        bind(":25 accept-proxy", "acl known src 192.0.2.7", "tcp-request connection reject if !known"),
    ),
    "greeting/delayed": Pair(
        also(INSPECT, "tcp-request content accept if { req.len gt 0 }"),
        also(INSPECT, "tcp-request content accept if { src 192.0.2.1 }"),
    ),
    "limits/maxconn": Pair("global\n maxconn 10\n" + also("maxconn 11"), "global\n maxconn 10\n" + also("maxconn 10")),
    "limits/queue": Pair(
        server("check maxconn 5 send-proxy"), also("timeout queue 5s").replace("check s", "check maxconn 5 s")
    ),
    "balance/first": Pair(also("balance first") + SECOND, also("balance first")),
    "balance/source-of-proxy": Pair(
        bind("127.0.0.1:25", "balance source") + SECOND, bind("127.0.0.1:25 accept-proxy", "balance source") + SECOND
    ),
    "container/global": Pair(f"global\n daemon\n{GOOD}", f"global\n maxconn 10\n{GOOD}"),
    "container/low-port": Pair(GOOD, bind(":2525"), Expected(container=True)),
}


def test_every_rule_has_its_pair() -> None:
    assert set(PAIRS) == set(RULES)


@pytest.mark.parametrize("name", PAIRS)
def test_a_rule_finds_its_fault_and_is_content_without(name: str) -> None:
    pair = PAIRS[name]
    assert name in rules_of(pair.bad, pair.version, pair.expected)
    assert name not in rules_of(pair.good, pair.version, pair.expected)


def test_a_good_listener_has_no_finding() -> None:
    assert rules_of(GOOD) == {}


def test_what_carries_no_smtp_is_left_alone() -> None:
    text = "listen web\n bind :443\n server a 192.0.2.1:443 send-proxy-v2\n"
    text += "listen db\n bind :3306\n server a 192.0.2.1:3306\n"
    judged = lint([SourceFile("a.cfg", text)], [NEW], environment={})
    assert (judged.findings, judged.services) == ((), ())


def test_a_backend_carries_what_its_frontend_does() -> None:
    text = "frontend in\n mode tcp\n bind :587\n use_backend b if { src 192.0.2.1 }\n"
    text += "backend b\n mode tcp\n server s 192.0.2.1:99\n"
    judged = lint([SourceFile("a.cfg", text)], [NEW], environment={})
    assert judged.services == ("frontend in", "backend b")
    assert "check/none" in {finding.rule for finding in judged.findings}


def test_levels_depend_on_what_is_at_stake() -> None:
    private = GOOD.replace(":25\n", "10.0.0.1:25 accept-proxy\n", 1)
    assert rules_of(private) == {"trust/unbounded": Level.WARN}
    unix = GOOD.replace(":25\n", "/run/mx.sock accept-proxy\n", 1)
    assert rules_of(unix) == {}
    l4 = GOOD.replace(CHECK, "").replace("check s", "check port 25 s")
    assert rules_of(l4)["check/without-header"] is Level.WARN
    assert rules_of(f"global\n user haproxy\n{GOOD}") == {"container/global": Level.INFO}
    found = rules_of(f"global\n user haproxy\n{GOOD}", expected=Expected(container=True))
    assert found["container/global"] is Level.WARN


@pytest.mark.parametrize(
    ("pattern", "level"),
    [("^220", None), ('"^220 "', Level.INFO), ('"^250 "', Level.FAIL), ('"(("', None), ("x" * 300, None)],
)
def test_patterns_against_what_a_greeting_is(pattern: str, level: Level | None) -> None:
    assert rules_of(GOOD.replace("^220", pattern)).get("check/pattern") is level


def test_a_reply_to_ehlo_is_of_several_lines() -> None:
    ehlo = ' tcp-check send "EHLO x\\r\\n"\n tcp-check expect rstring "^250 "\n'
    text = GOOD.replace(" server", f"{ehlo} server")
    assert rules_of(text)["check/pattern"] is Level.FAIL
    assert "check/pattern" not in rules_of(text.replace("^250 ", "^250[ -]"))
    assert "check/pattern" not in rules_of(text.replace("EHLO", "NOOP").replace("^250 ", "^250"))


def test_unreadable_lines_are_findings() -> None:
    found = rules_of(GOOD + ' acl a "b\n')
    assert found == {"file/unreadable": Level.FAIL}
    assert rules_of(GOOD + ' description "$NOT_SET_HERE"\n') == {"file/uncertain": Level.INFO}


def test_rules_are_registered_once_and_say_what_they_want() -> None:
    def silent(setup: Setup) -> list[Found]:
        return []

    with pytest.raises(ValueError, match="docstring"):
        rule("new/one", Level.INFO)(lambda setup: iter(silent(setup)))
    known = next(iter(RULES.values()))
    with pytest.raises(ValueError, match="unique"):
        rule(known.id, Level.INFO)(known.look)
    assert all(each.wants.endswith(".") for each in RULES.values())
    with pytest.raises(ValueError, match="no version"):
        lint([SourceFile("a.cfg", "")], [], environment={})


KEYWORDS = """
    listen defaults global frontend backend server bind option smtpchk tcp-check expect rstring connect port check
    send-proxy send-proxy-v2 proxy-v2-options timeout client server 10s mode http tcp :25 a b tcp-request connection
    expect-proxy if content inspect-delay req.len balance first source maxconn 99999999999999999999 default-server no
    use_backend default_backend accept-proxy inter fall log global user errorfile crt acl src
"""
WORDS = st.sampled_from(KEYWORDS.split())


@example("listen\nno")
@given(st.lists(st.lists(WORDS, max_size=6).map(" ".join), max_size=20).map("\n".join))
def test_no_configuration_makes_a_rule_fail(text: str) -> None:
    for finding in lint([SourceFile("a.cfg", text)], [OLD, NEW], environment={}).findings:
        assert 1 <= finding.place.line <= text.count("\n") + 1
        assert all((finding.what, finding.why, finding.remedy))
