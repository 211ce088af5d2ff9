"""Rules about the PROXY header towards the servers (sections 2.1 and 2.2)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from proxyspec_haproxy.config.findings import Found, Level, Setup, rule
from proxyspec_haproxy.version import HAProxyVersion

__all__ = [
    "both_versions",
    "mixed",
    "no_header",
    "only_in_checks",
    "options_without_header",
    "version",
]

_V2: Final = ("send-proxy-v2", "send-proxy-v2-ssl", "send-proxy-v2-ssl-cn")
#: Options without send-proxy* made HAProxy send a version 1 line until the releases of spring 2025 (its issue 2882),
#: which 2.8 and later had; checks get that line still.
_OPTIONS_ALONE_SEND_NOTHING: Final = HAProxyVersion(2, 8)


@rule("header/version", Level.FAIL)
def version(setup: Setup) -> Iterator[Found]:
    """A server gets a header of a version it reads."""
    for _, server in setup.servers:
        sent = server.header
        if sent is not None and sent not in setup.expected.server_versions:
            reads = " and ".join(map(str, sorted(setup.expected.server_versions)))
            yield Found(
                server.where(*(_V2 if sent == 2 else ("send-proxy",))),
                f"server {server.name} gets a version {sent} header and reads version {reads}: no session succeeds",
                "version 2 begins with a binary signature (section 2.2) that is no line of version 1 (section 2.1)",
                f"write {'send-proxy' if sent == 2 else 'send-proxy-v2'}, or teach the server version {sent}",
            )


@rule("header/both-versions", Level.WARN)
def both_versions(setup: Setup) -> Iterator[Found]:
    """A server line names one version."""
    for _, server in setup.servers:
        if server.has("send-proxy") and server.has(*_V2):
            yield Found(
                server.where("send-proxy"),
                f"server {server.name} has send-proxy and {next(k for k in _V2 if server.has(k))}: version 2 is sent",
                "where both stand on a line (or one comes from default-server) version 2 wins, whatever their order",
                "leave one of them; `no-send-proxy-v2` takes back what default-server says",
            )


@rule("header/options-without-header", Level.FAIL)
def options_without_header(setup: Setup) -> Iterator[Found]:
    """proxy-v2-options come with send-proxy-v2."""
    for _, server in setup.servers:
        if not server.has("proxy-v2-options") or server.has(*_V2):
            continue
        if server.has("send-proxy"):
            effect, level = "a version 1 line is sent, which has no room for them", Level.WARN
        elif setup.version >= _OPTIONS_ALONE_SEND_NOTHING:
            effect, level = (
                "its checks get a version 1 line, its traffic no header: it is UP and gets no mail",
                Level.FAIL,
            )
        else:
            effect, level = "a version 1 line is sent", Level.FAIL
        yield Found(
            server.where("proxy-v2-options"),
            f"server {server.name} has proxy-v2-options without send-proxy-v2: {effect}",
            "the options add TLVs (section 2.2.1) to a version 2 header; they do not ask for one",
            "write send-proxy-v2 before them",
            level,
        )


@rule("header/only-in-checks", Level.FAIL)
def only_in_checks(setup: Setup) -> Iterator[Found]:
    """What a check sends, the traffic sends too."""
    for _, server in setup.servers:
        if server.has("check-send-proxy") and server.header is None:
            yield Found(
                server.where("check-send-proxy"),
                f"server {server.name} is green, and its mail waits {setup.expected.header_deadline:g} s for a 421",
                "check-send-proxy puts the header before checks alone; without send-proxy the sessions have none",
                "add send-proxy or send-proxy-v2",
            )


@rule("header/mixed", Level.WARN)
def mixed(setup: Setup) -> Iterator[Found]:
    """All servers of a section get the same header."""
    for proxy in setup.services:
        servers = [
            server for server in proxy.servers if not server.has("disabled", "check-send-proxy") or server.header
        ]
        with_header = [server for server in servers if server.header]
        without = [server for server in servers if not server.header and not server.has("proxy-v2-options")]
        if with_header and without:
            yield Found(
                without[0].place,
                f"no header to {', '.join(server.name for server in without)}, but to the others of {proxy.name}",
                "servers of one pool are set up alike as a rule: one that wants a header and gets none keeps its "
                "clients waiting until its deadline",
                "put send-proxy on a default-server line for all of them",
            )


@rule("header/none", Level.INFO)
def no_header(setup: Setup) -> Iterator[Found]:
    """The servers learn the address of the client."""
    for proxy in setup.services:
        if proxy.servers and not any(s.header or s.has("check-send-proxy", "proxy-v2-options") for s in proxy.servers):
            yield Found(
                proxy.servers[0].place,
                f"no server of {proxy.name} gets a PROXY header",
                "all mail then seems to come from HAProxy: block lists, SPF and limits per client see one address, and "
                "a server that waits for a header answers 421",
                "add send-proxy or send-proxy-v2 where the servers expect it from this HAProxy, and only there",
            )
