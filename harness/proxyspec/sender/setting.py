"""One way to configure HAProxy as a sender, as data: its directives, the client that comes, the header that must go."""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass
from typing import Final

from proxyspec.sender.client import Caller
from proxyspec.sender.expectation import Expectation, Role

__all__ = ["Checking", "FrontKind", "Setting", "settings_of"]

_ID: Final = re.compile(r"[a-z0-9]+(?:[-/][a-z0-9]+)*")

#: An ordinary session from wherever the system chooses.
ANYBODY: Final = Caller()

Series = tuple[int, int]


class FrontKind(enum.Enum):
    """What the proxy listens on."""

    IPV4 = "127.0.0.1"
    IPV6 = "::1"
    UNIX = "unix"


class Checking(enum.Enum):
    """How the proxy checks the health of the server."""

    #: The server line says `check`, and nothing else does.
    CONNECT = "connect"
    SMTP = "option smtpchk"


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One row of the sender table.

    `server` is what stands on the server line, `bind` on the bind line, `listen` are lines of the section; with a
    `check` no client comes. `{port}` in `server` is the port of the server's own address.
    """

    id: str
    #: One sentence: what the sender should tell.
    title: str
    server: str
    expects: Expectation
    caller: Caller = ANYBODY
    front: FrontKind = FrontKind.IPV4
    bind: str = ""
    listen: tuple[str, ...] = ()
    check: Checking | None = None
    #: `pp2-never-send-local`, which is global.
    never_send_local: bool = False
    #: First series of HAProxy that has it.
    since: Series | None = None
    #: What is expected below a series, where that differs; the first that applies counts.
    before: tuple[tuple[Series, Expectation], ...] = ()

    def __post_init__(self) -> None:
        if not _ID.fullmatch(self.id):
            raise ValueError(f"id {self.id!r} of a setting: lower case words, digits, - and /")
        if (self.check is None) is (self.expects.role is Role.CHECK):
            raise ValueError(f"setting {self.id}: a check, and nothing else, expects the header of one")

    def expected_of(self, series: Series) -> Expectation:
        """Return what a release of this series should send."""
        return next((expects for below, expects in self.before if series < below), self.expects)

    @property
    def directives(self) -> tuple[str, ...]:
        """The lines that make the setting, for people."""
        own = ["pp2-never-send-local"] if self.never_send_local else []
        bind = [f"bind … {self._tls}{self.bind}".rstrip()] if self.bind or self.caller.tls else []
        check = [self.check.value] if self.check is Checking.SMTP else []
        return (*own, *bind, *self.listen, *check, f"server … {self.server}")

    @property
    def _tls(self) -> str:
        return "" if self.caller.tls is None else "ssl "

    @property
    def visitor(self) -> str:
        """Who connects, in words."""
        if self.check is not None:
            return "HAProxy's health check"
        over = {FrontKind.IPV4: "IPv4", FrontKind.IPV6: "IPv6", FrontKind.UNIX: "a UNIX socket"}[self.front]
        words = [f"a client over {over}"]
        if self.caller.tls is not None:
            words.append("TLS" + (" with a certificate" if self.caller.tls.certificate else ""))
            words += [f"ALPN {'/'.join(self.caller.tls.alpn)}"] if self.caller.tls.alpn else []
            words += [f"SNI {self.caller.tls.server_name}"] if self.caller.tls.server_name else []
        if self.caller.header:
            words.append("behind a header of its own")
        return ", ".join(words)


def settings_of(*groups: tuple[Setting, ...]) -> tuple[Setting, ...]:
    """Put groups of settings into one table.

    Raises:
        ValueError: two share an id.
    """
    table = tuple(setting for group in groups for setting in group)
    seen: set[str] = set()
    for setting in table:
        if setting.id in seen:
            raise ValueError(f"two settings are called {setting.id}")
        seen.add(setting.id)
    return table
