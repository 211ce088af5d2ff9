"""`proxyspec report`: one page or document from any number of runs."""

from __future__ import annotations

import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from proxyspec.cli.outputs import STDOUT, Format, render, write_text
from proxyspec.errors import ExitCode, UsageError

__all__ = ["report", "write_report"]


def write_report(runs: list[Path], output: Path, form: Format = Format.HTML) -> None:
    """Read run directories and write the report, whole or not at all.

    Raises:
        UsageError: a run cannot be read, or the report cannot be written.
    """
    from proxyspec.cli.attachments import attachments_of
    from proxyspec.records import InvalidRun, load_run

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
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Run directories.", show_default=False)],
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
