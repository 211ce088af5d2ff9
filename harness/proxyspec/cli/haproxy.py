"""`proxyspec haproxy`: images of HAProxy for hosts without a registry."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from proxyspec.errors import UsageError

__all__ = ["app"]

app = typer.Typer(help="HAProxy itself: build images of it.", no_args_is_help=True, rich_markup_mode=None)


@app.callback()
def _group() -> None:
    pass


@app.command("image")
def image(
    suite: Annotated[
        list[str] | None,
        typer.Option(metavar="SUITE", help="Debian suite to take HAProxy from (trixie, sid, …); may be repeated."),
    ] = None,
    binary: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Wrap this haproxy of the host instead, with its libraries.")
    ] = None,
    tag: Annotated[
        str | None, typer.Option(metavar="NAME", help="Name of the image; by default proxyspec/haproxy:MAJOR.MINOR.")
    ] = None,
) -> int:
    """Build Docker images of HAProxy from packages, without a registry.

    Without options the suite of this host is taken. Packages are downloaded and unpacked, never installed.

    Examples:

      proxyspec haproxy image

      proxyspec haproxy image --suite bookworm --suite trixie
    """
    from rich.console import Console

    from proxyspec_haproxy import HAProxyError, build_image

    if suite and binary is not None:
        raise UsageError("--suite and --binary are two sources: name one of them")
    if tag is not None and suite and len(suite) > 1:
        raise UsageError("--tag names one image, but there are several suites: leave it out, or build one at a time")
    console = Console()
    try:
        sources: list[str | None] = [*suite] if suite else [None]
        for source in sources:
            with console.status("building") as status:
                built = build_image(
                    suite=source, binary=binary, tag=tag, progress=lambda text: status.update(text.replace("[", "\\["))
                )
            console.print(
                f"{built.tag}: HAProxy {built.version}, {built.size / 1e6:.0f} MB, {built.seconds:.1f} s",
                highlight=False,
                markup=False,
            )
    except HAProxyError as error:
        raise UsageError(str(error)) from error
    return 0
