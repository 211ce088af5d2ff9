"""What was watched as records: rows of a run, its exit code."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from proxyspec.checks.layout import backend_name
from proxyspec.checks.model import Contact, Expected, Observation, expected_of
from proxyspec.checks.runner import Judged, Watched
from proxyspec.errors import ExitCode
from proxyspec.model import Verdict
from proxyspec.records import EventRecord
from proxyspec.records.checks import CheckRecord, ExpectedCheck

__all__ = ["column_names", "exit_code_of", "rows_of", "section_of"]


def column_names(descriptions: Sequence[tuple[str, str]]) -> list[str]:
    """Name HAProxies for the table, given as (release, description); the description tells equal releases apart."""
    releases = Counter(release for release, _ in descriptions)
    return [
        f"HAProxy {release}" if releases[release] == 1 else f"HAProxy {release} ({description})"
        for release, description in descriptions
    ]


def section_of(config: str, name: str) -> list[str]:
    """Return the lines of a listen or backend section, its head among them; none where there is no such section."""
    found = re.search(rf"^(?:listen|backend) {re.escape(name)}\n(?:[ \t]+.*\n?)*", config, re.MULTILINE)
    return [line.strip() for line in found[0].splitlines()] if found else []


def rows_of(watched: Watched, column: str) -> list[CheckRecord]:
    """Turn what was seen of one HAProxy into records; `column` is its name in the table."""
    version = watched.choice.engine.version()
    release = (version.major, version.minor, version.patch)
    return [_row(row, expected_of(row.scenario, release), watched.configs, column) for row in watched.rows]


def _row(row: Judged, expected: Expected, configs: Sequence[str], column: str) -> CheckRecord:
    scenario, finding, seen = row.scenario, row.finding, row.seen
    # What was looked at again stands in a later configuration, at another pace.
    sections = (section_of(config, backend_name(scenario)) for config in reversed(configs))
    return CheckRecord(
        id=f"check/{scenario.id}@{column.removeprefix('HAProxy ')}",
        title=scenario.title,
        verdict=finding.verdict,
        reason=finding.reason,
        check=scenario.check,
        proxy=scenario.proxy,
        haproxy=column,
        server=scenario.behind,
        directives=next((section for section in sections if section), []),
        expected=ExpectedCheck(
            up=expected.up, results=list(expected.results), opening=expected.opening, resets=expected.resets
        ),
        up=finding.up,
        result=finding.result,
        also=list(finding.also),
        seconds=None if finding.seconds is None else round(finding.seconds, 3),
        checks=finding.checks,
        resets=finding.resets,
        endings={} if seen is None else dict(Counter(contact.ending for contact in seen.contacts).most_common()),
        attempts=row.attempts,
        fields=_fields(finding.result, seen),
        log=[] if seen is None else list(seen.log),
        events=[] if seen is None else _events(seen.witnessed),
    )


def _fields(result: str | None, seen: Observation | None) -> dict[str, str]:
    """Return the fields of the last look that showed the result."""
    if seen is None:
        return {}
    return next((dict(sample.fields) for sample in reversed(seen.samples) if sample.result == result), {})


def _events(witnessed: Sequence[Contact]) -> list[EventRecord]:
    """Return a check that ended as most did, of those whose bytes were kept."""
    usual = [ending for ending, _ in Counter(contact.ending for contact in witnessed).most_common()]
    kept = sorted((contact for contact in witnessed if contact.events), key=lambda each: usual.index(each.ending))
    return [
        EventRecord(at=round(event.at, 6), kind=event.kind, hex=event.data.hex(), note=event.note)
        for event in (kept[0].events if kept else ())
    ]


def exit_code_of(verdicts: Sequence[Verdict], *, interrupted: bool) -> ExitCode:
    """Return the exit code of a run with these verdicts."""
    if interrupted:
        return ExitCode.INTERRUPTED
    if Verdict.ERROR in verdicts:
        return ExitCode.HARNESS
    if not verdicts:
        return ExitCode.NOTHING
    return ExitCode.FAILED if {Verdict.FAIL, Verdict.UNTESTABLE} & set(verdicts) else ExitCode.OK
