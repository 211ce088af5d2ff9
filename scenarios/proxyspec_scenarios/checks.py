"""The health-check table: what HAProxy's checks report of an SMTP server, and what they do to it.

Expectations hold from the release they are filed under. 2.2.9 ends smtpchk at the first reply line of a HELO or EHLO;
releases from 2.6.7 on read the whole reply, say QUIT and wait for its 2xx. Releases in between came with and without:
there both will do.
"""

from __future__ import annotations

from collections.abc import Mapping

from proxyspec.checks.model import (
    Behind,
    Connect,
    Expect,
    Expected,
    Kind,
    Opening,
    Proxy,
    Release,
    Resets,
    Rule,
    Say,
    Scenario,
)

__all__ = ["CHECK_SCENARIOS"]

#: Every release these scenarios know.
_ALL: Release = (2, 2, 0)
#: The last release known to end smtpchk early, and the first known to say QUIT.
_EARLY: Release = (2, 2, 10)
_POLITE: Release = (2, 6, 7)

_OPENINGS = {
    Proxy.NONE: Opening.NONE,
    Proxy.V1: Opening.V1,
    Proxy.V2: Opening.LOCAL,
    Proxy.V2_SSL: Opening.LOCAL_SSL,
}
_THREE = (Proxy.NONE, Proxy.V1, Proxy.V2)
_HEADERS = (Proxy.V1, Proxy.V2)

_EHLO = "EHLO haproxy.proxyspec.test"
_GREETED = Expect("^220 ")
_QUIT: tuple[Rule, ...] = (Say("QUIT"), Expect("^221 "))
#: What smtpchk did from 2.2 on until it learned to say QUIT.
_LEGACY: tuple[Rule, ...] = (Connect(linger=True), _GREETED, Say("EHLO localhost"), Expect("^2[0-9]{2}[- ]"))


def _up(opening: Opening, *results: str, resets: Resets = Resets.NEVER, shown: bool = True) -> Expected:
    return Expected(up=True, results=results, opening=opening, resets=resets, shown=shown)


def _down(opening: Opening, *results: str, resets: Resets = Resets.NEVER) -> Expected:
    return Expected(up=False, results=results, opening=opening, resets=resets)


def _always(expected: Expected) -> Mapping[Release, Expected]:
    return {_ALL: expected}


def _smtpchk(opening: Opening, *, early: Resets = Resets.NEVER) -> Mapping[Release, Expected]:
    """Return UP, as each release's smtpchk puts it; `early` is how the early end shows."""
    return {
        _ALL: _up(opening, "L7OK/250", resets=early),
        _EARLY: _up(opening, "L7OK/250", "L7OK/221", resets=Resets.RECORDED),
        _POLITE: _up(opening, "L7OK/221"),
    }


