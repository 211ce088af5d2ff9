"""`proxyspec tcp`: judge a server by segments made one by one, in a network namespace made for it."""

from __future__ import annotations

import contextlib
import os
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from proxyspec.cli import terminal
from proxyspec.cli.options import OutOption, TimeoutOption
from proxyspec.cli.terminal import print_record
from proxyspec.errors import ExitCode
from proxyspec.model import Via

__all__ = ["tcp"]


def _judge(start: str, port: int, header_timeout: float, patterns: Sequence[str], out_dir: Path | None) -> ExitCode:

    from proxyspec.conformance import conformance
    from proxyspec.console import RunConsole, print_run
    from proxyspec.model import Target
    from proxyspec.rundir import RunDirectory
    from proxyspec.selection import Selection, select
    from proxyspec.started import started
    from proxyspec.tcp.namespace import ADDRESS, NETWORK, PEER, Unprivileged, enter, open_tun
    from proxyspec.tcp.started import words_of
    from proxyspec.tcp.wire import Link, PacketRoad, PacketRoads, PacketWire
    from proxyspec_scenarios import catalogue as load_catalogue
    from proxyspec_scenarios.deliveries import DELIVERIES

    catalogue = load_catalogue()
    ours = tuple(case for case in catalogue.cases if case.via is Via.PACKETS)
    cases = catalogue.with_prerequisites(select(ours, Selection(patterns=patterns)) if patterns else ours)
    console = terminal.console()
    try:
        enter()
        descriptor = open_tun()
    except Unprivileged as reason:
        console.print(f"{len(cases)} TCP-level cases not run: {reason}", highlight=False, markup=False, soft_wrap=True)
        return ExitCode.NOTHING
    with contextlib.ExitStack() as stack:
        stack.callback(os.close, descriptor)
        out = stack.enter_context(RunDirectory.create("tcp", out_dir))
        places = {"address": f"{ADDRESS}:{port}", "host": ADDRESS, "port": str(port), "network": NETWORK}
        pid = stack.enter_context(started(words_of(start, places), ADDRESS, port, out.path / "server.log"))
        target = Target(host=ADDRESS, port=port, header_timeout=header_timeout, pid=pid)
        link = Link(descriptor)
        flags = shlex.join(["--start", start, "--port", str(port), "--header-timeout", f"{header_timeout:g}"])
        roads = PacketRoads({}, {}, road=PacketRoad(ADDRESS, port, PEER), deliveries=DELIVERIES)
        with RunConsole(console, len(cases), header_timeout) as listener:
            run = conformance(
                catalogue,
                cases,
                target,
                roads,
                out,
                listener,
                connect=lambda road: PacketWire(link, road),
                reproduce=lambda case: f"proxyspec tcp {flags} --case {case.id}",
            )
        print_run(console, run)
        if run.status == "interrupted":
            print("proxyspec: interrupted; what was judged so far is kept", file=sys.stderr)
        where = out.path / "run.json"
        print_record(console, where, run.duration)
    return ExitCode(run.exit_code)


def tcp(
    start: Annotated[
        str | None,
        typer.Option(
            metavar="COMMAND",
            help="Starts the server, in the foreground; {address} (HOST:PORT), {host}, {port} and {network}, whose "
            "PROXY headers it must trust, are filled in. By default the reference server.",
        ),
    ] = None,
    port: Annotated[int, typer.Option(metavar="N", min=1, max=65535, help="The port it listens on.")] = 2525,
    case: Annotated[
        list[str] | None,
        typer.Option(
            "--case", metavar="ID|PREFIX|GLOB", help="Only these cases and what they rest on; may be repeated."
        ),
    ] = None,
    out: OutOption = None,
    header_timeout: TimeoutOption = 30.0,
) -> int:
    """Judge a server by TCP segments made one by one: cut, out of order, overlapping, ended at every byte.

    The server is started in a network namespace of its own, which is gone when the run ends; the host's network is
    neither touched nor seen from there. That takes root, or a kernel that lets users make namespaces.

    Exit codes: 0 all as the text wants it, 1 a FAIL or UNTESTABLE, 2 usage, 3 the server cannot be judged, 4 the
    harness failed or the server does not start, 5 not run for want of privilege, 130 interrupted.

    Examples:

      proxyspec tcp

      proxyspec tcp --start 'my-server --listen {address} --trust-proxy {network}' --case tcp/order
    """
    from proxyspec.targets import header_deadline

    header_deadline(header_timeout)
    if start is None:
        python = shlex.quote(sys.executable)
        server = "-m proxyspec_server --listen {address} --trust {network}"
        start = f"{python} {server} --header-timeout {header_timeout:g}"
    return _judge(start, port, header_timeout, case or (), out)
