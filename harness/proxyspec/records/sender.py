"""The record of a sender run: every connection or setting that was judged, with the header's bytes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from pydantic import Field

from proxyspec.model import Ending, Level, Verdict
from proxyspec.records.base import JudgedRecord, Record, ScenarioRun

__all__ = ["FindingRecord", "SenderRecord", "SenderRun"]


class FindingRecord(Record):
    """A rule that a header broke."""

    rule: str = Field(description="id of the rule, like send.tlv.crc32c")
    section: str = Field(description="section of the PROXY protocol text; 'setting': the proxy's own configuration")
    level: Level
    sentence: str = Field(description="what a conformant sender does")
    verdict: Verdict
    words: str = Field(description="what was seen instead")


class SenderRecord(JudgedRecord):
    """One connection of one sender, judged."""

    setting: str = Field(description="which setting of the sender, the row of the table; or which connection")
    sender: str = Field(description="which sender, the column of the table: 'HAProxy 3.2.26', or an address")
    directives: list[str] = Field(default=[], description="the lines of its configuration that make the setting")
    visitor: str = Field(default="", description="who connected to the sender")
    expected: str = Field(description="the header it should send, in words")
    header: str | None = Field(description="the header it sent, in words; null: none could be read")
    hex: str = Field(description="the first bytes of the connection, in hexadecimal")
    size: int = Field(description="bytes of the header; 0: none could be read")
    first: int = Field(description="bytes that were there when the connection first became readable")
    segments: int | None = Field(
        description="segments with data that had arrived by then, by the kernel's count; null: it did not tell"
    )
    after: float | None = Field(description="seconds from accept to the first byte; null: none came")
    peer: str | None = Field(description="the sender's end of the connection, ADDRESS PORT; null: there was none")
    ending: Ending = Field(description="how the connection ended")
    findings: list[FindingRecord] = Field(default=[])


class SenderRun(ScenarioRun):
    """What `proxyspec sender` leaves behind."""

    kind: Literal["sender"] = "sender"
    strict: bool = Field(default=False, description="a WARN counted as a failure")
    skipped: list[str] = Field(default=[], description="what was asked for and could not take part, and why")
    rows: list[SenderRecord]

    @property
    def judged(self) -> Sequence[JudgedRecord]:
        """Every row, in the order of the settings or of arrival."""
        return self.rows
