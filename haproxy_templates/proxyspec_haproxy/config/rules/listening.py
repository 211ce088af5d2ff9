"""Rules about the side clients see: binds, mode, trust, limits."""

from __future__ import annotations

from collections.abc import Iterator

from proxyspec_haproxy.config.document import Directive
from proxyspec_haproxy.config.findings import Found, Level, Setup, rule
from proxyspec_haproxy.config.proxies import Proxy

__all__ = [
    "balance_first",
    "balance_source",
    "bind_missing",
    "greeting_delayed",
    "maxconn",
    "mode_http",
    "mode_unsaid",
    "queue",
    "unbounded",
]


@rule("bind/missing", Level.FAIL)
def bind_missing(setup: Setup) -> Iterator[Found]:
    """A frontend or listen section listens somewhere."""
    for proxy in setup.services:
        if not proxy.is_front or proxy.binds:
            continue
        words = proxy.section.head.words
        address = words[2] if len(words) > 2 and ":" in words[2] else None
        if address is not None:
            what = (
                f"{proxy.section.kind} {proxy.name} has its address {address} on the section's line: HAProxy refuses it"
            )
            why, remedy = (
                "addresses belong on bind lines in every release since 2.2",
                f"write `bind {address}` on a line of its own",
            )
        else:
            what = f"{proxy.section.kind} {proxy.name} listens nowhere"
            why, remedy = "it has no bind line, so no client reaches it", "write `bind :25`, for instance"
        yield Found(proxy.place, what, why, remedy)


@rule("mode/http", Level.FAIL)
def mode_http(setup: Setup) -> Iterator[Found]:
    """SMTP goes through mode tcp."""
    for proxy in setup.services:
        line = proxy.last("mode")
        if proxy.mode == "http" and line is not None:
            yield Found(
                line.place,
                f"{proxy.name} is in mode http: no SMTP session gets through",
                "HAProxy waits for an HTTP request, and an SMTP client for the server's greeting",
                f"write `mode tcp` into {proxy.section.kind} {proxy.name}",
            )


@rule("mode/unsaid", Level.INFO)
def mode_unsaid(setup: Setup) -> Iterator[Found]:
    """The mode is written down."""
    for proxy in setup.services:
        if proxy.last("mode") is None:
            yield Found(
                proxy.place,
                f"{proxy.name} does not say `mode tcp`",
                "tcp is what HAProxy takes without a word, until a defaults section above says `mode http`",
                "write `mode tcp`",
            )


def _sources(line: Directive) -> bool:
    """Whether a tcp-request rule looks at where the connection comes from."""
    return any(word == "src" or word.startswith(("src,", "src(")) for word in line.words)


def _guards(proxy: Proxy) -> bool:
    acls = {line.words[1] for line in proxy.lines if line.keyword == "acl" and len(line.words) > 2 and _sources(line)}
    for line in proxy.all("tcp-request", "connection"):
        if line.words[2:3] in (("reject",), ("accept",), ("silent-drop",)) and (
            _sources(line) or any(word.lstrip("!") in acls for word in line.words[3:])
        ):
            return True
    return False


@rule("trust/unbounded", Level.FAIL)
def unbounded(setup: Setup) -> Iterator[Found]:
    """A header is believed from known proxies only (section 5)."""
    remedy = (
        "replace it by `tcp-request connection expect-proxy layer4 if { src 192.0.2.0/28 }` with the addresses of "
        "your proxies, or put `tcp-request connection reject if !{ src … }` beside it"
    )
    for proxy in setup.services:
        if _guards(proxy):
            continue
        reached = [bind for bind in proxy.binds if bind.address.reach != "local"]
        for bind in reached:
            if "accept-proxy" in bind.options:
                yield Found(
                    bind.place,
                    f"anybody who reaches {bind.address.text} chooses the client address the mail servers see",
                    "accept-proxy believes the header of every peer, and closes on peers without one",
                    remedy,
                    Level.WARN if bind.address.reach == "private" else None,
                )
        for line in proxy.all("tcp-request", "connection", "expect-proxy"):
            if reached and not {"if", "unless"} & set(line.words):
                yield Found(
                    line.place,
                    f"anybody who reaches {proxy.name} chooses the client address the mail servers see",
                    "expect-proxy without a condition believes the header of every peer",
                    remedy,
                )


