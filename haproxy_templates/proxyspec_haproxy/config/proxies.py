"""The proxies of a configuration as HAProxy will run them: defaults applied, binds and servers taken apart."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from proxyspec_haproxy.config.document import Directive, Document, Place, Section

__all__ = ["SERVER_ARGUMENTS", "Address", "Bind", "Proxy", "ServerLine", "options_of", "proxies_of", "seconds"]

_SERVER_ARGUMENTS: Final = """
    addr agent-addr agent-inter agent-port agent-send alpn ca-file check-alpn check-proto check-sni
    check-via-sni ciphers ciphersuites client-sigalgs cookie crl-file crt curves downinter ecdhe error-limit
    fall fastinter guid hash-key id idle-ping init-addr init-state inter interface log-bufsize log-proto
    max-reuse maxconn maxqueue minconn namespace npn observe on-error on-marked-down on-marked-up pool-conn-name
    pool-low-conn pool-max-conn pool-purge-delay port proto proxy-v2-options redir resolve-net resolve-opts
    resolve-prefer resolvers rise shard sigalgs slowstart sni socks4 source ssl-max-ver ssl-min-ver tcp-ut track
    usesrc verify verifyhost weight ws
"""
#: Options of a server line that take one argument (`source` may take more); all others stand alone.
SERVER_ARGUMENTS: Final = frozenset(_SERVER_ARGUMENTS.split())
_UNITS: Final[Mapping[str, float]] = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_TIME: Final = re.compile(r"(\d{1,12})(us|ms|s|m|h|d)?")
_V2: Final = ("send-proxy-v2", "send-proxy-v2-ssl", "send-proxy-v2-ssl-cn")
#: Ports mail servers and their proxies listen on, as far as they are customary.
_SMTP_PORTS: Final = frozenset((25, 465, 587, 2465, 2525, 2587, 10024, 10025, 10026))
#: Ports whose header towards a server says nothing of mail.
_WEB_PORTS: Final = frozenset((80, 443, 8080, 8443))
_CHECKS: Final = re.compile(r"(?:\w+-check|httpchk|\w+-hello-chk|smtpchk|tcp-check|ldap-check|spop-check)")
_ASKS_SMTP: Final = re.compile(r"\b(?:HELO|EHLO|QUIT)\b|\^?\(?\[?22[01]", re.IGNORECASE)


def seconds(text: str) -> float | None:
    """Read a time of haproxy.cfg, milliseconds where no unit stands; None for anything else."""
    match = _TIME.fullmatch(text)
    return int(match[1]) * _UNITS[match[2] or "ms"] if match else None


@dataclass(frozen=True, slots=True)
class Address:
    """An address of a bind or server line.

    `family` is tcp, or the prefix or kind of anything else (unix, abns, fd, sockpair, udp …); `host` is empty for all
    addresses; `port` is the first of a range, and None where none is given, or where it is relative to the client's.
    """

    text: str
    family: str
    host: str
    port: int | None

    @classmethod
    def parse(cls, text: str) -> Address:
        """Take an address apart; whatever it holds, nothing is raised."""
        prefix, at, rest = text.rpartition("@")
        family = prefix.rpartition("+")[2] if at else ""
        if family not in ("", "ipv4", "ipv6", "tcp", "tcp4", "tcp6", "stream"):
            return cls(text, family, rest, None)
        if rest.startswith("/"):
            return cls(text, "unix", rest, None)
        host, colon, ports = rest.rpartition(":")
        if not colon or (ports and not re.fullmatch(r"[+-]?\d{1,5}(?:-\d{1,5})?", ports)):
            host, ports = rest, ""
        host = host.strip("[]")
        first = ports.partition("-")[0]
        port = int(first) if first.isdecimal() else None
        return cls(text, "tcp", "" if host in ("*", "0.0.0.0") else host, port)  # noqa: S104

    @property
    def is_name(self) -> bool:
        """Whether the host has to be looked up."""
        try:
            ipaddress.ip_address(self.host)
        except ValueError:
            return self.family == "tcp" and self.host not in ("", "::")
        return False

    @property
    def reach(self) -> str:
        """Who can connect to it: `local`, `private` (addresses no router of the internet passes on) or `public`."""
        if self.family != "tcp" or self.host == "localhost":
            return "local"
        try:
            address = ipaddress.ip_address(self.host or "::")
        except ValueError:
            return "public"
        if address.is_unspecified:
            return "public"
        if address.is_loopback:
            return "local"
        return "private" if address.is_private else "public"


@dataclass(frozen=True, slots=True)
class Option:
    """One option of a bind or server line: its arguments and the place it comes from."""

    arguments: tuple[str, ...]
    place: Place

    @property
    def value(self) -> str:
        """Its argument, empty when it has none."""
        return self.arguments[0] if self.arguments else ""


def options_of(words: Sequence[str]) -> Iterator[tuple[str, tuple[str, ...]]]:
    """Cut the options of a server line into names and arguments."""
    rest = list(words)
    while rest:
        name = rest.pop(0)
        takes = 1 if name in SERVER_ARGUMENTS or name.startswith("set-proxy-v2-tlv-fmt(") else 0
        yield name, tuple(rest[:takes])
        del rest[:takes]


@dataclass(frozen=True, slots=True)
class ServerLine:
    """One server (or server-template) line with the options of the default-server lines before it."""

    name: str
    address: Address
    directive: Directive
    options: Mapping[str, Option]

    @property
    def place(self) -> Place:
        """Where its line stands."""
        return self.directive.place

    def has(self, *names: str) -> bool:
        """Whether any of these options is set."""
        return any(name in self.options for name in names)

    def value(self, name: str) -> str | None:
        """Return the argument of an option, None when it is not set."""
        return self.options[name].value if name in self.options else None

    def where(self, *names: str) -> Place:
        """Return the place of the first of these options that is set, or of the line."""
        return next((self.options[name].place for name in names if name in self.options), self.place)

    @property
    def header(self) -> int | None:
        """Version of the PROXY header its traffic begins with; None for no header. Where both are asked for, 2 wins."""
        if self.has(*_V2):
            return 2
        return 1 if self.has("send-proxy") else None

    @property
    def own_check_place(self) -> bool:
        """Whether its check goes to a port or address of its own, which takes the header away from it."""
        return self.has("port", "addr")

    @property
    def check_header(self) -> int | None:
        """Version of the header its checks begin with, as far as tcp-check rules leave that to the server line."""
        if self.has("check-send-proxy"):
            return self.header or 1
        return None if self.own_check_place else self.header

    @property
    def checked(self) -> bool:
        """Whether HAProxy finds out if it is alive."""
        return self.has("check", "track")


@dataclass(frozen=True, slots=True)
class Bind:
    """One address a proxy listens on."""

    address: Address
    directive: Directive
    options: frozenset[str]

    @property
    def place(self) -> Place:
        """Where its line stands."""
        return self.directive.place


@dataclass(frozen=True, slots=True)
class Proxy:
    """A frontend, backend or listen section with what its defaults section gives it; defaults come first."""

    section: Section
    lines: tuple[Directive, ...]
    binds: tuple[Bind, ...]
    servers: tuple[ServerLine, ...]

    @property
    def name(self) -> str:
        """Its name."""
        return self.section.name

    @property
    def place(self) -> Place:
        """Where it begins."""
        return self.section.place

    @property
    def is_front(self) -> bool:
        """Whether clients may connect to it."""
        return self.section.kind in ("listen", "frontend")

    @property
    def is_back(self) -> bool:
        """Whether it may have servers."""
        return self.section.kind in ("listen", "backend")

    def own(self, directive: Directive) -> bool:
        """Whether a line stands in the section itself rather than in its defaults."""
        return directive in self.section.directives

    def all(self, *words: str) -> list[Directive]:
        """Return the lines that begin with these words, defaults first."""
        return [line for line in self.lines if line.starts(*words)]

    def last(self, *words: str) -> Directive | None:
        """Return the line of these words that counts: the last one, unless a `no` comes after it."""
        found = None
        for line in self.lines:
            if line.starts(*words):
                found = line
            elif line.keyword == "no" and line.words[1:] == words:
                found = None
        return found

    @property
    def mode(self) -> str:
        """Return `tcp` or `http`; without a `mode` line it is tcp."""
        line = self.last("mode")
        return line.words[1] if line is not None and len(line.words) > 1 else "tcp"

    def timeout(self, name: str) -> tuple[float, Directive] | None:
        """Return a timeout in seconds and its line; None when it is not set, or not in a form HAProxy reads."""
        line = self.last("timeout", name)
        value = seconds(line.words[2]) if line is not None and len(line.words) > 2 else None
        return (value, line) if value is not None and line is not None else None

    @property
    def check_option(self) -> Directive | None:
        """The `option smtpchk`, `tcp-check`, `httpchk` … that counts: the last; None for a check of layer 4."""
        found = None
        for line in self.lines:
            off = line.keyword == "no"
            words = line.words[1:] if off else line.words
            if len(words) > 1 and words[0] == "option" and _CHECKS.fullmatch(words[1]):
                if not off:
                    found = line
                elif found is not None and found.words[1] == words[1]:
                    found = None
        return found

    @property
    def check_kind(self) -> str:
        """Return what its checks do: `l4`, or `smtpchk`, `tcp-check`, `httpchk` …"""
        option = self.check_option
        return option.words[1] if option is not None else "l4"

    @property
    def tcp_check(self) -> list[Directive]:
        """The rules of tcp-check. A section with rules of its own takes none of its defaults'."""
        rules = self.all("tcp-check")
        return [rule for rule in rules if self.own(rule)] or rules

    @property
    def speaks_smtp(self) -> bool:
        """Whether anything in it says so: a customary port, an SMTP check, a header towards its servers in mode tcp."""
        if self.check_kind == "smtpchk" or any(bind.address.port in _SMTP_PORTS for bind in self.binds):
            return True
        if any(server.address.port in _SMTP_PORTS for server in self.servers):
            return True
        if self.mode == "http":
            return False
        if any(_ASKS_SMTP.search(" ".join(rule.words[1:])) for rule in self.tcp_check):
            return True
        ports = {bind.address.port for bind in self.binds} | {server.address.port for server in self.servers}
        return any(server.header for server in self.servers) and not ports & _WEB_PORTS


