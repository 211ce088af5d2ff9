"""What stands where in a generated HAProxy configuration: typed, frozen, and checked when it is made.

Durations are seconds (float), ports are TCP ports. Every class refuses bad values with a ValueError naming field
and value, so that a template can print what it is given.
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import ClassVar, Final

__all__ = [
    "FILES_DIR",
    "RUN_DIR",
    "Bind",
    "Chain",
    "CheckConnect",
    "CheckExpect",
    "CheckKind",
    "CheckRule",
    "CheckSend",
    "Documented",
    "Edge",
    "HostPort",
    "Listen",
    "Listener",
    "ProxyHeader",
    "Relay",
    "RelayMode",
    "Server",
    "Settings",
    "Timeouts",
    "Tls",
    "Topology",
    "milliseconds",
]

# HAProxy replaces these in double quotes, which the templates put around addresses and paths. The engines set them, so
# one configuration text fits a container and a local process alike.
RUN_DIR: Final = "${PROXYSPEC_RUN_DIR}"
FILES_DIR: Final = "${PROXYSPEC_FILES_DIR}"

_NAME: Final = re.compile(r"[A-Za-z0-9_.:-]{1,64}")
_HOST: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9.-]{0,251}[A-Za-z0-9])?")
_TLV_TYPES: Final = range(256)
_UNIX_PATH_MAX: Final = 97  # HAProxy binds "<path>.<pid>.tmp" first, which must fit in 107 bytes


class ProxyHeader(StrEnum):
    """The PROXY protocol header HAProxy sends to a server (sections 2.1 and 2.2)."""

    NONE = "none"
    V1 = "v1"
    V2 = "v2"
    V2_SSL = "v2-ssl"
    V2_SSL_CN = "v2-ssl-cn"

    @property
    def keyword(self) -> str:
        """The keyword of the server line; empty for NONE."""
        return {"none": "", "v1": "send-proxy"}.get(self.value, f"send-proxy-{self.value}")


class CheckKind(StrEnum):
    """How HAProxy checks the health of a listener's servers."""

    NONE = "none"
    L4 = "l4"  # a TCP connection is enough
    SMTP = "smtpchk"  # banner, HELO or EHLO, QUIT
    TCP = "tcpcheck"  # banner 220, QUIT, 221, or rules of its own


@dataclass(frozen=True, slots=True)
class CheckConnect:
    """`tcp-check connect`: without `default` it takes nothing from the server line, its header included.

    `linger` ends the check with a FIN where HAProxy would send an RST.
    """

    default: bool = True
    linger: bool = False


@dataclass(frozen=True, slots=True)
class CheckExpect:
    """`tcp-check expect rstring`: wait for bytes that match a regular expression."""

    pattern: str

    def __post_init__(self) -> None:
        _require_plain("pattern of a check", self.pattern)


@dataclass(frozen=True, slots=True)
class CheckSend:
    """`tcp-check send`: one line of SMTP; CR LF is added."""

    line: str

    def __post_init__(self) -> None:
        _require_plain("line of a check", self.line)


CheckRule = CheckConnect | CheckExpect | CheckSend


class RelayMode(StrEnum):
    """How a relay takes the PROXY protocol from whoever connects to it."""

    ACCEPT = "accept-proxy"  # from everybody, on the bind line
    EXPECT = "expect-proxy"  # from trusted sources only, as a rule; others pass without a header


def _require_name(what: str, value: str) -> None:
    if not _NAME.fullmatch(value):
        raise ValueError(f"{what} {value!r}: use 1 to 64 letters, digits, and any of _ . : - (no blanks)")


def _require_plain(what: str, value: str) -> None:
    # One word, or several of HAProxy's own syntax: never a second line, which would be a directive of its own.
    if not value.strip() or not value.isprintable():
        raise ValueError(f"{what} {value!r}: expected one line of printable text")


def _require_port(what: str, value: int) -> None:
    if isinstance(value, bool) or not 1 <= value <= 65535:
        raise ValueError(f"{what} {value}: a TCP port lies between 1 and 65535")


def _require_count(what: str, value: int | None, *, least: int = 1, most: int = 2**31 - 1) -> None:
    if value is not None and not least <= value <= most:
        raise ValueError(f"{what} {value}: must lie between {least} and {most}")


