"""The contract of an adapter: how a mail server is had, how it is set up for one start, and what it declares."""

from __future__ import annotations

import re
import signal
import socket
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, Final

from proxyspec_server.adapters.errors import AdapterError

__all__ = ["HERE", "HOST", "UNLISTED", "Adapter", "Facts", "Launch", "Place", "free_port", "named"]

#: Where every server listens, and the peer it trusts to send PROXY.
HERE: Final = "127.0.0.1"
#: The name every server calls itself.
HOST: Final = "mx.test"
#: A local address that no server's list holds.
UNLISTED: Final = "127.0.0.2"

_WORD = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Facts:
    """What a server declares of itself: keys of a target profile, which say to the harness what to expect.

    `untrusted` is "none" for a server without a list of proxies; `header_timeout` is in seconds from accept.
    """

    header_timeout: float
    versions: tuple[int, ...] = (1, 2)
    trusted: str | None = None
    untrusted: str = "none"
    oracle: str = "ehlo"
    oracle_file: str | None = None
    oracle_pattern: str | None = None
    recipient: str | None = None
    #: Somebody it takes mail for.
    mailbox: str = f"sink@{HOST}"
    capabilities: tuple[str, ...] = ()
    #: Connections it can serve side by side within its header deadline, on a machine of two cores.
    parallel: int = 1024


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """One start of a server: its software, a folder and a log of its own, the port it is to listen on.

    `header_timeout`, in seconds, is what the user wants in place of the server's own; `hosts` are the proxies a server
    with such a list is to trust, as addresses or CIDR ranges.
    """

    software: Path
    run: Path
    port: int
    log: Path
    version: str
    header_timeout: float | None = None
    hosts: tuple[str, ...] = (HERE,)

    def write(self, name: str, text: str) -> Path:
        """Write a file below the folder of this start; return its path."""
        path = self.run / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def folder(self, name: str, *, mode: int = 0o755) -> Path:
        """Make a folder below the one of this start; return its path."""
        path = self.run / name
        path.mkdir(parents=True, exist_ok=True)
        path.chmod(mode)
        return path


@dataclass(frozen=True, slots=True, kw_only=True)
class Launch:
    """How to start the server: commands that stay in the foreground, the last of which is the mail server itself.

    `bindings` put files and folders of ours in the place of the system's (the keys), `layers` put the entries of ours
    on top of theirs, for these processes alone; `needs_bindings` says that it cannot do without. What the processes
    print is the log.
    """

    commands: tuple[tuple[str, ...], ...]
    facts: Facts
    environment: Mapping[str, str] = field(default_factory=dict)
    bindings: Mapping[str, Path] = field(default_factory=dict)
    layers: Mapping[str, Path] = field(default_factory=dict)
    needs_bindings: bool = False
    stop: signal.Signals = signal.SIGTERM
    #: For a server with a process a connection: seconds one may live on when nobody holds the connection's other end;
    #: more than such a process is watched for. None: as it likes.
    deserted_seconds: float | None = None


class Adapter(ABC):
    """One mail server, by name. Its subclass is data and two methods: `install` and `prepare`."""

    #: What the user calls it.
    name: ClassVar[str]
    #: One sentence: which server, with which listener.
    summary: ClassVar[str]
    #: Where it comes from, in words.
    origin: ClassVar[str]
    #: The version that is installed if none is named; "" leaves it to the distribution.
    version: ClassVar[str] = ""
    #: Programs that installing it takes.
    tools: ClassVar[tuple[str, ...]] = ()
    #: It changes its user as it starts.
    needs_root: ClassVar[bool] = False
    #: It can be given other proxies to trust.
    has_list: ClassVar[bool] = False
    #: The name of the software, where several adapters share it.
    software: ClassVar[str] = ""

    @abstractmethod
    def install(self, folder: Path, version: str) -> str:
        """Put the software into `folder`, which is empty; return its version.

        Raises:
            AdapterError: it cannot be had.
        """

    @abstractmethod
    def prepare(self, place: Place) -> Launch:
        """Write the configuration of one start and say how to run it.

        Raises:
            AdapterError: it cannot be had as the place wants it.
        """


def named(text: str) -> tuple[str, str]:
    """Split NAME or NAME@VERSION; without a version that is "".

    Raises:
        AdapterError: it is something else.
    """
    name, at, version = text.partition("@")
    if not _WORD.fullmatch(name) or (at and not _WORD.fullmatch(version)):
        raise AdapterError(f"{text!r} is no server: write NAME or NAME@VERSION, for instance haraka@3.0.3")
    return name, version


@contextmanager
def _bound() -> Iterator[int]:
    with socket.socket() as probe:
        probe.bind((HERE, 0))
        yield probe.getsockname()[1]


def free_port() -> int:
    """Return a port of 127.0.0.1 that nobody listens on."""
    with _bound() as port:
        return port