def _default_options(lines: Sequence[Directive]) -> dict[str, Option]:
    options: dict[str, Option] = {}
    for line in lines:
        _apply(options, line.words[1:], line.place)
    return options


def _apply(options: dict[str, Option], words: Sequence[str], place: Place) -> None:
    for name, arguments in options_of(words):
        if name in ("no-send-proxy-v2", "no-send-proxy-v2-ssl", "no-send-proxy-v2-ssl-cn"):
            taken = {each: options.pop(each) for each in _V2 if each in options}
            # It takes version 2 back; what the longer keywords ask of the header stays, unless it names one of them.
            if name == "no-send-proxy-v2" and taken.keys() - {name.removeprefix("no-")}:
                options["proxy-v2-options"] = next(reversed(taken.values()))
        elif name.startswith("no-") and len(name) > 3:
            options.pop(name.removeprefix("no-"), None)
        else:
            options[name] = Option(arguments, place)


def _numbers(text: str) -> str:
    """Write the numbers of a server-template's servers as a range: `3` stands for 1 to 3."""
    return f"1-{text}" if text.isdecimal() and int(text[:9]) > 1 else text


def _server(line: Directive, defaults: Sequence[Directive]) -> ServerLine | None:
    template = line.keyword == "server-template"
    begin = 4 if template else 3
    if len(line.words) < begin:
        return None
    options = _default_options(defaults)
    _apply(options, line.words[begin:], line.place)
    name = f"{line.words[1]}{_numbers(line.words[2])}" if template else line.words[1]
    return ServerLine(name, Address.parse(line.words[begin - 1]), line, options)