def _require_seconds(what: str, value: float | None) -> None:
    if value is not None and not 0.001 <= value <= 86_400 * 24:
        raise ValueError(f"{what} {value}: must lie between 0.001 seconds and 24 days")


def _require_word(what: str, value: str, variables: tuple[str, ...]) -> None:
    """Accept what can stand between double quotes as it is: no quote, blank or backslash, no variable but ours."""
    rest = value
    for variable in variables:
        rest = rest.replace(variable, "")
    if not value or not value.isprintable() or any(c in "\"'\\$# " for c in rest):
        raise ValueError(
            f"{what} {value!r}: no blanks, quotes, #, backslashes, nor $ other than {' and '.join(variables)}"
        )


def milliseconds(seconds: float) -> str:
    """Write seconds in HAProxy's notation, to the nearest whole millisecond: 0.5 -> "500ms"."""
    _require_seconds("duration", seconds)
    return f"{max(1, round(seconds * 1000))}ms"


@dataclass(frozen=True, slots=True)
class HostPort:
    """A TCP address: an IPv4 or IPv6 address (without brackets) or a host name, and a port."""

    host: str
    port: int

    def __post_init__(self) -> None:
        try:
            ipaddress.ip_address(self.host)
        except ValueError:
            if not _HOST.fullmatch(self.host):
                raise ValueError(
                    f"host {self.host!r}: expected an IP address without brackets, or a host name"
                ) from None
        _require_port("port", self.port)

    @classmethod
    def parse(cls, text: str) -> HostPort:
        """Read "127.0.0.1:25", "[::1]:25" or "mx.example:25"; raises ValueError naming the text."""
        match = re.fullmatch(r"(?:\[(?P<v6>[0-9A-Fa-f:.]+)\]|(?P<host>[^:\[\]]+)):(?P<port>[0-9]{1,5})", text)
        if match is None:
            raise ValueError(f"address {text!r}: expected HOST:PORT, with an IPv6 host in brackets")
        return cls(match["v6"] or match["host"], int(match["port"]))

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


def _require_address(what: str, value: HostPort | str) -> None:
    """Accept a HostPort or a UNIX socket, "unix@/path"; RUN_DIR may stand in the path."""
    if isinstance(value, HostPort):
        return
    if not value.startswith("unix@"):
        raise ValueError(f"{what} {value!r}: expected HostPort, or unix@/path for a UNIX socket")
    _require_word(what, value, (RUN_DIR,))
    if len(value.removeprefix("unix@")) > _UNIX_PATH_MAX:
        raise ValueError(f"{what} {value!r}: HAProxy takes a socket path of at most {_UNIX_PATH_MAX} characters")


@dataclass(frozen=True, slots=True)
class Timeouts:
    """HAProxy's timeouts in seconds; None leaves a directive out."""

    connect: float = 2.0
    client: float = 60.0
    server: float = 60.0
    check: float | None = None
    queue: float | None = 5.0

    def __post_init__(self) -> None:
        for name in ("connect", "client", "server", "check", "queue"):
            _require_seconds(f"timeout {name}", getattr(self, name))


@dataclass(frozen=True, slots=True)
class Settings:
    """The `global` and `defaults` sections.

    `maxconn` must fit the limit of open files (two per connection); `hard_stop` bounds, in seconds, a graceful stop
    with sessions still open; `retries` is 0 so that a refused connection is told at once instead of after a second
    each; `log_level` "notice" leaves out the line per session, for load. `never_send_local` makes checks send a PROXY
    header of version 2 in place of a LOCAL one (section 2.2), for all proxies.
    """

    timeouts: Timeouts = field(default_factory=Timeouts)
    maxconn: int = 4000
    nbthread: int | None = None
    hard_stop: float = 2.0
    spread_checks: int | None = None
    retries: int = 0
    stats_tcp: HostPort | None = None
    log_level: str = "info"
    never_send_local: bool = False

    def __post_init__(self) -> None:
        _require_count("maxconn", self.maxconn)
        _require_count("nbthread", self.nbthread, most=64)
        _require_seconds("hard_stop", self.hard_stop)
        _require_count("spread_checks", self.spread_checks, least=0, most=50)
        _require_count("retries", self.retries, least=0)
        if self.log_level not in ("debug", "info", "notice", "warning", "err"):
            raise ValueError(f"log_level {self.log_level!r}: use debug, info, notice, warning or err")


