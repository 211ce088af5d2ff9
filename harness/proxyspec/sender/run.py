"""A sender run from beginning to end: an event loop that can be interrupted, and the record of what was found."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field

from proxyspec.errors import ExitCode
from proxyspec.interruption import run_interruptible
from proxyspec.model import Verdict
from proxyspec.records import HAProxyRecord
from proxyspec.records.sender import SenderRecord, SenderRun
from proxyspec.rundir import RunDirectory
from proxyspec.runhead import Begun

__all__ = ["Findings", "exit_code_of", "record_run"]


@dataclass(slots=True)
class Findings:
    """What a run finds, as it finds it."""

    rows: list[SenderRecord] = field(default_factory=list)
    haproxies: list[HAProxyRecord] = field(default_factory=list)


def exit_code_of(verdicts: Sequence[Verdict], *, strict: bool, interrupted: bool) -> ExitCode:
    """Return the first exit code that applies; with `strict` a WARN fails."""
    if interrupted:
        return ExitCode.INTERRUPTED
    failing = {Verdict.FAIL, Verdict.UNTESTABLE} | ({Verdict.WARN} if strict else set())
    if failing.intersection(verdicts):
        return ExitCode.FAILED
    if all(verdict in (Verdict.SKIP, Verdict.INFO) for verdict in verdicts):
        return ExitCode.NOTHING
    return ExitCode.OK


def record_run(
    out: RunDirectory,
    subject: Callable[[Findings], str],
    findings: Findings,
    work: Coroutine[None, None, None],
    *,
    skipped: Sequence[str] = (),
    strict: bool = False,
) -> SenderRun:
    """Do `work`, which fills `findings`, and write the record; an interruption keeps what there is by then.

    Raises:
        HarnessError: the run directory cannot be written.
    """
    begun = Begun(out.id)
    out.event("run-started", {"id": out.id, "kind": "sender"})
    interrupted = run_interruptible(work)
    code = exit_code_of([row.verdict for row in findings.rows], strict=strict, interrupted=interrupted)
    run = SenderRun(
        **begun.head(interrupted=interrupted),
        exit_code=code,
        subject=subject(findings),
        haproxies=findings.haproxies,
        strict=strict,
        skipped=list(skipped),
        rows=findings.rows,
    )
    out.record(run)
    out.event("run-finished", {"exit_code": int(code), "status": run.status, "duration": run.duration})
    return run
