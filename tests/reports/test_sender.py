"""The sender table in reports: alike headers shown once, differences in their column, nothing unescaped."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest

from proxyspec.model import Ending, Level, Verdict
from proxyspec.records import Environment, InvalidRun
from proxyspec.records.sender import FindingRecord, SenderRecord, SenderRun
from proxyspec_reports import render_html, render_junit, render_markdown, render_tap, view
from proxyspec_reports.hexdump import no_annotation
from proxyspec_reports.sender import SenderCell, sender_view

V2 = "0d0a0d0a000d0a515549540a2111000cc0000201c000020204570019"


def row(setting: str, version: str, **fields: Any) -> SenderRecord:
    values: dict[str, Any] = {
        "id": f"{setting}@{version}",
        "title": "The ends of a connection",
        "verdict": Verdict.PASS,
        "reason": "as declared",
        "setting": setting,
        "sender": f"HAProxy {version}",
        "directives": ["server … send-proxy-v2"],
        "visitor": "a client over IPv4",
        "expected": "v2 PROXY",
        "header": "v2 PROXY TCP4 192.0.2.1:1111 > 192.0.2.2:25",
        "hex": V2,
        "size": 28,
        "first": 28,
        "segments": 1,
        "after": 0.0002,
        "peer": "127.0.0.1 4711",
        "ending": Ending.FIN,
    }
    return SenderRecord(**(values | fields))


def run(*rows: SenderRecord, skipped: list[str] | None = None) -> SenderRun:
    return SenderRun(
        id="sender-1",
        started=datetime(2026, 5, 1, 12, tzinfo=UTC),
        duration=1.5,
        status="complete",
        command=["sender", "--haproxy", "matrix"],
        environment=Environment(proxyspec="0", python="3.11", platform="Linux", haproxy=None),
        exit_code=0,
        subject="HAProxy 2.6 and 3.2 as a sender",
        skipped=skipped or [],
        rows=list(rows),
    )


def broken(setting: str, version: str, words: str = "no port") -> SenderRecord:
    finding = FindingRecord(
        rule="send.addresses",
        section="2.2",
        level=Level.MUST,
        sentence="The addresses are right",
        verdict=Verdict.FAIL,
        words=words,
    )
    return row(setting, version, verdict=Verdict.FAIL, reason=words, findings=[finding])


def test_settings_are_rows_and_senders_columns_in_their_own_order() -> None:
    found = sender_view(run(row("b", "2.6"), row("a", "2.6"), row("b", "3.2")), "run-1", no_annotation)
    assert found.senders == ("HAProxy 2.6", "HAProxy 3.2")
    assert [setting.id for setting in found.settings] == ["b", "a"]
    assert found.settings[0].cells == (SenderCell(Verdict.PASS, ""), SenderCell(Verdict.PASS, ""))
    assert found.settings[1].cells == (SenderCell(Verdict.PASS, ""), None)
    assert found.settings[0].header == "v2 PROXY TCP4"
    assert len({setting.anchor for setting in found.settings}) == 2


def test_headers_that_differ_in_ports_alone_are_shown_once() -> None:
    other = row("a", "3.2", header="v2 PROXY TCP4 192.0.2.1:2222 > 192.0.2.2:25")
    (setting,) = sender_view(run(row("a", "2.6"), other), "run-1", no_annotation).settings
    (evidence,) = setting.evidence
    assert evidence.senders == ("HAProxy 2.6", "HAProxy 3.2")
    assert evidence.dump.total == 28
    assert evidence.arrival == "28 of 28 bytes at the first look, 0.20 ms after accept, in one segment"


def test_headers_that_differ_otherwise_are_shown_apart() -> None:
    other = row("a", "3.2", header="v2 LOCAL", size=16)
    failed = broken("a", "3.4")
    (setting,) = sender_view(run(row("a", "2.6"), row("a", "2.8"), other, failed), "run-1", no_annotation).settings
    assert [one.senders for one in setting.evidence] == [
        ("HAProxy 2.6", "HAProxy 2.8"),
        ("HAProxy 3.2",),
        ("HAProxy 3.4",),
    ]
    assert setting.cells[2] == SenderCell(Verdict.PASS, "v2 LOCAL")
    assert setting.worst is Verdict.FAIL


def test_what_was_not_tried_has_no_header() -> None:
    nothing = {"header": None, "hex": "", "size": 0, "first": 0, "segments": None, "after": None, "peer": None}
    skipped = row("a", "2.6", verdict=Verdict.SKIP, reason="too old", ending=Ending.NEVER, **nothing)
    (setting,) = sender_view(run(skipped, row("a", "3.2")), "run-1", no_annotation).settings
    assert setting.cells == (SenderCell(Verdict.SKIP, ""), SenderCell(Verdict.PASS, ""))
    assert setting.evidence[0].header == "no header"
    assert setting.evidence[0].arrival == "no byte came"
    assert setting.worst is None


def test_how_headers_arrived_is_counted() -> None:
    rows = (row("a", "1"), row("b", "1", first=16), row("c", "1", segments=None), row("d", "1", segments=2))
    found = sender_view(run(*rows), "run-1", no_annotation)
    assert (found.headers, found.in_first_look, found.in_one_segment) == (4, 3, 1)


def test_bytes_that_are_none_are_refused_by_name() -> None:
    with pytest.raises(InvalidRun, match="row 'a@1'"):
        sender_view(run(row("a", "1", hex="zz")), "run-1", no_annotation)


def test_the_page_has_the_table_and_escapes_what_peers_say() -> None:
    hostile = "<script>alert(1)</script>\x1b"
    found = run(row("a", "2.6"), broken("a", "3.2", hostile), skipped=["HAProxy <9> is not here"])
    page = render_html(view([found]))
    assert "<script>alert" not in page
    assert "\x1b" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;\\x1b" in page
    assert "HAProxy &lt;9&gt; is not here" in page
    assert page.count('href="#run-1-sender-1"') == 1
    assert page.count('id="run-1-sender-1"') == 1
    assert "0d 0a 0d 0a 00 0d 0a 51" in page


def test_a_run_without_rows_says_so() -> None:
    assert "Nothing was judged." in render_html(view([run()]))


def test_the_formats_of_ci_have_every_row() -> None:
    found = run(row("a", "2.6"), broken("a", "3.2"))
    for text in (render_junit([found]), render_tap([found]), render_markdown([found])):
        assert "3.2" in text
        assert "no port" in text
