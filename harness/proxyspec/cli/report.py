"""`proxyspec report`: one page or document from any number of runs."""

from __future__ import annotations

import sys
import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from proxyspec.cli.outputs import STDOUT, Format, render, write_text
from proxyspec.errors import ExitCode, UsageError
from proxyspec.printable import printable

__all__ = ["report", "write_report"]


def _recorded(runs: list[Path]) -> list[Path]:
    """Leave out, and say so, directories among several that have no record: a search, or a run that was killed."""
    from proxyspec.rundir import has_record

    without = [path for path in runs if path.is_dir() and not has_record(path)]
    if len(without) == len(runs):
        return runs
    for path in without:
        print(f"proxyspec: {printable(str(path))} holds no run record: left out", file=sys.stderr)
    return [path for path in runs if path not in without]


def write_report(runs: list[Path], output: Path, form: Format = Format.HTML) -> None:
    """Read run directories and write the report, whole or not at all.

    Raises:
        UsageError: a run cannot be read, the report cannot be written, or would take the place of a run's own file.
    """
    from proxyspec.cli.attachments import attachments_of
    from proxyspec.records import InvalidRun, load_run
    from proxyspec.rundir import is_own_file

    if any(is_own_file(output, path if path.is_dir() else path.parent) for path in runs):
        raise UsageError(f"-o {output} is a run's own file: name another")
    runs = _recorded(runs)
    try:
        text = render(form, [load_run(path) for path in runs], [attachments_of(path, output) for path in runs])
    except InvalidRun as error:
        raise UsageError(str(error)) from error
    write_text(str(output), text, "-o")


_NAMES = {
    Format.HTML: "report.html",
    Format.JUNIT: "junit.xml",
    Format.TAP: "report.tap",
    Format.MARKDOWN: "report.md",
    Format.JSON: "report.json",
}


def report(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN", help="Run directories.", show_default=False)],
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            metavar="FILE",
            help="The report; - is standard output; by default report.html, junit.xml, …",
        ),
    ] = None,
    form: Annotated[Format, typer.Option("--format", help="What to write.")] = Format.HTML,
    open_it: Annotated[bool, typer.Option("--open", help="Show it in the browser.")] = False,
) -> int:
    """Turn runs into one file: an HTML page, JUnit XML, TAP, Markdown, or JSON.

    Of several directories those that hold no run record, such as what `proxyspec fuzz` leaves, are left out and named.

    Examples:

      proxyspec report reports/out/* -o report.html

      proxyspec report reports/out/nightly --format markdown -o - >> "$GITHUB_STEP_SUMMARY"
    """
    path = output if output is not None else Path(_NAMES[form])
    write_report(runs, path, form)
    if str(path) != STDOUT:
        print(f"report: {path} ({path.stat().st_size // 1024} KiB)")
        if open_it:
            webbrowser.open(path.resolve().as_uri())
    return ExitCode.OK
