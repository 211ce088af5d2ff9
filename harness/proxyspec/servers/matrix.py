"""Many servers behind many HAProxies: every cell a server started afresh and a run of the suite, one record of all.

A cell is a process of its own, so that several can go on side by side; what is done is kept, and a matrix that was
interrupted goes on where it stopped.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import re
import signal
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

import proxyspec
from proxyspec.errors import HarnessError
from proxyspec.model import Verdict
from proxyspec.records import ConformanceRun, InvalidRun, load_run
from proxyspec.records.matrix import CellRecord
from proxyspec.servers.installed import ServerFailed, Started, Wish, end_of, in_short, install, profile_text, started
from proxyspec.servers.matrix_file import Entry, MatrixFile, Topology

__all__ = ["Cell", "Listener", "Outcome", "cell_record", "cells_of", "ordered", "run_matrix"]

#: How long the end of a run may take that was told to end, in seconds.
_ENDING: Final = 30.0
_KEY: Final = "cell.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One server, straight or behind one HAProxy."""

    entry: Entry
    haproxy: str | None
    #: Arguments of `proxyspec run` that choose its cases.
    choice: tuple[str, ...]
    repeat: int

    @property
    def id(self) -> str:
        """Unique name: `haraka@3.0.3 straight`."""
        return f"{self.entry.label} {'straight' if self.haproxy is None else 'behind ' + self.haproxy}"

    @property
    def folder(self) -> str:
        """The name of its folder."""
        return re.sub(r"[^A-Za-z0-9._@-]+", "_", self.id)

    @property
    def key(self) -> str:
        """What a result is of: another key, and it is not this cell's."""
        profile = ""
        if self.entry.target is not None:
            with contextlib.suppress(OSError):
                profile = Path(self.entry.target).read_text("utf-8", "replace")
        entry = self.entry.model_dump(mode="json", exclude={"alone"})
        wanted = [proxyspec.__version__, entry, profile, self.haproxy, self.choice, self.repeat]
        return hashlib.sha256(json.dumps(wanted, default=str).encode()).hexdigest()


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one cell: its record, and the run to show; None where it is empty."""

    record: CellRecord
    run: Path | None


class Listener(Protocol):
    """Is told how the matrix goes."""

    def installing(self, server: str) -> None:
        """A server is looked for, and installed where it is missing."""

    def began(self, cell: Cell) -> None:
        """A cell begins."""

    def ended(self, cell: Cell, outcome: Outcome) -> None:
        """A cell is done."""


def _choice(matrix: MatrixFile, entry: Entry, haproxy: str | None) -> tuple[str, ...]:
    words = [word for case in matrix.cases for word in ("--case", case)]
    words += [word for case in (*matrix.without, *entry.without) for word in ("--not", case)]
    if haproxy is None:
        return (*words, "--tag", "direct")
    left_out = [each for each in Topology if each is not Topology.DIRECT and each not in matrix.topologies]
    return (*words, "--tag", "haproxy", *(word for each in left_out for word in ("--not", each)))


def cells_of(matrix: MatrixFile, haproxies: Sequence[str]) -> list[Cell]:
    """Return the cells of a matrix, server by server; `haproxies` are those that can be used here."""
    fronts: list[str | None] = [None] if Topology.DIRECT in matrix.topologies else []
    if any(each is not Topology.DIRECT for each in matrix.topologies):
        fronts += haproxies
    return [
        Cell(entry=entry, haproxy=front, choice=_choice(matrix, entry, front), repeat=matrix.repeat)
        for entry in matrix.servers
        for front in fronts
    ]


async def run_matrix(
    cells: Sequence[Cell], out: Path, listener: Listener, outcomes: list[Outcome], *, cache: Path | None, parallel: int
) -> None:
    """Judge every cell that is not in `out` yet; `outcomes` gets each as it is done, so that a cancellation keeps them.

    A server that cannot be had, started or judged leaves its cells empty, with its own words; the others go on.

    Raises:
        HarnessError: a file cannot be written.
        asyncio.CancelledError: it was interrupted; whatever was started is gone.
    """
    missing: dict[str, str] = {}
    for server in dict.fromkeys(cell.entry.server for cell in cells if cell.entry.server is not None):
        listener.installing(server)
        try:
            await install(server, cache)
        except ServerFailed as error:
            missing[server] = str(error)
    at_once = asyncio.Semaphore(parallel)

    async def one(cell: Cell) -> None:
        if (why := missing.get(cell.entry.server or "")) is not None:
            outcome = Outcome(_empty(cell, None, why, 0.0), None)
        elif (kept := _kept(cell, out)) is not None:
            outcome = kept
        else:
            async with at_once:
                listener.began(cell)
                outcome = await _judge(cell, out, cache)
        outcomes.append(outcome)
        listener.ended(cell, outcome)

    beside = [asyncio.create_task(one(cell)) for cell in cells if not cell.entry.alone]

    async def those_alone() -> None:
        if beside:
            await asyncio.wait(beside)
        for cell in cells:
            if cell.entry.alone:
                await one(cell)

    tasks = [*beside, asyncio.create_task(those_alone())]
    try:
        await asyncio.gather(*tasks)
    finally:
        for task in tasks:
            # A second cancellation would break off what the first one began: ending the servers.
            if not task.cancelling():
                task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


def _kept(cell: Cell, out: Path) -> Outcome | None:
    """Return what an earlier run of the same matrix found."""
    try:
        said = json.loads((out / cell.folder / _KEY).read_text(encoding="utf-8"))
        record = CellRecord.model_validate(said["record"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if said.get("key") != cell.key or not record.runs:
        return None
    return Outcome(record.model_copy(update={"kept": True}), out / record.runs[0])


def _empty(cell: Cell, version: str | None, why: str, seconds: float) -> CellRecord:
    return CellRecord(
        id=cell.id,
        title=f"{cell.id} is judged",
        verdict=Verdict.UNTESTABLE,
        reason=why,
        server=cell.entry.label,
        version=version,
        haproxy=cell.haproxy,
        runs=[],
        seconds=seconds,
    )


@contextlib.asynccontextmanager
async def _target(cell: Cell, folder: Path, cache: Path | None) -> AsyncIterator[tuple[Path, Started | None]]:
    """Have the server of a cell for the time of the context; yield the path of its target profile."""
    entry = cell.entry
    if entry.server is None:
        assert entry.target is not None
        yield Path(entry.target), None
        return
    log = folder / "server.log"
    async with started(Wish(server=entry.server, cache=cache, log=log, header_timeout=entry.header_timeout)) as server:
        profile = folder / "target.toml"
        keys = {**server.profile, "name": entry.name or server.label}
        profile.write_text(profile_text(keys), encoding="utf-8")
        yield profile, server


async def _judge(cell: Cell, out: Path, cache: Path | None) -> Outcome:
    began, folder, version = time.monotonic(), out / cell.folder, None
    runs: list[ConformanceRun] = []
    names: list[str] = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        async with _target(cell, folder, cache) as (profile, server):
            version = None if server is None else server.version
            for number in range(1, cell.repeat + 1):
                path = _fresh(folder, f"run-{number}")
                try:
                    runs.append(await _run(cell, profile, path))
                except _NotJudged:
                    # If it has ended, leaving the context says so, and how.
                    if server is None or not await server.has_ended():
                        raise
                    break
                names.append(str(path.relative_to(out)))
    except (ServerFailed, _NotJudged) as error:
        return Outcome(_empty(cell, version, in_short(str(error)), time.monotonic() - began), None)
    except OSError as error:
        raise HarnessError(f"{folder} cannot be written: {error.strerror or error}") from error
    record = cell_record(cell, version, runs, names, time.monotonic() - began)
    (folder / _KEY).write_text(
        json.dumps({"key": cell.key, "record": record.model_dump(mode="json")}, indent=1), encoding="utf-8"
    )
    return Outcome(record, out / names[0])


def _fresh(folder: Path, name: str) -> Path:
    """Return a name for a run directory that no earlier attempt has taken."""
    path, number = folder / name, 1
    while path.exists():
        number += 1
        path = folder / f"{name}.{number}"
    return path


def cell_record(
    cell: Cell, version: str | None, runs: Sequence[ConformanceRun], names: list[str], seconds: float
) -> CellRecord:
    """Describe a cell by its repetitions, one at least; `names` are their directories."""
    counts = Counter(case.verdict for case in runs[0].cases)
    seen: dict[str, list[Verdict]] = {}
    for run in runs:
        for case in run.cases:
            seen.setdefault(case.id, []).append(case.verdict)
    unsteady = {case: verdicts for case, verdicts in seen.items() if len(set(verdicts)) > 1}
    told = ", ".join(f"{counts[verdict]} {verdict}" for verdict in Verdict if counts[verdict])
    if len(runs) > 1:
        told += f"; {len(runs)} times" + (f", {len(unsteady)} verdicts differ" if unsteady else " alike")
    return CellRecord(
        id=cell.id,
        title=f"{cell.id} is judged",
        verdict=Verdict.FAIL if unsteady else Verdict.PASS,
        reason=told,
        server=cell.entry.label,
        version=version,
        haproxy=cell.haproxy,
        runs=names,
        counts=dict(counts),
        unsteady=unsteady,
        seconds=seconds,
    )


class _NotJudged(Exception):
    """A run came to no verdicts; the message is its own last word."""


async def _run(cell: Cell, profile: Path, path: Path) -> ConformanceRun:
    """Judge the target of a profile once; its run directory is `path`.

    Raises:
        _NotJudged: the target cannot be judged, or no run came out.
    """
    front = [] if cell.haproxy is None else ["--haproxy", cell.haproxy]
    words = [sys.executable, "-m", "proxyspec", "run", str(profile), "--out", str(path), *front, *cell.choice]
    with (path.parent / f"{path.name}.txt").open("wb") as said:
        process = await asyncio.create_subprocess_exec(
            *words, stdin=asyncio.subprocess.DEVNULL, stdout=said, stderr=said, start_new_session=True
        )
        try:
            await process.wait()
        finally:
            if process.returncode is None:
                process.send_signal(signal.SIGINT)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(process.wait(), _ENDING)
            if process.returncode is None:
                process.kill()
                await process.wait()
    return _judged(profile, path, f"exit code {process.returncode}")


def _judged(profile: Path, path: Path, ended: str) -> ConformanceRun:
    """Read the record of a run that has ended.

    Raises:
        _NotJudged: the target cannot be judged, or no run came out.
    """
    try:
        run = load_run(path)
    except InvalidRun as error:
        told = path.parent / f"{path.name}.txt"
        last = told.read_text("utf-8", "replace").strip().splitlines()[-3:]
        raise _NotJudged(" ".join(last) or f"the run left no record ({ended})") from error
    assert isinstance(run, ConformanceRun)
    if run.unjudgeable is not None:
        raise _NotJudged(f"{run.unjudgeable}{end_of(profile.parent / 'server.log')}")
    return run


def ordered(cells: Sequence[Cell], outcomes: Sequence[Outcome]) -> list[Outcome]:
    """Return outcomes in the order of the cells; one that has none was interrupted."""
    by_id = {outcome.record.id: outcome for outcome in outcomes}
    why = "the matrix was interrupted before this cell was done; the same command goes on with it"
    return [by_id.get(cell.id) or Outcome(_empty(cell, None, why, 0.0), None) for cell in cells]
