"""The record of a documentation page put to the test: every promise with what the real server did."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from proxyspec.records.base import JudgedRecord, ScenarioRun
from proxyspec.records.conformance import EventRecord

__all__ = ["PageRun", "PromiseRecord"]


class PromiseRecord(JudgedRecord):
    """One promise: PASS where it is kept, FAIL where not, INFO where the page's words and the server's differ."""

    haproxy: str | None = Field(default=None, description="the HAProxy whose health check it is about; null: none")
    events: list[EventRecord] = Field(default=[], description="the connection, byte by byte")
    log: list[str] = Field(default=[], description="what the server itself wrote down, the first lines")


class PageRun(ScenarioRun):
    """What `proxyspec servers page` leaves behind."""

    kind: Literal["page"] = "page"
    server: str = Field(description="the server with its version")
    promises: list[PromiseRecord]

    @property
    def judged(self) -> Sequence[JudgedRecord]:
        """Every promise, in the order of the page."""
        return self.promises
