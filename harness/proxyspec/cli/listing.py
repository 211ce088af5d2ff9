"""`proxyspec list`, `explain` and `schema`: what the catalogue holds, without running it."""

from __future__ import annotations

import enum
import json
import shlex
from dataclasses import asdict
from typing import Annotated, Any

import typer

from proxyspec.cli import terminal
from proxyspec.cli.options import LevelOption, NotOption, SectionOption, TagOption, selection_of
from proxyspec.errors import UsageError
from proxyspec.model import Await, Case, HalfClose, Neighbour, Pause, Reset, Send, StartTls, WatchCheck
from proxyspec.selection import hint, named_by, tags_of

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
        "premise": case.premise,
        "timing": case.timing,
        "tags": sorted(tags_of(case)),
        "waits": case.waits,
        "header": case.header.hex(),
        "commands": [command.hex() for command in case.commands],
        "requirements": list(case.requirements),
        "needs": sorted(case.needs),
    }


def list_cases(
    pattern: Annotated[
        list[str] | None,
        typer.Argument(metavar="ID|PREFIX|GLOB", help="Only these cases; left out: all.", show_default=False),
    ] = None,
    named: Annotated[
        list[str] | None, typer.Option("--case", metavar="ID|PREFIX|GLOB", help="The same, as other commands take it.")
    ] = None,
    section: SectionOption = None,
    level: LevelOption = None,
    tag: TagOption = None,
    without: NotOption = None,
    output: Annotated[Format, typer.Option("--format", help="text or json")] = Format.TEXT,
    requirements: Annotated[
        bool, typer.Option("--requirements", help="The rules themselves, with the number of cases that test each.")
    ] = False,
    oracles: Annotated[
        bool, typer.Option("--oracles", help="What can show the address a server believes, and what that needs.")
    ] = False,
) -> None:
    """List the cases of the catalogue, the requirements they test, or the oracles that show addresses.

    Examples:

      proxyspec list v2

      proxyspec list --level MUST --tag rejects --not waits

      proxyspec list --format json 'v1/port/*'
    """
    if oracles:
        _list_oracles(output)
        return
    from proxyspec.selection import select
    from proxyspec_scenarios import catalogue

    cases = select(catalogue().cases, selection_of([*(pattern or ()), *(named or ())], section, level, tag, without))
    if requirements:
        _list_requirements(cases, output)
        return
    if output is Format.JSON:
        print(json.dumps([_as_json(case) for case in cases], indent=1))
        return
    from rich.markup import escape

    from proxyspec.display import plain_table, print_table

    table = plain_table()
    for column in ("case", "level", "section"):
        table.add_column(column, no_wrap=True)
    table.add_column("what a conformant receiver does", overflow="fold")
    for case in cases:
        table.add_row(case.id, case.level, case.section, escape(case.title))
    console = terminal.console()
    print_table(console, table)
    console.print("1 case" if len(cases) == 1 else f"{len(cases)} cases", highlight=False)


def _list_oracles(output: Format) -> None:
    from rich.markup import escape

    from proxyspec.display import plain_table, print_table
    from proxyspec.oracles import REGISTRY

    if output is Format.JSON:
        print(json.dumps([{"name": name, "reads": kind.reads, "needs": kind.needs} for name, kind in REGISTRY.items()]))
        return
    table = plain_table()
    for column in ("oracle", "needs"):
        table.add_column(column, no_wrap=True)
    table.add_column("reads", overflow="fold")
    for name, kind in REGISTRY.items():
        table.add_row(name, ", ".join(kind.needs) or "·", escape(kind.reads))
    print_table(terminal.console(), table)


