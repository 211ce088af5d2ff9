"""Rules about health checks: do they reach the server, prove anything, and leave it in peace."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from proxyspec_haproxy.config.document import Directive
from proxyspec_haproxy.config.findings import Found, Level, Setup, rule
from proxyspec_haproxy.config.proxies import Proxy, ServerLine, seconds
from proxyspec_haproxy.version import HAProxyVersion

__all__ = [
    "closes_early",
    "connect_without_header",
    "false_up",
    "none",
    "pattern",
    "proves_nothing",
    "resets",
    "slow_to_notice",
    "too_often",
    "two_kinds",
    "without_header",
]

#: Up to this release smtpchk closes after the first line of the reply.
_READS_TO_THE_END: Final = HAProxyVersion(2, 6, 7)
_LONGEST_PATTERN: Final = 200
_TCP_CHECK: Final = (
    'use `option tcp-check` with `tcp-check connect default linger`, `tcp-check expect rstring "^220[ -]"`, '
    '`tcp-check send "QUIT\\r\\n"` and `tcp-check expect rstring "^221"`'
)


def _checked(setup: Setup) -> Iterator[tuple[Proxy, ServerLine]]:
    return ((proxy, server) for proxy, server in setup.servers if server.has("check"))


def _connects(proxy: Proxy) -> list[Directive]:
    return [line for line in proxy.tcp_check if line.starts("tcp-check", "connect")]


def _quits(proxy: Proxy) -> bool:
    return any("QUIT" in " ".join(line.words[2:]).upper() for line in proxy.tcp_check if line.words[1:2] == ("send",))


@rule("check/without-header", Level.FAIL)
def without_header(setup: Setup) -> Iterator[Found]:
    """A check of a server that wants a header sends one."""
    for proxy, server in _checked(setup):
        explicit = proxy.check_kind == "tcp-check" and _connects(proxy)
        if server.header is None or server.check_header is not None or explicit:
            continue
        keyword = "port" if server.has("port") else "addr"
        down = proxy.check_kind != "l4"
        yield Found(
            server.where("port", "addr"),
            f"server {server.name} gets a header with its traffic, but not with its checks"
            + (": it is always DOWN" if down else ", which hang in its log"),
            f"HAProxy leaves the header out of a check that has a {keyword} of its own, and a server that waits for a "
            "header says nothing before it has come",
            f"add check-send-proxy to the line, or leave {keyword} out",
            None if down else Level.WARN,
        )


@rule("check/connect-without-header", Level.FAIL)
def connect_without_header(setup: Setup) -> Iterator[Found]:
    """A tcp-check that connects by itself asks for the header."""
    for proxy in setup.services:
        wanting = [server.name for server in proxy.servers if server.header and server.has("check")]
        if proxy.check_kind != "tcp-check" or not wanting:
            continue
        for line in _connects(proxy):
            if not {"send-proxy", "default"} & set(line.words[2:]):
                yield Found(
                    line.place,
                    f"this check connects without a header: {', '.join(wanting)} will be DOWN",
                    "a `tcp-check connect` takes neither send-proxy nor check-send-proxy from the server line",
                    "write `tcp-check connect default` (all of the server line) or `tcp-check connect send-proxy`",
                )


@rule("check/proves-nothing", Level.WARN)
def proves_nothing(setup: Setup) -> Iterator[Found]:
    """A check looks at the SMTP greeting, not at the connection alone."""
    for proxy in setup.services:
        checked = [server for server in proxy.servers if server.has("check") and not server.has("disabled")]
        empty_rules = proxy.check_kind == "tcp-check" and not any(
            line.words[1:2] == ("expect",) for line in proxy.tcp_check
        )
        if not checked or not (proxy.check_kind == "l4" or empty_rules):
            continue
        names = ", ".join(server.name for server in checked)
        headed = any(server.check_header for server in checked)
        yield Found(
            (proxy.check_option or checked[0].directive).place,
            f"the checks of {names} only connect: a server that accepts and answers nothing stays UP",
            "HAProxy closes such a check by a reset"
            + (" right after the header: one reset per check in the server's log" if headed else ""),
            _TCP_CHECK,
        )


@rule("check/closes-early", Level.WARN)
def closes_early(setup: Setup) -> Iterator[Found]:
    """A check ends the session in order: whole reply, QUIT, 221."""
    if setup.version >= _READS_TO_THE_END:
        return
    for proxy in setup.services:
        option = proxy.check_option
        if option is None or proxy.check_kind != "smtpchk" or not any(s.has("check") for s in proxy.servers):
            continue
        ehlo = option.words[2:3] == ("EHLO",)
        yield Found(
            option.place,
            f"smtpchk of HAProxy {setup.version} hangs up on the first line of the reply"
            + (" to EHLO: the server writes the others into a reset" if ehlo else " and never says QUIT"),
            "smtpchk reads the whole reply and says QUIT only since 2.6.7: a server logs one reset or half-closed "
            "connection per check",
            f"take HAProxy 2.6.7 or later, or {_TCP_CHECK}",
        )


@rule("check/resets", Level.WARN)
def resets(setup: Setup) -> Iterator[Found]:
    """A tcp-check lets the server close, or closes without a reset."""
    for proxy in setup.services:
        expects = [line for line in proxy.tcp_check if line.words[1:2] == ("expect",)]
        checked = any(server.has("check") for server in proxy.servers)
        lingers = any("linger" in line.words for line in _connects(proxy))
        if proxy.check_kind == "tcp-check" and expects and checked and not lingers and not _quits(proxy):
            yield Found(
                expects[-1].place,
                "the check hangs up by a reset once the greeting is there: one reset per check in the server's log",
                "HAProxy closes a tcp-check with lingering off unless the server has closed before",
                'add `tcp-check send "QUIT\\r\\n"` and `tcp-check expect rstring "^221"`',
            )


@rule("check/pattern", Level.FAIL)
def pattern(setup: Setup) -> Iterator[Found]:
    """The pattern of a tcp-check matches what an SMTP server says at that point, on one line or on several."""
    for proxy in setup.services:
        if proxy.check_kind != "tcp-check":
            continue
        code, about, many_usual = "220", "greeting", False
        for line in proxy.tcp_check:
            words = " ".join(line.words[2:])
            if line.words[1:2] == ("send",):
                said = words.upper()
                code, about, many_usual = (
                    ("221", "reply to QUIT", False)
                    if "QUIT" in said
                    else ("250", "reply to EHLO" if "EHLO" in said else "reply", "EHLO" in said)
                )
            elif line.words[1:2] == ("expect",) and "rstring" in line.words and "!" not in line.words:
                wanted = line.words[-1]
                one, many = (
                    _matches(wanted, f"{code} mx.example.test ESMTP ready\r\n"),
                    _matches(wanted, f"{code}-mx.example.test ESMTP\r\n{code} ready\r\n"),
                )
                if one is None or many is None or many:
                    continue
                yield Found(
                    line.place,
                    f"{wanted!r} matches no {about} of several lines"
                    + ("" if one else f", nor `{code} mx.example.test …`: no server comes UP"),
                    f"the {about} may be of several lines, `{code}-…` first (RFC 5321, section 4.2.1), and HAProxy "
                    "looks at the whole of it with ^ at its beginning",
                    f'write "^{code}[ -]" where the server may say more than one line',
                    Level.FAIL if not one or many_usual else Level.INFO,
                )


def _matches(wanted: str, said: str) -> bool | None:
    """Whether a pattern is found in a reply; None where Python cannot say it for HAProxy's own expressions."""
    if len(wanted) > _LONGEST_PATTERN:
        return None
    try:
        return re.search(wanted, said) is not None
    except re.error:
        return None


