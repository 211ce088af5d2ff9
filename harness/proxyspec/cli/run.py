"""`proxyspec run`: judge a server."""

from __future__ import annotations

import contextlib
import fnmatch
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from proxyspec.cli.options import (
    AllowOption,
    HAProxyOption,
    OutOption,
    TargetArgument,
    TemplatesOption,
    TimeoutOption,
    TrustedOption,
)
from proxyspec.errors import ExitCode, UsageError
from proxyspec.model import Case, Catalogue, Target, Via

__all__ = ["judge_target", "run", "select", "versions_of"]


def versions_of(text: str) -> frozenset[int]:
    """Read `1`, `2` or `1,2`.

    Raises:
        UsageError: it is something else.
    """
    chosen = {"1": {1}, "2": {2}, "1,2": {1, 2}, "2,1": {1, 2}}.get(text.replace(" ", ""))
    if chosen is None:
        raise UsageError(f"--versions {text!r}: write 1, 2 or 1,2 (the header versions the target speaks)")
    return frozenset(chosen)


def select(catalogue: Catalogue, patterns: Sequence[str]) -> tuple[Case, ...]:
    """Return the cases that any pattern names: an id, the beginning of one up to a slash, or a glob.

    Raises:
        UsageError: a pattern names no case.
    """
    if not patterns:
        return catalogue.cases
    chosen: set[str] = set()
    for pattern in patterns:
        prefix = pattern.rstrip("/") + "/"
        found = {
            case.id
            for case in catalogue.cases
            if case.id == pattern or case.id.startswith(prefix) or fnmatch.fnmatchcase(case.id, pattern)
        }
        if not found:
            import difflib

            close = difflib.get_close_matches(pattern, [case.id for case in catalogue.cases], 3)
            hint = f"; did you mean {', '.join(close)}?" if close else ""
            raise UsageError(f"--case {pattern!r} names no case{hint} `proxyspec list` shows them all")
        chosen |= found
    return tuple(case for case in catalogue.cases if case.id in chosen)


def judge_target(
    target: Target, out_dir: Path | None, patterns: Sequence[str], haproxy: str | None, templates: Path | None = None
) -> tuple[int, Path]:
    """Run the suite against `target`, show it, and return the exit code and the run directory."""
    from rich.console import Console

    from proxyspec.conformance import conformance, direct_roads
    from proxyspec.console import RunConsole, print_run
    from proxyspec.front import behind_haproxy
    from proxyspec.rundir import RunDirectory
    from proxyspec.scheduler import Roads
    from proxyspec_scenarios import catalogue as load_catalogue

    catalogue = load_catalogue()
    chosen = select(catalogue, patterns)
    if haproxy is None and not patterns:
        chosen = tuple(case for case in chosen if case.via is Via.DIRECT)
    cases = catalogue.with_controls(chosen)
    console = Console()
    with contextlib.ExitStack() as stack:
        out = stack.enter_context(RunDirectory.create("conformance", out_dir))
        roads, record = Roads({}, {}), None
        if haproxy is not None:
            console.print(f"starting HAProxy ({haproxy})", style="dim", highlight=False)
            roads, record = stack.enter_context(behind_haproxy(target, haproxy, out, templates=templates))
            taken = f"HAProxy: {record.description}; {record.why}"
            console.print(taken, style="dim", highlight=False, markup=False, soft_wrap=True)
        roads = Roads(direct_roads(target), roads.via, roads.watcher)
        with RunConsole(console, len(cases), target.header_timeout) as listener:
            result = conformance(
                catalogue,
                cases,
                target,
                roads,
                out,
                listener,
                haproxy=record,
                reproduce=lambda case: _reproduce(case, target, haproxy),
            )
        print_run(console, result)
        if result.status == "interrupted":
            print("proxyspec: interrupted; what was judged so far is kept", file=sys.stderr)
        where = out.path / "run.json"
        console.print(f"{result.duration:.1f} s, run record: {where}", highlight=False, markup=False, soft_wrap=True)
    return result.exit_code, out.path


def _reproduce(case: Case, target: Target, haproxy: str | None) -> str:
    words = ["proxyspec", "run", target.url, "--case", case.id]
    if target.header_timeout != 30:
        words += ["--header-timeout", f"{target.header_timeout:g}"]
    if target.trusted_source is not None:
        words += ["--trusted", target.trusted_source]
    if case.via is not Via.DIRECT and haproxy is not None:
        words += ["--haproxy", haproxy]
    return " ".join(words)


def run(
    target: TargetArgument,
    case: Annotated[
        list[str] | None,
        typer.Option("--case", metavar="ID|PREFIX|GLOB", help="Only these cases and their controls; may be repeated."),
    ] = None,
    out: OutOption = None,
    haproxy: HAProxyOption = None,
    haproxy_templates: TemplatesOption = None,
    header_timeout: TimeoutOption = 30.0,
    trusted: TrustedOption = None,
    untrusted: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS|none", help="Local address the target does not trust; 127.0.0.2 for a target on 127.0.0.1."
        ),
    ] = None,
    versions: Annotated[str, typer.Option(metavar="1|2|1,2", help="Header versions the target speaks.")] = "1,2",
    oracle: Annotated[
        str, typer.Option(help="What shows the address the target believes: ehlo (its EHLO reply), none, auto.")
    ] = "auto",
    allow_target: AllowOption = None,
) -> int:
    """Judge how a server handles the PROXY protocol.

    The server must listen on TARGET and expect a PROXY header from this machine.
    Exit codes: 0 all as the text wants it, 1 a FAIL or UNTESTABLE, 2 usage, 3 the target cannot be judged,
    4 the harness failed, 5 nothing judged, 130 interrupted.

    Examples:

      proxyspec run smtp://127.0.0.1:2525

      proxyspec run smtp://127.0.0.1:2525 --haproxy docker:3.2

      proxyspec run smtp://127.0.0.1:2525 --case v1/port
    """
    from proxyspec.oracle import ORACLES
    from proxyspec.targets import make_target

    if oracle not in ("auto", *ORACLES):
        raise UsageError(f"--oracle {oracle!r} is unknown: one of auto, {', '.join(ORACLES)}")
    profile = make_target(
        target,
        allowed=allow_target or (),
        header_timeout=header_timeout,
        trusted_source=trusted,
        untrusted_source=untrusted,
        versions=versions_of(versions),
        oracle=oracle,
    )
    code, _ = judge_target(profile, out, case or (), haproxy, haproxy_templates)
    return ExitCode(code)
