from __future__ import annotations

import dataclasses
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxyspec_haproxy import (
    FILES_DIR,
    RUN_DIR,
    Bind,
    Edge,
    HostPort,
    Listen,
    Listener,
    ProxyHeader,
    Relay,
    Server,
    Settings,
    Timeouts,
    Tls,
)
from proxyspec_haproxy.topology import milliseconds

HERE = HostPort("127.0.0.1", 25)
ONE = (Server("mx", HERE),)


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (lambda: HostPort("127.0.0.1", 65536), "port 65536"),
        (lambda: HostPort("127.0.0.1", 0), "port 0"),
        (lambda: HostPort("mx example", 25), "host 'mx example'"),
        (lambda: HostPort("[::1]", 25), r"host '\[::1\]'"),
        (lambda: HostPort.parse("127.0.0.1"), "address '127.0.0.1'"),
        (lambda: Server("two words", HERE), "server name 'two words'"),
        (lambda: Server("mx", "127.0.0.1:25"), "address of server mx '127.0.0.1:25'"),
        (lambda: Server("mx", "unix@/tmp/a b"), "address of server mx 'unix@/tmp/a b'"),
        (lambda: Server("mx", "unix@/" + "a" * 97), "at most 97 characters"),
        (lambda: Server("mx", "unix@$HOME/mx"), "nor \\$ other than"),
        (lambda: Server("mx", HERE, check_port=70000), "check_port of server mx 70000"),
        (lambda: Server("mx", HERE, inter=0), "inter of server mx 0"),
        (lambda: Server("mx", HERE, weight=257), "weight of server mx 257"),
        (lambda: Server("mx", HERE, fall=0), "fall of server mx 0"),
        (lambda: Server("mx", HERE, tlvs=((256, "x"),)), "TLV type 256 of server mx"),
        (lambda: Server("mx", HERE, v2_options=("ssl crc32c",)), "proxy-v2-options of server mx: 'ssl crc32c'"),
        (lambda: Server("mx", HERE, extra="a\nglobal"), "extra of server mx"),
        (lambda: Bind(HERE, ca_file="/ca.pem"), "ca_file of bind 127.0.0.1:25"),
        (lambda: Bind(HERE, crt='/a"b.pem'), "crt of bind 127.0.0.1:25"),
        (lambda: Bind(HERE, verify="maybe"), "verify 'maybe'"),
        (lambda: Listener("a b", (), ONE), "listener name 'a b'"),
        (lambda: Listener("a", (), ONE, helo="EHLO a\r\nQUIT"), "helo"),
        (lambda: Listener("a", (), ONE + ONE), "two servers are called 'mx'"),
        (lambda: Listener("a", (), ONE, extra=("mode tcp\nglobal",)), "extra of listener a"),
        (lambda: Listen((Listener("a", (), ONE), Listener("a", (), ONE))), "two listeners are called 'a'"),
        (lambda: Relay(HERE, ONE, trusted=("everybody",)), "trusted source 'everybody'"),
        (lambda: Relay(HERE, ONE, trusted=("127.0.0.2",)), "accept-proxy trusts everybody"),
        (lambda: Edge(HERE, ProxyHeader.NONE), "proxy of the edge"),
        (lambda: Tls((), ONE), "binds"),
        (lambda: Timeouts(check=0), "timeout check 0"),
        (lambda: Settings(maxconn=0), "maxconn 0"),
        (lambda: Settings(log_level="loud"), "log_level 'loud'"),
    ],
)
def test_bad_values_are_refused_by_name(make: Callable[[], object], complaint: str) -> None:
    with pytest.raises(ValueError, match=complaint):
        make()


@pytest.mark.parametrize("text", ["127.0.0.1:25", "[::1]:2525", "mx.example:65535", "[2001:db8::1]:1"])
def test_addresses_are_written_as_they_are_read(text: str) -> None:
    assert str(HostPort.parse(text)) == text


@given(st.ip_addresses(), st.integers(1, 65535))
def test_every_address_survives_writing_and_reading(host: object, port: int) -> None:
    address = HostPort(str(host), port)
    assert HostPort.parse(str(address)) == address


@given(st.text(max_size=40))
def test_reading_an_address_raises_nothing_but_value_error(text: str) -> None:
    try:
        parsed = HostPort.parse(text)
    except ValueError:
        return
    assert HostPort.parse(str(parsed)) == parsed


def test_our_variables_may_stand_in_paths() -> None:
    assert Server("mx", f"unix@{RUN_DIR}/mx.sock").address == f"unix@{RUN_DIR}/mx.sock"
    assert Bind(HERE, crt=f"{FILES_DIR}/server.pem").crt == f"{FILES_DIR}/server.pem"


def test_the_keywords_of_the_headers() -> None:
    assert [header.keyword for header in ProxyHeader] == [
        "",
        "send-proxy",
        "send-proxy-v2",
        "send-proxy-v2-ssl",
        "send-proxy-v2-ssl-cn",
    ]


def test_what_a_server_line_needs_of_haproxy() -> None:
    assert Server("mx", HERE, proxy=ProxyHeader.V2_SSL_CN).features == frozenset()
    forwarded = Server("mx", HERE, tlvs=((0xE0, "%[fc_pp_tlv(0xE0)]"),), v2_options=("unique-id",))
    assert forwarded.features == {"set-proxy-v2-tlv-fmt", "fc_pp_tlv", "proxy-v2-options unique-id"}


@pytest.mark.parametrize(("seconds", "text"), [(0.5, "500ms"), (30, "30000ms"), (0.001, "1ms"), (1.2345, "1234ms")])
def test_seconds_become_milliseconds(seconds: float, text: str) -> None:
    assert milliseconds(seconds) == text


def test_nothing_in_a_topology_can_be_changed() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        HERE.port = 26  # type: ignore[misc]
