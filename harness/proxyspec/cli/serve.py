"""`proxyspec serve`: the reference server, whose own command line takes every argument."""

from __future__ import annotations

import typer

__all__ = ["serve"]


def serve(context: typer.Context) -> int:
    """Run the reference SMTP server (see `proxyspec serve --help`)."""
    from proxyspec_server.command import main

    return main(context.args, prog="proxyspec serve")
