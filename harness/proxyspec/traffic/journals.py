"""What servers wrote in their journals and HAProxy in its log, as deliveries and counts. Pure."""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable
from datetime import datetime
from typing import Final

from proxyspec.traffic.model import Counters, Delivery

__all__ = ["deliveries_in", "endings_in", "sessions_in"]

#: `CLIENT [DATE] FRONTEND BACKEND/SERVER Tw/Tc/Tt BYTES CODE ACTCONN/FECONN/BECONN/SRVCONN/RETRIES QUEUES`, option
#: tcplog; a + before the retries says that the session was redispatched.
_SESSION: Final = re.compile(
    r"\S+ \[[^\]]+\] (?P<frontend>\S+) (?P<backend>[^/\s]+)/(?P<server>\S+) [-+\d/]+ \+?\d+ "
    r"(?P<code>[-A-Za-z]{2}) \d+/\d+/\d+/\d+/(?P<redispatched>\+?)(?P<retries>\d+) \d+/\d+"
)


def _entries(lines: Iterable[str]) -> Iterable[dict[str, object]]:
    """Yield the journal's objects; the last line of a server that was killed may be cut short."""
    for line in lines:
        try:
            entry = json.loads(line)
        except ValueError:
            continue
        if isinstance(entry, dict):
            yield entry


def deliveries_in(lines: Iterable[str], server: str, began: float) -> list[Delivery]:
    """Return the messages a journal shows; `began` is when the traffic began, in seconds since the epoch.

    The server writes a message down after it has stored it and before it says 250, so that neither a killed server nor
    a lost reply makes the journal lie.
    """
    found = []
    for entry in _entries(lines):
        if entry.get("event") == "message":
            at = datetime.fromisoformat(str(entry["time"])).timestamp() - began
            message = str(entry["sender"]).partition("@")[0]
            found.append(Delivery(message, round(at, 3), server, str(entry["client"])))
    return found


def endings_in(lines: Iterable[str]) -> Counter[str]:
    """Count how a server's connections ended, in its own words."""
    return Counter(str(entry.get("ending")) for entry in _entries(lines) if entry.get("event") == "closed")


def sessions_in(lines: Iterable[str], listener: str) -> Counters:
    """Count the sessions of a listener in HAProxy's log."""
    retried = redispatched = 0
    sessions: Counter[str] = Counter()
    terminations: Counter[str] = Counter()
    for line in lines:
        match = _SESSION.search(line)
        if match is None or match["frontend"] != listener:
            continue
        sessions[match["server"]] += 1
        terminations[match["code"]] += 1
        retried += int(match["retries"])
        redispatched += bool(match["redispatched"])
    return Counters(
        retried=retried, redispatched=redispatched, sessions=dict(sessions), terminations=dict(terminations)
    )
