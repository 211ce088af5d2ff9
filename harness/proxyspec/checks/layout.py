"""Scenarios as one configuration of HAProxy: a backend each, side by side."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from proxyspec.checks.model import Behind, Connect, Expect, Kind, Proxy, Rule, Scenario

if TYPE_CHECKING:
    from proxyspec_haproxy import CheckKind, CheckRule, Documented, Listen, Listener, Server

__all__ = ["INTER", "JUDGED", "WITNESS", "Places", "backend_name", "layout", "needs_witness", "same_process"]

HERE: Final = "127.0.0.1"
#: Pause between two checks of a server that is judged, in seconds.
INTER: Final = 0.1
#: The same for the witness, whose bytes are evidence and whose counts are not.
WITNESS_INTER: Final = 1.0
#: Names of the server lines: judged ones are numbered from 1.
JUDGED: Final = "smtp"
WITNESS: Final = "witness"

_PROXIES: Final = {Proxy.NONE: "none", Proxy.V1: "v1", Proxy.V2: "v2", Proxy.V2_SSL: "v2-ssl"}


@dataclass(frozen=True, slots=True)
class Places:
    """The ports of one scenario: servers, witness (None where the servers themselves record bytes), bind."""

    servers: tuple[int, ...]
    witness: int | None
    bind: int | None


def needs_witness(scenario: Scenario) -> bool:
    """Whether another server must record the bytes, for the one behind does not."""
    return scenario.behind is Behind.REFERENCE


def backend_name(scenario: Scenario) -> str:
    """Return the scenario's name in the configuration."""
    return scenario.id.replace("/", ".")


def same_process(scenarios: Sequence[Scenario]) -> list[tuple[Scenario, ...]]:
    """Part the scenarios into those that one HAProxy can run side by side.

    pp2-never-send-local holds for a whole process; and a process spreads its first checks over the shortest interval of
    all, so that the documented listener with its 10 s must be alone to be what it is.
    """
    parts: dict[tuple[bool, bool], list[Scenario]] = {}
    for scenario in scenarios:
        parts.setdefault((scenario.never_send_local, scenario.documented), []).append(scenario)
    return [tuple(part) for part in parts.values()]


def layout(scenarios: Sequence[Scenario], places: Mapping[str, Places], *, inter: float = INTER) -> Listen:
    """Build the topology of scenarios that fit one process; `places` has each by its id.

    `inter` is the pause between two checks of a server that is judged, in seconds.

    Raises:
        ValueError: the scenarios need different global settings.
    """
    from proxyspec_haproxy import Listen, Settings, Timeouts

    never = {scenario.never_send_local for scenario in scenarios}
    if len(never) != 1:
        raise ValueError("scenarios with and without pp2-never-send-local: they need a HAProxy each (see same_process)")
    settings = Settings(timeouts=Timeouts(connect=2.0), nbthread=1, hard_stop=0.5, never_send_local=never.pop())
    return Listen(
        tuple(_listener(one, places[one.id], inter) for one in scenarios if not one.documented),
        settings,
        tuple(_documented(one, places[one.id]) for one in scenarios if one.documented),
    )


def _documented(scenario: Scenario, places: Places) -> Documented:
    from proxyspec_haproxy import Documented, HostPort

    assert places.bind is not None, "the documented listener has a bind"
    servers = tuple(HostPort(HERE, port) for port in places.servers)
    return Documented(backend_name(scenario), HostPort(HERE, places.bind), servers, _kind(scenario))


def _kind(scenario: Scenario) -> CheckKind:
    from proxyspec_haproxy import CheckKind

    return {Kind.SMTPCHK: CheckKind.SMTP, Kind.TCPCHECK: CheckKind.TCP, Kind.L4: CheckKind.L4}[scenario.kind]


def _listener(scenario: Scenario, places: Places, inter: float) -> Listener:
    from proxyspec_haproxy import Listener

    lines = [_server(scenario, f"{JUDGED}{n}", port, inter) for n, port in enumerate(places.servers, 1)]
    if places.witness is not None:
        lines.append(_server(scenario, WITNESS, places.witness, WITNESS_INTER))
    timeout = f"timeout check {round(scenario.timeout * 1000)}ms"
    rules = tuple(_rule(rule) for rule in scenario.rules)
    return Listener(
        backend_name(scenario),
        (),
        tuple(lines),
        _kind(scenario),
        helo=scenario.helo,
        extra=(timeout,),
        rules=rules,
    )


def _server(scenario: Scenario, name: str, port: int, inter: float) -> Server:
    from proxyspec_haproxy import HostPort, ProxyHeader, Server

    return Server(
        name,
        HostPort(HERE, port),
        proxy=ProxyHeader(_PROXIES[scenario.proxy]),
        check_proxy=scenario.check_header,
        check_port=port if scenario.own_port else None,
        inter=inter,
        rise=1,
        fall=1,
        v2_options=("crc32c",) if scenario.crc32c else (),
    )


def _rule(rule: Rule) -> CheckRule:
    from proxyspec_haproxy import CheckConnect, CheckExpect, CheckSend

    match rule:
        case Connect(default, linger):
            return CheckConnect(default=default, linger=linger)
        case Expect(pattern):
            return CheckExpect(pattern)
        case _:
            return CheckSend(rule.line)
