"""Rules about HAProxy's patience with clients and servers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from proxyspec_haproxy.config.document import Directive
from proxyspec_haproxy.config.findings import Found, Level, Setup, rule

__all__ = [
    "below_deadline",
    "below_rfc_5321",
    "check_races_deadline",
    "missing",
]

#: The longest of the waits RFC 5321 asks of both sides in a dialogue, in seconds (section 4.5.3.2).
_RFC_5321: Final = 300.0


def _patience(setup: Setup) -> Iterator[tuple[str, float, Directive, str]]:
    """Yield every timeout that ends sessions: its name, seconds and line, and the services it is of."""
    lines: dict[Directive, tuple[str, float, list[str]]] = {}
    for proxy in setup.services:
        # timeout tunnel takes the place of both as soon as both sides have spoken.
        if proxy.timeout("tunnel") is not None:
            names = ["tunnel"] if proxy.is_back else []
        else:
            names = [name for name, wanted in (("client", proxy.is_front), ("server", proxy.is_back)) if wanted]
        for name in names:
            found = proxy.timeout(name)
            if found is not None and found[0] > 0:
                lines.setdefault(found[1], (name, found[0], []))[2].append(proxy.name)
    for line, (name, value, proxies) in lines.items():
        yield name, value, line, ", ".join(dict.fromkeys(proxies))


@rule("timeout/below-deadline", Level.FAIL)
def below_deadline(setup: Setup) -> Iterator[Found]:
    """HAProxy waits longer than the server's header deadline."""
    deadline = setup.expected.header_deadline
    for name, value, line, proxies in _patience(setup):
        if value <= deadline:
            yield Found(
                line.place,
                f"timeout {name} of {value:g} s ends sessions of {proxies} before the server does ({deadline:g} s)",
                "the client sees its connection end without a word instead of the server's 421, and a pause in a "
                f"dialogue of more than {value:g} s ends the session",
                f"write `timeout {name} 5m` or more (RFC 5321, section 4.5.3.2)",
            )


@rule("timeout/below-rfc-5321", Level.WARN)
def below_rfc_5321(setup: Setup) -> Iterator[Found]:
    """HAProxy is as patient as SMTP asks: five minutes."""
    for name, value, line, proxies in _patience(setup):
        if setup.expected.header_deadline < value < _RFC_5321:
            yield Found(
                line.place,
                f"timeout {name} of {value:g} s ends sessions of {proxies} that RFC 5321 lets pause for 5 minutes",
                "both sides may take 5 minutes for a command (section 4.5.3.2); the server cannot answer 421 when "
                "HAProxy hangs up first",
                f"write `timeout {name} 5m` or more, and let the server be the one that gives up",
            )


@rule("timeout/missing", Level.WARN)
def missing(setup: Setup) -> Iterator[Found]:
    """Every side has a timeout."""
    for proxy in setup.services:
        wanted = ["client"] * proxy.is_front + (["connect", "server"] if proxy.is_back and proxy.servers else [])
        absent = [name for name in wanted if proxy.last("timeout", name) is None]
        if absent:
            yield Found(
                proxy.place,
                f"{proxy.name} has no timeout {', '.join(absent)}",
                "without one a peer that went away keeps its connection for ever, until maxconn is reached",
                "write `timeout connect 5s`, `timeout client 5m` and `timeout server 5m` into defaults",
            )


@rule("timeout/check-races-deadline", Level.INFO)
def check_races_deadline(setup: Setup) -> Iterator[Found]:
    """A check gives up well before the server's header deadline."""
    for proxy in setup.services:
        found = proxy.timeout("check")
        if (
            found is not None
            and found[0] >= setup.expected.header_deadline
            and any(s.has("check") for s in proxy.servers)
        ):
            yield Found(
                found[1].place,
                f"timeout check of {found[0]:g} s is not below the server's {setup.expected.header_deadline:g} s",
                "a check without a header then ends now with a timeout, now with the server's 421",
                "write `timeout check 5s`",
            )
