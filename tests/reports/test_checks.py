"""The section of a health-check run: the table, and the evidence of each check, escaped."""

from __future__ import annotations

import re
from datetime import UTC, datetime

import pytest

from proxyspec.model import EventKind, Verdict
from proxyspec.records import Environment, EventRecord, InvalidRun
from proxyspec.records.checks import CheckRecord, ChecksRun, ExpectedCheck
from proxyspec_reports import render_html, view
from proxyspec_reports.checks import CheckCell, checks_view
from proxyspec_reports.hexdump import no_annotation

HEADER = b"PROXY TCP4 127.0.0.1 127.0.0.1 53258 2525\r\n"
NASTY = b"220 <script>alert(1)</script>\x1b[31m\r\n"
EVENTS = [
    EventRecord(at=0.0, kind=EventKind.CONNECTED),
    EventRecord(at=0.001, kind=EventKind.RECEIVED, hex=HEADER.hex()),
    EventRecord(at=0.002, kind=EventKind.SENT, hex=NASTY.hex()),
    EventRecord(at=0.0034, kind=EventKind.CLIENT_RST),
]


def row(haproxy: str, **changes: object) -> CheckRecord:
    fields: dict[str, object] = {
        "id": f"check/tcp-check-220/v1@{haproxy}",
        "title": "tcp-check expect ^220 and nothing else",
        "verdict": Verdict.PASS,
        "reason": "HAProxy reports UP L7OK; 98 of 100 checks ended with a reset",
        "check": "tcp-check-220",
        "proxy": "v1",
        "haproxy": f"HAProxy {haproxy}",
        "server": "reference",
        "directives": ["backend tcp-check-220.v1", "option tcp-check", 'tcp-check expect rstring "^220 "'],
        "expected": ExpectedCheck(up=True, results=["L7OK"], opening="v1 line", resets="every check"),
        "up": True,
        "result": "L7OK",
        "seconds": 0.04,
        "checks": 100,
        "resets": 98,
        "endings": {"rst-after-header": 98, "fin-after-header": 2},
        "fields": {"check_status": "L7OK", "last_chk": "<i>bye</i>"},
        "log": ["Health check for server tcp-check-220.v1/smtp1 succeeded"],
        "events": EVENTS,
    }
    return CheckRecord.model_validate({**fields, **changes})


def run(*rows: CheckRecord) -> ChecksRun:
    return ChecksRun(
        id="checks-1",
        started=datetime(2026, 5, 1, 12, tzinfo=UTC),
        duration=45.0,
        status="complete",
        command=["haproxy", "checks"],
        environment=Environment(proxyspec="0", python="3.11", platform="Linux", haproxy=None),
        exit_code=0,
        subject="health checks of HAProxy 2.2.9, 3.2.26",
        skipped=["docker:3.4: image haproxy:3.4 cannot be pulled"],
        rows=list(rows),
    )


FEW = {"checks": 4, "resets": 4, "verdict": Verdict.UNTESTABLE, "seconds": None}


def test_rows_stand_against_haproxies_and_gaps_are_shown() -> None:
    other = row("2.2.9", check="l4", proxy="none", up=None, result=None, **FEW)
    section = checks_view(run(row("2.2.9"), other, row("3.2.26", resets=0)), "run-1", no_annotation)
    assert section.haproxies == ("HAProxy 2.2.9", "HAProxy 3.2.26")
    first, second = section.rows
    assert (first.check, first.proxy, first.worst) == ("tcp-check-220", "v1", None)
    assert first.cells == (
        CheckCell(Verdict.PASS, "UP", "L7OK", "0.0 s", "98"),
        CheckCell(Verdict.PASS, "UP", "L7OK", "0.0 s", "0"),
    )
    assert second.cells == (CheckCell(Verdict.UNTESTABLE, "nothing reported", "", "", ""), None)
    assert second.worst is Verdict.UNTESTABLE


def test_haproxies_that_did_alike_share_their_evidence_whatever_their_counts() -> None:
    section = checks_view(
        run(row("2.2.9"), row("2.6.12", resets=97), row("3.2.26", result="L7TOUT", up=False)), "run-1", no_annotation
    )
    (only,) = section.rows
    assert [seen.haproxies for seen in only.evidence] == [("HAProxy 2.2.9", "HAProxy 2.6.12"), ("HAProxy 3.2.26",)]
    lines = only.evidence[0].lines
    assert [line.who for line in lines] == [
        "HAProxy connects",
        "HAProxy says",
        "the server says",
        "HAProxy resets the connection (RST)",
    ]
    assert lines[3].at == "3.4 ms"
    assert only.evidence[0].dump.total == len(HEADER)


def test_the_page_shows_table_bytes_and_fields_and_escapes_what_a_server_said() -> None:
    page = render_html(view([run(row("2.2.9"), row("3.2.26", attempts=2, verdict=Verdict.FAIL))]))
    text = re.sub(r"<[^>]+>", " ", page)
    assert "Health checks" in page
    assert "Not run: docker:3.4: image haproxy:3.4 cannot be pulled" in re.sub(r"\s+", " ", text)
    assert "98 resets" in text
    assert "<script>alert" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page
    assert "\x1b" not in page
    assert "&lt;i&gt;bye&lt;/i&gt;" in page
    assert "Ends of the checks the server saw: 98 rst-after-header, 2 fin-after-header." in text
    assert "Earlier looks deviated: this is look 2." in text
    assert page.count(f"<code>{'tcp-check-220'}</code>") == 1
    assert "backend tcp-check-220.v1\n    option tcp-check" in page


def test_an_empty_run_says_so() -> None:
    assert "Nothing was judged." in render_html(view([run()]))


def test_bytes_that_are_none_are_an_invalid_run() -> None:
    broken = row("2.2.9", events=[EventRecord(at=0.0, kind=EventKind.SENT, hex="zz")])
    with pytest.raises(InvalidRun, match=r"check/tcp-check-220/v1@2\.2\.9.*not hexadecimal"):
        checks_view(run(broken), "run-1", no_annotation)


def test_the_record_reads_back_as_it_was_written() -> None:
    record = run(row("2.2.9"))
    assert ChecksRun.model_validate_json(record.model_dump_json()) == record
    assert record.judged == record.rows
    assert [each.per_hundred for each in (record.rows[0], row("3.2.26", **FEW))] == [98.0, None]