@rule("greeting/delayed", Level.WARN)
def greeting_delayed(setup: Setup) -> Iterator[Found]:
    """Nothing waits for the client's first bytes: in SMTP the server speaks first."""
    for proxy in setup.services:
        delay = proxy.last("tcp-request", "inspect-delay")
        looking = [
            line
            for line in proxy.all("tcp-request", "content")
            if any(word.startswith(("req.", "req_", "payload", "req_ssl")) for word in line.words)
        ]
        if delay is not None and looking:
            yield Found(
                looking[0].place,
                f"clients of {proxy.name} wait {delay.words[-1]} for the greeting",
                "this rule waits for bytes of the client until inspect-delay is over, and an SMTP client says nothing "
                "before the server's 220",
                "leave the rule out, or decide by address with `tcp-request connection`",
            )


@rule("limits/maxconn", Level.WARN)
def maxconn(setup: Setup) -> Iterator[Found]:
    """The limit of a section can be reached."""
    total = next((line for line in setup.document.global_directives if line.starts("maxconn")), None)
    if total is None or not total.words[-1].isdecimal():
        return
    for proxy in setup.services:
        line = proxy.last("maxconn")
        if line is not None and proxy.is_front and line.words[-1].isdecimal():
            allowed, whole = int(line.words[-1][:12]), int(total.words[-1][:12])
            if allowed > whole:
                yield Found(
                    line.place,
                    f"maxconn {allowed} of {proxy.name} cannot be reached: global maxconn is {whole}",
                    "at the global limit HAProxy accepts nobody any more: clients wait in the kernel's queue",
                    "raise the global maxconn above the sum of the sections'",
                )


@rule("limits/queue", Level.INFO)
def queue(setup: Setup) -> Iterator[Found]:
    """Whoever waits for a server is told how long."""
    for proxy, server in setup.servers:
        if server.has("maxconn") and proxy.last("timeout", "queue") is None:
            yield Found(
                server.where("maxconn"),
                f"clients beyond maxconn {server.value('maxconn')} of {server.name} wait without a greeting",
                "without `timeout queue` they wait as long as `timeout connect` says, then the connection is closed "
                "without a 421",
                "write `timeout queue`, or let the server answer 421 by itself",
            )
            return


@rule("balance/first", Level.WARN)
def balance_first(setup: Setup) -> Iterator[Found]:
    """Every server gets mail."""
    for proxy in setup.services:
        line = proxy.last("balance")
        first = line is not None and line.words[1:2] == ("first",) and len(proxy.servers) > 1
        if line is not None and first and not any(server.has("maxconn") for server in proxy.servers):
            yield Found(
                line.place,
                f"all sessions of {proxy.name} go to {proxy.servers[0].name}",
                "`balance first` fills the first server up to its maxconn, and it has none",
                "write `balance roundrobin` or `leastconn`, or give the servers a maxconn",
            )


@rule("balance/source-of-proxy", Level.WARN)
def balance_source(setup: Setup) -> Iterator[Found]:
    """`balance source` sees many clients."""
    for proxy in setup.services:
        line = proxy.last("balance")
        if line is None or line.words[1:2] != ("source",) or len(proxy.servers) < 2:
            continue
        if all(bind.address.reach == "local" and "accept-proxy" not in bind.options for bind in proxy.binds) and (
            proxy.binds and not proxy.all("tcp-request", "connection", "expect-proxy")
        ):
            yield Found(
                line.place,
                f"all sessions of {proxy.name} may go to one server",
                "it listens on this machine only: its clients share one address, and `balance source` goes by that",
                "write `balance roundrobin`, or accept the PROXY header of whoever connects",
            )
