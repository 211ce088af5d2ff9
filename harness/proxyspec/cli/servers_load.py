"""`proxyspec servers load`: the same load on several servers, side by side in one report."""

from __future__ import annotations

import dataclasses
import sys
from pathlib import Path
from typing import Annotated

import typer

from proxyspec.cli.load import load_target, profile_of
from proxyspec.cli.options import HAProxyOption, OutOption
from proxyspec.errors import ExitCode, UsageError, joint_exit_code
from proxyspec.interruption import until_interrupted
from proxyspec.load.options import HeaderKind, LoadOptions, parse_duration
from proxyspec.model import Via

__all__ = ["load"]


def load(
    server: Annotated[list[str], typer.Argument(metavar="NAME[@VERSION]", show_default=False)],
    profile: Annotated[
        str, typer.Option(metavar="NAME|FILE", help="A profile of `proxyspec load --list`, or a locustfile.")
    ] = "steady",
    users: Annotated[int | None, typer.Option(metavar="N", help="Users at once; by default the profile's own.")] = None,
    spawn_rate: Annotated[float | None, typer.Option(metavar="R", help="Users started per second.")] = None,
    time: Annotated[str | None, typer.Option(metavar="DURATION", help="Of each load: 15, 15s, 2m, 1h.")] = None,
    rounds: Annotated[int, typer.Option(metavar="N", help="Loads of each server.")] = 3,
    header: Annotated[
        HeaderKind | None,
        typer.Option(help="What each connection begins with; by default v2, or v1 where a server reads no other."),
    ] = None,
    message_size: Annotated[int | None, typer.Option(metavar="BYTES", help="Size of each message.")] = None,
    messages: Annotated[int | None, typer.Option(metavar="N", help="Messages on each connection.")] = None,
    expect: Annotated[
        list[str] | None,
        typer.Option(metavar="EXPR", help="A threshold, as in `proxyspec load`; may be repeated."),
    ] = None,
    haproxy: HAProxyOption = None,
    out: OutOption = None,
    cache: Annotated[Path | None, typer.Option("--cache", metavar="DIR", help="Where servers are kept.")] = None,
) -> int:
    """Drive several servers with the same load in interleaved rounds, and compare them in one report.

    Each server is started afresh for each load, which is the only one under way. With --haproxy the load goes through
    an HAProxy that adds the header each server reads. A server that cannot be had, does not start or dies says why,
    and the others go on.

    Exit codes: 0 every threshold met, 1 one missed or a round came to nothing, 2 usage, 3 a server could not be
    measured at all, 4 the harness failed, 130 interrupted.

    Examples:

      proxyspec servers load reference aiosmtpd haraka --profile steady --time 20s

      proxyspec servers load postfix opensmtpd --rounds 5 --haproxy docker:3.2
    """
    from proxyspec.cli import terminal
    from proxyspec.cli.report import write_report
    from proxyspec.load.console import print_comparison
    from proxyspec.model import Capability, Verdict
    from proxyspec.printable import printable
    from proxyspec.records.matrix import MatrixRun
    from proxyspec.rundir import RunDirectory
    from proxyspec.runhead import Begun
    from proxyspec.servers.installed import ServerFailed
    from proxyspec.servers.load import Row, Turn, load_servers, row_record

    if len(set(server)) < len(server):
        raise UsageError(f"{next(name for name in server if server.count(name) > 1)} is named twice")
    if haproxy is not None and header is not None:
        raise UsageError("--haproxy adds the header each server reads: leave out --header")
    options = LoadOptions(
        profile=profile,
        users=users,
        spawn_rate=spawn_rate,
        seconds=None if time is None else parse_duration(time),
        message_size=message_size,
        messages=messages,
        expect=tuple(expect or ()),
    )
    name = profile_of(options).name
    console = terminal.console()

    def drive(turn: Turn) -> ExitCode:
        console.rule(f"round {turn.number} of {rounds}: {turn.server.label}", align="left", style="dim")
        if Capability.ANONYMOUS_MAIL in turn.target.lacks:
            raise ServerFailed(f"{turn.server.name} takes no mail before a login: no profile loads it")
        chosen = dataclasses.replace(
            options, header=turn.header, recipient=turn.server.mailbox, server_pid=turn.server.pid
        )
        via = Via.RELAY_V1 if turn.header is HeaderKind.V1 else Via.RELAY_V2
        code, _ = load_target(turn.target, turn.folder, chosen, haproxy=haproxy, via=via)
        return ExitCode(code)

    rows = [Row(name) for name in server]
    files = RunDirectory.create("servers-load", out)
    begun = Begun(files.id)
    try:
        code = until_interrupted(load_servers(rows, rounds, files.path, drive, cache=cache, header=header))
    except KeyboardInterrupt:
        code = ExitCode.INTERRUPTED
    cells = [row_record(row, name, haproxy, rounds, files.path) for row in rows]
    if code is not ExitCode.INTERRUPTED:
        ends = {Verdict.UNTESTABLE: ExitCode.UNJUDGEABLE, Verdict.FAIL: ExitCode.FAILED}
        code = joint_exit_code([code, *(ends.get(cell.verdict, ExitCode.OK) for cell in cells)])
    record = MatrixRun(
        **begun.head(interrupted=code is ExitCode.INTERRUPTED),
        exit_code=code,
        subject=f"load {name} of {', '.join(server)}",
        cells=cells,
    )
    files.record(record)
    page = files.path / "report.html"
    write_report([files.path, *(path for row in rows for path, _ in row.runs)], page)
    console.rule(style="dim")
    print_comparison(console, "server", [(run.target.name or row.server, run) for row in rows for _, run in row.runs])
    for row in rows:
        for trouble in row.troubles:
            print(f"proxyspec: {printable(trouble, keep=chr(10))}", file=sys.stderr)
    said = printable(f"{record.duration:.0f} s; record: {files.path / 'run.json'}, report: {page}")
    console.print(said, markup=False, highlight=False, soft_wrap=True)
    return code
