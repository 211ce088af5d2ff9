"""`proxyspec haproxy status`: servers, checks and sessions of a running HAProxy."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Annotated

import typer

from proxyspec.cli import terminal
from proxyspec.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from rich.console import Console

    from proxyspec_haproxy import RuntimeClient

__all__ = ["status"]


def status(
    address: Annotated[
        str,
        typer.Argument(
            metavar="SOCKET|HOST:PORT|run",
            help="HAProxy's stats socket, or its TCP address; `run`: the HAProxy a run of proxyspec has started here.",
            show_default=False,
        ),
    ],
    watch: Annotated[
        bool | None, typer.Option("--watch/--once", help="Again and again, or once; by default watch on a terminal.")
    ] = None,
    interval: Annotated[float, typer.Option(metavar="SECONDS", help="Time between two looks.")] = 1.0,
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object a look, on a line of its own.")] = False,
) -> int:
    """Show servers, their last checks, sessions and rates of a running HAProxy.

    It needs `stats socket` in the global section; nothing is changed. A terminal of less than 120 columns shows no
    traffic; --json has all.

    Examples:

      proxyspec haproxy status /run/haproxy/admin.sock

      proxyspec haproxy status 127.0.0.1:9999 --once --json
    """

    from proxyspec.haproxy.status import resolve
    from proxyspec_haproxy import HAProxyError, RuntimeClient

    if not 0.1 <= interval <= 3600:
        raise UsageError(f"--interval {interval:g}: between 0.1 and 3600 seconds")
    console = terminal.console()
    client = RuntimeClient(resolve(address))
    again = watch if watch is not None else console.is_terminal and not as_json
    try:
        _show(console, client, interval if again else None, as_json=as_json)
    except (HAProxyError, ValueError) as error:
        raise UsageError(f"HAProxy's state cannot be read: {error}") from error
    return ExitCode.OK


def _show(console: Console, client: RuntimeClient, interval: float | None, *, as_json: bool) -> None:
    """Look once, or every `interval` seconds until interrupted."""
    from rich.live import Live

    from proxyspec.haproxy.status import screen, take

    if interval is not None and console.is_terminal and not as_json:
        now = screen(take(client), console.width)
        with Live(now, console=console, auto_refresh=False, vertical_overflow="visible") as live:
            while True:
                time.sleep(interval)
                live.update(screen(take(client), console.width), refresh=True)
    while True:
        snapshot = take(client)
        if as_json:
            print(json.dumps(snapshot.json()), flush=True)
        else:
            console.print(screen(snapshot, console.width))
        if interval is None:
            return
        time.sleep(interval)
