"""What a rule says about a configuration, and the register of the rules."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final

from proxyspec_haproxy.config.document import Document, Place
from proxyspec_haproxy.config.proxies import Proxy, ServerLine
from proxyspec_haproxy.version import HAProxyVersion

__all__ = ["RULES", "Expected", "Finding", "Found", "Level", "Rule", "Setup", "rule"]


class Level(enum.StrEnum):
    """How much a finding hurts."""

    FAIL = "FAIL"  # mail is lost, refused or trusted wrongly, or a server is always down
    WARN = "WARN"  # it works until something else happens, or fills the log
    INFO = "INFO"  # worth knowing


@dataclass(frozen=True, slots=True)
class Expected:
    """What stands behind and around HAProxy, as far as the file cannot say it.

    `server_versions` are the header versions the mail servers read; `header_deadline` is the time in seconds they wait
    for one; `container` is true when HAProxy runs in a container as the official image does.
    """

    server_versions: frozenset[int] = frozenset({1, 2})
    header_deadline: float = 30.0
    container: bool = False


@dataclass(frozen=True, slots=True)
class Setup:
    """All a rule may look at: the configuration as one release reads it."""

    document: Document
    proxies: tuple[Proxy, ...]
    expected: Expected

    @property
    def version(self) -> HAProxyVersion:
        """The release."""
        return self.document.version

    @property
    def services(self) -> Iterator[Proxy]:
        """The proxies that carry SMTP: by what they say, or because one that does hands its clients to them."""
        speaking = {id(proxy) for proxy in self.proxies if proxy.speaks_smtp}
        for front in self.proxies:
            for back in self.behind(front):
                if {id(front), id(back)} & speaking:
                    speaking |= {id(front), id(back)}
        return (proxy for proxy in self.proxies if id(proxy) in speaking)

    @property
    def servers(self) -> Iterator[tuple[Proxy, ServerLine]]:
        """Every server of the services that has not been taken out by `disabled`."""
        for proxy in self.services:
            for server in proxy.servers:
                if not server.has("disabled"):
                    yield proxy, server

    def behind(self, front: Proxy) -> list[Proxy]:
        """Return the backends a proxy names with default_backend and use_backend."""
        names = {
            line.words[1]
            for line in front.lines
            if line.keyword in ("default_backend", "use_backend") and len(line.words) > 1
        }
        return [proxy for proxy in self.proxies if proxy.is_back and proxy.name in names and front.is_front]


@dataclass(frozen=True, slots=True)
class Found:
    """One thing a rule found: where, what hurts, why, and what to do; `level` where it is not the rule's own."""

    place: Place
    what: str
    why: str
    remedy: str
    level: Level | None = None


Check = Callable[[Setup], Iterator[Found]]


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule: its id, the level of what it finds, one sentence that says what it wants, and the look it takes."""

    id: str
    level: Level
    wants: str
    look: Check


#: Every rule by its id, in the order of their modules.
RULES: Final[dict[str, Rule]] = {}


def rule(name: str, level: Level) -> Callable[[Check], Check]:
    """Register a function as a rule; its docstring is the sentence that says what is wanted.

    Raises ValueError for a second rule of a name, or one without a docstring.
    """

    def register(look: Check) -> Check:
        wants = (look.__doc__ or "").strip()
        if name in RULES or not wants:
            raise ValueError(f"rule {name}: ids are unique and every rule has a docstring")
        RULES[name] = Rule(name, level, wants, look)
        return look

    return register


@dataclass(frozen=True, slots=True)
class Finding:
    """What stands in the report: one finding of one rule, for the releases it is true of (all chosen ones if empty)."""

    rule: str
    level: Level
    place: Place
    what: str
    why: str
    remedy: str
    versions: tuple[str, ...] = ()
