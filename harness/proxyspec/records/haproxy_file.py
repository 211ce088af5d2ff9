"""The record of a look at somebody's own haproxy.cfg: what rules found in it, and what it did when tried."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from proxyspec.records.base import JudgedRecord, Record, ScenarioRun

__all__ = [
    "AcceptanceRecord",
    "ChangeRecord",
    "FindingRecord",
    "HAProxyFileRun",
    "TriedBindRecord",
    "TriedServerRecord",
]


class AcceptanceRecord(JudgedRecord):
    """Whether one HAProxy takes the file."""

    version: str = Field(description="what `haproxy -v` says")


class FindingRecord(JudgedRecord):
    """One finding of one rule, or of `haproxy -c`; `title` is what hurts, `reason` why."""

    rule: str = Field(description="the rule's id, like check/without-header")
    file: str = Field(description="the file as it was named")
    line: int = Field(description="line of the file, from 1")
    text: str = Field(description="that line, control characters visible, cut if long")
    remedy: str = Field(description="what to do")
    versions: list[str] = Field(description="releases of HAProxy it is true of; empty: all that were chosen")


class ChangeRecord(Record):
    """What was changed before the file was tried."""

    file: str
    line: int
    what: str


class TriedServerRecord(JudgedRecord):
    """What HAProxy reported of one server line, and what the server in its place received."""

    file: str
    line: int
    proxy: str = Field(description="name of the section")
    server: str = Field(description="name of the server")
    status: str = Field(description="what `show stat` says at the end: UP, DOWN, no check, …")
    check: str = Field(description="the last finished check in HAProxy's words; empty: none")
    seconds: float | None = Field(description="from ready to the first finished check, seconds; null: none finished")
    connections: int = Field(description="connections the server got")
    headers: dict[str, int] = Field(description="the headers it read, in words, and how many of each")
    headerless: int = Field(description="connections that ended without a header")
    resets: int = Field(description="connections that ended by a reset")
    endings: dict[str, int] = Field(description="how its connections ended, and how many so")
    messages: int = Field(description="messages it accepted")


class TriedBindRecord(JudgedRecord):
    """Whether a mail goes through one address clients connect to."""

    file: str
    line: int
    proxy: str = Field(description="name of the section")
    address: str = Field(description="the address as the file has it")
    header: bool = Field(description="whether the client sent a PROXY header")
    server: str = Field(description="the server that got the message; empty: none did")
    client: str = Field(description="the client address that server saw; empty: no message came")


class HAProxyFileRun(ScenarioRun):
    """`proxyspec haproxy check` and `proxyspec haproxy try`."""

    kind: Literal["haproxy-file"] = "haproxy-file"
    files: list[str] = Field(description="the files, in the order HAProxy reads them")
    services: list[str] = Field(description="sections that carry SMTP")
    accepted: list[AcceptanceRecord] = Field(default=[], description="one for every HAProxy asked")
    findings: list[FindingRecord] = Field(default=[], description="in order of place")
    changes: list[ChangeRecord] = Field(default=[], description="what was changed for a trial, in order of place")
    servers: list[TriedServerRecord] = Field(default=[])
    binds: list[TriedBindRecord] = Field(default=[])

    @property
    def judged(self) -> Sequence[JudgedRecord]:
        """Every row: acceptance, findings, then servers and binds of a trial."""
        return (*self.accepted, *self.findings, *self.servers, *self.binds)
