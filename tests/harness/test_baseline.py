"""The baseline: what it excuses, what it does not, and when it has outlived its reason."""

from __future__ import annotations

import datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxyspec.baseline import Baseline, Entry, Expectations, Kind, load_baseline, parse_baseline
from proxyspec.errors import UsageError
from proxyspec.model import Disposition, Ending, Level, OutcomeKind, Source, Timing, Verdict, Via
from proxyspec.records import CaseRecord, OutcomeRecord

TODAY = datetime.date(2026, 11, 22)
V, D = Verdict, Disposition


def record(case_id: str, verdict: Verdict, kind: OutcomeKind | None = OutcomeKind.ACCEPTED_PROXIED) -> CaseRecord:
    return CaseRecord(
        id=case_id,
        title="T",
        section="2",
        level=Level.MUST,
        via=Via.DIRECT,
        source=Source.TRUSTED,
        timing=Timing.ANY,
        accepts=[],
        control=None,
        verdict=verdict,
        outcome=None if kind is None else OutcomeRecord(kind=kind, text=str(kind)),
        reason="because",
        ending=Ending.FIN,
        duration=0.1,
        sent="",
        received="",
        events=[],
        reproduce="",
    )


def entry(case: str = "v1/a", **more: object) -> Entry:
    fields = {"case": case, "kind": "wont-fix", "reason": "so it is", **more}
    return Entry.model_validate(fields)


def expecting(*entries: Entry, strict: bool = False) -> Expectations:
    return Expectations(baseline=Baseline("known.toml", entries), strict=strict, today=TODAY)


def test_a_file_is_read_whole() -> None:
    text = """
    [[entry]]
    case = "v1/ip4/*"
    kind = "known-failure"
    reason = "octets with leading zeros"
    link = "https://example.org/12"
    outcome = "accepted-proxied"
    expires = 2027-03-31

    [[entry]]
    case = "v2/tlv"
    kind = "flaky"
    reason = "now and then"
    verdict = "UNTESTABLE"
    """
    first, second = parse_baseline(text, "known.toml").entries
    assert (first.kind, first.outcome, first.expires) == (
        Kind.KNOWN_FAILURE,
        OutcomeKind.ACCEPTED_PROXIED,
        datetime.date(2027, 3, 31),
    )
    assert (second.kind, second.verdict, second.link) == (Kind.FLAKY, V.UNTESTABLE, None)
    assert parse_baseline("", "known.toml").entries == ()


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("[[entry", ["known.toml is no TOML", "[[entry]] tables"]),
        ("[[entry]]\ncase='v1/a'\nkind='wont-fix'", ["known.toml, entry 1 ('v1/a'), key 'reason'", "missing"]),
        ("[[entry]]\nkind='wont-fix'\nreason='x'", ["entry 1, key 'case'", "missing"]),
        (
            "[[entry]]\ncase='v1/a'\nkind='meh'\nreason='x'",
            ["entry 1 ('v1/a'), key 'kind'", "known-failure", "wont-fix", "flaky"],
        ),
        ("[[entry]]\ncase='v1/a'\nkind='known-failure'\nreason='x'", ["entry 1 ('v1/a')", "`link`"]),
        ("[[entry]]\ncase='v1/a'\nkind='flaky'\nreason='x'\nexpires='soon'", ["key 'expires'", "date"]),
        ("[[entry]]\ncase='v1/a'\nkind='flaky'\nreason='x'\nverdict='PASS'", ["`verdict`", "UNTESTABLE"]),
        ("[[entry]]\ncase='v1/a'\nkind='flaky'\nreason='x'\nexpire=1", ["key 'expire'", "no such key", "expires"]),
        ("[[entry]]\ncase=''\nkind='flaky'\nreason='x'", ["key 'case'"]),
        ("entries = 1", ["key 'entries'", "no such key"]),
        ("entry = 1", ["key 'entry'"]),
        ("entry = [1]", ["entry 1"]),
    ],
)
def test_a_bad_file_is_named_with_entry_key_and_remedy(text: str, words: list[str]) -> None:
    with pytest.raises(UsageError) as caught:
        parse_baseline(text, "known.toml")
    for word in words:
        assert word in str(caught.value)


@given(st.text(max_size=200))
def test_any_text_is_a_baseline_or_a_usage_error(text: str) -> None:
    said = "known.toml"
    try:
        parse_baseline(text, "known.toml")
    except UsageError as error:
        said = str(error)
    assert said.startswith("known.toml")


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"none\.toml cannot be read"):
        load_baseline(tmp_path / "none.toml")
    (tmp_path / "latin.toml").write_bytes(b"# \xe9")
    with pytest.raises(UsageError, match=r"latin\.toml is not UTF-8 text: byte 2"):
        load_baseline(tmp_path / "latin.toml")


