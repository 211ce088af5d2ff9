"""The runtime API against a real HAProxy, and against another client of it."""

from __future__ import annotations

import importlib
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from proxyspec_haproxy import BinaryEngine, CommandError, HAProxy, RuntimeClient, StatRow
from tests.haproxy.fake_smtp import FakeSmtp

pytestmark = pytest.mark.haproxy

CONFIG = """
global
    stats socket "${{PROXYSPEC_RUN_DIR}}/haproxy.sock" mode 600 level admin
    stats socket ipv4@127.0.0.1:{tcp} level admin
    stats socket "${{PROXYSPEC_RUN_DIR}}/user.sock" mode 600 level user
    hard-stop-after 1s
    maxconn 500
defaults
    mode tcp
    timeout connect 2s
    timeout client 30s
    timeout server 30s
    timeout check 5s
listen smtp
    bind 127.0.0.1:{front}
    maxconn 100
    option smtpchk EHLO probe.example.test
    server good 127.0.0.1:{good} check inter 100ms rise 1 fall 1 weight 7 send-proxy
    server gone 127.0.0.1:9 check inter 100ms rise 1 fall 1
    server bare 127.0.0.1:{good} disabled
"""

Live = tuple[HAProxy, dict[str, int]]


@pytest.fixture
def live(
    binary_engine: BinaryEngine, smtp: Callable[[str], FakeSmtp], free_ports: Callable[[int], list[int]]
) -> Iterator[Live]:
    server = smtp("healthy")
    front, tcp = free_ports(2)
    ports = {"front": front, "tcp": tcp, "good": int(server.server_address[1])}
    with binary_engine.start(CONFIG.format(**ports)) as haproxy:
        haproxy.runtime.wait(
            lambda: [row.state for row in haproxy.runtime.stat("smtp") if row.is_server] == ["UP", "DOWN", "MAINT"]
        )
        yield haproxy, ports


def test_reading(live: Live) -> None:
    haproxy, _ = live
    info = haproxy.runtime.info()
    assert (info.max_connections, info.stopping) == (500, False)
    good, gone = _finished(haproxy, "good"), _finished(haproxy, "gone")
    assert good.check is not None
    assert gone.check is not None
    assert (good.weight, good.up, good.check.ok) == (7, True, True)
    assert (gone.up, gone.since_s is not None) == (False, True)


def test_writing_and_reading_back(live: Live) -> None:
    haproxy, _ = live
    runtime = haproxy.runtime

    def good() -> str:
        return runtime.server("smtp", "good").state

    runtime.drain("smtp", "good")
    assert good() == "DRAIN"
    runtime.enable("smtp", "good")
    runtime.wait(lambda: good() == "UP")


@pytest.mark.parametrize(
    "act",
    [
        lambda runtime: runtime.drain("smtp", "nobody"),
        lambda runtime: runtime.enable("nobody", "good"),
        lambda runtime: runtime.command("set server smtp/good weight 257"),
        lambda runtime: runtime.command("show servers state nobody"),
        lambda runtime: runtime.command("frobnicate"),
    ],
)
def test_refusals_are_errors_with_a_severity(live: Live, act: Callable[[RuntimeClient], object]) -> None:
    with pytest.raises(CommandError) as refused:
        act(live[0].runtime)
    assert 0 <= refused.value.severity <= 3
    assert refused.value.message


def test_sessions_are_seen_until_they_end(live: Live) -> None:
    haproxy, ports = live
    with socket.create_connection(("127.0.0.1", ports["front"]), 5) as client:
        assert client.recv(100).startswith(b"220")
        (session,) = haproxy.runtime.wait(haproxy.runtime.sessions)
        assert (session["fe"], session["be"], session["srv"]) == ("smtp", "smtp", "good")
    haproxy.runtime.wait(lambda: not haproxy.runtime.sessions())
    (front,) = [row for row in haproxy.runtime.stat("smtp") if row.name == "FRONTEND"]
    assert front.sessions_total == 1
    # At least: on a busy machine two were seen to be counted at once for that one session.
    assert front.sessions_max >= 1


def test_the_same_over_tcp_and_not_from_a_socket_without_the_right(live: Live) -> None:
    haproxy, ports = live
    over_tcp = RuntimeClient(f"127.0.0.1:{ports['tcp']}")
    over_tcp.drain("smtp", "good")
    assert haproxy.runtime.server("smtp", "good").state == "DRAIN"
    user = RuntimeClient(Path(haproxy.runtime.address).with_name("user.sock"))
    assert user.server("smtp", "good").state == "DRAIN"
    with pytest.raises(CommandError, match=r"[Pp]ermission denied"):
        user.enable("smtp", "good")
    assert haproxy.runtime.server("smtp", "good").state == "DRAIN"


def test_a_reload_says_how_it_went(live: Live) -> None:
    haproxy, _ = live
    changed = haproxy.config_text.replace("weight 7", "weight 11")
    assert haproxy.reload(changed).ok
    assert haproxy.runtime.wait(lambda: haproxy.runtime.server("smtp", "good").weight == 11)
    refused = haproxy.reload(changed.replace("weight 11", "waight 11"))
    assert refused.ok is False
    assert "waight" in refused.log
    assert haproxy.runtime.server("smtp", "good").weight == 11


# Its sockets' files are left for the garbage collector to close.
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
@pytest.mark.filterwarnings("ignore::SyntaxWarning", "ignore::DeprecationWarning")
def test_another_client_sees_the_same(live: Live) -> None:
    haproxy, ports = live
    module: Any = importlib.import_module("haproxyadmin.haproxy")
    other = module.HAProxy(socket_file=haproxy.runtime.address)
    info = haproxy.runtime.info()
    assert (other.version, int(other.maxconn), other.processids) == (info.version, 500, [str(info.pid)])
    for name in ("good", "gone"):
        mine = _finished(haproxy, name)
        theirs = other.server(name, backend="smtp")[0]
        assert (theirs.name, int(theirs.weight), theirs.status) == (name, mine.weight, mine.status)
        assert (theirs.address, int(theirs.port)) == ("127.0.0.1", ports["good"] if name == "good" else 9)
        # While a check runs, HAProxy shows no result.
        haproxy.runtime.wait(lambda: other.server(name, backend="smtp")[0].last_status == mine.check.last)  # noqa: B023
    haproxy.runtime.command("set server smtp/good weight 2")
    assert int(other.server("good", backend="smtp")[0].weight) == 2
    other.server("good", backend="smtp")[0].setstate("disable")
    assert haproxy.runtime.server("smtp", "good").state == "MAINT"


def _finished(haproxy: HAProxy, name: str) -> Any:
    def look() -> StatRow | None:
        row = haproxy.runtime.server("smtp", name)
        return row if row.check is not None and row.check.finished else None

    return haproxy.runtime.wait(look)
