"""The runtime API against a real HAProxy, and against another client of it."""

from __future__ import annotations

import importlib
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from proxyspec_haproxy import BinaryEngine, CommandError, HAProxy, RuntimeClient, StatRow
from proxyspec_haproxy.runtime import Health
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
    haproxy, ports = live
    info = haproxy.runtime.info()
    assert (info.max_connections, info.stopping) == (500, False)
    good, gone = _finished(haproxy, "good"), _finished(haproxy, "gone")
    assert good.check is not None
    assert gone.check is not None
    assert (good.weight, good.up, good.check.ok) == (7, True, True)
    assert (gone.up, gone.since_s is not None) == (False, True)
    states = {state.name: state for state in haproxy.runtime.servers_state("smtp")}
    assert (states["good"].port, states["good"].address) == (ports["good"], "127.0.0.1")
    assert (states["good"].checking, states["good"].agent_checking) == (True, False)
    assert states["bare"].checking is False
    assert states["bare"].admin >= {"forced-maint"}


def test_writing_and_reading_back(live: Live) -> None:
    haproxy, _ = live
    runtime = haproxy.runtime

    def good() -> str:
        return runtime.server("smtp", "good").state

    runtime.drain("smtp", "good")
    assert good() == "DRAIN"
    runtime.disable("smtp", "good")
    assert good() == "MAINT"
    runtime.enable("smtp", "good")
    runtime.wait(lambda: good() == "UP")
    runtime.set_weight("smtp", "good", 3)
    assert runtime.server("smtp", "good").weight == 3
    runtime.set_maxconn("smtp", "good", 5)
    assert runtime.server("smtp", "good").raw["slim"] == "5"
    runtime.set_frontend_maxconn("smtp", 50)
    (front,) = [row for row in runtime.stat("smtp") if row.name == "FRONTEND"]
    assert front.raw["slim"] == "50"
    runtime.set_total_maxconn(400)
    assert runtime.info().max_connections == 400


def test_checks_can_be_stopped_and_their_result_be_set(live: Live) -> None:
    haproxy, _ = live
    runtime = haproxy.runtime

    def gone() -> tuple[bool, str]:
        return next((each.checking, each.op_state) for each in runtime.servers_state("smtp") if each.name == "gone")

    assert gone() == (True, "stopped")
    runtime.disable_check("smtp", "gone")
    assert gone() == (False, "stopped")
    runtime.set_health("smtp", "gone", Health.UP)
    runtime.wait(lambda: gone() == (False, "running"))
    assert runtime.server("smtp", "gone").check is None
    runtime.enable_check("smtp", "gone")
    runtime.wait(lambda: gone() == (True, "stopped"))


def test_what_haproxy_does_not_do_is_an_error_though_it_says_nothing(live: Live) -> None:
    runtime = live[0].runtime
    for act in (runtime.disable_check, runtime.enable_check):
        with pytest.raises(CommandError, match=r"bare has no health check|check was not configured"):
            act("smtp", "bare")
    with pytest.raises(CommandError, match="no health check"):
        runtime.set_health("smtp", "bare", Health.DOWN)
    with pytest.raises(CommandError):
        runtime.enable_agent("smtp", "good")
    runtime.disable_agent("smtp", "good")


@pytest.mark.parametrize(
    "act",
    [
        lambda runtime: runtime.drain("smtp", "nobody"),
        lambda runtime: runtime.disable_check("smtp", "nobody"),
        lambda runtime: runtime.set_weight("smtp", "good", 257),
        lambda runtime: runtime.set_frontend_maxconn("nobody", 5),
        lambda runtime: runtime.shutdown_session("0x1"),
        lambda runtime: runtime.servers_state("nobody"),
        lambda runtime: runtime.command("frobnicate"),
    ],
)
def test_refusals_are_errors_with_a_severity(live: Live, act: Callable[[RuntimeClient], object]) -> None:
    with pytest.raises(CommandError) as refused:
        act(live[0].runtime)
    assert 0 <= refused.value.severity <= 3
    assert refused.value.message


def test_sessions_are_seen_and_ended(live: Live) -> None:
    haproxy, ports = live
    with socket.create_connection(("127.0.0.1", ports["front"]), 5) as client:
        assert client.recv(100).startswith(b"220")
        (session,) = haproxy.runtime.wait(haproxy.runtime.sessions)
        assert (session["fe"], session["be"], session["srv"]) == ("smtp", "smtp", "good")
        haproxy.runtime.shutdown_session(session["id"])
        assert client.recv(100) == b""
    (front,) = [row for row in haproxy.runtime.stat("smtp") if row.name == "FRONTEND"]
    assert front.sessions_total == 1
    # At least: on a busy machine two were seen to be counted at once for that one session.
    assert front.sessions_max >= 1
    haproxy.runtime.wait(lambda: not haproxy.runtime.sessions())
    haproxy.runtime.clear_maxima()
    (front,) = [row for row in haproxy.runtime.stat("smtp") if row.name == "FRONTEND"]
    assert (front.sessions_total, front.sessions_max) == (1, 0)
    haproxy.runtime.clear_counters()
    (front,) = [row for row in haproxy.runtime.stat("smtp") if row.name == "FRONTEND"]
    assert front.sessions_total == 0


def test_the_same_over_tcp_and_not_from_a_socket_without_the_right(live: Live) -> None:
    haproxy, ports = live
    over_tcp = RuntimeClient(f"127.0.0.1:{ports['tcp']}")
    over_tcp.set_weight("smtp", "good", 9)
    assert haproxy.runtime.server("smtp", "good").weight == 9
    user = RuntimeClient(Path(haproxy.runtime.address).with_name("user.sock"))
    assert user.server("smtp", "good").weight == 9
    with pytest.raises(CommandError, match=r"[Pp]ermission denied"):
        user.set_weight("smtp", "good", 1)
    assert haproxy.runtime.server("smtp", "good").weight == 9


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
    haproxy.runtime.set_weight("smtp", "good", 2)
    assert int(other.server("good", backend="smtp")[0].weight) == 2
    other.server("good", backend="smtp")[0].setstate("disable")
    assert haproxy.runtime.server("smtp", "good").state == "MAINT"


def _finished(haproxy: HAProxy, name: str) -> Any:
    def look() -> StatRow | None:
        row = haproxy.runtime.server("smtp", name)
        return row if row.check is not None and row.check.finished else None

    return haproxy.runtime.wait(look)
