"""Puts a real HAProxy in front of the target: roads through it, and what its health checks report."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from proxyspec.errors import UsageError
from proxyspec.model import Target, Via
from proxyspec.records import HAProxyRecord
from proxyspec.rundir import RunDirectory
from proxyspec.scheduler import Roads
from proxyspec.wire import Road

__all__ = ["CheckReport", "behind_haproxy", "free_ports"]

#: HAProxy listens and connects here; its containers share the host's network.
HERE = "127.0.0.1"
#: The client of relayed connections, so that its address differs from HAProxy's.
CLIENT = "127.0.0.7"
#: How long the first finished health check may take, in seconds.
CHECK_PATIENCE = 15.0


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


def _roads(target: Target, ports: dict[str, int]) -> dict[Via, Road]:
    # HAProxy connects to the target from 127.0.0.1 if that is loopback too; elsewhere the system chooses.
    peer = HERE if target.host.startswith("127.") else None
    return {Via(name): Road(HERE, port, CLIENT, peer) for name, port in ports.items()}


@contextlib.contextmanager
def behind_haproxy(
    target: Target, spec: str, out: RunDirectory, *, templates: Path | None = None
) -> Iterator[tuple[Roads, HAProxyRecord]]:
    """Run HAProxy in front of `target` for the time of the context; its configuration and log go into `out`.

    `spec` names the engine: `auto`, `docker`, `docker:3.2`, `binary`, `binary:/path`. `templates` is a folder looked
    through before the built-in templates.

    Raises:
        UsageError: no engine, a broken template, a refused configuration, or HAProxy does not start; HAProxy's own
            words are in the message.
    """
    # Imported here: this is the only road to Docker's client, and most runs need none.
    from proxyspec_haproxy import (
        FRONT_LISTENERS,
        FRONT_SERVER,
        HAProxyError,
        HostPort,
        StartFailed,
        choose_engine,
        render_topology,
        smtp_front,
    )

    if ":" in target.host:
        raise UsageError("--haproxy puts an IPv4 HAProxy in front of the target: give the target by its IPv4 address")
    try:
        choice = choose_engine(spec)
        version = choice.engine.version()
        for attempt in range(3):
            ports = dict(zip(FRONT_LISTENERS, free_ports(len(FRONT_LISTENERS)), strict=True))
            topology = smtp_front(HostPort(target.host, target.port), ports, header_deadline=target.header_timeout)
            text = render_topology(topology, version, folder=templates)
            try:
                haproxy = choice.engine.start(text)
                break
            except StartFailed as error:
                # Another process may have taken a port since it was found free.
                if attempt == 2 or "Address already in use" not in str(error):
                    raise
    except (HAProxyError, ValueError) as error:
        raise UsageError(f"HAProxy cannot stand in front of the target: {error}") from error

    with haproxy:
        out.write("evidence/haproxy.cfg", text)

        async def watcher(name: str) -> CheckReport:
            def look() -> CheckReport:
                haproxy.runtime.wait_checked(name, timeout=CHECK_PATIENCE)
                row = haproxy.runtime.server(name, FRONT_SERVER)
                check = row.check
                said = f"{check.status} {check.code if check.code is not None else ''} {check.last}" if check else ""
                return CheckReport(row.up, f"{row.status} {said}".strip())

            return await asyncio.to_thread(look)

        record = HAProxyRecord(
            engine=choice.name,
            version=str(version),
            description=choice.engine.describe(),
            why=choice.why,
            config="evidence/haproxy.cfg",
            log="evidence/haproxy.log",
        )
        try:
            yield Roads({}, _roads(target, ports), watcher), record
        finally:
            out.write("evidence/haproxy.log", "\n".join(haproxy.log_lines) + "\n")
