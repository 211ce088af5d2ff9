from __future__ import annotations

from datetime import UTC, datetime

from proxyspec.model import Verdict
from proxyspec.records import Environment
from proxyspec.records.haproxy_file import (
    AcceptanceRecord,
    ChangeRecord,
    FindingRecord,
    HAProxyFileRun,
    TriedBindRecord,
    TriedServerRecord,
)
from proxyspec_reports import render_html, render_junit, view
from proxyspec_reports.haproxy_file import haproxy_file_view

EVIL = "<script>alert(1)</script>\x1b[2J"


def sample(**changes: object) -> HAProxyFileRun:
    run = HAProxyFileRun(
        id="haproxy-try-1",
        started=datetime(2026, 1, 2, tzinfo=UTC),
        duration=6.5,
        status="complete",
        command=["haproxy", "try", "a.cfg"],
        environment=Environment(proxyspec="0.1.0", python="3.11", platform="Linux", haproxy=None),
        exit_code=1,
        subject="a.cfg",
        files=["a.cfg"],
        services=["listen smtp"],
        accepted=[
            AcceptanceRecord(
                id="accepted@x", title="HAProxy 3.2 accepts", verdict=Verdict.PASS, reason="it does", version="3.2.26"
            )
        ],
        findings=[
            FindingRecord(
                id="check/none@a.cfg:5",
                title=EVIL,
                verdict=Verdict.FAIL,
                reason=EVIL,
                rule="check/none",
                file="a.cfg",
                line=5,
                text=EVIL,
                remedy=EVIL,
                versions=["2.2.9"],
            )
        ],
        changes=[ChangeRecord(file="a.cfg", line=5, what=EVIL)],
        servers=[
            TriedServerRecord(
                id="server@a.cfg:5",
                title="server smtp1",
                verdict=Verdict.WARN,
                reason=EVIL,
                file="a.cfg",
                line=5,
                proxy="smtp",
                server="smtp1",
                status="UP",
                check="L4OK",
                seconds=None,
                connections=1234,
                headers={EVIL: 3},
                headerless=1,
                resets=2,
                endings={"rst-after-header": 2},
                messages=0,
            )
        ],
        binds=[
            TriedBindRecord(
                id="bind@a.cfg:3",
                title="a mail",
                verdict=Verdict.PASS,
                reason="smtp1 got it",
                file="a.cfg",
                line=3,
                proxy="smtp",
                address=":25",
                header=False,
                server="smtp1",
                client="127.0.0.7",
            )
        ],
    )
    return run.model_copy(update=changes)


def test_the_section_shows_findings_servers_and_mails() -> None:
    section = haproxy_file_view(sample(), "run-1")
    assert [(row.place, row.verdict, row.versions) for row in section.findings] == [("a.cfg:5", "FAIL", "2.2.9")]
    (server,) = section.servers
    assert (server.name, server.after, server.endings) == ("smtp/smtp1", "never", "2 × rst-after-header")
    assert [row.name for row in section.binds] == ["smtp :25"]


def test_the_page_holds_it_escaped() -> None:
    page = render_html(view([sample()]))
    assert "<script>alert" not in page
    assert "\x1b" not in page
    assert "&lt;script&gt;alert(1)&lt;/script&gt;\\x1b[2J" in page
    for words in ("listen smtp", "a.cfg:5", "1 changes made for the trial", "smtp1 got it", "HAProxy 3.2 accepts"):
        assert words in page


def test_a_check_without_findings_says_so() -> None:
    page = render_html(view([sample(findings=[], servers=[], binds=[], changes=[])]))
    assert "No rule found anything that would hurt." in page


def test_every_row_is_a_case_elsewhere() -> None:
    text = render_junit([sample()])
    for row in sample().judged:
        assert row.id in text
