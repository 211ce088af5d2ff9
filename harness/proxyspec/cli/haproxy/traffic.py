"""`proxyspec haproxy traffic`: mail through HAProxy while servers die, drain, fill up and return."""

from __future__ import annotations

import fnmatch
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from proxyspec.cli import terminal
from proxyspec.cli.engines import engines_here
from proxyspec.cli.options import HAProxiesOption, OutOption
from proxyspec.cli.terminal import print_record
from proxyspec.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from proxyspec.traffic.model import Scenario

__all__ = ["traffic"]

_RATES = (1.0, 5000.0)
_LONGEST = 3600.0


def _chosen(patterns: Sequence[str]) -> list[Scenario]:
    from proxyspec_scenarios.traffic import SCENARIOS

    names = [scenario.name for scenario in SCENARIOS]
    for pattern in patterns:
        if not fnmatch.filter(names, pattern):
            raise UsageError(f"--scenario {pattern!r} fits none of {', '.join(names)}")
    return [
        scenario
        for scenario in SCENARIOS
        if not patterns or any(fnmatch.fnmatchcase(scenario.name, pattern) for pattern in patterns)
    ]


def _print_scenarios(scenarios: Sequence[Scenario]) -> None:
    width = max(len(scenario.name) for scenario in scenarios)
    for scenario in scenarios:
        print(f"{scenario.name:{width}}  {scenario.title}")


def traffic(
    scenario: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME|GLOB", help="Only these scenarios (see --list); may be repeated."),
    ] = None,
    haproxy: HAProxiesOption = None,
    rate: Annotated[float, typer.Option(metavar="R", help="Sessions per second of each scenario under load.")] = 200.0,
    time: Annotated[
        str | None,
        typer.Option(metavar="DURATION", help="Least duration of each scenario under load: 15, 15s, 2m; else its own."),
    ] = None,
    out: OutOption = None,
    list_scenarios: Annotated[bool, typer.Option("--list", help="List the scenarios and leave.")] = False,
) -> int:
    """Send mail through HAProxy to several servers, kill, drain and restart them meanwhile, and account for all of it.

    A message that was acknowledged must be delivered exactly once. The servers are reference servers on 127.0.0.1; so
    are the clients. Each HAProxy takes about 45 seconds.
    Exit codes: 0 all as expected, 1 not so, 2 usage, 4 the harness failed, 130 interrupted.

    Examples:

      proxyspec haproxy traffic

      proxyspec haproxy traffic --haproxy matrix --rate 100

      proxyspec haproxy traffic --scenario 'death*' --haproxy docker:3.2 --haproxy binary
    """
    scenarios = _chosen(scenario or ())
    if list_scenarios:
        _print_scenarios(scenarios)
        return ExitCode.OK

    from proxyspec.load.options import parse_duration
    from proxyspec.rundir import RunDirectory
    from proxyspec.traffic.console import TrafficConsole, print_traffic
    from proxyspec.traffic.run import traffic_run
    from proxyspec.traffic.runner import Pace

    if not _RATES[0] <= rate <= _RATES[1]:
        raise UsageError(f"--rate {rate:g}: give 1 to 5000 sessions per second")
    seconds = None if time is None else parse_duration(time)
    if seconds is not None and seconds > _LONGEST:
        raise UsageError(f"--time {time}: an hour is the most")
    console = terminal.console()
    choices, _ = engines_here(console, haproxy or ["auto"])
    with RunDirectory.create("traffic", out) as directory:
        with TrafficConsole(console, len(scenarios) * len(choices)) as listener:
            run = traffic_run(scenarios, choices, Pace(rate, seconds), directory, listener)
        print_traffic(console, run)
        if run.status == "interrupted":
            print("proxyspec: interrupted; what was judged so far is kept", file=sys.stderr)
        where = directory.path / "run.json"
        print_record(console, where, run.duration)
    return ExitCode(run.exit_code)
