"""The templates of health checks: their text, and that every HAProxy of this machine takes it without a warning."""

from __future__ import annotations

from dataclasses import replace

import pytest

from proxyspec_haproxy import (
    MATRIX,
    BinaryEngine,
    CheckConnect,
    CheckExpect,
    CheckKind,
    CheckSend,
    Documented,
    HAProxyVersion,
    HostPort,
    Listen,
    Listener,
    Server,
    Settings,
    choose_all,
    render_topology,
)

LATEST = HAProxyVersion(3, 4, 7)
BIND = HostPort("127.0.0.1", 22025)
SERVERS = tuple(HostPort("127.0.0.1", 22101 + n) for n in range(5))
SMTPCHK = Documented("smtp", BIND, SERVERS)
TCPCHECK = Documented("smtp-tcp", replace(BIND, port=22026), SERVERS, CheckKind.TCP)
RULES = (CheckConnect(linger=True), CheckExpect("^220 "), CheckSend("QUIT"), CheckExpect(r"^2[0-9]{2}[- ]"))
EVERYTHING = Listen(
    (
        Listener("rules", (), (Server("mx", SERVERS[0]),), CheckKind.TCP, rules=RULES),
        Listener("bare", (), (Server("mx", SERVERS[0]),), CheckKind.TCP, rules=(CheckConnect(default=False),)),
    ),
    Settings(never_send_local=True),
    (SMTPCHK, TCPCHECK),
)


def body(text: str, head: str) -> str:
    return text[text.index(head) :].split("\n\n", 1)[0]


def test_the_documented_listener_is_the_pages_own_text_but_for_its_bind_line() -> None:
    assert body(render_topology(Listen((), documented=(SMTPCHK,)), LATEST), "listen smtp\n") == (
        "listen smtp\n"
        "    bind 127.0.0.1:22025\n"
        "    mode tcp\n"
        "    option tcplog\n"
        "    option smtpchk\n"
        "    balance roundrobin\n"
        "    server smtp1 127.0.0.1:22101 check-send-proxy check inter 10s send-proxy\n"
        "    server smtp2 127.0.0.1:22102 check-send-proxy check inter 10s send-proxy\n"
        "    server smtp3 127.0.0.1:22103 check-send-proxy check inter 10s send-proxy\n"
        "    server smtp4 127.0.0.1:22104 check-send-proxy check inter 10s send-proxy\n"
        "    server smtp5 127.0.0.1:22105 check-send-proxy check inter 10s send-proxy"
    )


def test_the_recommended_variant_ends_its_patterns_with_a_blank() -> None:
    assert (
        "    option tcp-check\n"
        "    tcp-check expect rstring ^220\\ \n"
        "    tcp-check send QUIT\\r\\n\n"
        "    tcp-check expect rstring ^221\\ \n"
        "    balance roundrobin\n"
    ) in render_topology(Listen((), documented=(TCPCHECK,)), LATEST)


def test_rules_stand_in_place_of_the_usual_ones() -> None:
    text = render_topology(EVERYTHING, LATEST)
    assert (
        "    option tcp-check\n"
        "    tcp-check connect default linger\n"
        '    tcp-check expect rstring "^220 "\n'
        '    tcp-check send "QUIT\\r\\n"\n'
        '    tcp-check expect rstring "^2[0-9]{2}[- ]"\n'
        "    server mx 127.0.0.1:22101 check-send-proxy check"
    ) in body(text, "backend rules\n")
    assert "    option tcp-check\n    tcp-check connect\n    server" in body(text, "backend bare\n")
    assert "    pp2-never-send-local\n" in text
    assert "never-send-local" not in render_topology(replace(EVERYTHING, settings=Settings()), LATEST)


@pytest.mark.haproxy
def test_every_haproxy_of_this_machine_takes_them_without_a_warning() -> None:
    chosen = choose_all([MATRIX], missing=lambda reason: None)
    for choice in chosen:
        check = choice.engine.check(render_topology(EVERYTHING, choice.engine.version()))
        assert (check.ok, check.warnings) == (True, ()), f"{choice.engine.describe()}: {check.output}"


@pytest.mark.haproxy
def test_the_address_on_the_section_line_of_the_page_is_what_haproxy_refuses(binary_engine: BinaryEngine) -> None:
    text = render_topology(Listen((), documented=(SMTPCHK,)), binary_engine.version())
    literal = text.replace("listen smtp\n    bind 127.0.0.1:22025\n", "listen smtp :22025\n")
    assert literal != text
    check = binary_engine.check(literal)
    assert not check.ok
    assert any("use the 'bind' keyword" in alert for alert in check.alerts)


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (lambda: CheckSend("QUIT\r\nRSET"), "expected one line of printable text"),
        (lambda: CheckExpect(""), "expected one line of printable text"),
        (lambda: Documented("smtp", BIND, ()), "name at least one"),
        (lambda: Documented("smtp", BIND, SERVERS, CheckKind.L4), "smtpchk and tcpcheck"),
        (lambda: Documented("two words", BIND, SERVERS), "listener name 'two words'"),
        (lambda: Listen((), documented=(SMTPCHK, SMTPCHK)), "two listeners are called 'smtp'"),
        (lambda: Listener("a", (), (), CheckKind.SMTP, rules=RULES), "rules of listener a: they need check tcpcheck"),
    ],
)
def test_what_no_template_can_print_is_refused(make: object, complaint: str) -> None:
    assert callable(make)
    with pytest.raises(ValueError, match=complaint):
        make()
