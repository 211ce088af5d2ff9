"""What is common to runs of every kind: when, with which command, where."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from proxyspec.records import Environment, HAProxyRecord, Run, ScenarioRun, TargetRecord
from proxyspec_reports.printable import show

__all__ = ["Fact", "RunFacts", "run_facts"]

_LIMIT = 500


@dataclass(frozen=True, slots=True)
class Fact:
    """A line of the environment table."""

    name: str
    value: str


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFacts:
    """Head of a run's section; duration in seconds. `target` is the server, or what else was judged."""

    anchor: str
    id: str
    target: str
    started: str
    duration: float
    interrupted: bool
    command: str
    exit_code: int
    environment: tuple[Fact, ...]


def run_facts(run: Run, anchor: str) -> RunFacts:
    """Gather the facts of a run."""
    if isinstance(run, ScenarioRun):
        subject = run.subject
        particular = _haproxies(run.haproxies)
    else:
        subject = run.target.name or run.target.url
        particular = (*_target(run.target), *_haproxy(run.environment.haproxy))
    return RunFacts(
        anchor=anchor,
        id=show(run.id, _LIMIT),
        target=show(subject, _LIMIT),
        started=_moment(run.started),
        duration=run.duration,
        interrupted=run.status == "interrupted",
        command=show(shlex.join(["proxyspec", *run.command]), _LIMIT),
        exit_code=run.exit_code,
        environment=(*particular, *_environment(run.environment)),
    )


def _moment(started: datetime) -> str:
    if started.tzinfo is None:
        return f"{started:%Y-%m-%d %H:%M:%S}"
    return f"{started.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def _target(target: TargetRecord) -> tuple[Fact, ...]:
    return (
        Fact("Target", show(target.url, _LIMIT)),
        Fact("Header versions", ", ".join(f"v{version}" for version in target.versions) or "none declared"),
        Fact("Header deadline", f"{target.header_timeout:g} s (declared)"),
        Fact("Trusted peer", show(target.trusted_source or "chosen by the system", _LIMIT)),
        Fact("Unlisted peer", show(target.untrusted_source or "none declared", _LIMIT)),
        Fact("Oracle", show(target.oracle, _LIMIT)),
    )


def _haproxy(haproxy: HAProxyRecord | None) -> tuple[Fact, ...]:
    if haproxy is None:
        return (Fact("HAProxy", "none: nothing went through HAProxy"),)
    return (
        Fact("HAProxy", show(haproxy.version, _LIMIT)),
        Fact("Engine", show(f"{haproxy.engine}: {haproxy.description}", _LIMIT)),
        Fact("Why this engine", show(haproxy.why, _LIMIT)),
        Fact("Configuration", show(haproxy.config, _LIMIT)),
        Fact("Log", show(haproxy.log, _LIMIT)),
    )


def _haproxies(haproxies: Sequence[HAProxyRecord]) -> tuple[Fact, ...]:
    return tuple(
        Fact(
            f"HAProxy {show(haproxy.version, _LIMIT)}",
            show(f"{haproxy.engine}: {haproxy.description}; {haproxy.config}, {haproxy.log}", _LIMIT),
        )
        for haproxy in haproxies
    )


def _environment(environment: Environment) -> tuple[Fact, ...]:
    return (
        Fact("proxyspec", show(environment.proxyspec, _LIMIT)),
        Fact("Python", show(environment.python, _LIMIT)),
        Fact("Platform", show(environment.platform, _LIMIT)),
    )
