"""All rules over one configuration, for several releases of HAProxy at once."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from proxyspec_haproxy.config.document import Document, Place, SourceFile, read_document
from proxyspec_haproxy.config.findings import Expected, Finding, Level, Setup
from proxyspec_haproxy.config.proxies import proxies_of
from proxyspec_haproxy.config.rules import RULES
from proxyspec_haproxy.version import HAProxyVersion

__all__ = ["Lint", "lint"]

_ORDER = list(Level)


@dataclass(frozen=True, slots=True)
class Lint:
    """What was found, in order of place; `services` are the names of the sections that carry SMTP."""

    findings: tuple[Finding, ...]
    services: tuple[str, ...]


def _of_reader(document: Document) -> Iterator[Finding]:
    for trouble in document.troubles:
        yield Finding(
            "file/unreadable" if trouble.fatal else "file/uncertain",
            Level.FAIL if trouble.fatal else Level.INFO,
            trouble.place,
            trouble.reason,
            "the line cannot be read as HAProxy reads it" if trouble.fatal else "the file alone does not say it",
            "correct the line" if trouble.fatal else "set it as where HAProxy runs, and check again",
        )


def _of_rules(setup: Setup) -> Iterator[Finding]:
    for known in RULES.values():
        for found in known.look(setup):
            level = known.level if found.level is None else found.level
            yield Finding(known.id, level, found.place, found.what, found.why, found.remedy)


def lint(
    files: Sequence[SourceFile],
    versions: Iterable[HAProxyVersion],
    *,
    environment: Mapping[str, str],
    expected: Expected | None = None,
) -> Lint:
    """Judge files as each of `versions` reads them; a finding says which when it is not true of all.

    `environment` are the variables HAProxy will see. Raises ValueError when no version is given, or the files are
    larger than a configuration can be.
    """
    chosen = sorted(set(versions))
    if not chosen:
        raise ValueError("no version of HAProxy to judge the file for")
    found: dict[Finding, list[HAProxyVersion]] = {}
    services: dict[str, None] = {}
    for version in chosen:
        document = read_document(files, version, environment)
        setup = Setup(document, proxies_of(document), expected if expected is not None else Expected())
        services |= dict.fromkeys(f"{proxy.section.kind} {proxy.name}" for proxy in setup.services)
        for finding in dict.fromkeys((*_of_reader(document), *_of_rules(setup))):
            found.setdefault(finding, []).append(version)

    def rank(finding: Finding) -> tuple[Place, int, str]:
        return finding.place, _ORDER.index(finding.level), finding.rule

    return Lint(
        tuple(
            finding if len(true_of) == len(chosen) else replace(finding, versions=tuple(map(str, true_of)))
            for finding, true_of in sorted(found.items(), key=lambda item: rank(item[0]))
        ),
        tuple(services),
    )
