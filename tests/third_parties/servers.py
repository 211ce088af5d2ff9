"""Starts mail servers and proxies that others have written, each for the time of a context."""

from __future__ import annotations

import contextlib
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

from proxyspec.haproxy.front import free_ports
from proxyspec.reference import reference_server
from proxyspec_haproxy import (
    BinaryEngine,
    Bind,
    HostPort,
    Listen,
    Listener,
    ProxyHeader,
    Server,
    Settings,
    Timeouts,
    render_topology,
)

PATIENCE = 20.0
"""Seconds a server may take to listen."""
TRUSTED = "127.0.0.1"


@contextlib.contextmanager
def python_server(module: str, deadline: float, log: Path) -> Iterator[tuple[int, int]]:
    """Run a server of this folder with this header deadline, in seconds; yield its port and process id."""
    command = [sys.executable, "-m", f"tests.third_parties.{module}", f"{deadline:g}"]
    root = Path(__file__).parents[2]
    with (
        log.open("wb") as errors,
        subprocess.Popen(command, cwd=root, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors) as process,
    ):
        stop_slow_start = threading.Timer(PATIENCE, process.kill)
        stop_slow_start.start()
        try:
            assert process.stdout is not None
            said = process.stdout.readline()
            assert said.strip().isdigit(), f"{module} does not start: {log.read_text(errors='replace')}"
            stop_slow_start.cancel()
            yield int(said), process.pid
        finally:
            stop_slow_start.cancel()
            process.kill()


def accept_proxy(bind: HostPort) -> tuple[Bind, tuple[str, ...]]:
    """A listener that takes a header of everybody."""
    return Bind(bind, accept_proxy=True), ()


def expect_proxy(bind: HostPort) -> tuple[Bind, tuple[str, ...]]:
    """A listener that takes a header of those on its list alone."""
    return Bind(bind), (f"tcp-request connection expect-proxy layer4 if {{ src {TRUSTED} }}",)


@contextlib.contextmanager
def haproxy(engine: BinaryEngine, kind: str, deadline: float, folder: Path) -> Iterator[int]:
    """Run HAProxy with a listener of this kind before the reference server, to which it hands the address on."""
    bind, rules = {"accept-proxy": accept_proxy, "expect-proxy": expect_proxy}[kind](
        HostPort("127.0.0.1", free_ports(1)[0])
    )
    arguments = ["--trust", TRUSTED, "--hostname", "mx.test", "--header-timeout", f"{deadline:g}"]
    with reference_server(arguments, folder / "reference.log") as (host, port):
        relay = Listener(
            "relay",
            binds=(bind,),
            servers=(Server("mx", HostPort(host, port), proxy=ProxyHeader.V2, check=False),),
            # The client's timeout is the header's deadline; a session has a longer one.
            extra=(*rules, "timeout tunnel 60s"),
        )
        topology = Listen((relay,), settings=Settings(timeouts=Timeouts(client=deadline, server=60.0)))
        with engine.start(render_topology(topology, engine.version())):
            yield int(str(bind.address).rpartition(":")[2])
