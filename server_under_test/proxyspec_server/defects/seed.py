"""How a class becomes a defect: the decorator, and the probes most defects are shown with."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import NoReturn, TypeVar

from proxyspec_server.probe import UNLISTED, Look, Pause, Probe, StartTls
from proxyspec_server.proxy import SIGNATURE

L4 = b"PROXY TCP4 192.0.2.1 192.0.2.2 1111 25\r\n"
L6 = b"PROXY TCP6 2001:db8::1 2001:db8::2 1111 25\r\n"
SESSION = b"HELO probe\r\nQUIT\r\n"
A4 = bytes.fromhex("c0000201 c0000202 0457 0019")
A6 = bytes.fromhex("20010db8000000000000000000000001 20010db8000000000000000000000002 0457 0019")

REFUSED = "421 4.3.2, FIN"
TIMED_OUT = "421 4.4.2, FIN"
NOT_ALLOWED = "220, 421 4.7.0, FIN"
SILENT = "FIN"
EXIT_PANIC = 70
CRASHED = "FIN"
"""The end of a connection whose handling met an exception."""
PROCESS_GONE = "the process is gone"


def panic() -> NoReturn:
    """End the process on the spot, as a panic or a segmentation fault does in other languages."""
    os._exit(EXIT_PANIC)


def served(address: str) -> str:
    """The answer to `session` of a server that believes this address."""
    return f"220, 250 [{address}], 221, FIN"


AS_PROXIED = served("192.0.2.1")
AS_PROXIED6 = served("2001:db8::1")
AS_PEER = served("127.0.0.1")


def v2(
    body: bytes = A4, *, opening: bytes = SIGNATURE, command: int = 0x21, family: int = 0x11, length: int | None = None
) -> bytes:
    """A version 2 header; `length` where it is to differ from the length of `body`."""
    size = len(body) if length is None else length
    return opening + bytes([command, family]) + size.to_bytes(2, "big") + body


def tlv(kind: int, value: bytes = b"") -> bytes:
    """One TLV."""
    return bytes([kind]) + len(value).to_bytes(2, "big") + value


def session(header: bytes, look: Look = Look.WIRE) -> Probe:
    """A header and a short session in one segment."""
    return Probe(steps=(header + SESSION,), look=look)


def steps(*sent: bytes | Pause | StartTls) -> Probe:
    """These steps, from a trusted peer."""
    return Probe(steps=sent)


def unlisted(*sent: bytes | Pause, source: str = UNLISTED) -> Probe:
    """These bytes and pauses, from a peer nobody trusts."""
    return Probe(steps=sent, source=source)


@dataclass(frozen=True, slots=True, kw_only=True)
class Defect:
    """One defect and how it shows.

    `killed_by` names cases of the catalogue that expose it; `unseen` says why none can, where no case does.
    `healthy` and `defective` are what the two servers answer to `shows`; `spoils` names the plain headers, of v1 and
    v2, that the defective server does not take like the healthy one. `options` are those of the command line without
    which it does not show. One that `spreads` harms whatever connection comes next, or all of them, so that it is
    chance which case notices.
    """

    name: str
    sentence: str
    origin: str
    killed_by: tuple[str, ...]
    shows: Probe
    healthy: str
    defective: str
    spoils: frozenset[str]
    options: tuple[str, ...]
    unseen: str
    spreads: bool
    override: type

    @property
    def family(self) -> str:
        """The file it stands in."""
        return self.override.__module__.rpartition(".")[2]


Overriding = TypeVar("Overriding", bound=type)

_seeded: dict[str, Defect] = {}


def seeded(
    name: str,
    *,
    origin: str,
    killed_by: tuple[str, ...] = (),
    shows: Probe | bytes,
    healthy: str = REFUSED,
    defective: str = AS_PROXIED,
    spoils: frozenset[str] = frozenset(),
    options: tuple[str, ...] = (),
    unseen: str = "",
    spreads: bool = False,
) -> Callable[[Overriding], Overriding]:
    """Make a class a defect; its docstring is the sentence. A header alone as `shows` means a session behind it.

    Raises ValueError for a name that is taken, for a class without a docstring, and unless either a case exposes it or
    there is a reason why none can.
    """

    def register(override: Overriding) -> Overriding:
        if name in _seeded:
            raise ValueError(f"there are two defects {name}; give one another name")
        if not override.__doc__:
            raise ValueError(f"the defect {name} has no docstring; say in one sentence what is wrong")
        if bool(killed_by) == bool(unseen):
            raise ValueError(f"the defect {name} needs either cases that expose it or the reason why none can")
        _seeded[name] = Defect(
            name=name,
            sentence=override.__doc__.strip().partition("\n")[0],
            origin=origin,
            killed_by=killed_by,
            shows=session(shows) if isinstance(shows, bytes) else shows,
            healthy=healthy,
            defective=defective,
            spoils=spoils,
            options=options,
            unseen=unseen,
            spreads=spreads or defective == PROCESS_GONE,
            override=override,
        )
        return override

    return register


def all_seeded() -> dict[str, Defect]:
    """The defects of the files imported so far, by name."""
    return dict(sorted(_seeded.items()))