def _ordinary() -> list[Scenario]:
    """Return the checks of a server that works, each without a header and with either version."""
    rows: list[Scenario] = []
    for proxy in _THREE:
        opening = _OPENINGS[proxy]
        rows += [
            Scenario(
                check="smtpchk-helo",
                proxy=proxy,
                title="option smtpchk: banner, HELO, QUIT",
                kind=Kind.SMTPCHK,
                expected=_smtpchk(opening),
            ),
            Scenario(
                check="smtpchk-ehlo",
                proxy=proxy,
                title="option smtpchk EHLO: the server answers in one piece",
                kind=Kind.SMTPCHK,
                helo=_EHLO,
                expected=_smtpchk(opening),
            ),
            Scenario(
                check="smtpchk-ehlo-slow",
                proxy=proxy,
                title="option smtpchk EHLO: the server answers line by line",
                kind=Kind.SMTPCHK,
                helo=_EHLO,
                behind=Behind.LINE_BY_LINE,
                expected=_smtpchk(opening, early=Resets.EVERY_CHECK),
            ),
            Scenario(
                check="smtpchk-legacy",
                proxy=proxy,
                title="smtpchk as old releases did it, by tcp-check rules: closes on the first line of the EHLO reply",
                kind=Kind.TCPCHECK,
                rules=_LEGACY,
                behind=Behind.LINE_BY_LINE,
                expected=_always(_up(opening, "L7OK", resets=Resets.EVERY_CHECK)),
            ),
            Scenario(
                check="tcp-check-quit",
                proxy=proxy,
                title="option tcp-check as Haraka documents it: 220, QUIT, 221",
                kind=Kind.TCPCHECK,
                expected=_always(_up(opening, "L7OK")),
            ),
            Scenario(
                check="tcp-check-quit-linger",
                proxy=proxy,
                title="the same, ended with a FIN: tcp-check connect default linger",
                kind=Kind.TCPCHECK,
                rules=(Connect(linger=True), _GREETED, *_QUIT),
                expected=_always(_up(opening, "L7OK")),
            ),
            Scenario(
                check="tcp-check-220",
                proxy=proxy,
                title="tcp-check expect ^220 and nothing else",
                kind=Kind.TCPCHECK,
                rules=(_GREETED,),
                expected=_always(_up(opening, "L7OK", resets=Resets.EVERY_CHECK)),
            ),
            Scenario(
                check="tcp-check-220-linger",
                proxy=proxy,
                title="the same, ended with a FIN",
                kind=Kind.TCPCHECK,
                rules=(Connect(linger=True), _GREETED),
                expected=_always(_up(opening, "L7OK")),
            ),
            Scenario(
                check="l4",
                proxy=proxy,
                title="check and nothing else: a connection is enough",
                kind=Kind.L4,
                expected=_always(
                    _up(opening, "L4OK", resets=Resets.RECORDED, shown=False)
                    if proxy is Proxy.NONE
                    else _up(opening, "L4OK", resets=Resets.EVERY_CHECK)
                ),
            ),
        ]
    return rows


def _headers() -> list[Scenario]:
    """Return what decides whether a check sends a header, and which."""
    smtpchk = Kind.SMTPCHK
    rows: list[Scenario] = []
    for proxy in _HEADERS:
        opening = _OPENINGS[proxy]
        rows += [
            Scenario(
                check="header-implied",
                proxy=proxy,
                title="send-proxy without check-send-proxy: the check sends the header all the same",
                kind=smtpchk,
                check_header=False,
                expected=_smtpchk(opening),
            ),
            Scenario(
                check="port-no-header",
                proxy=proxy,
                title="check port without check-send-proxy: no header, so the server never greets",
                kind=smtpchk,
                own_port=True,
                check_header=False,
                timeout=0.3,
                expected=_always(_down(Opening.NONE, "L7TOUT")),
            ),
            Scenario(
                check="port-no-header-tcp-check",
                proxy=proxy,
                title="the same with tcp-check",
                kind=Kind.TCPCHECK,
                own_port=True,
                check_header=False,
                timeout=0.3,
                expected=_always(_down(Opening.NONE, "L7TOUT", resets=Resets.EVERY_CHECK)),
            ),
            Scenario(
                check="port-no-header-l4",
                proxy=proxy,
                title="the same with a check at layer 4: UP, which proves nothing",
                kind=Kind.L4,
                own_port=True,
                check_header=False,
                expected=_always(_up(Opening.NONE, "L4OK", resets=Resets.RECORDED, shown=False)),
            ),
            Scenario(
                check="port-with-header",
                proxy=proxy,
                title="check port with check-send-proxy: the remedy",
                kind=smtpchk,
                own_port=True,
                check_header=True,
                expected=_smtpchk(opening),
            ),
            Scenario(
                check="tcp-check-bare-connect",
                proxy=proxy,
                title="a bare tcp-check connect: no header, although the server line has send-proxy",
                kind=Kind.TCPCHECK,
                rules=(Connect(default=False), _GREETED, *_QUIT),
                timeout=0.3,
                expected=_always(_down(Opening.NONE, "L7TOUT", resets=Resets.EVERY_CHECK)),
            ),
        ]
    return [
        *rows,
        Scenario(
            check="header-in-checks-only",
            proxy=Proxy.NONE,
            title="check-send-proxy without send-proxy: checks send version 1",
            kind=smtpchk,
            check_header=True,
            server_wants=True,
            expected=_smtpchk(Opening.V1),
        ),
        Scenario(
            check="no-header-at-all",
            proxy=Proxy.NONE,
            title="neither send-proxy nor check-send-proxy before a server that waits for a header",
            kind=smtpchk,
            server_wants=True,
            timeout=0.3,
            expected=_always(_down(Opening.NONE, "L7TOUT")),
        ),
        Scenario(
            check="no-header-421-first",
            proxy=Proxy.NONE,
            title="the same, and the server's deadline comes before the check's",
            kind=smtpchk,
            server_wants=True,
            behind=Behind.DEADLINE,
            expected=_always(_down(Opening.NONE, "L7STS/421")),
        ),
        Scenario(
            check="local-crc32c",
            proxy=Proxy.V2,
            title="proxy-v2-options crc32c: LOCAL with the checksum",
            kind=smtpchk,
            crc32c=True,
            expected=_smtpchk(Opening.LOCAL_CRC32C),
        ),
        Scenario(
            check="local-ssl",
            proxy=Proxy.V2_SSL,
            title="send-proxy-v2-ssl: LOCAL with an empty SSL TLV",
            kind=smtpchk,
            expected=_smtpchk(Opening.LOCAL_SSL),
        ),
        Scenario(
            check="local-crc32c-ssl",
            proxy=Proxy.V2_SSL,
            title="both",
            kind=smtpchk,
            crc32c=True,
            expected=_smtpchk(Opening.LOCAL_CRC32C_SSL),
        ),
        Scenario(
            check="never-send-local",
            proxy=Proxy.V2,
            title="pp2-never-send-local: PROXY with HAProxy's own address in place of LOCAL",
            kind=smtpchk,
            never_send_local=True,
            expected=_smtpchk(Opening.PROXY_V2),
        ),
        Scenario(
            check="never-send-local-l4",
            proxy=Proxy.V2,
            title="the same with a check at layer 4",
            kind=Kind.L4,
            never_send_local=True,
            expected=_always(_up(Opening.PROXY_V2, "L4OK", resets=Resets.EVERY_CHECK)),
        ),
    ]


