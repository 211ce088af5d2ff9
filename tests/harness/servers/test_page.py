"""Haraka's page: the judges of its promises on transcripts, and the reference server's profile on the wire."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from proxyspec.model import Event, EventKind, Transcript, Verdict
from proxyspec.records.page import PromiseRecord
from proxyspec.servers.page import PROMISES, Listener, check_page

_PROMISE = {promise.id: promise for promise in PROMISES}
_HEADER = b"PROXY TCP4 192.0.2.1 192.0.2.2 1111 25\r\n"


def _transcript(*events: tuple[float, EventKind, bytes]) -> Transcript:
    return Transcript("page", (Event(0.0, EventKind.CONNECTED), *(Event(at, kind, data) for at, kind, data in events)))


def _verdict(promise: str, *events: tuple[float, EventKind, bytes]) -> Verdict:
    return _PROMISE[promise].judge(_transcript(*events)).verdict


SENT, GOT, FIN = EventKind.SENT, EventKind.RECEIVED, EventKind.SERVER_FIN


@pytest.mark.parametrize(
    ("replies", "ended", "expected"),
    [
        (b"220 mx\r\n421 not allowed\r\n", True, Verdict.PASS),
        (b"421 not allowed\r\n", True, Verdict.PASS),
        (b"220 mx\r\n554 not allowed\r\n", True, Verdict.FAIL),
        (b"220 mx\r\n421 not allowed\r\n", False, Verdict.FAIL),
        (b"220 mx\r\n421 not allowed\r\n250 hello\r\n", True, Verdict.PASS),
        (b"220 mx\r\n421 not allowed\r\n250 hello\r\n250 hello\r\n", True, Verdict.FAIL),
        (b"220 mx\r\n250 hello\r\n421 not allowed\r\n", True, Verdict.FAIL),
        (b"220 mx\r\n250 hello\r\n", True, Verdict.FAIL),
        (b"", True, Verdict.FAIL),
    ],
)
def test_a_refusal_is_temporary_and_the_end(replies: bytes, ended: bool, expected: Verdict) -> None:
    end = [(0.3, FIN, b"")] if ended else []

    assert _verdict("page/unlisted/refused", (0.1, SENT, _HEADER), (0.2, GOT, replies), *end) is expected


@pytest.mark.parametrize(("at", "expected"), [(2.1, Verdict.PASS), (0.2, Verdict.FAIL)])
def test_a_listed_peer_hears_nothing_before_its_header(at: float, expected: Verdict) -> None:
    told = sorted([(2.0, SENT, _HEADER), (at, GOT, b"220 mx\r\n250 hello\r\n")])

    assert _verdict("page/listed/silent", *told) is expected


@pytest.mark.parametrize(
    ("at", "reply", "expected"),
    [
        (30.1, b"421 PROXY timeout\r\n", Verdict.PASS),
        (24.0, b"421 PROXY timeout\r\n", Verdict.FAIL),
        (32.0, b"421 PROXY timeout\r\n", Verdict.FAIL),
        (30.0, b"554 PROXY timeout\r\n", Verdict.FAIL),
        (30.0, b"", Verdict.FAIL),
    ],
)
def test_the_deadline_is_at_thirty_seconds(at: float, reply: bytes, expected: Verdict) -> None:
    assert _verdict("page/deadline/421", (at, GOT, reply), (at, FIN, b"")) is expected


def test_other_words_than_the_page_s_are_recorded_not_failed() -> None:
    assert _verdict("page/deadline/wording", (30.0, GOT, b"421 PROXY timed out\r\n")) is Verdict.PASS
    assert _verdict("page/deadline/wording", (30.0, GOT, b"421 PROXY timeout\r\n")) is Verdict.INFO


@pytest.mark.parametrize(("at", "expected"), [(0.1, Verdict.PASS), (2.5, Verdict.FAIL)])
def test_who_is_not_listed_is_greeted_at_once(at: float, expected: Verdict) -> None:
    assert _verdict("page/off/served", (at, GOT, b"220 mx\r\n250 hello\r\n")) is expected


def test_promises_have_names_of_their_own() -> None:
    assert len(_PROMISE) == len(PROMISES)


def test_the_profile_keeps_the_page_s_promises(tmp_path: Path) -> None:
    records: list[PromiseRecord] = []

    asyncio.run(check_page("reference@haraka", [], records, Listener(), cache=tmp_path / "cache", logs=tmp_path))

    assert {record.id for record in records} == set(_PROMISE)
    assert {record.id: record.reason for record in records if record.verdict is not Verdict.PASS} == {
        "page/deadline/wording": "the page has '421 PROXY timed out', the server said '421 PROXY timeout'"
    }
