"""Where a search begins: everything the catalogue sends, and sessions behind it."""

from __future__ import annotations

from collections.abc import Iterator

from proxyspec_scenarios import catalogue

__all__ = ["seeds"]

_SESSION = (
    b"EHLO x\r\nMAIL FROM:<a@b.test>\r\nRCPT TO:<c@d.test>\r\nDATA\r\nSubject: x\r\n\r\nx\r\n.\r\nRSET\r\nQUIT\r\n"
)
#: Larger ones slow the search down and show nothing that smaller ones do not, in bytes.
LARGEST = 8192


def seeds() -> Iterator[bytes]:
    """Yield inputs: every case's bytes alone, cut at several places, and with a session behind them."""
    sent = sorted({case.header for case in catalogue().cases if 0 < len(case.header) <= LARGEST})
    for data in sent:
        for cut in (0, 1, 13):
            yield cut.to_bytes(2, "big") + data
    for data in sent[::8]:
        yield len(data).to_bytes(2, "big") + data + _SESSION
