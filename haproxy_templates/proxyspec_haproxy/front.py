"""The HAProxy a conformance run puts in front of one SMTP server: relays, forwarders and checks side by side."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

from proxyspec_haproxy.topology import (
    Bind,
    CheckKind,
    HostPort,
    Listen,
    Listener,
    ProxyHeader,
    Server,
    Settings,
    Timeouts,
)

__all__ = ["FRONT_CHECKS", "FRONT_LISTENERS", "FRONT_SERVER", "smtp_front"]

# A client connects to these; each needs a port.
FRONT_LISTENERS: Final = ("relay-v1", "relay-v2", "chain-v1", "chain-v2")
# HAProxy checks the target by these; no client connects to them.
FRONT_CHECKS: Final = ("check-tcp-v1", "check-tcp-v2", "check-smtp-v1", "check-smtp-v2")
# The name of the server line in each of them.
FRONT_SERVER: Final = "target"

_HEADERS: Final = {"v1": ProxyHeader.V1, "v2": ProxyHeader.V2}
_EHLO: Final = "EHLO haproxy.proxyspec.test"
# HAProxy must not hang up first when a server waits for a header until its deadline.
_BEYOND_DEADLINE: Final = 30.0


def smtp_front(
    target: HostPort,
    ports: Mapping[str, int],
    *,
    header_deadline: float = 30.0,
    inter: float = 0.5,
    check_timeout: float = 2.0,
    settings: Settings | None = None,
) -> Listen:
    """Build the front of one target.

    `ports` gives every name of FRONT_LISTENERS its port on 127.0.0.1; more or fewer names raise ValueError. relay-v1
    and relay-v2 add a header (sections 2.1, 2.2); chain-v1 and chain-v2 take a header of either version and send one of
    theirs. None of them checks, so that a failing check cannot keep clients from the target; the backends of
    FRONT_CHECKS do nothing else.

    `header_deadline` is the time in seconds the target waits for a header: HAProxy's own client and server timeouts are
    set beyond it, whatever `settings` says of them. `inter` is the pause between two checks and `check_timeout` the
    time one may take, in seconds.
    """
    if set(ports) != set(FRONT_LISTENERS):
        raise ValueError(f"ports for {sorted(ports)}: expected one each for {', '.join(FRONT_LISTENERS)}")
    if len(set(ports.values())) != len(ports):
        raise ValueError(f"ports {dict(ports)}: every listener needs a port of its own")
    patience = header_deadline + _BEYOND_DEADLINE
    timeouts = Timeouts(connect=2.0, client=patience, server=patience, check=check_timeout)

    def server(header: ProxyHeader) -> Server:
        return Server(FRONT_SERVER, target, proxy=header, inter=inter, rise=1, fall=1)

    def bind(name: str, *, accept_proxy: bool = False) -> tuple[Bind]:
        return (Bind(HostPort("127.0.0.1", ports[name]), accept_proxy=accept_proxy),)

    listeners: list[Listener] = []
    for version, header in _HEADERS.items():
        relay, chain = f"relay-{version}", f"chain-{version}"
        one = (server(header),)
        listeners += [
            Listener(relay, bind(relay), one, CheckKind.NONE),
            Listener(chain, bind(chain, accept_proxy=True), one, CheckKind.NONE),
            Listener(f"check-tcp-{version}", (), one, CheckKind.TCP),
            Listener(f"check-smtp-{version}", (), one, CheckKind.SMTP, helo=_EHLO),
        ]
    return Listen(tuple(listeners), replace(settings if settings is not None else Settings(), timeouts=timeouts))
