"""`proxyspec haproxy`: what concerns HAProxy itself, one module a subcommand."""

from __future__ import annotations

import typer

from proxyspec.cli.haproxy.image import image

__all__ = ["app"]

app = typer.Typer(help="HAProxy itself: build images of it.", no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def _group() -> None:
    pass


app.command("image")(image)
