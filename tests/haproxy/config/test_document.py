from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxyspec_haproxy import HAProxyVersion
from proxyspec_haproxy.config import Document, SourceFile, proxies_of, read_document
from proxyspec_haproxy.config.proxies import Address, Proxy, seconds

VERSION = HAProxyVersion(2, 6, 12)


def read(*texts: str, version: HAProxyVersion = VERSION, **environment: str) -> Document:
    return read_document([SourceFile(f"{n}.cfg", text) for n, text in enumerate(texts)], version, environment)


def proxies(text: str, **environment: str) -> dict[str, Proxy]:
    document = read_document([SourceFile("0.cfg", text)], VERSION, environment)
    return {proxy.name: proxy for proxy in proxies_of(document)}


def test_sections_lines_and_places() -> None:
    document = read("# head\nglobal\n  maxconn 10 # few\n\nlisten smtp\n\tbind :25\n")
    assert [(s.kind, s.name, str(s.place)) for s in document.sections] == [
        ("global", "", "0.cfg:2"),
        ("listen", "smtp", "0.cfg:5"),
    ]
    (line,) = document.global_directives
    assert (line.words, line.columns, str(line.place)) == (("maxconn", "10"), (3, 11), "0.cfg:3")
    assert document.troubles == ()


def test_several_files_are_read_one_after_another_and_sections_end_with_theirs() -> None:
    document = read("defaults\n mode tcp\n", "bind :25\nlisten a\n bind :26\n")
    assert [section.kind for section in document.sections] == ["defaults", "listen"]
    (trouble,) = document.troubles
    assert (str(trouble.place), trouble.fatal) == ("1.cfg:1", True)
    assert "before the first section" in trouble.reason
    assert proxies_of(document)[0].mode == "tcp"


def test_variables_come_from_outside_and_from_global() -> None:
    document = read(
        'global\n setenv HOST mx\n presetenv PORT 99\n presetenv NEW 1\nlisten a\n bind "$HOST:$PORT" name "$NONE"\n',
        PORT="25",
    )
    assert document.sections[1].directives[0].words == ("bind", "mx:25", "name", "")
    (trouble,) = document.troubles
    assert (str(trouble.place), trouble.fatal) == ("0.cfg:6", False)
    assert "NONE is not set" in trouble.reason


def test_variables_can_be_taken_away() -> None:
    text = 'global\n resetenv KEPT\n unsetenv KEPT\nlisten "a$KEPT$GONE"\n'
    document = read(text, KEPT="k", GONE="g")
    assert document.sections[1].name == "a"
    assert len(document.troubles) == 2


@pytest.mark.parametrize(("version", "port"), [(HAProxyVersion(2, 4), 25), (HAProxyVersion(3, 0), 26)])
def test_blocks_count_by_release(version: HAProxyVersion, port: int) -> None:
    text = "listen a\n.if version_atleast(2.6)\n bind :26\n.else\n bind :25\n.endif\n"
    (proxy,) = proxies_of(read(text, version=version))
    assert [bind.address.port for bind in proxy.binds] == [port]


def test_blocks_only_haproxy_can_decide_are_read_and_said() -> None:
    document = read("listen a\n.if feature(OPENSSL)\n bind :465 ssl\n.endif\n bind :25\n.notice hello\n")
    assert [line.certain for line in document.sections[0].directives] == [False, True]
    assert [(str(t.place), t.fatal) for t in document.troubles] == [("0.cfg:2", False)]


@pytest.mark.parametrize(
    ("text", "place", "reason"),
    [
        ('listen a\n bind ":25\n', "0.cfg:2", "never closed"),
        ("listen a\n.endif\n", "0.cfg:2", "without .if"),
        ("listen a\n.if 1\n bind :25\n", "0.cfg:3", "1 .if without .endif"),
    ],
)
def test_what_cannot_be_read_is_told_by_its_line(text: str, place: str, reason: str) -> None:
    (trouble,) = read(text).troubles
    assert (str(trouble.place), trouble.fatal) == (place, True)
    assert reason in trouble.reason


def test_more_lines_than_a_configuration_has_are_refused() -> None:
    with pytest.raises(ValueError, match=r"^0\.cfg: more than 200000 lines"):
        read("\n" * 200_001)


@given(st.text())
def test_any_text_is_a_document(text: str) -> None:
    document = read(f"listen a\n bind :25\n server s 127.0.0.1:25\n{text}", A="1")
    assert document.sections[0].name == "a"
    assert all(proxy.section.kind in ("listen", "frontend", "backend") for proxy in proxies_of(document))


