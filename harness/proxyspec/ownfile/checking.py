"""`haproxy -c` of several releases and all rules over the user's files."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from proxyspec.errors import UsageError
from proxyspec.model import Verdict
from proxyspec.ownfile.reading import find_needed, visible
from proxyspec.records.haproxy_file import AcceptanceRecord, FindingRecord
from proxyspec_haproxy import HAProxyError
from proxyspec_haproxy.config import (
    Expected,
    Finding,
    Level,
    Place,
    SourceFile,
    findings_of_haproxy,
    lint,
    read_document,
    standalone,
)

if TYPE_CHECKING:
    from proxyspec_haproxy import Choice

__all__ = ["Checked", "check_files", "finding_records"]


@dataclass(frozen=True, slots=True)
class Checked:
    """What was found; `services` are the sections that carry SMTP."""

    accepted: tuple[AcceptanceRecord, ...]
    findings: tuple[FindingRecord, ...]
    services: tuple[str, ...]


def check_files(
    sources: Sequence[SourceFile],
    choices: Sequence[Choice],
    expected: Expected,
    *,
    environment: Mapping[str, str],
    folders: Sequence[Path],
    progress: Callable[[str], None],
) -> Checked:
    """Ask every HAProxy, then every rule. `progress` is told what is being done, one line each.

    Raises:
        UsageError: an HAProxy cannot be asked, or the files are larger than a configuration can be.
    """
    accepted: list[AcceptanceRecord] = []
    said: list[tuple[str, list[Finding]]] = []
    try:
        for choice in choices:
            progress(f"asking {choice.engine.describe()}")
            row, findings = _ask(sources, choice, environment, folders)
            accepted.append(row)
            said.append((row.version, findings))
        judged = lint(
            sources, [choice.engine.version() for choice in choices], environment=environment, expected=expected
        )
    except (HAProxyError, ValueError) as error:
        raise UsageError(str(error)) from error
    findings = sorted((*_merged(said), *judged.findings), key=lambda finding: finding.place)
    return Checked(tuple(accepted), tuple(finding_records(findings, sources)), judged.services)


def _ask(
    sources: Sequence[SourceFile], choice: Choice, environment: Mapping[str, str], folders: Sequence[Path]
) -> tuple[AcceptanceRecord, list[Finding]]:
    """Run `haproxy -c` of one HAProxy on a copy whose lines are known."""
    version = choice.engine.version()
    document = read_document(sources, version, environment)
    copy = standalone(document, sources, environment)
    files, missing = find_needed(copy.needed, folders)
    check = choice.engine.check(copy.text, files=files)
    alerts = check.alerts if check.alerts or check.ok else (check.reason,)
    first = Place(0, 1, sources[0].name)
    absent = {file.place for file in missing}
    findings = [
        Finding(
            "file/missing",
            Level.FAIL,
            file.place,
            f"{visible(file.path)} is not a file that can be read here",
            "HAProxy does not start without a file its configuration names",
            "check where the file is, or name another",
        )
        for file in missing
    ]
    findings += [
        finding
        for finding in findings_of_haproxy(copy, alerts, check.warnings, first)
        if finding.level is not Level.FAIL or finding.place not in absent
    ]
    refusals = sum(finding.level is Level.FAIL for finding in findings)
    name = choice.engine.describe()
    return (
        AcceptanceRecord(
            id=f"accepted@{name}",
            title=f"{name} accepts the configuration",
            verdict=Verdict.PASS if check.ok and not missing else Verdict.FAIL,
            reason="`haproxy -c` accepts it"
            if check.ok and not missing
            else f"`haproxy -c` refuses it: {refusals} finding{'s' * (refusals != 1)} below",
            version=str(version),
        ),
        findings,
    )


def _merged(said: Sequence[tuple[str, list[Finding]]]) -> Iterable[Finding]:
    """Put together what several releases say of the same line in the same words."""
    true_of: dict[Finding, list[str]] = {}
    for version, findings in said:
        for finding in dict.fromkeys(findings):
            true_of.setdefault(finding, []).append(version)
    for finding, versions in true_of.items():
        yield finding if len(versions) == len(said) else replace(finding, versions=tuple(dict.fromkeys(versions)))


def finding_records(findings: Iterable[Finding], sources: Sequence[SourceFile]) -> list[FindingRecord]:
    """Turn findings into rows whose ids are unique."""
    lines = [source.lines for source in sources]
    seen: dict[str, int] = {}
    records = []
    for finding in findings:
        place = finding.place
        name = f"{finding.rule}@{place}"
        seen[name] = seen.get(name, 0) + 1
        text = lines[place.file][place.line - 1] if place.line <= len(lines[place.file]) else ""
        records.append(
            FindingRecord(
                id=name if seen[name] == 1 else f"{name}#{seen[name]}",
                title=visible(finding.what, 1000),
                verdict=Verdict[finding.level.value],
                reason=visible(finding.why, 1000),
                rule=finding.rule,
                file=place.name,
                line=place.line,
                text=visible(text.strip()),
                remedy=visible(finding.remedy, 1000),
                versions=list(finding.versions),
            )
        )
    return records