@dataclass(frozen=True, slots=True)
class Server:
    """One server line.

    `check_proxy` says whether `check-send-proxy` stands there; None means: when the traffic has a header. A check sends
    the header anyhow as soon as the traffic does, unless it has a port of its own: `check_port` (the server's own port
    will do) with `check_proxy=False` gives a check without a header. `inter`, `fastinter` and `downinter` are seconds.
    `tlvs` are pairs of a TLV type (section 2.2; 0 to 255) and a log-format.
    """

    name: str
    address: HostPort | str
    proxy: ProxyHeader = ProxyHeader.V1
    check: bool = True
    check_proxy: bool | None = None
    check_port: int | None = None
    inter: float = 1.0
    fastinter: float | None = None
    downinter: float | None = None
    rise: int | None = None
    fall: int | None = None
    v2_options: tuple[str, ...] = ()
    tlvs: tuple[tuple[int, str], ...] = ()
    maxconn: int | None = None
    maxqueue: int | None = None
    weight: int | None = None
    backup: bool = False
    extra: str | None = None

    def __post_init__(self) -> None:
        _require_name("server name", self.name)
        _require_address(f"address of server {self.name}", self.address)
        if self.check_port is not None:
            _require_port(f"check_port of server {self.name}", self.check_port)
        for name in ("inter", "fastinter", "downinter"):
            _require_seconds(f"{name} of server {self.name}", getattr(self, name))
        for name in ("rise", "fall", "maxconn", "maxqueue"):
            _require_count(f"{name} of server {self.name}", getattr(self, name))
        _require_count(f"weight of server {self.name}", self.weight, least=0, most=256)
        for option in self.v2_options:
            _require_name(f"proxy-v2-options of server {self.name}:", option)
        for tlv_type, _ in self.tlvs:
            if tlv_type not in _TLV_TYPES:
                raise ValueError(f"TLV type {tlv_type} of server {self.name}: a type is one byte, 0 to 255")
        if self.extra is not None:
            _require_plain(f"extra of server {self.name}", self.extra)

    @property
    def sends_check_header(self) -> bool:
        """Whether `check-send-proxy` belongs on the line."""
        return self.proxy is not ProxyHeader.NONE if self.check_proxy is None else self.check_proxy

    @property
    def features(self) -> frozenset[str]:
        """The names in version.FEATURES this line needs."""
        needed = set()
        if self.tlvs:
            needed.add("set-proxy-v2-tlv-fmt")
        if any("fc_pp_tlv" in fmt for _, fmt in self.tlvs):
            needed.add("fc_pp_tlv")
        if "unique-id" in self.v2_options:
            needed.add("proxy-v2-options unique-id")
        return frozenset(needed)


@dataclass(frozen=True, slots=True)
class Bind:
    """One bind line; `crt` makes it TLS, `ca_file` asks for a client certificate with `verify` optional or required."""

    address: HostPort | str
    accept_proxy: bool = False
    crt: str | None = None
    ca_file: str | None = None
    verify: str = "optional"
    extra: str | None = None

    def __post_init__(self) -> None:
        _require_address("bind address", self.address)
        for name, path in (("crt", self.crt), ("ca_file", self.ca_file)):
            if path is not None:
                _require_word(f"{name} of bind {self.address}", path, (FILES_DIR, RUN_DIR))
        if self.ca_file is not None and self.crt is None:
            raise ValueError(f"ca_file of bind {self.address}: client certificates need TLS, so give crt too")
        if self.verify not in ("none", "optional", "required"):
            raise ValueError(f"verify {self.verify!r} of bind {self.address}: use none, optional or required")
        if self.extra is not None:
            _require_plain(f"extra of bind {self.address}", self.extra)


def _require_servers(what: str, servers: tuple[Server, ...]) -> None:
    names = [server.name for server in servers]
    for name in names:
        if names.count(name) > 1:
            raise ValueError(f"{what}: two servers are called {name!r}")


