"""`proxyspec matrix`: many servers behind many HAProxies, in one report."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from proxyspec.cli import terminal
from proxyspec.cli.servers import CacheOption
from proxyspec.errors import ExitCode, UsageError, joint_exit_code
from proxyspec.interruption import until_interrupted
from proxyspec.printable import printable

if TYPE_CHECKING:
    from rich.console import Console

    from proxyspec.records.matrix import CellRecord
    from proxyspec.servers.matrix import Cell, Outcome

__all__ = ["matrix"]


def _say(console: Console, text: str) -> None:
    console.print(printable(text, keep="\n"), markup=False, highlight=False, soft_wrap=True)


class _Told:
    """Says a line where something begins or ends, for terminals and logs alike."""

    def __init__(self, console: Console, total: int) -> None:
        self._console = console
        self._total = total
        self._done = 0

    def installing(self, server: str) -> None:
        self._say(f"looking for {server}")

    def began(self, cell: Cell) -> None:
        self._say(f"{cell.id} …")

    def ended(self, cell: Cell, outcome: Outcome) -> None:
        self._done += 1
        record = outcome.record
        kept = ", from before" if record.kept else ""
        said = record.reason if outcome.run is not None else f"empty: {record.reason}"
        self._say(f"[{self._done}/{self._total}] {cell.id}: {said} ({record.seconds:.0f} s{kept})")

    def _say(self, text: str) -> None:
        _say(self._console, text)


def _haproxies(specs: Sequence[str], console: Console) -> list[str]:
    """Name every HAProxy the file names, so that `--haproxy` takes the very same one.

    Raises:
        UsageError: none of them can be used here.
    """
    from proxyspec.cli.engines import engines_here
    from proxyspec.cli.fronts import spec_of

    if list(specs) != ["matrix"]:
        return list(dict.fromkeys(specs))

    return [spec_of(choice) for choice in engines_here(console, specs, words="not here", style="")[0]]


def _table(console: Console, records: Sequence[CellRecord]) -> None:
    from rich.markup import escape

    from proxyspec.display import plain_table, print_table
    from proxyspec.model import Verdict

    seen = [verdict for verdict in Verdict if any(record.counts.get(verdict) for record in records)]
    table = plain_table()
    for name in ("server", "version", "HAProxy"):
        table.add_column(name, no_wrap=True)
    for verdict in seen:
        table.add_column(verdict, justify="right")
    table.add_column("s", justify="right")
    for record in records:
        numbers = [str(record.counts.get(verdict) or "·") if record.runs else "–" for verdict in seen]
        words = (record.server, record.version or "", record.haproxy or "none")
        table.add_row(*(escape(word) for word in words), *numbers, f"{record.seconds:.0f}")
    console.print()
    print_table(console, table)
    for record in records:
        if not record.runs:
            _say(console, f"{record.id} is empty: {record.reason}")
        for case, verdicts in record.unsteady.items():
            _say(console, f"{record.id}: {case} is now {', now '.join(verdicts)}")


def _code(outcomes: Sequence[Outcome]) -> ExitCode:
    from proxyspec.model import Verdict
    from proxyspec.records import load_run

    codes = []
    for outcome in outcomes:
        run = None if outcome.run is None else load_run(outcome.run)
        codes.append(ExitCode.UNJUDGEABLE if run is None else ExitCode(run.exit_code))
        if outcome.record.verdict is Verdict.FAIL:
            codes.append(ExitCode.FAILED)
    return joint_exit_code(codes)


def _folder(out: Path | None) -> Path:
    """Return the matrix's folder: a new one, or the one of a matrix that goes on.

    Raises:
        UsageError: there is something else in it, or it cannot be made.
    """
    from proxyspec.rundir import RunDirectory

    if out is not None and (out / "matrix.toml").is_file():
        return out
    return RunDirectory.create("matrix", out).path


def matrix(
    file: Annotated[Path, typer.Argument(metavar="FILE", help="The matrix file (TOML).", show_default=False)],
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="Where everything goes; the folder of an earlier run goes on there."),
    ] = None,
    repeat: Annotated[
        int | None,
        typer.Option(
            min=1, max=20, metavar="N", help="Judge each cell N times; by default as the file says, else once."
        ),
    ] = None,
    parallel: Annotated[
        int | None,
        typer.Option(min=1, max=64, metavar="N", help="Cells at once; by default as many as there are cores."),
    ] = None,
    cache: CacheOption = None,
) -> int:
    """Judge every server of a file, straight and behind every HAProxy, and write one report.

    Servers of `proxyspec servers list` are installed and started for each cell; others are described by target
    profiles. A cell that stays empty says why, and the rest goes on. With --out of an earlier run, cells that are done
    are kept. With --repeat every verdict that is not the same each time is listed.

    Exit codes: 0 all as the text wants it, 1 a FAIL or UNTESTABLE case, or verdicts that differ between repetitions,
    2 usage, 3 a cell is empty, 4 the harness failed, 130 interrupted.

    Examples:

      proxyspec matrix servers.toml --out matrix

      proxyspec matrix servers.toml --repeat 3

      proxyspec diff matrix matrix-of-last-week

      proxyspec report matrix/*/run-1 -o report.html      (again, in another form)
    """
    from proxyspec.cli.report import write_report
    from proxyspec.records.matrix import MatrixRun
    from proxyspec.rundir import RunDirectory
    from proxyspec.runhead import Begun
    from proxyspec.servers.matrix import cells_of, ordered, run_matrix
    from proxyspec.servers.matrix_file import load_matrix

    wanted = load_matrix(file)
    if repeat is not None:
        wanted = wanted.model_copy(update={"repeat": repeat})
    console = terminal.console()
    cells = cells_of(wanted, _haproxies(wanted.haproxy, console))
    folder = _folder(out)
    run_id = f"matrix-{datetime.now(UTC):%Y%m%d-%H%M%S}"
    files = RunDirectory(folder, run_id)
    files.write("matrix.toml", file.read_text(encoding="utf-8"))
    begun = Begun(run_id)
    outcomes: list[Outcome] = []
    at_once = parallel or wanted.parallel or os.cpu_count() or 1
    interrupted = False
    try:
        until_interrupted(
            run_matrix(cells, folder, _Told(console, len(cells)), outcomes, cache=cache, parallel=at_once)
        )
    except KeyboardInterrupt:
        interrupted = True
    found = ordered(cells, outcomes)
    code = ExitCode.INTERRUPTED if interrupted else _code(found)
    servers = list(dict.fromkeys(outcome.record.server for outcome in found))
    record = MatrixRun(
        **begun.head(interrupted=interrupted),
        exit_code=code,
        subject=f"matrix of {', '.join(servers)}",
        cells=[outcome.record for outcome in found],
    )
    files.record(record)
    page = folder / "report.html"
    try:
        write_report([folder, *(outcome.run for outcome in found if outcome.run is not None)], page)
    except UsageError as error:
        print(f"proxyspec: {error}", file=sys.stderr)
    _table(console, record.cells)
    if interrupted:
        print(f"proxyspec: interrupted; the same command with --out {folder} goes on", file=sys.stderr)
    _say(console, f"{record.duration:.0f} s; record: {folder / 'run.json'}, report: {page}")
    return code