def _odd_servers() -> list[Scenario]:
    """Return what checks make of servers that do not speak as they should."""
    smtpchk, tcpcheck = Kind.SMTPCHK, Kind.TCPCHECK
    v1, local = Opening.V1, Opening.LOCAL
    return [
        Scenario(
            check="unaware-smtpchk",
            proxy=Proxy.V1,
            title="smtpchk with a header to a server that knows none, 500 in one piece with the greeting: false UP",
            kind=smtpchk,
            behind=Behind.UNAWARE,
            expected=_smtpchk(v1),
        ),
        Scenario(
            check="unaware-smtpchk",
            proxy=Proxy.V2,
            title="the same with version 2, whose signature holds a QUIT",
            kind=smtpchk,
            behind=Behind.UNAWARE,
            timeout=0.5,
            # The server answers the QUIT and closes: HAProxy meets the words, the end, or a socket that is gone.
            expected=_always(_down(local, "L7STS", "L7RSP", "SOCKERR")),
        ),
        Scenario(
            check="unaware-smtpchk-later",
            proxy=Proxy.V1,
            title="the same with version 1, 500 a moment after the greeting",
            kind=smtpchk,
            behind=Behind.UNAWARE_LATER,
            timeout=0.5,
            # UP where the 500 has come when the reply to HELO is looked for, DOWN where it has not.
            expected=_always(Expected(up=None, results=(), opening=v1, resets=Resets.RECORDED)),
        ),
        Scenario(
            check="unaware-tcp-check",
            proxy=Proxy.V1,
            title="tcp-check of 220, QUIT, 221 with a header to a server that knows none",
            kind=tcpcheck,
            behind=Behind.UNAWARE,
            expected=_always(_up(v1, "L7OK")),
        ),
        Scenario(
            check="unaware-l4",
            proxy=Proxy.V1,
            title="a check at layer 4 of a server that knows no header: false UP",
            kind=Kind.L4,
            behind=Behind.UNAWARE,
            expected=_always(_up(v1, "L4OK", resets=Resets.EVERY_CHECK)),
        ),
        Scenario(
            check="multi-line-smtpchk",
            proxy=Proxy.V1,
            title="smtpchk of a server that greets with two lines: DOWN",
            kind=smtpchk,
            behind=Behind.MULTI_LINE,
            timeout=0.5,
            expected=_always(_down(v1, "L7RSP")),
        ),
        Scenario(
            check="multi-line-tcp-check",
            proxy=Proxy.V1,
            title="tcp-check for ^220 and a blank of a server that greets with two lines: DOWN",
            kind=tcpcheck,
            behind=Behind.MULTI_LINE,
            timeout=0.5,
            expected=_always(_down(v1, "L7TOUT", resets=Resets.EVERY_CHECK)),
        ),
        Scenario(
            check="multi-line-tcp-check-any",
            proxy=Proxy.V1,
            title="tcp-check for ^220 or ^220- of the same server: the remedy",
            kind=tcpcheck,
            rules=(Expect("^220[ -]"), *_QUIT),
            behind=Behind.MULTI_LINE,
            expected=_always(_up(v1, "L7OK")),
        ),
        Scenario(
            check="busy-smtpchk",
            proxy=Proxy.V1,
            title="smtpchk of a server that says 421 to everybody",
            kind=smtpchk,
            behind=Behind.BUSY,
            timeout=0.5,
            expected=_always(_down(v1, "L7STS/421")),
        ),
        Scenario(
            check="busy-tcp-check",
            proxy=Proxy.V1,
            title="tcp-check of a server that says 421 to everybody",
            kind=tcpcheck,
            behind=Behind.BUSY,
            timeout=0.5,
            expected=_always(_down(v1, "L7RSP")),
        ),
        Scenario(
            check="busy-l4",
            proxy=Proxy.V1,
            title="a check at layer 4 of a server that says 421 to everybody: UP, which proves nothing",
            kind=Kind.L4,
            behind=Behind.BUSY,
            # The reset may come before the server has written and closed, or after.
            expected=_always(_up(v1, "L4OK", resets=Resets.RECORDED, shown=False)),
        ),
        Scenario(
            check="slow-banner-smtpchk",
            proxy=Proxy.V1,
            title="smtpchk of a server that greets 0.3 s late, within the check's time",
            kind=smtpchk,
            behind=Behind.SLOW,
            expected=_smtpchk(v1),
        ),
        Scenario(
            check="slow-banner-tcp-check",
            proxy=Proxy.V1,
            title="tcp-check of a server that greets 0.3 s late, within the check's time",
            kind=tcpcheck,
            behind=Behind.SLOW,
            expected=_always(_up(v1, "L7OK")),
        ),
        Scenario(
            check="too-slow-banner-smtpchk",
            proxy=Proxy.V1,
            title="smtpchk of a server that greets after the check's time, into a closed connection",
            kind=smtpchk,
            behind=Behind.SLOW,
            timeout=0.1,
            expected=_always(_down(v1, "L7TOUT", resets=Resets.EVERY_CHECK)),
        ),
        Scenario(
            check="too-slow-banner-tcp-check",
            proxy=Proxy.V1,
            title="tcp-check of a server that greets after the check's time",
            kind=tcpcheck,
            behind=Behind.SLOW,
            timeout=0.1,
            expected=_always(_down(v1, "L7TOUT", resets=Resets.EVERY_CHECK)),
        ),
    ]


def _documented() -> list[Scenario]:
    """Return the listener of Haraka's page, five servers and 10 s between checks, as it is and as it recommends."""
    return [
        Scenario(
            check="documented-smtpchk",
            proxy=Proxy.V1,
            title="the listener of Haraka's HAProxy page: smtpchk, five servers, inter 10s",
            kind=Kind.SMTPCHK,
            behind=Behind.ORDINARY,
            documented=True,
            servers=5,
            expected=_smtpchk(Opening.V1),
        ),
        Scenario(
            check="documented-tcp-check",
            proxy=Proxy.V1,
            title="the same with the tcp-check it recommends",
            kind=Kind.TCPCHECK,
            behind=Behind.ORDINARY,
            documented=True,
            servers=5,
            expected=_always(_up(Opening.V1, "L7OK")),
        ),
    ]


def _by_check(rows: list[Scenario]) -> tuple[Scenario, ...]:
    """Put the rows of one check beside each other."""
    order = list(dict.fromkeys(row.check for row in rows))
    return tuple(sorted(rows, key=lambda row: order.index(row.check)))


#: In the order of the table.
CHECK_SCENARIOS: tuple[Scenario, ...] = _by_check([*_documented(), *_ordinary(), *_headers(), *_odd_servers()])
