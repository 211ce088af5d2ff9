from __future__ import annotations

import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxyspec_haproxy import BinaryEngine, HAProxyVersion
from proxyspec_haproxy.config import (
    Document,
    Level,
    Place,
    Rewritten,
    SourceFile,
    findings_of_haproxy,
    on_loopback,
    plan,
    proxies_of,
    read_document,
    standalone,
)

FILES = Path(__file__).with_name("files")
VERSION = HAProxyVersion(2, 6, 12)


def read(text: str, **environment: str) -> tuple[Document, list[SourceFile]]:
    sources = [SourceFile("a.cfg", text)]
    return read_document(sources, VERSION, environment), sources


def trial(text: str, **environment: str) -> Rewritten:
    document, sources = read(text, **environment)
    wanted = plan(document)
    servers = {s.server.place: (20000 + n, 21000 + n if s.tls else None) for n, s in enumerate(wanted.servers)}
    binds = {(bind.bind.place, bind.index): 30000 + n for n, bind in enumerate(wanted.binds)}
    return on_loopback(document, sources, servers, binds, environment=environment)


def lines_of(result: Rewritten) -> list[str]:
    return [line.strip() for line in result.text.splitlines() if line.strip()]


TEXT = """\
global
    user mail
    chroot /var/empty
    log /dev/log local0
    maxconn 100000
    lua-load /etc/x.lua
peers p
    peer me 192.0.2.9:1024
defaults
    mode tcp
    email-alert to root@example.org
listen smtp
    bind 192.0.2.25:25,:587 accept-proxy interface eth0
    bind :465 ssl crt mx.pem
    source 192.0.2.9
    stick-table type ip size 1k peers p expire 1m
    tcp-check connect port 25 send-proxy
    default-server inter 10s port 26 resolvers dns
    server a mx.example.org:25 check send-proxy agent-check agent-port 9
    server b "${BEE}:25" check ssl verify required ca-file /etc/ca.pem
    server-template t 1-3 mx.example.org:25
listen web
    mode http
    bind :80
    server w 192.0.2.80:80 check
"""


def test_a_trial_reaches_nothing_outside() -> None:
    result = trial(TEXT, BEE="192.0.2.2")
    assert lines_of(result) == [
        "global",
        "presetenv BEE 192.0.2.2",
        'stats socket "${PROXYSPEC_RUN_DIR}/haproxy.sock" mode 600 level admin',
        "hard-stop-after 2s",
        "log stdout format raw local0",
        "global",
        "maxconn 4000",
        "defaults",
        "mode tcp",
        "listen smtp",
        "bind 127.0.0.1:30000,127.0.0.1:30001 accept-proxy",
        'bind 127.0.0.1:30002 ssl crt "${PROXYSPEC_FILES_DIR}/1-mx.pem"',
        "stick-table type ip size 1k expire 1m",
        "tcp-check connect send-proxy",
        "default-server inter 1s",
        "server a 127.0.0.1:20000 check send-proxy port 20000",
        "server b 127.0.0.1:21001 check ssl verify none port 21001",
        "server-template t 1-3 127.0.0.1:20002 port 20002",
        "listen web",
        "mode http",
        "server w 127.0.0.1:9 disabled",
    ]
    assert [file.path for file in result.needed] == ["mx.pem"]
    told = [f"{change.place.line} {change.what}" for change in result.changes]
    assert "7 section peers p is left out" in told
    assert "13 192.0.2.25:25,:587 moves to 127.0.0.1:30000, 127.0.0.1:30001" in told
    assert "19 server a: mx.example.org:25 becomes 127.0.0.1:20000" in told
    assert "19 check port 26 becomes 20000" in told
    assert "19 `agent-port 9` is left out" in told
    assert {change.place.line for change in result.changes} >= {2, 3, 4, 5, 6, 11, 15, 16, 17, 18, 20, 24, 25}


def test_every_address_and_every_template_goes_by_its_own_name() -> None:
    document, _ = read(TEXT.replace("server-template t 1-3", "server-template t 3"), BEE="192.0.2.2")
    wanted = plan(document)
    assert [bind.bind.address.text for bind in wanted.binds] == ["192.0.2.25:25", ":587", ":465"]
    assert [each.server.name for each in wanted.servers] == ["a", "b", "t1-3"]


def test_places_are_those_of_the_original() -> None:
    result = trial(TEXT, BEE="x")
    for number, line in enumerate(result.text.splitlines(), 1):
        place = result.place_of(number)
        if line.strip().startswith("server a"):
            assert place == Place(0, 19, "a.cfg")
        if line.strip().startswith("stats socket"):
            assert place is None
    assert result.place_of(0) is None
    assert result.place_of(10_000) is None


def test_files_are_taken_from_a_copy_once_each() -> None:
    text = (
        "global\n crt-base /etc/pki\n ca-base /etc/ca\nlisten a\n bind :1 ssl crt mx.pem ca-file ca.pem\n"
        " bind :2 ssl crt mx.pem\n bind :3 ssl crt /other/mx.pem ca-file @system-ca\n errorfile 503 e.http\n"
        " acl bad src -f /etc/bad.lst\n"
    )
    document, sources = read(text)
    copy = standalone(document, sources, {})
    assert [(file.path, file.name) for file in copy.needed] == [
        ("/etc/pki/mx.pem", "0-mx.pem"),
        ("/etc/ca/ca.pem", "1-ca.pem"),
        ("/other/mx.pem", "2-mx.pem"),
        ("e.http", "3-e.http"),
        ("/etc/bad.lst", "4-bad.lst"),
    ]
    assert copy.text.count('"${PROXYSPEC_FILES_DIR}/0-mx.pem"') == 2
    assert "@system-ca" in copy.text
    assert "/etc/" not in copy.text


