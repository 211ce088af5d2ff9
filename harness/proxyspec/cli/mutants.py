"""`proxyspec mutants`: the kill matrix."""

from __future__ import annotations

import difflib
import os
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from proxyspec.cli.options import OutOption
from proxyspec.cli.terminal import print_record
from proxyspec.errors import ExitCode, UsageError
from proxyspec.model import Verdict, Via

if TYPE_CHECKING:
    from rich.console import Console

    from proxyspec.model import Case
    from proxyspec.mutants import Mutant
    from proxyspec.records import MutantRecord, MutantsRun

__all__ = ["all_mutants", "chosen", "mutants"]

#: Rows of the table of weakest cases.
WEAKEST = 12
#: Killers that stand behind a defect; the run record has them all.
NAMED = 3
#: Mutants at once for each core: most of the time each of them waits for its deadline.
PER_CORE = 3


def all_mutants() -> list[Mutant]:
    """Return every seeded defect, then every server that is sound in its own way."""
    from proxyspec.mutants import Kind, Mutant
    from proxyspec.targets import capabilities_of
    from proxyspec_scenarios.mutants import PROFILES
    from proxyspec_server.defects import DEFECTS, VARIATIONS

    found = [
        Mutant(
            name=defect.name,
            description=defect.sentence,
            origin=defect.origin,
            arguments=("--defect", defect.name, *defect.options),
            killed_by=defect.killed_by,
            unseen=defect.unseen,
            spreads=defect.spreads,
        )
        for defect in DEFECTS.values()
    ]
    found.append(
        Mutant(
            name="sound-again",
            description="The reference server as it is, while others run.",
            origin="nothing about it differs",
            arguments=(),
            kind=Kind.VARIATION,
        )
    )
    found += [
        Mutant(
            name=f"profile-{profile.name}",
            description=f"The profile {profile.name}.",
            origin=profile.grounds,
            arguments=("--profile", profile.name),
            kind=Kind.VARIATION,
            versions=profile.versions,
            lacks=capabilities_of([f"no-{word}" for word in profile.lacks])[1],
            warned=profile.warned,
        )
        for profile in PROFILES
    ]
    found += [
        Mutant(
            name=variation.name,
            description=variation.sentence,
            origin=variation.grounds,
            arguments=("--variation", variation.name),
            kind=Kind.VARIATION,
            versions=variation.versions,
            lacks=capabilities_of([f"no-{word}" for word in variation.lacks])[1],
        )
        for variation in VARIATIONS.values()
    ]
    return found


def chosen(names: Sequence[str], cases: Sequence[Case]) -> list[Mutant]:
    """Return the mutants of these names; without any all of them, of which those that `cases` do not claim may survive.

    Raises:
        UsageError: there is none of that name.
    """
    from proxyspec.mutants import Kind

    known = all_mutants()
    there = [mutant.name for mutant in known]
    for name in names:
        if name not in there:
            close = difflib.get_close_matches(name, there, 3)
            meant = f"did you mean {', '.join(close)}? " if close else ""
            raise UsageError(
                f"--defect {name!r} is none; {meant}`proxyspec serve --list-defects` and `--list-variations` "
                "show them all"
            )
    if names:
        return [mutant for mutant in known if mutant.name in names]
    present = {case.id for case in cases}
    return [
        replace(mutant, unseen="no case that took part claims it")
        if mutant.kind is Kind.DEFECT and not mutant.unseen and present.isdisjoint(mutant.killed_by)
        else mutant
        for mutant in known
    ]


