"""Deliveries from literal journals, sessions from literal lines of HAProxy's log."""

from __future__ import annotations

import pytest

from proxyspec.traffic.journals import deliveries_in, endings_in, sessions_in
from proxyspec.traffic.model import Counters, Delivery

#: 2026-11-22T18:52:10.500+00:00 in seconds since the epoch.
BEGAN = 1795373530.5
JOURNAL = """\
{"time":"2026-11-22T18:52:10.600+00:00","event":"listening","address":"127.0.0.1:4025","entrance":"cleartext"}
{"time":"2026-11-22T18:52:10.700+00:00","event":"connected","connection":"ab.1","client":"127.0.0.1:999"}
{"time":"2026-11-22T18:52:11.250+00:00","event":"message","connection":"ab.1","client":"127.0.1.1:40000","id":"ab.1.1",\
"sender":"death-0-000007@client.example","recipients":["sink@server.example"],"recipient_count":1,"size":240}
{"time":"2026-11-22T18:52:11.300+00:00","event":"closed","connection":"ab.1","ending":"quit","client":"127.0.1.1:40000"}
{"time":"2026-11-22T18:52:11.400+00:00","event":"closed","connection":"ab.2","ending":null,"client":"127.0.0.1:998"}
[]
{"time":"2026-11-22T18:52:11.500+00:00","event":"message","client":"127.0.1.1:4000"""


def test_a_journal_cut_short_shows_its_whole_messages() -> None:
    assert deliveries_in(JOURNAL.splitlines(), "s1", BEGAN) == [
        Delivery("death-0-000007", 0.75, "s1", "127.0.1.1:40000")
    ]


def test_endings_are_counted() -> None:
    assert endings_in(JOURNAL.splitlines()) == {"quit": 1, "None": 1}


LOG = [
    "127.0.1.3:52614 [22/Nov/2026:18:52:10.123] death death/s1 0/0/312 345 -- 17/17/16/5/0 0/0",
    "127.0.1.4:52615 [22/Nov/2026:18:52:10.124] death death/s2 1/3/313 345 -- 17/17/16/5/+1 0/0",
    "127.0.1.5:52616 [22/Nov/2026:18:52:10.125] death death/s1 1/-1/3 0 SC 17/17/16/5/3 0/0",
    "127.0.1.6:52617 [22/Nov/2026:18:52:10.126] death death/<NOSRV> 1000/-1/1000 0 sQ 17/17/16/0/0 0/9",
    "127.0.1.7:52618 [22/Nov/2026:18:52:10.127] other other/s1 0/0/312 345 cD 17/17/16/5/0 0/0",
    'Server death/s1 is DOWN, reason: Layer4 connection problem, info: "Connection refused", check duration: 0ms.',
    "[WARNING] 325/185210 (7) : Server death/s1 is DOWN. 2 active and 0 backup servers left.",
]


def test_sessions_of_one_listener_are_counted() -> None:
    assert sessions_in(LOG, "death") == Counters(
        retried=4,
        redispatched=1,
        sessions={"s1": 2, "s2": 1, "<NOSRV>": 1},
        terminations={"--": 2, "SC": 1, "sQ": 1},
    )
    assert sessions_in(LOG, "other").terminations == {"cD": 1}


@pytest.mark.parametrize("line", ["", "x" * 1000, "[ALERT] \\x1b[31m", LOG[0][:-4], "a [b] c d/e 0/0/0 1 -- 1/1/1/1/1"])
def test_any_other_line_counts_nothing(line: str) -> None:
    assert sessions_in([line], "death") == Counters()
