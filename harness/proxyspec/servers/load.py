"""Several servers under the same load, in turn and round by round; each is started afresh for every load.

A load that came to nothing tells why, with the server's last words; the others go on.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from proxyspec.errors import ExitCode, HarnessError, joint_exit_code
from proxyspec.load.comparison import rounds
from proxyspec.load.options import HeaderKind
from proxyspec.model import Target, Verdict
from proxyspec.records import LoadRun, load_run
from proxyspec.records.matrix import CellRecord
from proxyspec.servers.installed import ServerFailed, Started, Wish, end_of, in_short, install, profile_text, started
from proxyspec.targets import load_target

__all__ = ["Drive", "Row", "Turn", "load_servers", "row_record"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """One load that is to begin: its round, from 1, the server, and the run directory it gets.

    `header` is what connections begin with; None leaves it to the profile.
    """

    number: int
    server: Started
    target: Target
    header: HeaderKind | None
    folder: Path


#: Loads the server of a turn and returns how that ended; it blocks, so that it can take signals itself.
Drive = Callable[[Turn], ExitCode]


@dataclass(slots=True)
class Row:
    """What became of one server: runs that measured it, and a sentence for each round that came to nothing."""

    server: str
    version: str | None = None
    runs: list[tuple[Path, LoadRun]] = field(default_factory=list)
    troubles: list[str] = field(default_factory=list)
    seconds: float = 0.0
    #: It cannot be had, so that another round would not either.
    missing: bool = False


def _header(server: str, wanted: HeaderKind | None, versions: frozenset[int]) -> HeaderKind | None:
    """Choose the header; without a wish a server that reads version 1 alone gets that one.

    Raises:
        ServerFailed: it reads no such header.
    """
    if wanted is None:
        return None if 2 in versions else HeaderKind.V1
    version = {HeaderKind.NONE: None, HeaderKind.V1: 1}.get(wanted, 2)
    if version is not None and version not in versions:
        raise ServerFailed(f"{server} reads no header of version {version}: without --header it gets the one it reads")
    return wanted


async def load_servers(
    rows: Sequence[Row], count: int, out: Path, drive: Drive, *, cache: Path | None, header: HeaderKind | None
) -> ExitCode:
    """Load the server of each row `count` times, interleaved; return the exit code of all loads.

    Run directories, logs and target profiles go below `out`. Rows get what was found as it is found.

    Raises:
        UsageError: the count is out of range, or the profile or an option is wrong.
        HarnessError: a file cannot be written, or the load itself failed.
    """
    turns = list(rounds(rows, count))
    for row in rows:
        try:
            row.version = await install(row.server, cache)
        except ServerFailed as error:
            row.missing = True
            row.troubles.append(str(error))
    codes = [ExitCode.OK]
    for number, row in turns:
        if row.missing:
            continue
        began = time.monotonic()
        try:
            code = await _one(row, number, out, drive, cache, header)
        except ServerFailed as error:
            row.troubles.append(f"round {number}: {error}")
            continue
        finally:
            row.seconds += time.monotonic() - began
        if code is ExitCode.INTERRUPTED:
            return code
        codes.append(code)
    return joint_exit_code(codes)


async def _one(
    row: Row, number: int, out: Path, drive: Drive, cache: Path | None, header: HeaderKind | None
) -> ExitCode:
    """Start the server of a row, load it once and take the run into the row.

    Raises:
        ServerFailed: it does not start, dies under the load, or nothing could be measured.
    """
    folder = out / f"{number:03}-{row.server}"
    log, profile = out / f"{folder.name}.log", out / f"{folder.name}.toml"
    async with started(Wish(server=row.server, cache=cache, log=log)) as server:
        try:
            profile.write_text(profile_text({**server.profile, "name": server.label}), encoding="utf-8")
        except OSError as error:
            raise HarnessError(f"{profile} cannot be written: {error.strerror or error}") from error
        target = load_target(str(profile))
        chosen = _header(row.server, header, target.versions)
        # It takes signals as the main thread does, so it runs here and not in a thread of its own.
        code = drive(Turn(number=number, server=server, target=target, header=chosen, folder=folder))
        # If it has, leaving the context says so.
        await server.has_ended()
    if code is ExitCode.INTERRUPTED:
        return code
    run = load_run(folder)
    assert isinstance(run, LoadRun)
    if code is ExitCode.UNJUDGEABLE:
        most = f"{run.errors[0].count} times {run.errors[0].error}" if run.errors else "none ended"
        raise ServerFailed(f"{row.server}: no session succeeded: {most}{end_of(log)}")
    row.runs.append((folder, run))
    return code


def row_record(row: Row, profile: str, haproxy: str | None, count: int, out: Path) -> CellRecord:
    """Describe a row as a cell of a matrix; `profile` is the load's."""
    rates = [run.rate for _, run in row.runs]
    told = [f"{len(rates)} of {count} rounds"]
    if rates:
        told[0] += f", {median(rates):.0f} [{min(rates):.0f} – {max(rates):.0f}] sessions/s"
    name = f"{row.server} under {profile}"
    complete = len(rates) == count and not row.troubles
    if not complete and not row.troubles:
        told.append("the others were not begun, or interrupted")
    return CellRecord(
        id=name,
        title=f"{name} is measured",
        verdict=Verdict.PASS if complete else Verdict.FAIL if rates else Verdict.UNTESTABLE,
        reason="; ".join(told + [in_short(trouble) for trouble in row.troubles]),
        server=row.server,
        version=row.version,
        haproxy=haproxy,
        runs=[str(path.relative_to(out)) for path, _ in row.runs],
        seconds=row.seconds,
    )