def mutants(
    defect: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Only these defects or variations; may be repeated.")
    ] = None,
    case: Annotated[
        list[str] | None, typer.Option("--case", metavar="ID|PREFIX|GLOB", help="Only these cases; may be repeated.")
    ] = None,
    parallel: Annotated[
        int, typer.Option(min=1, max=64, metavar="N", help=f"Mutants at once; by default {PER_CORE} a core.")
    ] = PER_CORE * (os.cpu_count() or 1),
    header_timeout: Annotated[
        float, typer.Option(min=3.0, max=60.0, metavar="SECONDS", help="Header deadline of every server.")
    ] = 3.0,
    out: OutOption = None,
) -> int:
    """Run the suite against every seeded defect of the reference server and show who killed whom.

    Beside the defects run variations, which differ within what the text allows: no case may flag them. Every defect
    has to be killed by a case, and every case has to kill a defect. With --case alone, what these cases kill is shown,
    and only those defects have to be killed that they claim.

    Exit codes: 0 all that is so, 1 not so, 2 usage, 4 the harness failed, 130 interrupted.

    Examples:

      proxyspec mutants

      proxyspec mutants --defect v1-port-wraps-16 --case v1/port

      proxyspec mutants --case v1/port/leading-zero
    """
    from rich.console import Console
    from rich.progress import Progress

    from proxyspec.mutants import Bench, kill_matrix
    from proxyspec.records import MutantsRun
    from proxyspec.rundir import RunDirectory
    from proxyspec.runhead import Begun
    from proxyspec.selection import Selection, select
    from proxyspec_scenarios import catalogue
    from proxyspec_scenarios.mutants import IDLE
    from proxyspec_server.command import main as serve

    known = catalogue()
    cases = tuple(each for each in select(known.cases, Selection(patterns=tuple(case or ()))) if each.via is Via.DIRECT)
    if not cases:
        raise UsageError("no case is left: those that need HAProxy or packets of their own do not take part")
    candidates = chosen(defect or (), cases)
    console = Console()
    with RunDirectory.create("mutants", out) as directory, tempfile.TemporaryDirectory(prefix="proxyspec-") as folder:
        begun = Begun(directory.id)
        # No thread refreshes it: what forks must have none.
        with Progress(console=console, disable=not console.is_terminal, transient=True, auto_refresh=False) as progress:
            task = progress.add_task("sound server", total=len(candidates) + 1)

            def report(record: MutantRecord) -> None:
                directory.event("mutant-judged", record)
                progress.update(task, advance=1, description=record.id, refresh=True)
                if record.verdict in (Verdict.FAIL, Verdict.ERROR):
                    _complain(console, record.state, f"{record.id}: {record.title} {record.reason}")

            bench = Bench(
                serve=serve,
                catalogue=known,
                cases=known.with_prerequisites(cases),
                folder=Path(folder),
                header_timeout=header_timeout,
            )
            matrix = kill_matrix(
                bench, candidates, report, parallel=parallel, reasons=IDLE, whole=not defect and not case
            )
        run = MutantsRun(
            **begun.head(interrupted=matrix.interrupted),
            exit_code=_exit_code(matrix.verdicts, interrupted=matrix.interrupted),
            subject=f"The suite on {len(matrix.mutants)} of {len(candidates) + 1} servers",
            header_timeout=header_timeout,
            parallel=parallel,
            whole=not defect and not case,
            mutants=list(matrix.mutants),
            cases=list(matrix.cases),
        )
        path = directory.record(run)
        _show(console, run)
        print_record(console, path, run.duration)
    return run.exit_code


def _exit_code(verdicts: Sequence[Verdict], *, interrupted: bool) -> ExitCode:
    if interrupted:
        return ExitCode.INTERRUPTED
    if Verdict.ERROR in verdicts:
        return ExitCode.HARNESS
    return ExitCode.FAILED if Verdict.FAIL in verdicts else ExitCode.OK


def _complain(console: Console, what: str, text: str) -> None:
    console.print(f"{what.upper():9} {text}", style="bold red", highlight=False, markup=False, soft_wrap=True)


def _epitaph(mutant: MutantRecord) -> str:
    killers = ", ".join(mutant.killers[:NAMED])
    more = f" and {len(mutant.killers) - NAMED} more" if len(mutant.killers) > NAMED else ""
    return f"{'KILLED':9} {mutant.id}: {mutant.title} ({killers or mutant.reason}{more})"


def _show(console: Console, run: MutantsRun) -> None:
    from proxyspec.display import plain_table, print_table

    for case in run.cases:
        if case.verdict is Verdict.FAIL:
            _complain(console, "idle", f"{case.id}: {case.reason}")
    if not run.whole:
        for mutant in run.mutants:
            if mutant.state == "killed":
                console.print(_epitaph(mutant), highlight=False, markup=False, soft_wrap=True)
    table = plain_table()
    table.add_column("kills", justify="right")
    table.add_column("weakest cases")
    table.add_column("narrowest defect (its killers)")
    for case in [case for case in run.cases if case.verdict is Verdict.PASS][:WEAKEST]:
        table.add_row(str(case.kills), case.id, f"{case.narrowest} ({case.narrowest_killers})")
    print_table(console, table)
    states = [mutant.state for mutant in run.mutants if mutant.kind == "defect"]
    sound = [mutant.state for mutant in run.mutants if mutant.kind != "defect"]
    kills = sum(len(mutant.killers) for mutant in run.mutants if mutant.kind == "defect")
    busy = sum(case.kills > 0 for case in run.cases)
    seconds = sum(mutant.seconds for mutant in run.mutants)
    console.print(
        f"\n{states.count('killed')} of {len(states)} defects killed ({states.count('unseen')} not seen, with "
        f"the reason stated), {kills} kills; {busy} of {len(run.cases)} cases kill at least one; "
        f"{sound.count('passed')} of {len(sound)} sound servers pass; {seconds / max(1, len(run.mutants)):.1f} s of "
        "processor time each",
        highlight=False,
        soft_wrap=True,
    )
    if run.status == "interrupted":
        print("proxyspec: interrupted; what was judged so far is kept", file=sys.stderr)