@dataclass(frozen=True, slots=True)
class Listener:
    """A `listen` section, or a `backend` when it has no bind: HAProxy then only checks its servers.

    `helo` is what smtpchk says ("EHLO probe.example.test"); `rules` are what a TCP check does in place of banner, QUIT
    and 221; `extra` are more directives, one line each.
    """

    name: str
    binds: tuple[Bind, ...]
    servers: tuple[Server, ...]
    check: CheckKind = CheckKind.SMTP
    helo: str | None = None
    balance: str = "roundrobin"
    extra: tuple[str, ...] = ()
    rules: tuple[CheckRule, ...] = ()

    def __post_init__(self) -> None:
        _require_name("listener name", self.name)
        if self.rules and self.check is not CheckKind.TCP:
            raise ValueError(f"rules of listener {self.name}: they need check {CheckKind.TCP}, not {self.check}")
        _require_servers(f"listener {self.name}", self.servers)
        _require_name(f"balance of listener {self.name}", self.balance)
        if self.helo is not None and not re.fullmatch(r"(?:HELO|EHLO) [!-~]+", self.helo):
            raise ValueError(f"helo {self.helo!r} of listener {self.name}: expected 'HELO name' or 'EHLO name'")
        for line in self.extra:
            _require_plain(f"extra of listener {self.name}", line)


@dataclass(frozen=True, slots=True)
class Documented:
    """The listener of Haraka's HAProxy page, word for word but for its address, which HAProxy takes from `bind` only.

    The page has five servers smtp1 to smtp5. `check` is SMTP as on the page, or TCP for the variant it recommends.
    """

    name: str
    bind: HostPort
    servers: tuple[HostPort, ...]
    check: CheckKind = CheckKind.SMTP

    def __post_init__(self) -> None:
        _require_name("listener name", self.name)
        if not self.servers:
            raise ValueError(f"servers of listener {self.name}: the documented listener has some, name at least one")
        if self.check not in (CheckKind.SMTP, CheckKind.TCP):
            raise ValueError(f"check {self.check} of listener {self.name}: the page documents smtpchk and tcpcheck")


@dataclass(frozen=True, slots=True)
class Edge:
    """The first HAProxy of a chain: takes plain SMTP and sends a header to the relay."""

    bind: HostPort
    proxy: ProxyHeader = ProxyHeader.V1

    def __post_init__(self) -> None:
        if self.proxy is ProxyHeader.NONE:
            raise ValueError("proxy of the edge: the relay behind it takes a header, so use v1 or v2")


@dataclass(frozen=True, slots=True)
class Relay:
    """The second HAProxy of a chain: takes the header and sends one on.

    `trusted` are the addresses or networks whose header EXPECT takes.
    """

    bind: HostPort
    servers: tuple[Server, ...]
    mode: RelayMode = RelayMode.ACCEPT
    trusted: tuple[str, ...] = ()
    check: CheckKind = CheckKind.NONE

    def __post_init__(self) -> None:
        _require_servers("relay", self.servers)
        for source in self.trusted:
            try:
                ipaddress.ip_network(source, strict=False)
            except ValueError:
                raise ValueError(f"trusted source {source!r} of the relay: expected an IP address or network") from None
        if self.trusted and self.mode is RelayMode.ACCEPT:
            raise ValueError("trusted sources of the relay: accept-proxy trusts everybody; use mode expect-proxy")


@dataclass(frozen=True, slots=True)
class Listen:
    """Any number of SMTP listeners in front of their servers, documented ones after the others."""

    template: ClassVar[str] = "listen.cfg.j2"
    listeners: tuple[Listener, ...]
    settings: Settings = field(default_factory=Settings)
    documented: tuple[Documented, ...] = ()

    def __post_init__(self) -> None:
        names = [*(listener.name for listener in self.listeners), *(page.name for page in self.documented)]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"two listeners are called {name!r}")


@dataclass(frozen=True, slots=True)
class Chain:
    """HAProxy as receiver and forwarder: edge (may be absent) -> relay -> servers."""

    template: ClassVar[str] = "chain.cfg.j2"
    relay: Relay
    edge: Edge | None = None
    settings: Settings = field(default_factory=Settings)


@dataclass(frozen=True, slots=True)
class Tls:
    """Implicit TLS in front of plain-text servers, which learn of it from the SSL TLV (section 2.2.6)."""

    template: ClassVar[str] = "tls.cfg.j2"
    binds: tuple[Bind, ...]
    servers: tuple[Server, ...]
    check: CheckKind = CheckKind.NONE
    unique_id_format: str | None = None
    settings: Settings = field(default_factory=Settings)

    def __post_init__(self) -> None:
        if not self.binds:
            raise ValueError("binds: a TLS front needs at least one")
        _require_servers("TLS front", self.servers)
        if self.unique_id_format is not None:
            _require_plain("unique_id_format", self.unique_id_format)


Topology = Listen | Chain | Tls