def test_a_copy_for_checking_keeps_every_line_but_users_and_names() -> None:
    text = "global\n user mail\n maxconn 5\nlisten a\n bind :25\n"
    text += " server s mx.example.org:25 check\n server t 192.0.2.1:25\n"
    document, sources = read(text)
    copy = standalone(document, sources, {})
    assert copy.text.splitlines() == [
        "global",
        "",
        " maxconn 5",
        "listen a",
        " bind :25",
        "    server s 127.0.0.1:25 check",
        " server t 192.0.2.1:25",
    ]


def test_variables_travel_with_the_copy_and_no_others() -> None:
    document, sources = read(
        'listen a\n bind ":${PORT}"\n.if defined(SITE)\n bind :26\n.endif\n', PORT="25", SITE="1 2"
    )
    copy = standalone(document, sources, {"PORT": "25", "SITE": "1 2", "SECRET": "x", "listen": "y"})
    assert copy.text.splitlines()[:3] == ["global", "presetenv PORT 25", 'presetenv SITE "1 2"']
    assert copy.place_of(4) == Place(0, 1, "a.cfg")


def test_blocks_that_do_not_count_are_emptied_for_a_trial() -> None:
    result = trial(
        "listen a\n mode tcp\n.if version_atleast(9.0)\n server x 192.0.2.1:25\n.endif\n server y 192.0.2.2:25\n"
    )
    assert "192.0.2." not in result.text
    assert ".endif" in result.text
    assert "server y 127.0.0.1:20000" in result.text


def test_an_address_on_the_section_line_becomes_a_bind() -> None:
    result = trial("listen smtp :25\n mode tcp\n server a 192.0.2.1:25\n")
    assert lines_of(result)[4:6] == ["listen smtp", "bind 127.0.0.1:30000"]
    assert result.place_of(6) == Place(0, 1, "a.cfg")


def test_haproxys_words_are_put_at_the_lines_of_the_original() -> None:
    document, sources = read('listen a\n bind ":$P"\n bnd :26\n', P="25")
    copy = standalone(document, sources, {"P": "25"})
    found = findings_of_haproxy(
        copy,
        [
            "parsing [/tmp/x/haproxy.cfg:5] : unknown keyword 'bnd' in 'listen' section",
            "parsing [/tmp/x/haproxy.cfg:4] : unknown keyword 'bnd' in 'listen' section",
            "[haproxy.cfg:4] : same as /tmp/x/haproxy.cfg:5",
            "no place at all",
        ],
        ["config : missing timeouts for proxy 'a'."],
        Place(0, 1, "a.cfg"),
    )
    assert [(str(f.level), f.place.line, f.rule, f.what) for f in found] == [
        ("FAIL", 3, "haproxy/refuses", "unknown keyword 'bnd' in 'listen' section (and of 1 lines more)"),
        ("FAIL", 2, "haproxy/refuses", "same as a.cfg:3"),
        ("FAIL", 1, "haproxy/refuses", "no place at all"),
        ("WARN", 1, "haproxy/warns", "config : missing timeouts for proxy 'a'."),
    ]
    assert found[0].level is Level.FAIL


SERVERS = st.lists(
    st.tuples(
        st.sampled_from(["192.0.2.1:25", "mx.example.org", "[2001:db8::1]:25", "/run/x", "192.0.2.7", "*:25", "x"]),
        st.lists(
            st.sampled_from(["check", "port 25", "addr 192.0.2.9", "source 192.0.2.8", "resolvers d", "agent-check"]),
            max_size=4,
        ),
    ),
    max_size=5,
)


@given(SERVERS, st.booleans())
def test_no_address_survives_a_trial(servers: list[tuple[str, list[str]]], http: bool) -> None:
    mode = "http" if http else "tcp"
    text = f"listen a\n mode {mode}\n bind 192.0.2.1:25,[2001:db8::1]:25\n default-server addr 192.0.2.10 port 99\n"
    text += "".join(f" server s{n} {address} {' '.join(options)}\n" for n, (address, options) in enumerate(servers))
    result = trial(text)
    document = read_document([SourceFile("b.cfg", result.text)], VERSION, {})
    (proxy,) = proxies_of(document)
    addresses = [bind.address.host for bind in proxy.binds] + [server.address.host for server in proxy.servers]
    assert set(addresses) <= {"127.0.0.1"}
    assert not re.search(r"192\.0\.2|2001:db8|example|/run/x", result.text)
    for server in proxy.servers:
        assert http or server.value("port") == str(server.address.port)
        assert http or server.value("addr") == "127.0.0.1"


@pytest.mark.haproxy
@pytest.mark.parametrize("name", [path.name for path in sorted(FILES.iterdir()) if path.name != "web-defaults.cfg"])
def test_haproxy_takes_every_file_as_changed_for_a_trial(name: str, binary_engine: BinaryEngine) -> None:
    check = binary_engine.check(trial((FILES / name).read_text()).text)
    assert check.ok, check.reason
