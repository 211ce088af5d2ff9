"""`proxyspec report`: one HTML page from any number of runs."""

from __future__ import annotations

import os
import tempfile
import webbrowser
from pathlib import Path
from typing import Annotated

import typer

from proxyspec.errors import ExitCode, UsageError

__all__ = ["report", "write_report"]


def write_report(runs: list[Path], output: Path) -> None:
    """Read run directories and write the page, whole or not at all.

    Raises:
        UsageError: a run cannot be read, or the page cannot be written.
    """
    from proxyspec.layers.decode import describe
    from proxyspec.records import InvalidRun, load_run
    from proxyspec_reports import render_html, view

    try:
        records = [load_run(path) for path in runs]
    except InvalidRun as error:
        raise UsageError(str(error)) from error
    page = render_html(view(records, annotate=describe))
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        descriptor, draft = tempfile.mkstemp(dir=output.parent, prefix=f".{output.name}.")
        try:
            with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                file.write(page)
            Path(draft).chmod(0o644)
            Path(draft).replace(output)
        except BaseException:
            Path(draft).unlink(missing_ok=True)
            raise
    except OSError as error:
        raise UsageError(f"the report {output} cannot be written: {error.strerror}; name another with -o") from error


def report(
    runs: Annotated[list[Path], typer.Argument(metavar="RUN...", help="Run directories.", show_default=False)],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="FILE", help="The page.")] = Path("report.html"),
    open_it: Annotated[bool, typer.Option("--open", help="Show it in the browser.")] = False,
) -> int:
    """Turn runs into one HTML file.

    Example:

      proxyspec report reports/out/* -o report.html
    """
    write_report(runs, output)
    print(f"report: {output} ({output.stat().st_size // 1024} KiB)")
    if open_it:
        webbrowser.open(output.resolve().as_uri())
    return ExitCode.OK
