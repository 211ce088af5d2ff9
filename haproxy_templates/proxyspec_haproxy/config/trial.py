"""A configuration changed so that it runs here, for a trial: servers and binds on loopback, nothing outside touched.

HAProxy then does to the stand-ins what it would do to the servers. Every change is told.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from proxyspec_haproxy.config.document import Directive, Document, Place, Section, SourceFile
from proxyspec_haproxy.config.proxies import Address, Bind, Proxy, ServerLine, options_of, proxies_of, seconds
from proxyspec_haproxy.config.rewriting import Change, Raw, Rewritten, Words, rewrite
from proxyspec_haproxy.topology import RUN_DIR

__all__ = ["Plan", "StandIn", "TrialBind", "on_loopback", "plan"]

_HERE: Final = "127.0.0.1"
#: What cannot be: discard's port, for servers of sections that carry no SMTP; they are disabled besides.
_NOWHERE: Final = f"{_HERE}:9"
_KEPT_SECTIONS: Final = frozenset(
    ("global", "defaults", "frontend", "backend", "listen", "userlist", "cache", "http-errors")
)
_GLOBAL_OUT_WORDS: Final = """
    chroot user group uid gid daemon pidfile log log-send-hostname cpu-map nbproc ulimit-n unix-bind
    master-worker lua-load lua-load-per-thread lua-prepend-path external-check insecure-fork-wanted
    insecure-setuid-wanted localpeer server-state-file server-state-base ca-base crt-base default-path
    hard-stop-after setcap spread-checks strict-limits ssl-engine ocsp-update.mode ocsp-update.disable
    ocsp-update.httpproxy mworker-max-reloads
"""
_GLOBAL_OUT: Final = frozenset(_GLOBAL_OUT_WORDS.split())
_PROXY_OUT: Final = frozenset(
    (
        "log",
        "email-alert",
        "source",
        "external-check",
        "filter",
        "dispatch",
        "transparent",
        "load-server-state-from-file",
        "errorloc",
        "use-fcgi-app",
        "option http_proxy",
        "option transparent",
        "option external-check",
        "disabled",
        "stats socket",
    )
)
_SERVER_OUT_WORDS: Final = """
    source usesrc interface namespace resolvers resolve-prefer resolve-net resolve-opts init-addr agent-check
    agent-addr agent-port agent-inter agent-send socks4 ca-file crl-file crt verify verifyhost redir log-proto
    ssl-reuse no-verifyhost
