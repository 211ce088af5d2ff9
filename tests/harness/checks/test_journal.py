from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from proxyspec.checks.journal import contacts_in, listening_in


def line(**fields: object) -> bytes:
    return json.dumps(fields, separators=(",", ":")).encode() + b"\n"


CLOSED = {
    "time": "2026-11-22T18:45:33.625+00:00",
    "event": "closed",
    "connection": "afe3abe7.2",
    "peer": "127.0.0.1:39866",
    "local": "127.0.0.1:37515",
    "ending": "quit",
    "duration": 0.125,
}


def test_connections_are_counted_by_the_port_they_came_to_once_they_ended() -> None:
    found = contacts_in(
        [
            line(event="listening", address="127.0.0.1:37515"),
            line(event="connected", local="127.0.0.1:37515", time=CLOSED["time"]),
            line(**CLOSED),
            line(**{**CLOSED, "ending": "rst-after-header", "local": "[::1]:2525"}),
            line(**{**CLOSED, "ending": None}),
        ]
    )
    assert {port: [contact.ending for contact in contacts] for port, contacts in found.items()} == {
        37515: ["quit", "unknown"],
        2525: ["rst-after-header"],
    }
    (reset,) = found[2525]
    assert reset.reset
    assert not found[37515][0].reset
    assert found[37515][0].at == 1795373133.5  # when it was accepted


def test_the_ports_come_in_the_order_of_the_log() -> None:
    lines = [line(event="listening", address=f"127.0.0.1:{port}") for port in (4, 2, 3)]
    assert listening_in([*lines, line(**CLOSED)]) == [4, 2, 3]


def test_what_is_no_whole_entry_is_passed_over() -> None:
    whole = line(**CLOSED)
    broken = [whole[:-1], whole[:20] + b"\n", b'["closed"]\n', line(event="x", note="closed"), b"\xff\n"]
    without = line(**{key: value for key, value in CLOSED.items() if key != "local"})
    assert contacts_in([*broken, without, whole.rstrip() + b" " * 9000 + b"\n"]) == {}


@given(st.lists(st.binary(max_size=60)))
def test_no_log_makes_it_fail(lines: list[bytes]) -> None:
    assert contacts_in(lines) == {}
    assert listening_in(lines) == []
