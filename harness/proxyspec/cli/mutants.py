"""`proxyspec mutants`: the kill matrix."""

from __future__ import annotations

import asyncio
import os
from typing import Annotated

import typer

from proxyspec.cli.options import OutOption
from proxyspec.errors import ExitCode, UsageError

__all__ = ["mutants"]

#: Rows of the table of weakest cases.
WEAKEST = 12


def mutants(
    defect: Annotated[
        list[str] | None, typer.Option(metavar="NAME", help="Only these defects; may be repeated.")
    ] = None,
    case: Annotated[
        list[str] | None, typer.Option("--case", metavar="ID|PREFIX|GLOB", help="Only these cases; may be repeated.")
    ] = None,
    parallel: Annotated[
        int, typer.Option(min=1, max=64, metavar="N", help="Mutants at once; by default three a core.")
    ] = 3 * (os.cpu_count() or 1),
    header_timeout: Annotated[float, typer.Option(metavar="SECONDS", help="Header deadline of every server.")] = 3.0,
    out: OutOption = None,
) -> int:
    """Run the suite against every seeded defect of the reference server and show who killed whom.

    Exit codes: 0 the healthy server passes and every defect is killed, 1 not so, 2 usage, 4 the harness failed,
    130 interrupted.
    """
    from rich.console import Console
    from rich.progress import Progress
    from rich.table import Table

    from proxyspec.mutants import KillMatrix, MutantResult, kill_matrix, seeded_defects
    from proxyspec.rundir import RunDirectory

    seeded = seeded_defects()
    if defect:
        names = {mutant.name for mutant in seeded}
        for name in defect:
            if name not in names:
                raise UsageError(f"--defect {name!r} is none; `proxyspec serve --list-defects` shows them all")
        seeded = [mutant for mutant in seeded if mutant.name in defect]
    console = Console()

    def show(matrix: KillMatrix) -> None:
        kills = matrix.kills
        weakest = sorted(kills, key=lambda name: (kills[name], name))[:WEAKEST]
        table = Table(box=None, pad_edge=False, header_style="bold")
        table.add_column("defects a case killed", justify="right")
        table.add_column("weakest cases")
        for name in weakest:
            table.add_row(str(kills[name]), name)
        console.print(table)
        killed = sum(mutant.state == "killed" for mutant in matrix.mutants)
        busy = len(matrix.cases) - len(matrix.idle_cases)
        console.print(
            f"\n{killed} of {len(matrix.mutants)} defects killed by {len(matrix.cases)} cases, of which {busy} kill at "
            f"least one; the healthy server {matrix.healthy}",
            highlight=False,
            soft_wrap=True,
        )

    with RunDirectory.create("mutants", out) as directory:
        progress = Progress(console=console, disable=not console.is_terminal, transient=True)
        with progress:
            task = progress.add_task("healthy server, then mutants", total=len(seeded))

            def report(result: MutantResult) -> None:
                directory.event("mutant-judged", result)
                progress.update(task, advance=1, description=result.name)
                if result.state != "killed":
                    text = f"{result.state.upper():9} {result.name}: {result.description} {result.note}".rstrip()
                    console.print(text, style="bold red", highlight=False, markup=False, soft_wrap=True)

            matrix = asyncio.run(
                kill_matrix(
                    seeded,
                    directory.path / "runs",
                    report,
                    header_timeout=header_timeout,
                    parallel=parallel,
                    patterns=case or (),
                )
            )
        path = directory.write("mutants.json", matrix.model_dump_json(indent=1) + "\n")
        show(matrix)
        console.print(f"kill matrix: {path}", highlight=False, markup=False, soft_wrap=True)
    return ExitCode.OK if matrix.healthy == "passes" and not matrix.survivors else ExitCode.FAILED
