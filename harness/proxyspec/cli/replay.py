"""`proxyspec replay`: the cases of an old run once more."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from proxyspec.cli import terminal
from proxyspec.cli.comparison import conformance_run, print_comparison
from proxyspec.cli.options import AllowOption, CaseOption, HAProxyOption, OutOption
from proxyspec.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from proxyspec.model import Target
    from proxyspec.records import TargetRecord

__all__ = ["replay"]

_COMPARABLE = (ExitCode.OK, ExitCode.FAILED)


def _target(old: TargetRecord, named: str | None, allowed: Sequence[str]) -> Target:
    """Return the old run's target, or the one `named` with what the old run declared of its own.

    Raises:
        UsageError: as `make_target`; or the old oracle needs more than the record tells.
    """
    from proxyspec.targets import load_target, make_target, parse_url, resolve

    if named is not None and named.endswith(".toml"):
        return load_target(named)
    if old.oracle not in ("auto", "ehlo", "none"):
        raise UsageError(
            f"the run's oracle {old.oracle!r} needs what no record holds: name the target's profile, a .toml file"
        )
    url = named if named is not None else old.url
    # Addresses of the other family reach no target of this one.
    reached = (":" in resolve(*parse_url(url), allowed)) == (":" in parse_url(old.url)[0])
    return make_target(
        url,
        allowed=allowed,
        header_timeout=old.header_timeout,
        trusted_source=old.trusted_source if reached else None,
        untrusted_source=(old.untrusted_source or "none") if reached else None,
        versions=frozenset(old.versions),
        # What showed nothing then may show something now, or on another target.
        oracle=old.oracle if old.oracle != "none" else "auto",
        # Another target has capabilities and ports of its own.
        capabilities=old.capabilities if named is None else (),
        tls_port=old.tls_port if named is None else None,
    )


def replay(
    run: Annotated[Path, typer.Argument(metavar="RUN", help="A run's directory.", show_default=False)],
    target: Annotated[
        str | None,
        typer.Argument(
            metavar="TARGET", help="Another server, or its profile; by default the run's own.", show_default=False
        ),
    ] = None,
    case: CaseOption = None,
    out: OutOption = None,
    haproxy: HAProxyOption = None,
    allow_target: AllowOption = None,
) -> int:
    """Send the cases of an old run again, to its target or another, and compare.

    Deadline, source addresses (of one family with TARGET), versions and oracle are the old run's, unless TARGET is a
    profile (a .toml file). Cases through HAProxy need --haproxy, else they are left out.

    Exit codes: 0 no verdict got worse, whatever it is, 1 one did; 2, 3, 4, 5 and 130 as those of `proxyspec run`.

    Example:

      proxyspec replay reports/out/monday smtp://127.0.0.1:2526 --case v1/port
    """

    from proxyspec.cli.run import RunOptions, judge_target
    from proxyspec.compare import compare
    from proxyspec.model import Via
    from proxyspec.selection import Selection, named_by
    from proxyspec_scenarios import catalogue as load_catalogue

    old, catalogue = conformance_run(run), load_catalogue()
    chosen = [record for record in old.cases if not case or any(named_by(pattern, record.id) for pattern in case)]
    if not chosen:
        raise UsageError(f"{run} has no case named {', '.join(case or ['at all'])}")
    gone = [record.id for record in chosen if record.id not in catalogue]
    if len(gone) == len(chosen):
        raise UsageError(f"{run} has no case of the catalogue: those of a file are sent by `run --case-file`")
    if gone:
        print(f"proxyspec: the catalogue no longer has {', '.join(gone[:5])}: left out", file=sys.stderr)
    fronted = haproxy is not None
    ids = [record.id for record in chosen if record.id in catalogue and (fronted or record.via is Via.DIRECT)]
    if not ids:
        raise UsageError(f"nothing of {run} can be sent again" + ("" if fronted else " without --haproxy"))
    profile = _target(old.target, target, allow_target or ())
    code, where = judge_target(profile, out, RunOptions(selection=Selection(tuple(ids)), haproxy=haproxy))
    new = conformance_run(where)
    again = {record.id for record in new.cases}
    comparison = compare([record for record in old.cases if record.id in again], new.cases)
    console = terminal.console()
    console.print(f"\ncompared with {run}", style="dim", highlight=False, markup=False, soft_wrap=True)
    print_comparison(console, comparison, str(run), str(where))
    if code not in _COMPARABLE:
        return code
    return ExitCode.FAILED if comparison.regressions else ExitCode.OK
