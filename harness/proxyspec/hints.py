"""What a run suggests to who reads it: what was taken for granted of the target and is not so, and what to ask next."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path

from proxyspec.model import REJECTED, Timing, Verdict
from proxyspec.records import ConformanceRun

__all__ = ["hints"]


def _of_version(run: ConformanceRun, version: int) -> set[Verdict]:
    return {record.verdict for record in run.cases if record.id.startswith(f"v{version}/")}


def _versions(run: ConformanceRun) -> Iterator[str]:
    """Yield the versions of the header that all fail where the other is served."""
    if set(run.target.versions) != {1, 2}:
        return
    for version, other in ((1, 2), (2, 1)):
        found = _of_version(run, version)
        if Verdict.FAIL in found and Verdict.PASS not in found and Verdict.PASS in _of_version(run, other):
            yield f"no case of version {version} passes: unless the target claims to speak it, say --versions {other}"


def _deadline(run: ConformanceRun) -> Iterator[str]:
    """Yield what is odd about the first connection that waits for the header deadline and is ended before."""
    taken = run.target.header_timeout
    for record in run.cases:
        if record.timing is not Timing.AT_DEADLINE or record.verdict not in (Verdict.FAIL, Verdict.WARN):
            continue
        if record.outcome is not None and record.outcome.kind in REJECTED and record.duration < taken:
            yield (
                f"the target waits {record.duration:.1f} s for a header, and {taken:g} s were assumed: "
                "say --header-timeout as the target has it"
            )
            return


def hints(run: ConformanceRun, where: Path) -> Iterator[str]:
    """Yield remarks on the run whose directory is `where`, each with its remedy; none where nothing is odd."""
    if run.unjudgeable is not None:
        return
    yield from _versions(run)
    yield from _deadline(run)
    if run.target.oracle == "none" and any(record.verdict is Verdict.UNTESTABLE for record in run.cases):
        yield "nothing shows the address the target believes: choose an --oracle (`proxyspec list --oracles`)"
    worst = next((record for record in run.cases if record.verdict is Verdict.FAIL), None)
    if worst is not None:
        all_of_them = f"proxyspec report {shlex.quote(str(where))} -o report.html"
        yield f"`proxyspec explain {worst.id}` tells of one case, `{all_of_them}` of all, by cause"
