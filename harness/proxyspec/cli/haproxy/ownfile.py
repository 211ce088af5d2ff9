"""What the commands about the user's own haproxy.cfg share: options, engines, the record, what is written."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from proxyspec.cli.engines import engines_here
from proxyspec.cli.outputs import Format, Outputs
from proxyspec.cli.terminal import print_record
from proxyspec.errors import ExitCode
from proxyspec.model import Verdict

if TYPE_CHECKING:
    from rich.console import Console

    from proxyspec.records.haproxy_file import (
        AcceptanceRecord,
        ChangeRecord,
        FindingRecord,
        TriedBindRecord,
        TriedServerRecord,
    )
    from proxyspec.rundir import RunDirectory
    from proxyspec.runhead import Begun
    from proxyspec_haproxy import Choice
    from proxyspec_haproxy.config import SourceFile

__all__ = [
    "FilesArgument",
    "HtmlOption",
    "JsonOption",
    "JunitOption",
    "MarkdownOption",
    "Rows",
    "Session",
    "engines",
    "folders_of",
    "outputs_of",
    "session",
    "showing",
    "variables",
]

FilesArgument = Annotated[
    list[Path],
    typer.Argument(metavar="FILE", help="haproxy.cfg; several are read one after another.", show_default=False),
]
JsonOption = Annotated[
    str | None,
    typer.Option("--json", metavar="FILE", help="Write the run record; - is standard output, here and below."),
]
HtmlOption = Annotated[str | None, typer.Option("--html", metavar="FILE", help="Write the HTML report.")]
JunitOption = Annotated[str | None, typer.Option("--junit", metavar="FILE", help="Write JUnit XML.")]
MarkdownOption = Annotated[
    str | None,
    typer.Option(
        "--markdown",
        metavar="FILE|auto",
        help="Write Markdown; auto appends it to the file in $GITHUB_STEP_SUMMARY, if any.",
    ),
]


def outputs_of(
    out: Path | None, *, json: str | None, html: str | None, junit: str | None, markdown: str | None
) -> Outputs:
    """Take the options that name files beside the run directory `out`; raises UsageError if one cannot be written."""
    wanted = {Format.JSON: json, Format.HTML: html, Format.JUNIT: junit, Format.MARKDOWN: markdown}
    outputs = Outputs({form: path for form, path in wanted.items() if path is not None})
    outputs.check(out)
    return outputs


@dataclass(frozen=True, slots=True, kw_only=True)
class Rows:
    """What a command found, as the record holds it; a trial fills the last three."""

    services: list[str]
    accepted: list[AcceptanceRecord] = field(default_factory=list)
    findings: list[FindingRecord] = field(default_factory=list)
    changes: list[ChangeRecord] = field(default_factory=list)
    servers: list[TriedServerRecord] = field(default_factory=list)
    binds: list[TriedBindRecord] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class Session:
    """One run of a command: on which files and HAProxies, when it began, and where its record goes."""

    out: RunDirectory
    console: Console
    outputs: Outputs
    files: Sequence[str]
    choices: Sequence[Choice]
    strict: bool
    begun: Begun

    def finish(self, rows: Rows, *, interrupted: bool = False, config: str = "", log: str = "") -> int:
        """Write the record, show it, and return the exit code."""
        from proxyspec.conformance import exit_code_of
        from proxyspec.haproxy.engines import haproxy_record
        from proxyspec.ownfile.console import print_file_run
        from proxyspec.records.haproxy_file import HAProxyFileRun

        run = HAProxyFileRun(
            **self.begun.head(interrupted=interrupted),
            exit_code=0,
            subject=", ".join(self.files),
            haproxies=[haproxy_record(choice, config, log) for choice in self.choices],
            files=list(self.files),
            services=rows.services,
            accepted=rows.accepted,
            findings=rows.findings,
            changes=rows.changes,
            servers=rows.servers,
            binds=rows.binds,
        )
        verdicts = [row.verdict for row in run.judged]
        bad = {Verdict.FAIL, Verdict.UNTESTABLE} | ({Verdict.WARN} if self.strict else set())
        code = exit_code_of(verdicts, failed=bool(bad & set(verdicts)), unjudgeable=False, interrupted=interrupted)
        if code is ExitCode.OK and not run.services:
            code = ExitCode.NOTHING
        run = run.model_copy(update={"exit_code": int(code)})
        path = self.out.record(run)
        self.out.event("finished", {"exit_code": run.exit_code})
        print_file_run(self.console, run)
        if interrupted:
            print("proxyspec: interrupted; what was found so far is kept", file=sys.stderr)
        print_record(self.console, path, run.duration)
        self.outputs.write(run)
        return int(code)


@contextlib.contextmanager
def session(
    command: str,
    out: Path | None,
    console: Console,
    outputs: Outputs,
    sources: Sequence[SourceFile],
    choices: Sequence[Choice],
    *,
    strict: bool,
) -> Iterator[Session]:
    """Open the run directory of a command on `sources`."""
    from proxyspec.rundir import RunDirectory
    from proxyspec.runhead import Begun

    files = [source.name for source in sources]
    with RunDirectory.create(command, out) as directory:
        directory.event("started", {"files": files})
        yield Session(
            out=directory,
            console=console,
            outputs=outputs,
            files=files,
            choices=choices,
            strict=strict,
            begun=Begun(directory.id),
        )


@contextlib.contextmanager
def showing(console: Console) -> Iterator[Callable[[str], None]]:
    """Yield what shows progress: a status line on a terminal, plain lines on anything else."""
    if not console.is_terminal:
        yield lambda text: console.print(text, highlight=False, markup=False, soft_wrap=True)
        return
    from rich.markup import escape

    with console.status("starting") as status:
        yield lambda text: status.update(escape(text))


def engines(specs: Sequence[str] | None, console: Console) -> list[Choice]:
    """Take the HAProxies named; raises UsageError when none is left."""
    return engines_here(console, specs or ["auto"])[0]


def folders_of(files: Sequence[Path]) -> list[Path]:
    """Return where a relative path in a configuration may lead from: here, or where the configuration is."""
    return list(dict.fromkeys([Path.cwd(), *(file.absolute().parent for file in files)]))


def variables() -> Mapping[str, str]:
    """Return the environment HAProxy would be started with."""
    return dict(os.environ)
