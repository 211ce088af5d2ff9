"""`proxyspec haproxy`: what concerns HAProxy itself, one module a subcommand."""

from __future__ import annotations

import typer

from proxyspec.cli.haproxy.check import check
from proxyspec.cli.haproxy.checks import checks
from proxyspec.cli.haproxy.image import image
from proxyspec.cli.haproxy.status import status
from proxyspec.cli.haproxy.traffic import traffic
from proxyspec.cli.haproxy.try_ import try_

__all__ = ["app"]

app = typer.Typer(
    help="HAProxy itself: images, health checks, failover, your own configuration, a running one.",
    no_args_is_help=True,
    rich_markup_mode=None,
)


@app.callback()
def _group() -> None:
    pass


app.command("image")(image)
app.command("traffic")(traffic)
app.command("check")(check)
app.command("try")(try_)
app.command("checks")(checks)
app.command("status")(status)
