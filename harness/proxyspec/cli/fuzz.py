"""`proxyspec fuzz`: search for frames that a server treats as no reading of the text allows."""

from __future__ import annotations

import contextlib
import secrets
import shlex
import sys
import time as clock
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from proxyspec.cli import terminal
from proxyspec.cli.options import AllowOption, OutOption, TargetArgument, TimeoutOption, TrustedOption
from proxyspec.cli.target import declared_target
from proxyspec.cli.terminal import print_record
from proxyspec.errors import ExitCode, UsageError
from proxyspec.model import Target

__all__ = ["fuzz"]

#: Connections at once that a listen queue and a descriptor limit of 1024 bear.
MOST_PARALLEL = 512
#: Oracles that a search can wait for, frame by frame.
ORACLES_AT_HAND = ("auto", "ehlo", "none")
#: The longest search, in seconds.
LONGEST = 24 * 3600.0


def _search(
    target: Target, out_dir: Path | None, seed: str, seconds: float, frames: int | None, parallel: int
) -> ExitCode:

    from proxyspec.fuzz.console import FuzzConsole, print_fuzz
    from proxyspec.fuzz.record import fuzz_run, write_suspects
    from proxyspec.fuzz.search import Search, search
    from proxyspec.rundir import RunDirectory
    from proxyspec.targets import flags_of

    plan = Search(target, seed, seconds, frames, parallel)
    console = terminal.console()
    with RunDirectory.create("fuzz", out_dir) as out:
        started, began = datetime.now(UTC), clock.monotonic()
        out.event("fuzz-started", {"id": out.id, "target": target.url, "seed": seed, "seconds": seconds})
        with FuzzConsole(console, plan, out) as listener:
            results = search(plan, listener)
        if results.suspects:
            name = write_suspects(out, plan, results.suspects)
            console.print(f"the last {len(results.suspects)} frames are in {out.path / name}", soft_wrap=True)
        duration = clock.monotonic() - began
        run = fuzz_run(out, plan, results, started=started, duration=duration, command=sys.argv[1:])
        path = out.write("fuzz.json", run.model_dump_json(indent=1) + "\n")
        out.event("fuzz-finished", {"exit_code": run.exit_code, "findings": len(run.findings)})
        print_fuzz(console, run)
        if results.interrupted:
            print("proxyspec: interrupted; what was found so far is kept", file=sys.stderr)
        console.print(f"{duration:.1f} s, record: {path}", highlight=False, markup=False, soft_wrap=True)
        for found in run.findings[:5]:
            again = f"proxyspec fuzz {flags_of(target)} --replay {shlex.quote(str(out.path / found.file))}"
            console.print(f"again: {again}", highlight=False, markup=False, soft_wrap=True)
    return ExitCode(run.exit_code)


def _replay(target: Target, out_dir: Path | None, files: list[Path]) -> ExitCode:

    from proxyspec.casefile import catalogue_from
    from proxyspec.conformance import conformance, direct_roads
    from proxyspec.console import RunConsole, print_run
    from proxyspec.rundir import RunDirectory
    from proxyspec.scheduler import Roads
    from proxyspec.targets import flags_of

    catalogue = catalogue_from(files)
    console = terminal.console()
    with contextlib.ExitStack() as stack:
        out = stack.enter_context(RunDirectory.create("replay", out_dir))
        replayed = " ".join(f"--replay {shlex.quote(str(path))}" for path in files)
        with RunConsole(console, len(catalogue), target.header_timeout) as listener:
            run = conformance(
                catalogue,
                catalogue.cases,
                target,
                Roads(direct_roads(target), {}),
                out,
                listener,
                reproduce=lambda case: f"proxyspec fuzz {flags_of(target)} {replayed}",
            )
        print_run(console, run)
        where = out.path / "run.json"
        print_record(console, where, run.duration)
    return ExitCode(run.exit_code)


def fuzz(
    target: TargetArgument,
    time: Annotated[str, typer.Option(metavar="DURATION", help="How long to send frames: 15, 30s, 2m, 1h.")] = "30s",
    seed: Annotated[
        str | None, typer.Option(metavar="TEXT", help="The series of frames; by default a new one, which is printed.")
    ] = None,
    frames: Annotated[int | None, typer.Option(metavar="N", min=1, help="At most this many frames.")] = None,
    versions: Annotated[str, typer.Option(metavar="1|2|1,2", help="Header versions the server speaks.")] = "1,2",
    parallel: Annotated[int, typer.Option(metavar="N", help="Connections at once.")] = 64,
    out: OutOption = None,
    replay: Annotated[
        list[Path] | None,
        typer.Option(metavar="FILE", help="Judge the cases of this file instead of searching; may be repeated."),
    ] = None,
    header_timeout: TimeoutOption = 30.0,
    trusted: TrustedOption = None,
    oracle: Annotated[
        str, typer.Option(help="What shows the address the server believes: ehlo (its EHLO reply), none, auto.")
    ] = "auto",
    capabilities: Annotated[
        str, typer.Option(metavar="NAME,…", help="What the server has, or has not with no-: no-crc32c.")
    ] = "",
    allow_target: AllowOption = None,
) -> int:
    """Search for headers that a server treats as no reading of the text allows.

    Frames are valid headers bent by chains of malformations. Each has a class (must be served with its address, must
    be refused, either); what contradicts it is made small, confirmed twice between two accepted controls, and
    saved as a case file below DIR/findings/. What a search finds stays on this machine. TARGET may also be a target
    profile, as for `proxyspec run`: --versions and --capabilities say in flags what it declares.

    Exit codes: 0 nothing found, 1 findings, 2 usage, 3 the target cannot be judged or died, 4 the harness failed,
    5 nothing was sent, 130 interrupted.

    Examples:

      proxyspec fuzz smtp://127.0.0.1:2525 --time 1m --seed 7

      proxyspec fuzz smtp://127.0.0.1:2525 --replay reports/out/fuzz-.../findings/001-....json
    """
    from proxyspec.load.options import parse_duration

    if not 1 <= parallel <= MOST_PARALLEL:
        raise UsageError(f"--parallel {parallel} is out of range: 1 to {MOST_PARALLEL} connections at once")
    if seed == "":
        raise UsageError("--seed is empty: name a series, or leave it out for a new one")
    seconds = parse_duration(time)
    if not 0 < seconds <= LONGEST:
        raise UsageError(f"--time {time!r} is out of range: more than 0 and at most {LONGEST:g} seconds")
    made = declared_target(
        target,
        header_timeout=header_timeout,
        trusted=trusted,
        versions=versions,
        oracle=oracle,
        capabilities=capabilities,
        allow=allow_target,
    )
    if made.oracle not in ORACLES_AT_HAND and not replay:
        raise UsageError(f"the oracle {made.oracle!r} is of no use to a search: say --oracle ehlo, or none")
    if replay:
        return _replay(made, out, replay)
    return _search(made, out, secrets.token_hex(4) if seed is None else seed, seconds, frames, parallel)