def test_an_entry_that_names_no_case_is_refused() -> None:
    with pytest.raises(UsageError, match=r"known\.toml, entry 2: 'v1/b' names no case"):
        Baseline("known.toml", (entry("v1/a"), entry("v1/b"))).check(["v1/a"])
    Baseline("known.toml", (entry("v1/*"), entry("v1"))).check(["v1/a"])


@pytest.mark.parametrize(
    ("given_entry", "verdict", "disposition"),
    [
        (None, V.FAIL, D.NEW),
        (None, V.UNTESTABLE, D.NEW),
        (None, V.WARN, None),
        (None, V.PASS, None),
        (entry(), V.FAIL, D.KNOWN),
        (entry(), V.WARN, D.KNOWN),
        (entry(), V.UNTESTABLE, D.REGRESSED),
        (entry(), V.PASS, D.FIXED),
        (entry(), V.INFO, D.FIXED),
        (entry(), V.SKIP, None),
        (entry(), V.ERROR, None),
        (entry("v1/*"), V.PASS, None),
        (entry(kind="flaky"), V.PASS, None),
        (entry(kind="flaky"), V.FAIL, D.KNOWN),
        (entry(verdict="UNTESTABLE"), V.UNTESTABLE, D.KNOWN),
        (entry(verdict="UNTESTABLE"), V.FAIL, D.REGRESSED),
        (entry(outcome="accepted-proxied"), V.FAIL, D.KNOWN),
        (entry(outcome="treated-as-smtp"), V.FAIL, D.REGRESSED),
        (entry(expires="2026-11-22"), V.FAIL, D.KNOWN),
        (entry(expires="2026-11-21"), V.FAIL, D.STALE),
        (entry("v1/b"), V.FAIL, D.NEW),
    ],
)
def test_a_failure_is_excused_only_as_it_is_described(
    given_entry: Entry | None, verdict: Verdict, disposition: Disposition | None
) -> None:
    expected = expecting(*(() if given_entry is None else (given_entry,)))
    assert expected.disposition(record("v1/a", verdict)) is disposition


def test_without_a_baseline_nothing_was_expected() -> None:
    assert Expectations().disposition(record("v1/a", V.FAIL)) is None
    assert Expectations().stale([record("v1/a", V.PASS)]) == ()


def test_a_strict_run_takes_warnings_for_failures() -> None:
    assert expecting(strict=True).disposition(record("v1/a", V.WARN)) is D.NEW
    assert record("v1/a", V.WARN).fails(strict=True)
    assert not record("v1/a", V.WARN).fails(strict=False)


@pytest.mark.parametrize(
    ("verdict", "disposition", "fails"),
    [
        (V.FAIL, None, True),
        (V.FAIL, D.NEW, True),
        (V.FAIL, D.KNOWN, False),
        (V.WARN, D.STALE, True),
        (V.WARN, D.REGRESSED, True),
        (V.UNTESTABLE, None, True),
        (V.PASS, D.FIXED, False),
        (V.INFO, None, False),
    ],
)
def test_what_counts_against_the_target(verdict: Verdict, disposition: Disposition | None, fails: bool) -> None:
    judged = record("v1/a", verdict).model_copy(update={"disposition": disposition})
    assert judged.fails(strict=False) is fails


def test_entries_that_have_outlived_their_reason_are_named() -> None:
    expected = expecting(
        entry("v1/passes"),
        entry("v1/glob/*"),
        entry("v1/gone/*"),
        entry("v1/old", expires="2026-01-01"),
        entry("v1/flaky", kind="flaky"),
        entry("v1/skipped"),
    )
    judged = [
        record("v1/passes", V.PASS),
        record("v1/glob/a", V.PASS),
        record("v1/glob/b", V.FAIL),
        record("v1/gone/a", V.PASS),
        record("v1/gone/b", V.INFO),
        record("v1/old", V.FAIL),
        record("v1/flaky", V.PASS),
        record("v1/skipped", V.SKIP, None),
    ]
    assert expected.stale(judged) == (
        "entry 1 (v1/passes) passes now: take the entry out",
        "entry 3 (v1/gone/*) passes now: take the entry out",
        "entry 4 (v1/old) expired on 2026-01-01: mend the target, or renew the entry",
    )
    assert expected.stale([]) == ()


def test_of_several_entries_the_first_counts() -> None:
    expected = expecting(entry("v1/a", outcome="treated-as-smtp"), entry("v1/*"))
    assert expected.disposition(record("v1/a", V.FAIL)) is D.REGRESSED
    assert expected.disposition(record("v1/b", V.FAIL)) is D.KNOWN
