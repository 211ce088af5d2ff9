"""`proxyspec haproxy checks`: the health-check table of several HAProxies."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from proxyspec.cli import terminal
from proxyspec.cli.engines import engines_here
from proxyspec.cli.options import HAProxiesOption, OutOption
from proxyspec.cli.terminal import print_record
from proxyspec.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from proxyspec.checks.console import ChecksConsole
    from proxyspec.checks.model import Scenario
    from proxyspec.checks.runner import Watched
    from proxyspec.records import HAProxyRecord
    from proxyspec.records.checks import CheckRecord
    from proxyspec.rundir import RunDirectory
    from proxyspec_haproxy import Choice

__all__ = ["checks"]

#: Shorter, and the server sees too few checks; longer than anybody would wait.
_SECONDS = (2.0, 600.0)


def _scenarios(patterns: Sequence[str]) -> list[Scenario]:
    from proxyspec.checks.model import selected
    from proxyspec_scenarios.checks import CHECK_SCENARIOS

    for pattern in patterns:
        if not selected(CHECK_SCENARIOS, [pattern]):
            known = ", ".join(dict.fromkeys(scenario.check for scenario in CHECK_SCENARIOS))
            raise UsageError(f"--check {pattern!r} fits no check: there are {known}")
    return selected(CHECK_SCENARIOS, patterns)


class _Collector:
    """Keeps what each HAProxy gave, in the run directory and for the table."""

    def __init__(self, out: RunDirectory, console: ChecksConsole, choices: Sequence[Choice]) -> None:
        from proxyspec.checks.record import column_names

        self._out = out
        self._console = console
        described = [(choice.engine.version().release, choice.engine.describe()) for choice in choices]
        names = column_names(described)
        self._columns = {choice.engine.describe(): name for choice, name in zip(choices, names, strict=True)}
        self._rows: dict[str, list[CheckRecord]] = {}
        self._haproxies: dict[str, HAProxyRecord] = {}

    def began(self, choice: Choice) -> None:
        self._console.began(choice)

    def ended(self, watched: Watched) -> None:
        from proxyspec.checks.record import rows_of
        from proxyspec.haproxy.engines import haproxy_record

        name = watched.choice.engine.describe()
        column = self._columns[name]
        folder = f"evidence/haproxy-{list(self._columns).index(name) + 1}-{watched.choice.engine.version().release}"
        configs, logs = [], []
        for number, (config, log) in enumerate(zip(watched.configs, watched.logs, strict=True), 1):
            configs.append(f"{folder}/{number}.cfg")
            logs.append(f"{folder}/{number}.log")
            self._out.write(configs[-1], config)
            self._out.write(logs[-1], log)
        rows = rows_of(watched, column)
        for row in rows:
            self._out.event("check-judged", row)
        self._rows[name] = rows
        self._haproxies[name] = haproxy_record(watched.choice, ", ".join(configs), ", ".join(logs))
        self._console.ended(watched.choice, rows)

    @property
    def rows(self) -> list[CheckRecord]:
        """All rows, HAProxy by HAProxy as they were named."""
        return [row for name in self._columns for row in self._rows.get(name, [])]

    @property
    def haproxies(self) -> list[HAProxyRecord]:
        """The HAProxies that are done."""
        return [self._haproxies[name] for name in self._columns if name in self._haproxies]


def _run(specs: Sequence[str], patterns: Sequence[str], seconds: float, out_dir: Path | None) -> ExitCode:

    from proxyspec.checks.console import ChecksConsole, print_checks
    from proxyspec.checks.record import exit_code_of
    from proxyspec.checks.runner import run_checks
    from proxyspec.display import tally
    from proxyspec.records.checks import ChecksRun
    from proxyspec.rundir import RunDirectory
    from proxyspec.runhead import Begun

    scenarios = _scenarios(patterns)
    console = terminal.console()
    choices, skipped = engines_here(console, specs, words="not here", style="")
    with RunDirectory.create("checks", out_dir) as out:
        begun = Begun(out.id)
        interrupted = False
        with ChecksConsole(console, len(choices)) as progress:
            collector = _Collector(out, progress, choices)
            try:
                run_checks(scenarios, choices, collector, seconds=seconds)
            except KeyboardInterrupt:
                interrupted = True
        rows, haproxies = collector.rows, collector.haproxies
        code = exit_code_of([row.verdict for row in rows], interrupted=interrupted)
        versions = ", ".join(haproxy.version for haproxy in haproxies)
        run = ChecksRun(
            **begun.head(interrupted=interrupted),
            exit_code=code,
            subject=f"health checks of HAProxy {versions}" if versions else "health checks of HAProxy",
            haproxies=haproxies,
            skipped=skipped,
            rows=rows,
        )
        path = out.record(run)
    print_checks(console, rows)
    judged = tally(row.verdict for row in rows)
    print_record(console, path, run.duration, judged)
    if interrupted:
        print("proxyspec: interrupted; the HAProxies that were done are kept", file=sys.stderr)
    return code


def checks(
    haproxy: HAProxiesOption = None,
    check: Annotated[
        list[str] | None,
        typer.Option("--check", metavar="NAME|GLOB", help="Only these checks (see --list); may be repeated."),
    ] = None,
    seconds: Annotated[
        float, typer.Option("--time", metavar="SECONDS", help="How long the checks of each HAProxy are watched.")
    ] = 12.0,
    out: OutOption = None,
    list_checks: Annotated[bool, typer.Option("--list", help="List the checks and leave.")] = False,
) -> int:
    """Show what each health check reports of an SMTP server, how soon, and how often it resets the connection.

    Every check runs side by side on every HAProxy named (by default all that are on this machine), against the
    reference server and some odd ones, all on 127.0.0.1. What each release is known to do is expected of it.

    Exit codes: 0 all as expected, 1 not so, 2 usage, 4 the harness failed, 5 nothing judged, 130 interrupted.

    Examples:

      proxyspec haproxy checks

      proxyspec haproxy checks --haproxy docker:2.2 --haproxy docker:3.2 --check 'smtpchk*'
    """
    if not _SECONDS[0] <= seconds <= _SECONDS[1]:
        raise UsageError(f"--time {seconds:g} is out of range: {_SECONDS[0]:g} to {_SECONDS[1]:g} seconds")
    if list_checks:
        scenarios = _scenarios(check or ())
        width = max(len(scenario.id) for scenario in scenarios)
        for scenario in scenarios:
            print(f"{scenario.id:{width}}  {scenario.title}")
        return ExitCode.OK
    return _run(haproxy or ["matrix"], check or (), seconds, out)