@rule("check/false-up", Level.INFO)
def false_up(setup: Setup) -> Iterator[Found]:
    """A green check means that the server read the header."""
    for proxy in setup.services:
        servers = [server.name for server in proxy.servers if server.has("check") and server.check_header == 1]
        if proxy.check_kind == "smtpchk" and servers:
            option = proxy.check_option
            assert option is not None
            yield Found(
                option.place,
                f"a server that does not read PROXY headers may be UP all the same ({', '.join(servers)})",
                "smtpchk swallows the 500 that answers a version 1 line as an unknown command; its mail then claims "
                "to come from HAProxy",
                "make sure by `proxyspec run` against each server",
            )


@rule("check/none", Level.WARN)
def none(setup: Setup) -> Iterator[Found]:
    """Every server is checked."""
    for proxy, server in setup.servers:
        if not server.checked:
            share = "every session" if len(proxy.servers) == 1 else "its share of the sessions"
            yield Found(
                server.place,
                f"server {server.name} is not checked: once dead it still gets {share}",
                "without `check` HAProxy takes a server for UP for ever",
                "add `check inter 10s` to the line, or to a default-server line before it",
            )


@rule("check/too-often", Level.WARN)
def too_often(setup: Setup) -> Iterator[Found]:
    """Checks leave the server time for mail: at most one a second."""
    for _, server in _checked(setup):
        for name in ("inter", "fastinter", "downinter"):
            pause = seconds(server.value(name) or "")
            if pause is not None and pause < 1:
                yield Found(
                    server.where(name),
                    f"server {server.name} is checked every {pause * 1000:g} ms ({name}), each time with a session",
                    "a number without a unit counts milliseconds; every check costs the server a connection, "
                    "a log line, often a DNS query",
                    f"write {name} 5s or more",
                )


@rule("check/slow-to-notice", Level.INFO)
def slow_to_notice(setup: Setup) -> Iterator[Found]:
    """A dead server is noticed within a minute and a half."""
    for _, server in _checked(setup):
        pause = seconds(server.value("inter") or "2s")
        quick = seconds(server.value("fastinter") or "")
        falls = server.value("fall") or "3"
        if pause is None or not falls.isdecimal() or len(falls) > 6:
            continue
        total = pause + (int(falls) - 1) * (pause if quick is None else quick)
        if total > 90:
            yield Found(
                server.where("inter"),
                f"a dead {server.name} gets mail for up to {total:g} s more",
                f"it is DOWN after fall {falls} checks, {pause:g} s apart",
                "write a shorter inter, or a fastinter for the time after the first failure",
            )


@rule("check/two-kinds", Level.WARN)
def two_kinds(setup: Setup) -> Iterator[Found]:
    """A section has one kind of check, and rules only for that."""
    for proxy in setup.services:
        option = proxy.check_option
        kinds = {
            line.words[1]: line
            for line in proxy.lines
            if line.words[:2] in (("option", "smtpchk"), ("option", "tcp-check"), ("option", "httpchk"))
            and proxy.own(line)
        }
        if option is not None and len(kinds) > 1:
            lost = ", ".join(f"option {kind}" for kind in kinds if kind != option.words[1])
            yield Found(
                option.place,
                f"{lost} in {proxy.name} has no effect",
                "the last kind of check counts",
                "leave one of them",
            )
        own = [line for line in proxy.tcp_check if proxy.own(line)]
        if proxy.check_kind != "tcp-check" and own:
            yield Found(
                own[0].place,
                f"the tcp-check rules in {proxy.name} have no effect",
                f"they count with `option tcp-check` only, and the check is {proxy.check_kind}",
                "add `option tcp-check`, or leave the rules out",
            )
