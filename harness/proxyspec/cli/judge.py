"""`proxyspec judge`: an old run judged again, offline."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from proxyspec.cli import terminal
from proxyspec.cli.comparison import conformance_run, print_comparison
from proxyspec.cli.options import BaselineOption, StrictOption
from proxyspec.errors import ExitCode, UsageError

__all__ = ["judge"]


def judge(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run's directory.", show_default=False)],
    baseline: BaselineOption = None,
    strict: StrictOption = False,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="Write the new record here, a new or empty directory."),
    ] = None,
) -> int:
    """Judge an old run again from its transcripts, by today's catalogue, and show the verdicts that changed.

    Nobody is connected to. Cases that send other bytes today, or are gone, keep their verdict, and are named. With
    --out the new record is written there; the old one is never touched.

    Exit codes: as those of `proxyspec run`, for the new verdicts.

    Example:

      proxyspec judge reports/out/monday --baseline known.toml
    """

    from proxyspec.cli.run import expectations_of
    from proxyspec.compare import compare
    from proxyspec.console import print_run
    from proxyspec.records import InvalidRun
    from proxyspec.rejudge import rejudge
    from proxyspec.rundir import RunDirectory
    from proxyspec_scenarios import catalogue as load_catalogue

    catalogue, old = load_catalogue(), conformance_run(run)
    try:
        again = rejudge(old, catalogue, expectations_of(catalogue, baseline, strict=strict))
    except InvalidRun as error:
        raise UsageError(f"{run}: {error}") from error
    directory = None if out is None else RunDirectory.create("conformance", out)
    console = terminal.console()
    for reason, count in Counter(reason for _, reason in again.kept).most_common():
        names = [case_id for case_id, why in again.kept if why == reason]
        shown = ", ".join(names[:5]) + (" …" if count > 5 else "")
        console.print(
            f"{count} kept their verdict, {reason}: {shown}", style="dim", highlight=False, markup=False, soft_wrap=True
        )
    print_comparison(console, compare(old.cases, again.run.cases), "the old record", "the new one")
    print_run(console, again.run)
    if directory is not None:
        where = directory.record(again.run.model_copy(update={"id": directory.id}))
        console.print(f"run record: {where}", highlight=False, markup=False, soft_wrap=True)
    return ExitCode(again.run.exit_code)