def _proxy(section: Section, inherited: Sequence[Directive]) -> Proxy:
    lines = (*inherited, *section.directives)
    binds: list[Bind] = []
    servers: list[ServerLine] = []
    defaults: list[Directive] = []
    for line in lines:
        if line.keyword == "bind" and len(line.words) > 1:
            addresses = [part for part in line.words[1].split(",") if part]
            binds += [Bind(Address.parse(text), line, frozenset(line.words[2:])) for text in addresses]
        elif line.keyword == "default-server":
            defaults.append(line)
        elif line.keyword in ("server", "server-template"):
            server = _server(line, defaults)
            if server is not None:
                servers.append(server)
    return Proxy(section, lines, tuple(binds), tuple(servers))


def proxies_of(document: Document) -> tuple[Proxy, ...]:
    """Return every frontend, backend and listen section, in order, with its defaults.

    Without `from` those are the newest defaults section before it; one named by `from` may itself name another.
    """
    by_name: dict[str, tuple[Directive, ...]] = {}
    newest: tuple[Directive, ...] = ()
    proxies: list[Proxy] = []
    for section in document.sections:
        if section.kind == "defaults":
            inherited = by_name.get(section.parent, ()) if section.parent is not None else ()
            newest = (*inherited, *section.directives)
            if section.name:
                by_name[section.name] = newest
        elif section.kind in ("frontend", "backend", "listen"):
            proxies.append(_proxy(section, by_name.get(section.parent, ()) if section.parent is not None else newest))
    return tuple(proxies)
