"""The HAProxy a load goes through: one listener, no health checks, room for every user, its figures readable."""

from __future__ import annotations

import contextlib
import resource
from collections.abc import Iterator, Sequence
from typing import Final

from proxyspec.errors import UsageError
from proxyspec.haproxy.front import HERE, in_front
from proxyspec.load.runner import Front
from proxyspec.model import Target, Via
from proxyspec.rundir import RunDirectory
from proxyspec.wire import Road

__all__ = ["ROADS", "load_front", "room"]

#: Roads through HAProxy, in the words of `run`.
ROADS: Final = (Via.RELAY_V1, Via.RELAY_V2, Via.CHAIN_V1, Via.CHAIN_V2)

#: Connections beyond the users' that HAProxy has room for: those that are just being closed.
SPARE: Final = 200
#: Fewest it has room for.
LEAST: Final = 4000
#: Descriptors HAProxy needs for itself; of each connection it needs two.
OWN_DESCRIPTORS: Final = 100
#: HAProxy must not hang up first while the server waits for a header, in seconds.
BEYOND_DEADLINE: Final = 30.0


def room(users: int) -> int:
    """Return the maxconn that so many users need.

    Raises:
        UsageError: this machine gives no process as many descriptors.
    """
    wanted = max(LEAST, users + SPARE)
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard == resource.RLIM_INFINITY or 2 * wanted + OWN_DESCRIPTORS <= hard:
        return wanted
    most = (hard - OWN_DESCRIPTORS) // 2
    if users > most:
        raise UsageError(
            f"{users} users through HAProxy need {2 * users + OWN_DESCRIPTORS} open files of it, and it may have "
            f"{hard}: raise the limit (ulimit -Hn), or take --users {most} or fewer"
        )
    return most


@contextlib.contextmanager
def load_front(target: Target, spec: str, via: Via, users: int, out: RunDirectory) -> Iterator[Front]:
    """Run HAProxy in front of `target` for the time of the context; its configuration and log go into `out`.

    `spec` names the engine: `auto`, `docker`, `docker:3.2`, `binary`, `binary:/path`.

    Raises:
        UsageError: no such engine or road, too many users, or HAProxy does not start; its own words are in the message.
    """
    from proxyspec_haproxy import Bind, CheckKind, HostPort, Listen, Listener, ProxyHeader, Server, Settings, Timeouts

    if via not in ROADS:
        raise UsageError(f"--via {via.value}: one of {', '.join(ROADS)}")
    patience = target.header_timeout + BEYOND_DEADLINE
    settings = Settings(
        timeouts=Timeouts(connect=2.0, client=patience, server=patience), maxconn=room(users), log_level="notice"
    )
    header = ProxyHeader.V1 if via in (Via.RELAY_V1, Via.CHAIN_V1) else ProxyHeader.V2

    def topology(ports: Sequence[int]) -> Listen:
        server = Server("target", HostPort(target.host, target.port), proxy=header)
        bind = Bind(HostPort(HERE, ports[0]), accept_proxy=via in (Via.CHAIN_V1, Via.CHAIN_V2))
        return Listen((Listener(via.value, (bind,), (server,), CheckKind.NONE),), settings)

    with in_front(target, spec, 1, topology, out) as (haproxy, (port,), record):
        yield Front(via, Road(HERE, port), record, haproxy.runtime.address)
