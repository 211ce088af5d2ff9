"""`proxyspec demo`: the whole tool in a minute: serve, judge directly and through HAProxy, load, report."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated

import typer

from proxyspec.cli import terminal
from proxyspec.errors import ExitCode

__all__ = ["demo"]

#: Seconds of load: long enough for a time line to show.
LOAD_SECONDS = 15.0


def demo(
    haproxy: Annotated[
        str, typer.Option(metavar="ENGINE", help="auto, docker, docker:3.2, docker:IMAGE, binary, binary:/PATH.")
    ] = "auto",
    header_timeout: Annotated[
        float, typer.Option(metavar="SECONDS", help="The reference server's header deadline.")
    ] = 30.0,
    out: Annotated[
        Path | None, typer.Option("--out", metavar="DIR", help="Where everything goes; by default below reports/out/.")
    ] = None,
) -> int:
    """Judge and load the reference server behind a real HAProxy, and write one HTML report.

    Takes about a minute; starts and stops everything it needs, on 127.0.0.1 only.

    Examples:

      proxyspec demo

      proxyspec demo --haproxy binary --header-timeout 5
    """

    from proxyspec.cli.load import load_target
    from proxyspec.cli.report import write_report
    from proxyspec.cli.run import RunOptions, judge_target
    from proxyspec.load import LoadOptions
    from proxyspec.reference import reference_server
    from proxyspec.rundir import RunDirectory
    from proxyspec.targets import make_target

    started = time.monotonic()
    console = terminal.console()
    folder = RunDirectory.create("demo", out).path
    page = folder / "report.html"
    runs: list[Path] = []
    code = ExitCode.OK
    arguments = ["--trust", "127.0.0.1", "--header-timeout", f"{header_timeout:g}"]
    try:
        with reference_server(arguments, folder / "server.ndjson") as (host, port):
            console.print(f"reference server on {host}:{port}, trusts 127.0.0.1", style="dim", highlight=False)
            target = make_target(f"smtp://{host}:{port}", header_timeout=header_timeout)
            runs.append(folder / "conformance")
            code = ExitCode(judge_target(target, folder / "conformance", RunOptions(haproxy=haproxy))[0])
            if code is not ExitCode.INTERRUPTED:
                runs.append(folder / "load")
                options = LoadOptions(profile="throughput", seconds=LOAD_SECONDS)
                load_code, _ = load_target(target, folder / "load", options)
                code = code or ExitCode(load_code)
    finally:
        finished = [run for run in runs if (run / "run.json").exists()]
        if finished:
            write_report(finished, page)
            took = f"({time.monotonic() - started:.0f} s in all)"
            console.print(f"report: {page} {took}", highlight=False, markup=False, soft_wrap=True)
    return code
