"""Puts a real HAProxy in front of the target: roads through it, and what its health checks report."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from proxyspec.errors import UsageError
from proxyspec.haproxy.engines import haproxy_record
from proxyspec.haproxy.start import on_free_ports
from proxyspec.model import Target, Via
from proxyspec.records import HAProxyRecord
from proxyspec.rundir import RunDirectory
from proxyspec.scheduler import Roads
from proxyspec.wire import Road

if TYPE_CHECKING:
    from proxyspec_haproxy import HAProxy, Listen

__all__ = ["CheckReport", "behind_haproxy", "free_ports", "in_front"]

#: HAProxy listens and connects here; its containers share the host's network.
HERE = "127.0.0.1"
#: The client of relayed connections, so that its address differs from HAProxy's.
CLIENT = "127.0.0.7"
#: How long the first finished health check may take, in seconds.
CHECK_PATIENCE = 15.0

_CONFIG, _LOG = "evidence/haproxy.cfg", "evidence/haproxy.log"


@dataclass(frozen=True, slots=True)
class CheckReport:
    """What HAProxy reports of one health check, for instance UP with `L7OK/221`."""

    up: bool
    text: str


def free_ports(count: int) -> list[int]:
    """Return ports of 127.0.0.1 that nobody listens on, all different."""
    with contextlib.ExitStack() as stack:
        probes = [stack.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind((HERE, 0))
        return [probe.getsockname()[1] for probe in probes]


@contextlib.contextmanager
def in_front(
    target: Target,
    spec: str,
    listeners: int,
    topology: Callable[[Sequence[int]], Listen],
    out: RunDirectory,
    *,
    templates: Path | None = None,
) -> Iterator[tuple[HAProxy, Sequence[int], HAProxyRecord]]:
    """Run the HAProxy that `topology` lays out on so many free ports; its configuration and log go into `out`.

    `spec` names the engine: `auto`, `docker`, `docker:3.2`, `binary`, `binary:/path`. `templates` is a folder looked
    through before the built-in templates.

    Raises:
        UsageError: no engine, a broken template, a refused configuration, or HAProxy does not start; HAProxy's own
            words are in the message.
    """
    # Imported here: this is the only road to Docker's client, and most runs need none.
    from proxyspec_haproxy import HAProxyError, choose_engine, render_topology

    if ":" in target.host:
        raise UsageError("--haproxy puts an IPv4 HAProxy in front of the target: give the target by its IPv4 address")
    try:
        choice = choose_engine(spec)

        def start() -> tuple[HAProxy, Sequence[int]]:
            ports = free_ports(listeners)
            text = render_topology(topology(ports), choice.engine.version(), folder=templates)
            return choice.engine.start(text), ports

        haproxy, ports = on_free_ports(start)
    except (HAProxyError, ValueError) as error:
        raise UsageError(f"HAProxy cannot stand in front of the target: {error}") from error
    with haproxy:
        out.write(_CONFIG, haproxy.config_text)
        try:
            yield haproxy, ports, haproxy_record(choice, _CONFIG, _LOG)
        finally:
            out.write(_LOG, "\n".join(haproxy.log_lines) + "\n")


def _roads(target: Target, ports: dict[str, int]) -> dict[Via, Road]:
    # HAProxy connects to the target from 127.0.0.1 if that is loopback too; elsewhere the system chooses.
    peer = HERE if target.host.startswith("127.") else None
    return {Via(name): Road(HERE, port, CLIENT, peer) for name, port in ports.items()}


@contextlib.contextmanager
def behind_haproxy(
    target: Target, spec: str, out: RunDirectory, *, templates: Path | None = None
) -> Iterator[tuple[Roads, HAProxyRecord]]:
    """Run the HAProxy of a conformance run in front of `target`; arguments and errors are those of `in_front`."""
    from proxyspec_haproxy import FRONT_LISTENERS, FRONT_SERVER, HostPort, smtp_front

    def named(ports: Sequence[int]) -> dict[str, int]:
        return dict(zip(FRONT_LISTENERS, ports, strict=True))

    def topology(ports: Sequence[int]) -> Listen:
        return smtp_front(HostPort(target.host, target.port), named(ports), header_deadline=target.header_timeout)

    with in_front(target, spec, len(FRONT_LISTENERS), topology, out, templates=templates) as (haproxy, ports, record):

        async def watcher(name: str) -> CheckReport:
            def look() -> CheckReport:
                haproxy.runtime.wait_checked(name, timeout=CHECK_PATIENCE)
                row = haproxy.runtime.server(name, FRONT_SERVER)
                check = row.check
                said = f"{check.status} {check.code if check.code is not None else ''} {check.last}" if check else ""
                return CheckReport(row.up, f"{row.status} {said}".strip())

            return await asyncio.to_thread(look)

        yield Roads({}, _roads(target, named(ports)), watcher), record
