"""A file of a run directory that a report shows or points to: a rendered haproxy.cfg, a log, a capture."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Attachment"]


@dataclass(frozen=True, slots=True)
class Attachment:
    """One file; `href` is its path relative to the report, None if it cannot be reached from there.

    `size` is in bytes; `text` is what the report shows of it, None for a file that is only pointed to.
    """

    name: str
    href: str | None
    size: int
    text: str | None = None
