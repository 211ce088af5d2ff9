"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

TargetArgument = Annotated[
    str, typer.Argument(metavar="TARGET", help="The server: smtp://HOST:PORT.", show_default=False)
]
OutOption = Annotated[
    Path | None,
    typer.Option("--out", metavar="DIR", help="Run directory, new or empty; by default one below reports/out/."),
]
AllowOption = Annotated[
    list[str] | None,
    typer.Option(
        "--allow-target", metavar="CIDR", help="Consent to a target that is not on this machine (address or range)."
    ),
]
TimeoutOption = Annotated[
    float, typer.Option("--header-timeout", metavar="SECONDS", help="The header deadline the target declares.")
]
TrustedOption = Annotated[
    str | None, typer.Option("--trusted", metavar="ADDRESS", help="Local address the target trusts to send PROXY.")
]
HAProxyOption = Annotated[
    str | None,
    typer.Option(
        "--haproxy",
        metavar="ENGINE",
        help="Put HAProxy in front: auto, docker, docker:3.2, docker:IMAGE, binary, binary:/PATH.",
    ),
]
TemplatesOption = Annotated[
    Path | None,
    typer.Option("--haproxy-templates", metavar="DIR", help="Folder of templates that go before the built-in ones."),
]