def test_defaults_are_the_newest_before_or_the_named() -> None:
    found = proxies(
        "defaults one\n mode tcp\n timeout client 1s\ndefaults two from one\n timeout client 2s\n"
        "listen a\n bind :1\nlisten b from one\n bind :2\ndefaults\n mode http\nlisten c\n bind :3\n"
    )
    assert {name: (proxy.mode, (proxy.timeout("client") or (0,))[0]) for name, proxy in found.items()} == {
        "a": ("tcp", 2.0),
        "b": ("tcp", 1.0),
        "c": ("http", 0),
    }


def test_default_server_counts_for_the_servers_after_it() -> None:
    text = """
defaults
    default-server inter 5s
listen a
    server one 127.0.0.1:1 check
    default-server check send-proxy inter 7s
    server two 127.0.0.1:2 no-check
    server three 127.0.0.1:3 inter 9s
"""
    one, two, three = proxies(text)["a"].servers
    assert [(s.checked, s.header, s.value("inter")) for s in (one, two, three)] == [
        (True, None, "5s"),
        (False, 1, "7s"),
        (True, 1, "9s"),
    ]
    assert [str(s.where("inter")) for s in (one, two, three)] == ["0.cfg:3", "0.cfg:6", "0.cfg:8"]


@pytest.mark.parametrize(
    ("options", "header", "check"),
    [
        ("check", None, None),
        ("check send-proxy", 1, 1),
        ("check send-proxy-v2", 2, 2),
        ("check send-proxy-v2 send-proxy", 2, 2),
        ("check send-proxy-v2-ssl-cn", 2, 2),
        ("check send-proxy-v2 no-send-proxy-v2 send-proxy", 1, 1),
        ("check port 25 send-proxy", 1, None),
        ("check addr 127.0.0.1 send-proxy", 1, None),
        ("check port 25 send-proxy-v2 check-send-proxy", 2, 2),
        ("check check-send-proxy", None, 1),
        ("check send-proxy-v2-ssl no-send-proxy-v2", None, None),
    ],
)
def test_which_header_traffic_and_checks_get(options: str, header: int | None, check: int | None) -> None:
    (server,) = proxies(f"backend a\n server s 127.0.0.1:25 {options}\n")["a"].servers
    assert (server.header, server.check_header) == (header, check)


def test_arguments_of_options_are_no_options() -> None:
    (server,) = proxies("backend a\n server s 127.0.0.1:25 cookie check track b/send-proxy\n")["a"].servers
    assert not server.has("check", "send-proxy")
    assert server.value("cookie") == "check"


def test_the_last_check_option_counts_and_no_takes_it_back() -> None:
    base = "defaults\n option smtpchk\nbackend a\n server s 127.0.0.1:25 check\n"
    assert proxies(base)["a"].check_kind == "smtpchk"
    assert proxies(base + " option tcp-check\n")["a"].check_kind == "tcp-check"
    assert proxies(base + " no option smtpchk\n")["a"].check_kind == "l4"


@pytest.mark.parametrize(
    ("text", "family", "host", "port", "reach"),
    [
        (":25", "tcp", "", 25, "public"),
        ("*:25", "tcp", "", 25, "public"),
        ("0.0.0.0:25", "tcp", "", 25, "public"),
        ("127.0.0.1:25", "tcp", "127.0.0.1", 25, "local"),
        ("localhost:25", "tcp", "localhost", 25, "local"),
        ("[::1]:25", "tcp", "::1", 25, "local"),
        (":::25", "tcp", "::", 25, "public"),
        ("ipv6@:25", "tcp", "", 25, "public"),
        ("10.1.2.3:2525-2530", "tcp", "10.1.2.3", 2525, "private"),
        ("198.18.0.1", "tcp", "198.18.0.1", None, "private"),
        ("8.8.8.8:25", "tcp", "8.8.8.8", 25, "public"),
        ("mx.example.test:smtp", "tcp", "mx.example.test:smtp", None, "public"),
        ("/run/mx.sock", "unix", "/run/mx.sock", None, "local"),
        ("unix@/run/mx.sock", "unix", "/run/mx.sock", None, "local"),
        ("abns@mx", "abns", "mx", None, "local"),
    ],
)
def test_addresses(text: str, family: str, host: str, port: int | None, reach: str) -> None:
    address = Address.parse(text)
    assert (address.family, address.host, address.port, address.reach) == (family, host, port, reach)


@given(st.text())
def test_any_address_is_taken_apart(text: str) -> None:
    address = Address.parse(text)
    assert address.reach in ("local", "private", "public")
    assert address.is_name in (True, False)


@pytest.mark.parametrize(
    ("text", "value"), [("500", 0.5), ("10s", 10), ("5m", 300), ("1h", 3600), ("1d", 86400), ("soon", None), ("", None)]
)
def test_times(text: str, value: float | None) -> None:
    assert seconds(text) == value
