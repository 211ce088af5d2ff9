"""`proxyspec list`, `explain` and `schema`: what the catalogue holds, without running it."""

from __future__ import annotations

import enum
import json
from typing import Annotated, Any

import typer

from proxyspec.errors import UsageError
from proxyspec.model import Case, HalfClose, Pause, Send, WatchCheck

__all__ = ["explain", "list_cases", "schema"]


class Format(enum.StrEnum):
    """How a list is written."""

    TEXT = "text"
    JSON = "json"


def _as_json(case: Case) -> dict[str, Any]:
    return {
        "id": case.id,
        "title": case.title,
        "section": case.section,
        "level": case.level,
        "via": case.via,
        "source": case.source,
        "versions": sorted(case.versions),
        "accepts": list(dict.fromkeys(str(accept) for accept in case.accept)),
        "control": case.control,
        "timing": case.timing,
        "waits": case.waits,
        "header": case.header.hex(),
        "commands": [command.hex() for command in case.commands],
    }


def list_cases(
    pattern: Annotated[list[str] | None, typer.Argument(metavar="[ID|PREFIX|GLOB]...", show_default=False)] = None,
    output: Annotated[Format, typer.Option("--format", help="text or json")] = Format.TEXT,
) -> None:
    """List the cases of the catalogue.

    Examples:

      proxyspec list v2

      proxyspec list --format json 'v1/port/*'
    """
    from proxyspec.cli.run import select
    from proxyspec_scenarios import catalogue

    cases = select(catalogue(), pattern or ())
    if output is Format.JSON:
        print(json.dumps([_as_json(case) for case in cases], indent=1))
        return
    from rich.console import Console
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for column in ("case", "level", "section"):
        table.add_column(column, no_wrap=True)
    table.add_column("what a conformant receiver does", overflow="fold")
    for case in cases:
        table.add_row(case.id, case.level, case.section, case.title)
    console = Console()
    console.print(table, markup=False, highlight=False, width=console.width if console.is_terminal else 200)
    console.print(f"{len(cases)} cases", highlight=False)


def _steps(case: Case) -> list[str]:
    lines = []
    for step in case.steps:
        match step:
            case Send(data):
                shown = repr(data[:200])[2:-1] + (f"… ({len(data)} bytes)" if len(data) > 200 else "")
                lines.append(f"send  {shown}")
                lines.append(f"      {data[:64].hex(' ')}{' …' if len(data) > 64 else ''}")
            case Pause(seconds, timeouts):
                lines.append(f"wait  {seconds:g} s" if seconds else f"wait  {timeouts:.3g} × the header deadline")
            case HalfClose():
                lines.append("send  FIN")
            case WatchCheck(name):
                lines.append(f"watch HAProxy's health check {name}")
    if len(lines) > 12:
        lines = [*lines[:8], f"… {len(lines) - 8} lines more of the same kind"]
    return lines


def explain(case_id: Annotated[str, typer.Argument(metavar="CASE", help="A case's id.", show_default=False)]) -> None:
    """Explain one case: what is sent, what conforms, which rule it comes from."""
    import difflib

    from proxyspec.layers.decode import describe
    from proxyspec_scenarios import catalogue

    book = catalogue()
    if case_id not in book:
        close = difflib.get_close_matches(case_id, [case.id for case in book.cases], 3)
        hint = f"; did you mean {', '.join(close)}?" if close else ""
        raise UsageError(f"{case_id!r} is no case{hint} `proxyspec list` shows them all")
    case = book[case_id]
    print(f"{case.id}: {case.title}.")
    print(f"  rule      section {case.section}, {case.level}")
    print(f"  played by a {case.source} peer, road: {case.via}")
    print(f"  conforms  {' or '.join(dict.fromkeys(str(accept) for accept in case.accept))}")
    if case.control is not None:
        print(f"  control   {case.control} must be accepted in the same run")
    print("  steps")
    for line in _steps(case) or ["(none: connect and keep quiet)"]:
        print(f"    {line}")
    for command in case.commands:
        print(f"    then, in the session: {command!r}")
    if case.header:
        print("  field by field")
        for part in describe(case.header)[:40]:
            print(f"    {part.offset:5}+{part.length:<5} {part.path:24} {part.value[:60]:30} {part.meaning}")


def schema() -> None:
    """Print the JSON Schema of run.json."""
    from proxyspec.records import run_schema

    print(run_schema(), end="")
