"""A sender run from beginning to end: an event loop that can be interrupted, and the record of what was found."""

from __future__ import annotations

import asyncio
import signal
import sys
import time
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime

from proxyspec.conformance import environment
from proxyspec.errors import ExitCode
from proxyspec.model import Verdict
from proxyspec.records import HAProxyRecord
from proxyspec.records.sender import SenderRecord, SenderRun
from proxyspec.rundir import RunDirectory

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


async def _interruptible(work: Coroutine[None, None, None]) -> bool:
    """Do the work; return whether it was interrupted."""
    task = asyncio.current_task()
    assert task is not None
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, task.cancel)
    try:
        await work
    except asyncio.CancelledError:
        return True
    return False


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
    started, clock = datetime.now(UTC), time.monotonic()
    out.event("run-started", {"id": out.id, "kind": "sender"})
    before = signal.getsignal(signal.SIGTERM)
    try:
        interrupted = asyncio.run(_interruptible(work))
    finally:
        # A loop that closes leaves SIGTERM at its default, which would end the caller without any cleaning up.
        signal.signal(signal.SIGTERM, before)
    code = exit_code_of([row.verdict for row in findings.rows], strict=strict, interrupted=interrupted)
    run = SenderRun(
        id=out.id,
        started=started,
        duration=round(time.monotonic() - clock, 3),
        status="interrupted" if interrupted else "complete",
        command=sys.argv[1:],
        environment=environment(None),
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
