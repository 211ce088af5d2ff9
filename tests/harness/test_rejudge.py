"""Old runs judged again, without a server."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from proxyspec.baseline import Expectations
from proxyspec.casebook import Chapter, catalogue_of
from proxyspec.conformance import case_record, target_record
from proxyspec.errors import ExitCode
from proxyspec.layers.authoring import crc32c, v1, v2
from proxyspec.model import (
    Capability,
    Case,
    Catalogue,
    Event,
    EventKind,
    Judgement,
    Level,
    Send,
    Target,
    Transcript,
    Verdict,
    View,
)
from proxyspec.records import CaseRecord, ConformanceRun, InvalidRun
from proxyspec.rejudge import rejudge
from proxyspec.runhead import environment
from proxyspec.scheduler import Judged
from proxyspec.transcripts import transcript_of

K, V = EventKind, Verdict
TARGET = Target(host="127.0.0.1", port=2525, oracle="ehlo")
CLIENT = View("127.0.0.1", 40000)


def book() -> Catalogue:
    chapter = Chapter("v1", section="2.1", control="v1/ok", versions=[1])
    chapter.accepts("ok", v1(), "A line is accepted")
    chapter.rejects("bad", v1(dport="x"), "A bad line is refused")
    return catalogue_of([chapter])


def served(case: Case, address: str) -> Transcript:
    said = f"250 mx [{address}]\r\n".encode()
    steps = [Event(0.01 * place, K.SENT, step.data) for place, step in enumerate(case.steps) if isinstance(step, Send)]
    return Transcript(
        case.id,
        (
            Event(0.0, K.CONNECTED),
            *steps,
            Event(0.2, K.STEPS_DONE),
            Event(0.3, K.RECEIVED, b"220 mx\r\n"),
            Event(0.3, K.SENT, b"EHLO x\r\n"),
            Event(0.4, K.RECEIVED, said),
            Event(0.5, K.SERVER_FIN),
        ),
        CLIENT,
        CLIENT,
    )


def refused(case: Case) -> Transcript:
    whole = served(case, "192.0.2.1")
    return replace(whole, events=(*(e for e in whole.events if e.at <= 0.2), Event(0.3, K.SERVER_FIN)))


def run_of(*judged: tuple[Case, Transcript | None, Verdict]) -> ConformanceRun:
    return ConformanceRun(
        id="run",
        started=datetime(2026, 11, 22, tzinfo=UTC),
        duration=1.0,
        status="complete",
        command=["run"],
        target=target_record(TARGET, "ehlo"),
        environment=environment(None),
        exit_code=0,
        cases=[
            case_record(Judged(case, found, Judgement(verdict, None, "then")), "") for case, found, verdict in judged
        ],
    )


def verdicts(run: ConformanceRun) -> list[Verdict]:
    return [record.verdict for record in run.cases]


def test_transcripts_decide_not_the_old_verdicts() -> None:
    ok, bad = book().cases
    run = run_of((ok, served(ok, "192.0.2.1"), V.FAIL), (bad, served(bad, "192.0.2.1"), V.PASS))
    again = rejudge(run, book(), Expectations())
    assert verdicts(again.run) == [V.PASS, V.FAIL]
    assert again.kept == ()
    assert again.run.exit_code == ExitCode.FAILED
    assert verdicts(run) == [V.FAIL, V.PASS]


def test_a_refusal_still_needs_its_control() -> None:
    ok, bad = book().cases
    run = run_of((ok, refused(ok), V.PASS), (bad, refused(bad), V.PASS))
    again = rejudge(run, book(), Expectations()).run
    assert verdicts(again) == [V.FAIL, V.UNTESTABLE]
    alone = rejudge(run_of((bad, refused(bad), V.PASS)), book(), Expectations()).run
    assert verdicts(alone) == [V.UNTESTABLE]


def test_how_a_header_is_refused_is_judged_beside_its_premise() -> None:
    ok, bad = book().cases
    how = replace(bad, id="c/how", premise=bad.id)
    grown = Catalogue((ok, bad, how))
    for premise, expected in ((refused(bad), V.PASS), (served(bad, "192.0.2.1"), V.UNTESTABLE)):
        run = run_of((ok, served(ok, "192.0.2.1"), V.PASS), (bad, premise, V.PASS), (how, refused(how), V.PASS))
        assert run.cases[2].premise == bad.id
        assert verdicts(rejudge(run, grown, Expectations()).run)[2] is expected
    alone = run_of((ok, served(ok, "192.0.2.1"), V.PASS), (how, refused(how), V.PASS))
    assert verdicts(rejudge(alone, grown, Expectations()).run) == [V.PASS, V.UNTESTABLE]


def test_todays_rules_count() -> None:
    ok, bad = book().cases
    softer = Catalogue((ok, replace(bad, level=Level.SHOULD)))
    run = run_of((ok, served(ok, "192.0.2.1"), V.PASS), (bad, served(bad, "192.0.2.1"), V.FAIL))
    assert verdicts(rejudge(run, softer, Expectations()).run) == [V.PASS, V.WARN]
    assert rejudge(run, softer, Expectations()).run.exit_code == ExitCode.OK
    assert rejudge(run, softer, Expectations(strict=True)).run.exit_code == ExitCode.FAILED


def test_what_cannot_be_judged_again_keeps_its_verdict_and_is_named() -> None:
    ok, bad = book().cases
    gone = replace(bad, id="v1/gone")
    other = replace(bad, id="v1/other")
    run = run_of((ok, None, V.SKIP), (gone, refused(gone), V.PASS), (other, refused(other), V.PASS))
    today = Catalogue((ok, replace(other, steps=(Send(b"PROXY something else\r\n"),))))
    again = rejudge(run, today, Expectations())
    assert verdicts(again.run) == [V.SKIP, V.PASS, V.PASS]
    assert dict(again.kept) == {
        "v1/ok": "it did not run",
        "v1/gone": "the catalogue no longer has it",
        "v1/other": "it sends other bytes today: run it again",
    }


def test_a_connection_that_ended_early_is_still_the_same_case() -> None:
    ok, _ = book().cases
    early = Transcript(
        ok.id, (Event(0.0, K.CONNECTED), Event(0.0, K.SENT, v1()[:4]), Event(0.1, K.SERVER_FIN)), CLIENT, CLIENT
    )
    again = rejudge(run_of((ok, early, V.PASS)), book(), Expectations())
    assert again.kept == ()
    assert verdicts(again.run) == [V.FAIL]


@pytest.mark.parametrize("update", [{"client": "nowhere 5"}, {"client": "127.0.0.1 x"}])
def test_a_record_that_was_edited_is_named(update: dict[str, object]) -> None:
    ok, _ = book().cases
    record: CaseRecord = run_of((ok, refused(ok), V.PASS)).cases[0]
    with pytest.raises(InvalidRun, match="v1/ok"):
        transcript_of(record.model_copy(update=update))


def test_bytes_that_are_none_are_named() -> None:
    ok, _ = book().cases
    record = run_of((ok, refused(ok), V.PASS)).cases[0]
    events = [event.model_copy(update={"hex": "zz"}) for event in record.events]
    with pytest.raises(InvalidRun, match="not hexadecimal"):
        transcript_of(record.model_copy(update={"events": events}))


def checksums() -> tuple[Case, Case, Case]:
    chapter = Chapter("crc", section="2.2.3", control="crc/ok")
    needs = frozenset({Capability.CRC32C})
    chapter.accepts("ok", v2(tlvs=[crc32c()]), "A right checksum is accepted")
    chapter.rejects("zero", v2(tlvs=[crc32c(0)]), "A wrong checksum is refused", needs=needs)
    chapter.rejects("one", v2(tlvs=[crc32c(1)]), "Another wrong checksum is refused", needs=needs)
    ok, zero, one = chapter.cases
    return ok, zero, one


def test_checksums_that_an_old_run_took_for_granted_are_judged_where_it_shows_them() -> None:
    ok, zero, one = cases = checksums()
    right = (ok, served(ok, "192.0.2.1"), V.PASS)
    run = run_of(right, (zero, served(zero, "192.0.2.1"), V.FAIL), (one, served(one, "192.0.2.1"), V.FAIL))
    blind = rejudge(run, Catalogue(cases), Expectations())
    assert verdicts(blind.run) == [V.PASS, V.SKIP, V.SKIP]
    assert blind.run.exit_code == ExitCode.OK
    assert "nor shows this capability (by refusing a header for its wrong CRC32C)" in blind.run.cases[1].reason
    assert blind.run.cases[1].sent == run.cases[1].sent, "the bytes are kept"
    assert verdicts(rejudge(blind.run, Catalogue(cases), Expectations()).run) == verdicts(blind.run)
    partly = run_of(right, (zero, refused(zero), V.PASS), (one, served(one, "192.0.2.1"), V.FAIL))
    assert verdicts(rejudge(partly, Catalogue(cases), Expectations()).run) == [V.PASS, V.PASS, V.FAIL]


def test_checksums_that_a_run_declares_are_judged() -> None:
    ok, zero, _ = cases = checksums()
    run = run_of((ok, served(ok, "192.0.2.1"), V.PASS), (zero, served(zero, "192.0.2.1"), V.FAIL))
    target = run.target.model_copy(update={"capabilities": ["crc32c"]})
    again = rejudge(run.model_copy(update={"target": target}), Catalogue(cases), Expectations())
    assert verdicts(again.run) == [V.PASS, V.FAIL]
