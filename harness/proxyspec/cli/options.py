"""Options that several commands share."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from proxyspec.selection import Selection

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
HAProxiesOption = Annotated[
    list[str] | None,
    typer.Option(
        "--haproxy",
        metavar="ENGINE",
        help="Which HAProxy: auto, docker, docker:3.2, docker:IMAGE, binary, binary:/PATH, matrix (all that are here); "
        "may be repeated.",
    ),
]
TemplatesOption = Annotated[
    Path | None,
    typer.Option("--haproxy-templates", metavar="DIR", help="Folder of templates that go before the built-in ones."),
]
CaseOption = Annotated[
    list[str] | None,
    typer.Option("--case", metavar="ID|PREFIX|GLOB", help="Only these cases and what they rest on; may be repeated."),
]
SectionOption = Annotated[
    list[str] | None,
    typer.Option(
        "--section", metavar="SECTION", help="Only cases of this section and those within it (2.1, RFC 5321)."
    ),
]
LevelOption = Annotated[
    list[str] | None,
    typer.Option("--level", metavar="LEVEL", help="Only cases of this level: MUST, SHOULD, MAY, SECURITY, …"),
]
TagOption = Annotated[
    list[str] | None,
    typer.Option("--tag", metavar="TAG", help="Only cases with every such tag: accepts, rejects, waits, needs-v1, …"),
]
NotOption = Annotated[
    list[str] | None,
    typer.Option("--not", metavar="TAG|ID|PREFIX|GLOB", help="Leave these cases out, unless others rest on them."),
]
BaselineOption = Annotated[
    Path | None,
    typer.Option("--baseline", metavar="FILE", help="TOML file of the failures that are known (see docs/ci.md)."),
]
StrictOption = Annotated[bool, typer.Option("--strict", help="A WARN counts as a failure.")]


def selection_of(
    case: list[str] | None,
    section: list[str] | None,
    level: list[str] | None,
    tag: list[str] | None,
    without: list[str] | None,
) -> Selection:
    """Put the options that select cases into one."""
    return Selection(
        tuple(case or ()), tuple(section or ()), tuple(level or ()), tuple(tag or ()), tuple(without or ())
    )