def _list_requirements(cases: tuple[Case, ...], output: Format) -> None:
    from rich.markup import escape

    from proxyspec.display import plain_table, print_table
    from proxyspec_scenarios.requirements import REQUIREMENTS, coverage

    covered = coverage(cases)
    if output is Format.JSON:
        rows = [{**asdict(requirement), "cases": covered[requirement.id]} for requirement in REQUIREMENTS]
        print(json.dumps(rows, indent=1))
        return
    table = plain_table()
    for column in ("requirement", "level", "section", "cases"):
        table.add_column(column, no_wrap=True, justify="right" if column == "cases" else "left")
    table.add_column("what a receiver does", overflow="fold")
    for requirement in REQUIREMENTS:
        count = len(covered[requirement.id])
        said = requirement.sentence
        if requirement.untested is not None:
            said += f" (no case: {requirement.untested})"
        table.add_row(requirement.id, requirement.level, requirement.section, str(count or "·"), escape(said))
    console = terminal.console()
    print_table(console, table)
    tested = sum(bool(covered[requirement.id]) for requirement in REQUIREMENTS)
    reasons = sum(requirement.untested is not None for requirement in REQUIREMENTS)
    said = f"{len(REQUIREMENTS)} requirements: {tested} tested by {len(cases)} cases, {reasons} with a reason why not"
    console.print(said, highlight=False)


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
            case Reset():
                lines.append("send  RST")
            case Await(replies):
                lines.append("wait  for the greeting" if replies == 1 else f"wait  for {replies} replies")
            case StartTls(glued):
                lines.append("TLS   handshake" + (f", behind {len(glued)} bytes in one segment" if glued else ""))
                if glued:
                    lines.append(f"      {glued[:64].hex(' ')}{' …' if len(glued) > 64 else ''}")
            case WatchCheck(name):
                lines.append(f"watch HAProxy's health check {name}")
    if len(lines) > 12:
        lines = [*lines[:8], f"… {len(lines) - 8} lines more of the same kind"]
    return lines


def _surroundings(case: Case) -> list[str]:
    def named(neighbour: Neighbour) -> str:
        return f"whose header says {neighbour.address}"

    lines = []
    if case.crowd is not None:
        lines.append(f"crowd     {case.crowd.count} connections that send {len(case.crowd.data)} bytes and hold still")
    if case.beside is not None:
        lines.append(f"beside    a session {named(case.beside)}, which must keep that address")
    if case.then is not None:
        lines.append(f"then      a session {named(case.then)}, which must be served; the target's processes must idle")
    return lines


def explain(case_id: Annotated[str, typer.Argument(metavar="CASE", help="A case's id.", show_default=False)]) -> None:
    """Explain one case: what is sent, what conforms, which rule it comes from.

    Example:

      proxyspec explain v1/port/leading-zero
    """
    from proxyspec.layers.decode import describe
    from proxyspec_scenarios import catalogue

    book = catalogue()
    if case_id not in book:
        several = sum(named_by(case_id, case.id) for case in book.cases)
        if several:
            raise UsageError(f"{case_id!r} names {several} cases: `proxyspec list {shlex.quote(case_id)}` shows them")
        raise UsageError(f"{case_id[:80]!r} is no case{hint(case_id, (case.id for case in book.cases))}")
    case = book[case_id]
    print(f"{case.id}: {case.title}.")
    print(f"  rule      section {case.section}, {case.level}")
    print(f"  played by a {case.source} peer, road: {case.via}")
    print(f"  tags      {', '.join(sorted(tags_of(case)))}")
    print(f"  conforms  {' or '.join(dict.fromkeys(str(accept) for accept in case.accept))}")
    if case.control is not None:
        print(f"  control   {case.control} must be accepted in the same run")
    if case.premise is not None:
        print(f"  premise   {case.premise} asks whether it is refused at all; how, is asked only if it is")
    if case.requirements:
        print(f"  tests     {', '.join(case.requirements)}")
    if case.needs:
        print(f"  needs     {', '.join(sorted(case.needs))}")
    for line in _surroundings(case):
        print(f"  {line}")
    print("  steps")
    for line in _steps(case) or ["(none: connect and keep quiet)"]:
        print(f"    {line}")
    for command in case.commands:
        print(f"    then, in the session: {command!r}")
    if case.header:
        print("  field by field")
        for part in describe(case.header)[:40]:
            print(f"    {part.offset:5}+{part.length:<5} {part.path:24} {part.value[:60]:30} {part.meaning}")


class Described(enum.StrEnum):
    """Files of ours that have a JSON Schema."""

    RUN = "run"
    CASES = "cases"


def schema(
    what: Annotated[
        Described, typer.Argument(metavar="run|cases", help="run.json, or the files --case-file takes.")
    ] = Described.RUN,
) -> None:
    """Print the JSON Schema of run.json, or of case files.

    Examples:

      proxyspec schema > run.schema.json

      proxyspec schema cases
    """
    if what is Described.CASES:
        from proxyspec.casefile import case_file_schema

        print(case_file_schema(), end="")
    else:
        from proxyspec.records import run_schema

        print(run_schema(), end="")
