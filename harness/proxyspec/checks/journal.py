"""Checks counted by the reference server: reads its log."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from datetime import datetime

from proxyspec.checks.model import Contact

__all__ = ["contacts_in", "listening_in"]

#: A longer line is not the server's (see its own limit).
_MAX_LINE = 8192


def _entries(lines: Iterable[bytes], event: str) -> Iterator[dict[str, object]]:
    named = f'"{event}"'.encode()
    for line in lines:
        # Most lines tell of something else; the last one may still be under way.
        if named not in line or not line.endswith(b"\n") or len(line) > _MAX_LINE:
            continue
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if isinstance(entry, dict) and entry.get("event") == event:
            yield entry


def _port(address: object) -> int | None:
    port = str(address).rpartition(":")[2]
    return int(port) if port.isascii() and port.isdecimal() else None


def listening_in(lines: Iterable[bytes]) -> list[int]:
    """Return the ports a server listens on, in the order of its `--listen` options."""
    ports = [_port(entry.get("address")) for entry in _entries(lines, "listening")]
    return [port for port in ports if port is not None]


def contacts_in(lines: Iterable[bytes]) -> dict[int, list[Contact]]:
    """Return the connections that have ended, in the order they did, by the port of the server they came to."""
    contacts: dict[int, list[Contact]] = {}
    for entry in _entries(lines, "closed"):
        port, duration = _port(entry.get("local")), entry.get("duration")
        if port is None or not isinstance(duration, int | float):
            continue
        ended = datetime.fromisoformat(str(entry.get("time"))).timestamp()
        ending = str(entry.get("ending") or "unknown")
        contacts.setdefault(port, []).append(Contact(ended - duration, ending, port))
    return contacts
