"""Proof that the suite bites: runs it against every seeded defect of the reference server and keeps who killed whom.

Every mutant is a server process and a `proxyspec run` process of its own, so that a mutant that hangs, floods or dies
takes nothing else with it. A mutant is killed by a case whose verdict is worse than on the healthy server.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import re
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from proxyspec.errors import HarnessError
from proxyspec.model import Verdict
from proxyspec.records import ConformanceRun, InvalidRun, load_run

__all__ = ["HEALTHY", "KillMatrix", "Mutant", "MutantResult", "kill_matrix", "seeded_defects"]

#: The run every other is compared with.
HEALTHY = "healthy"

_LISTENING = re.compile(rb"listening on [0-9.]+:([0-9]+)")

#: How long a server may take to listen, in seconds.
START_PATIENCE = 15.0
#: How long one run may take beyond the header deadline, in seconds.
RUN_PATIENCE = 120.0

#: Verdicts by how bad they are; a case kills if its verdict on the mutant is worse than on the healthy server.
_BADNESS = {Verdict.PASS: 0, Verdict.INFO: 0, Verdict.SKIP: 0, Verdict.UNTESTABLE: 0, Verdict.WARN: 1, Verdict.FAIL: 2}


@dataclass(frozen=True, slots=True)
class Mutant:
    """A server to run: its name, what is wrong with it, and the options that make it so."""

    name: str
    description: str
    origin: str
    arguments: tuple[str, ...]


class MutantResult(BaseModel):
    """What the suite found on one mutant."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    description: str
    origin: str
    state: Literal["killed", "survived", "broken"] = Field(
        description="broken: the server did not start or no run came out"
    )
    killers: list[str] = Field(description="cases whose verdict is worse than on the healthy server")
    note: str = ""


