"""What a reference server's log says of the connections HAProxy made to it."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["Arrival", "Received", "read_journal"]

#: Lines read of one log: a trial is bounded, a log is not.
_MAX_LINES = 200_000


@dataclass(frozen=True, slots=True)
class Arrival:
    """A message a server accepted: its envelope sender, and the client's address without the port."""

    sender: str
    client: str


@dataclass(frozen=True, slots=True)
class Received:
    """All connections to one server; `headers` counts headers by what they say, in words."""

    connections: int
    headers: Mapping[str, int]
    headerless: int
    endings: Mapping[str, int]
    messages: tuple[Arrival, ...]

    @property
    def abandoned(self) -> int:
        """Connections the other side closed in order, without saying QUIT."""
        return sum(count for ending, count in self.endings.items() if ending.startswith("fin-"))

    @property
    def resets(self) -> int:
        """Connections the other side reset."""
        return sum(count for ending, count in self.endings.items() if ending.startswith("rst-"))


def _host(address: object) -> str:
    return str(address).rpartition(":")[0].strip("[]")


def _words(entry: Mapping[str, Any]) -> str:
    """Say what a header says, without its ports, so that equal checks are counted together."""
    head = f"v{entry.get('version')} {entry.get('command')}"
    if entry.get("source"):
        head += f" {entry.get('family')} {_host(entry['source'])} to {_host(entry.get('destination'))}"
    tlvs = entry.get("tlvs") or []
    return f"{head} with {', '.join(map(str, tlvs))}" if tlvs else head


def read_journal(lines: Iterable[str]) -> Received:
    """Count what the lines of a log say; lines cut short are left out."""
    headers: Counter[str] = Counter()
    endings: Counter[str] = Counter()
    messages: list[Arrival] = []
    connected: set[str] = set()
    with_header: set[str] = set()
    for _, line in zip(range(_MAX_LINES), lines, strict=False):
        try:
            entry = json.loads(line)
        except (ValueError, RecursionError):
            continue
        if not isinstance(entry, dict):
            continue
        name = str(entry.get("connection", ""))
        match entry.get("event"):
            case "connected":
                connected.add(name)
            case "header":
                with_header.add(name)
                headers[_words(entry)] += 1
            case "message":
                messages.append(Arrival(str(entry.get("sender")), _host(entry.get("client"))))
            case "closed":
                endings[str(entry.get("ending"))] += 1
            case _:
                pass
    return Received(
        connections=len(connected),
        headers=dict(headers.most_common()),
        headerless=len(connected - with_header),
        endings=dict(endings.most_common()),
        messages=tuple(messages),
    )