"""
_SERVER_OUT: Final = frozenset(_SERVER_OUT_WORDS.split())
_BIND_OUT: Final = frozenset(
    (
        "interface",
        "namespace",
        "transparent",
        "user",
        "uid",
        "group",
        "gid",
        "mode",
        "name",
        "id",
        "ca-sign-file",
        "ca-sign-pass",
    )
)
_BIND_ARGUMENTS: Final = _BIND_OUT - {"transparent"}
_QUICKEST: Final = 1.0
_MAXCONN: Final = 4000


@dataclass(frozen=True, slots=True)
class TrialBind:
    """One address clients of an SMTP service connect to; it moves to a free port of loopback."""

    proxy: str
    bind: Bind
    index: int
    accept_proxy: bool
    expect_proxy: bool
    tls: bool


@dataclass(frozen=True, slots=True)
class StandIn:
    """One server line of an SMTP service; a reference server takes its place, with TLS where the line says `ssl`."""

    proxy: str
    server: ServerLine
    tls: bool


@dataclass(frozen=True, slots=True)
class Plan:
    """What a trial needs: stand-ins and ports."""

    servers: tuple[StandIn, ...]
    binds: tuple[TrialBind, ...]


def _binds(proxy: Proxy) -> list[tuple[Directive, int]]:
    """Every address of a proxy's bind lines, and the one on its section's line: the line, and its position there."""
    found = [
        (line, index)
        for line in proxy.section.directives
        if line.keyword == "bind" and len(line.words) > 1
        for index, _ in enumerate(part for part in line.words[1].split(",") if part)
    ]
    head = proxy.section.head
    if len(head.words) > 2 and ":" in head.words[2]:
        found.append((head, 0))
    return found


def plan(document: Document) -> Plan:
    """Say which server lines want a stand-in and which addresses a port: those of sections in mode tcp."""
    servers: list[StandIn] = []
    binds: list[TrialBind] = []
    for proxy in proxies_of(document):
        if proxy.mode == "http":
            continue
        servers += [StandIn(proxy.name, server, server.has("ssl", "check-ssl")) for server in proxy.servers]
        expects = bool(proxy.all("tcp-request", "connection", "expect-proxy"))
        for line, index in _binds(proxy):
            options = frozenset(line.words[2:])
            known = [bind for bind in proxy.binds if bind.directive is line]
            bind = known[index] if known else Bind(Address.parse(line.words[2]), line, frozenset())
            binds.append(TrialBind(proxy.name, bind, index, "accept-proxy" in options, expects, "ssl" in options))
    return Plan(tuple(servers), tuple(binds))


def on_loopback(
    document: Document,
    files: Sequence[SourceFile],
    servers: Mapping[Place, tuple[int, int | None]],
    binds: Mapping[tuple[Place, int], int],
    *,
    environment: Mapping[str, str],
) -> Rewritten:
    """Rewrite a configuration for a trial.

    `servers` gives, by the place of a server line, the ports of its stand-in on 127.0.0.1: in clear and with TLS.
    `binds` gives, by place and position, the port an address moves to. Raises KeyError when one of `plan` is missing.
    """
    modes = {id(proxy.section): proxy.mode for proxy in proxies_of(document)}
    proxies = {id(proxy.section): proxy for proxy in proxies_of(document)}
    rewriter = _Trial(servers, binds, modes, proxies)
    before: list[Words] = [
        ("stats", "socket", Raw(f'"{RUN_DIR}/haproxy.sock"'), "mode", "600", "level", "admin"),
        ("hard-stop-after", "2s"),
        ("log", "stdout", "format", "raw", "local0"),
    ]
    return rewrite(
        document, files, rewriter.change, before=before, environment=environment, unread=False, changes=rewriter.changes
    )


class _Trial:
    def __init__(
        self,
        servers: Mapping[Place, tuple[int, int | None]],
        binds: Mapping[tuple[Place, int], int],
        modes: Mapping[int, str],
        proxies: Mapping[int, Proxy],
    ) -> None:
        self.servers = servers
        self.binds = binds
        self.modes = modes
        self.proxies = proxies
        self.changes: list[Change] = []

    def told(self, line: Directive, what: str) -> None:
        self.changes.append(Change(line.place, what))

    def change(self, section: Section, line: Directive, localised: Words | None) -> list[Words] | None:
        if section.kind not in _KEPT_SECTIONS:
            if line is section.head:
                self.told(line, f"section {section.kind} {section.name} is left out".rstrip())
            return []
        if line is section.head:
            return self._head(section, line)
        if section.kind == "global":
            return self._global(line)
        if section.kind in ("userlist", "cache", "http-errors"):
            return None
        if line.keyword in ("server", "server-template"):
            return [self._server(section, line)]
        if line.keyword == "default-server":
            return [self._options(line, line.words[1:], ["default-server"])]
        if line.keyword == "bind" and len(line.words) > 1:
            return self._bind(section, line, localised)
        return self._proxy_line(line)

    def _head(self, section: Section, line: Directive) -> list[Words] | None:
        port = self.binds.get((line.place, 0))
        if port is None:
            return None
        self.told(
            line, f"{line.words[2]} on the section's line, which HAProxy refuses, is taken as `bind {_HERE}:{port}`"
        )
        return [line.words[:2], ("bind", f"{_HERE}:{port}")]

    def _global(self, line: Directive) -> list[Words] | None:
        if (
            line.keyword in _GLOBAL_OUT
            or line.starts("stats")
            or line.keyword.startswith(("httpclient.", "51degrees", "deviceatlas", "wurfl"))
        ):
            self.told(line, f"`{' '.join(line.words[:2])}` is left out")
            return []
        number = line.words[1] if line.keyword == "maxconn" and len(line.words) > 1 else ""
        if number.isdecimal() and int(number[:12]) > _MAXCONN:
            self.told(line, f"maxconn {number} becomes {_MAXCONN}")
            return [("maxconn", str(_MAXCONN))]
        return None

    def _proxy_line(self, line: Directive) -> list[Words] | None:
        words = [word for word in line.words if word != "no"] or [""]
        if words[:2] == ["log", "global"]:
            return None  # the log of the trial
        if words[0] in _PROXY_OUT or " ".join(words[:2]) in _PROXY_OUT or any("lua." in word for word in words):
            self.told(line, f"`{' '.join(line.words[:2])}` is left out")
            return []
        if words[0] == "stick-table" and "peers" in words[:-1]:
            at = line.words.index("peers")
            self.told(line, "peers of the stick-table are left out")
            return [(*line.words[:at], *line.words[at + 2 :])]
        if line.words[:2] in (("tcp-check", "connect"), ("http-check", "connect")):
            kept = list(line.words)
            for name in ("addr", "port"):
                if name in kept[:-1]:
                    at = kept.index(name)
                    self.told(line, f"{name} {kept[at + 1]} of the check is left out: it goes to the stand-in")
                    del kept[at : at + 2]
            return [kept]
        return None

    def _bind(self, section: Section, line: Directive, localised: Words | None) -> list[Words]:
        words = list(localised if localised is not None else line.words)
        count = len([part for part in line.words[1].split(",") if part])
        if self.modes.get(id(section)) == "http":
            self.told(line, f"{line.words[1]} is left out: {section.name} is in mode http")
            return []
        rest: list[str | Raw] = []
        options = words[2:]
        while options:
            word = options.pop(0)
            if isinstance(word, str) and word in _BIND_OUT:
                if word in _BIND_ARGUMENTS:
                    del options[:1]
                continue
            rest.append(word)
        moved = [f"{_HERE}:{self.binds[line.place, index]}" for index in range(count)]
        self.told(line, f"{line.words[1]} moves to {', '.join(moved)}")
        return [["bind", ",".join(moved), *rest]]

    def _server(self, section: Section, line: Directive) -> Words:
        begin = 4 if line.keyword == "server-template" else 3
        start: tuple[str, ...] = line.words[: begin - 1]
        if self.modes.get(id(section)) == "http":
            self.told(line, f"server {line.words[1]} is disabled: {section.name} is in mode http")
            return (*start, _NOWHERE, "disabled")
        clear, encrypted = self.servers[line.place]
        server = next(s for s in self.proxies[id(section)].servers if s.directive is line)
        port = encrypted if encrypted is not None and server.has("ssl") else clear
        self.told(line, f"server {line.words[1]}: {line.words[begin - 1]} becomes {_HERE}:{port}")
        words = self._options(line, line.words[begin:], [*start, f"{_HERE}:{port}"])
        # Of its own or from default-server: a check of another place now goes to the stand-in, as one of its own still.
        for name, now in (("addr", _HERE), ("port", str(port))):
            said = server.value(name)
            if said is not None:
                words += [name, now]
                self.told(line, f"check {name} {said} becomes {now}")
        return words

    def _options(self, line: Directive, words: Sequence[str], kept: list[str]) -> list[str]:
        for name, arguments in options_of(words):
            value = arguments[0] if arguments else ""
            pause = seconds(value) if name in ("inter", "fastinter", "downinter") else None
            if name in _SERVER_OUT:
                self.told(line, f"`{' '.join((name, *arguments))}` is left out")
            elif pause is not None and pause > _QUICKEST:
                kept += [name, f"{_QUICKEST:g}s"]
                self.told(line, f"{name} {value} becomes {_QUICKEST:g}s, so that health shows soon")
            elif name not in ("port", "addr"):
                kept += [name, *arguments]
            if name in ("ssl", "check-ssl"):
                kept += ["verify", "none"]
        return kept