class KillMatrix(BaseModel):
    """Every mutant against every case."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: Literal[1] = 1
    kind: Literal["mutants"] = "mutants"
    healthy: str = Field(description="'passes', or why the healthy server did not")
    cases: list[str] = Field(description="the cases that were judged on the healthy server")
    mutants: list[MutantResult]

    @property
    def kills(self) -> Mapping[str, int]:
        """How many mutants each case killed."""
        return {case: sum(case in mutant.killers for mutant in self.mutants) for case in self.cases}

    @property
    def survivors(self) -> list[MutantResult]:
        """Mutants that are not killed, broken ones among them."""
        return [mutant for mutant in self.mutants if mutant.state != "killed"]

    @property
    def idle_cases(self) -> list[str]:
        """Cases that killed nothing."""
        return [case for case, count in self.kills.items() if count == 0]


def seeded_defects() -> list[Mutant]:
    """Ask the reference server which defects it has seeded.

    Raises:
        HarnessError: it does not say.
    """
    command = [sys.executable, "-m", "proxyspec_server", "--list-defects", "json"]
    listed = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    try:
        rows: list[dict[str, Any]] = json.loads(listed.stdout)
        return [Mutant(row["name"], row["sentence"], row["origin"], ("--defect", row["name"])) for row in rows]
    except (ValueError, KeyError, TypeError) as error:
        raise HarnessError(
            f"the reference server does not list its defects: {listed.stderr.strip() or error}"
        ) from error


@contextlib.asynccontextmanager
async def _server(arguments: Sequence[str]) -> AsyncIterator[int]:
    command = [sys.executable, "-m", "proxyspec_server", "--listen", "127.0.0.1:0", "--trust", "127.0.0.1", *arguments]
    process = await asyncio.create_subprocess_exec(
        *command,
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
        start_new_session=True,
    )
    assert process.stderr is not None
    drained: asyncio.Task[bytes] | None = None
    try:
        said = b""
        try:
            async with asyncio.timeout(START_PATIENCE):
                while (match := _LISTENING.search(said)) is None:
                    line = await process.stderr.readline()
                    if not line:
                        raise HarnessError(f"the server does not start: {said.decode(errors='replace').strip()}")
                    said += line
        except TimeoutError:
            raise HarnessError(f"the server does not listen within {START_PATIENCE:g} s") from None
        # Whatever else it writes must not fill the pipe.
        drained = asyncio.create_task(process.stderr.read())
        yield int(match[1])
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.terminate()
        try:
            async with asyncio.timeout(5):
                await process.wait()
        except TimeoutError:
            with contextlib.suppress(ProcessLookupError):
                process.kill()
            await process.wait()
        if drained is not None:
            await drained


async def _judge(
    mutant: Mutant, out: Path, header_timeout: float, patterns: Sequence[str], options: Sequence[str]
) -> ConformanceRun:
    """Run the suite against one mutant.

    Raises:
        HarnessError: the server does not start, or no run record comes out.
    """
    async with _server([*mutant.arguments, *options, "--header-timeout", f"{header_timeout:g}"]) as port:
        command = [sys.executable, "-m", "proxyspec", "run", f"127.0.0.1:{port}"]
        command += ["--header-timeout", f"{header_timeout:g}", "--out", str(out)]
        for pattern in patterns:
            command += ["--case", pattern]
        process = await asyncio.create_subprocess_exec(
            *command,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            start_new_session=True,
        )
        try:
            async with asyncio.timeout(header_timeout + RUN_PATIENCE):
                _, errors = await process.communicate()
        except TimeoutError:
            raise HarnessError(f"the run did not end within {header_timeout + RUN_PATIENCE:g} s") from None
        finally:
            if process.returncode is None:
                with contextlib.suppress(ProcessLookupError):
                    process.send_signal(signal.SIGTERM)
                await process.wait()
    try:
        run = load_run(out)
    except InvalidRun as error:
        raise HarnessError(f"{error}; {errors.decode(errors='replace').strip()[-400:]}") from error
    if not isinstance(run, ConformanceRun):
        raise HarnessError(f"{out} is no conformance run")
    return run


def _killers(healthy: ConformanceRun, run: ConformanceRun) -> list[str]:
    before = {record.id: _BADNESS.get(record.verdict, 0) for record in healthy.cases}
    return [
        record.id for record in run.cases if record.id in before and _BADNESS.get(record.verdict, 0) > before[record.id]
    ]


def _result(mutant: Mutant, healthy: ConformanceRun, run: ConformanceRun | HarnessError) -> MutantResult:
    fields = {"name": mutant.name, "description": mutant.description, "origin": mutant.origin}
    if isinstance(run, HarnessError):
        return MutantResult(**fields, state="broken", killers=[], note=str(run))
    killers = _killers(healthy, run)
    # A server on which not even the sanity check succeeds is seen through at once.
    if run.unjudgeable is not None:
        return MutantResult(**fields, state="killed", killers=killers or ["preflight"], note=run.unjudgeable)
    return MutantResult(**fields, state="killed" if killers else "survived", killers=killers)


async def kill_matrix(
    mutants: Sequence[Mutant],
    out: Path,
    report: Callable[[MutantResult], None],
    *,
    header_timeout: float = 3.0,
    parallel: int = 4,
    patterns: Sequence[str] = (),
    options: Sequence[str] = (),
) -> KillMatrix:
    """Judge the healthy server first, then every mutant, `parallel` at a time; every run is kept below `out`.

    `options` go to every server, `patterns` select cases as `--case` does.

    Raises:
        HarnessError: the healthy server cannot be run.
    """
    plain = Mutant(HEALTHY, "The reference server as it is", "", ())
    healthy = await _judge(plain, out / HEALTHY, header_timeout, patterns, options)
    bad = [record.id for record in healthy.cases if record.verdict not in (Verdict.PASS, Verdict.INFO, Verdict.SKIP)]
    judged = [record.id for record in healthy.cases if record.verdict in (Verdict.PASS, Verdict.INFO)]
    slots = asyncio.Semaphore(parallel)
    results: dict[str, MutantResult] = {}

    async def one(mutant: Mutant) -> None:
        async with slots:
            try:
                run: ConformanceRun | HarnessError = await _judge(
                    mutant, out / mutant.name, header_timeout, patterns, options
                )
            except HarnessError as error:
                run = error
        results[mutant.name] = _result(mutant, healthy, run)
        report(results[mutant.name])

    async with asyncio.TaskGroup() as group:
        for mutant in mutants:
            group.create_task(one(mutant))
    return KillMatrix(
        healthy="passes" if not bad else f"does not pass {', '.join(bad)}",
        cases=judged,
        mutants=[results[mutant.name] for mutant in mutants],
    )
