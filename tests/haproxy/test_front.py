from __future__ import annotations

import socket
import time
from collections.abc import Callable

import pytest

from proxyspec_haproxy import (
    FRONT_CHECKS,
    FRONT_LISTENERS,
    FRONT_SERVER,
    Engine,
    HAProxy,
    HAProxyVersion,
    HostPort,
    Settings,
    StatRow,
    render_topology,
    smtp_front,
)
from tests.haproxy.fake_smtp import SIGNATURE, FakeSmtp

TARGET = HostPort("127.0.0.1", 2525)
PORTS = {name: 30000 + n for n, name in enumerate(FRONT_LISTENERS)}


def test_the_names_are_those_promised() -> None:
    assert FRONT_LISTENERS == ("relay-v1", "relay-v2", "chain-v1", "chain-v2")
    assert FRONT_CHECKS == ("check-tcp-v1", "check-tcp-v2", "check-smtp-v1", "check-smtp-v2")
    front = smtp_front(TARGET, PORTS)
    assert {listener.name for listener in front.listeners} == {*FRONT_LISTENERS, *FRONT_CHECKS}
    binds = {listener.name: [str(bind.address) for bind in listener.binds] for listener in front.listeners}
    assert {name: binds[name] for name in FRONT_LISTENERS} == {n: [f"127.0.0.1:{p}"] for n, p in PORTS.items()}
    assert all(binds[name] == [] for name in FRONT_CHECKS)


def test_haproxy_is_more_patient_than_the_target() -> None:
    front = smtp_front(TARGET, PORTS, header_deadline=45.0, settings=Settings(nbthread=1, log_level="notice"))
    assert front.settings.timeouts.client > 45.0
    assert front.settings.timeouts.server > 45.0
    assert front.settings.nbthread == 1
    assert front.settings.log_level == "notice"


@pytest.mark.parametrize(
    "ports",
    [
        {},
        {**PORTS, "relay-v3": 1},
        {name: PORTS[name] for name in FRONT_LISTENERS[1:]},
        dict.fromkeys(FRONT_LISTENERS, 30000),
        {**PORTS, "relay-v1": 0},
    ],
)
def test_ports_that_do_not_fit_are_refused(ports: dict[str, int]) -> None:
    with pytest.raises(ValueError, match=r"^port"):
        smtp_front(TARGET, ports)


def talk(port: int, header: bytes = b"") -> bytes:
    """Have one short session and return all the server said."""
    with socket.create_connection(("127.0.0.1", port), 5) as client:
        client.sendall(header)
        said = client.recv(1000)
        client.sendall(b"QUIT\r\n")
        while chunk := client.recv(1000):
            said += chunk
        return said


def finished(running: HAProxy) -> dict[str, StatRow]:
    rows = {}
    for name in FRONT_CHECKS:
        (rows[name],) = running.runtime.wait_checked(name, timeout=10)
        assert rows[name].name == FRONT_SERVER
    return rows


def start(engine: Engine, target: HostPort, ports: list[int]) -> HAProxy:
    front = smtp_front(target, dict(zip(FRONT_LISTENERS, ports, strict=True)), check_timeout=1.0)
    return engine.start(render_topology(front, engine.version()))


def test_a_healthy_target_is_up_and_gets_every_kind_of_header(
    engine: Engine, smtp: Callable[[str], FakeSmtp], free_ports: Callable[[int], list[int]]
) -> None:
    target = smtp("healthy")
    ports = dict(zip(FRONT_LISTENERS, free_ports(4), strict=True))
    with start(engine, target.address, list(ports.values())) as running:
        rows = finished(running)
        assert {name: row.state for name, row in rows.items()} == dict.fromkeys(rows, "UP")
        assert {name: row.check.status for name, row in rows.items() if row.check} == dict.fromkeys(rows, "L7OK")
        smtpchk = rows["check-smtp-v2"].check
        assert smtpchk is not None
        assert smtpchk.code == 221

        target.headers.clear()
        inbound = b"PROXY TCP4 192.0.2.1 198.51.100.2 1024 25\r\n"
        addresses = bytes([192, 0, 2, 1, 198, 51, 100, 2]) + (1024).to_bytes(2) + (25).to_bytes(2)
        for name, header in (("relay-v1", b""), ("relay-v2", b""), ("chain-v1", inbound), ("chain-v2", inbound)):
            assert talk(ports[name], header) == b"220 mx.example.test ESMTP\r\n221 bye\r\n"
        seen = list(target.headers)
        assert inbound in seen
        assert SIGNATURE + b"\x21\x11\x00\x0c" + addresses in seen
        relayed = [h for h in seen if h.startswith(SIGNATURE + b"\x21\x11") and h[16:24] == b"\x7f\0\0\1\x7f\0\0\1"]
        assert int.from_bytes(relayed[0][26:28]) == ports["relay-v2"]
        assert any(h.endswith(b" %d\r\n" % ports["relay-v1"]) for h in seen)
        # Checks by version 2 are the LOCAL command, without addresses.
        running.runtime.wait(lambda: SIGNATURE + b"\x20\x00\x00\x00" in target.headers)


def test_a_busy_target_is_down_with_its_421(
    engine: Engine, smtp: Callable[[str], FakeSmtp], free_ports: Callable[[int], list[int]]
) -> None:
    ports = free_ports(4)
    with start(engine, smtp("busy").address, ports) as running:
        rows = finished(running)
        assert {row.state for row in rows.values()} == {"DOWN"}
        check = rows["check-smtp-v1"].check
        assert check is not None
        assert (check.status, check.code, check.last) == ("L7STS", 421, "too many connections")
        check = rows["check-tcp-v1"].check
        assert check is not None
        assert check.status == "L7RSP"
        # Down by its checks, and clients still reach it: what they are told is the target's own word.
        with socket.create_connection(("127.0.0.1", ports[FRONT_LISTENERS.index("relay-v1")]), 5) as client:
            assert client.recv(100).startswith(b"421 ")


@pytest.mark.haproxy
def test_a_silent_target_is_down_within_the_time_of_a_check(
    binary_engine: Engine, smtp: Callable[[str], FakeSmtp], free_ports: Callable[[int], list[int]]
) -> None:
    with start(binary_engine, smtp("silent").address, free_ports(4)) as running:
        began = time.monotonic()
        rows = finished(running)
        assert time.monotonic() - began < 6
        assert {row.check.status for row in rows.values() if row.check} == {"L7TOUT"}


@pytest.mark.haproxy
def test_an_ipv6_target_passes_the_check(binary_engine: Engine, debian_12: HAProxyVersion) -> None:
    text = render_topology(smtp_front(HostPort("::1", 2525), PORTS), debian_12)
    assert binary_engine.check(text).ok
