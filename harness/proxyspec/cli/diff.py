"""`proxyspec diff`: what changed between two runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from proxyspec.cli import terminal
from proxyspec.cli.comparison import conformance_run, print_comparison
from proxyspec.errors import ExitCode

__all__ = ["diff"]


def diff(
    before: Annotated[Path, typer.Argument(metavar="A", help="The earlier run's directory.", show_default=False)],
    after: Annotated[Path, typer.Argument(metavar="B", help="The later run's directory.", show_default=False)],
) -> int:
    """Show which verdicts, outcomes, endings and times changed from one run to another.

    A verdict that got worse is a regression; everything else is news. Times count as changed from 1.5 times and a
    quarter of a second on.

    Exit codes: 0 no regression, 1 at least one, 2 usage, 5 the runs have no case in common.

    Example:

      proxyspec diff reports/out/monday reports/out/tuesday
    """

    from proxyspec.compare import compare

    old, new = conformance_run(before), conformance_run(after)
    comparison = compare(old.cases, new.cases)
    console = terminal.console()
    if old.target.url != new.target.url:
        console.print(f"{old.target.url} before, {new.target.url} after", highlight=False, markup=False, style="dim")
    print_comparison(console, comparison, str(before), str(after))
    if not comparison.common:
        return ExitCode.NOTHING
    return ExitCode.FAILED if comparison.regressions else ExitCode.OK
