"""`proxyspec run`: judge a server."""

from __future__ import annotations

import contextlib
import shlex
import sys
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from proxyspec.cli import terminal
from proxyspec.cli.options import (
    AllowOption,
    BaselineOption,
    CaseOption,
    HAProxiesOption,
    LevelOption,
    NotOption,
    OutOption,
    SectionOption,
    StrictOption,
    TagOption,
    TargetArgument,
    TemplatesOption,
    TimeoutOption,
    TrustedOption,
    selection_of,
)
from proxyspec.cli.outputs import Format, Outputs
from proxyspec.cli.target import declared_target
from proxyspec.cli.terminal import print_record
from proxyspec.errors import ExitCode
from proxyspec.model import Case, Catalogue, Target, Via
from proxyspec.printable import printable
from proxyspec.selection import Selection

if TYPE_CHECKING:
    from proxyspec.baseline import Expectations
    from proxyspec.records import ConformanceRun

__all__ = ["RunOptions", "expectations_of", "judge_target", "run", "run_target", "selected_cases"]

#: Names every HAProxy of this machine (see proxyspec_haproxy.MATRIX, whose import costs more than this whole module).
_MATRIX = "matrix"


@dataclass(frozen=True, slots=True, kw_only=True)
class RunOptions:
    """How a server is judged, beside who it is."""

    selection: Selection = field(default_factory=Selection)
    haproxy: str | None = None
    templates: Path | None = None
    baseline: Path | None = None
    strict: bool = False
    outputs: Outputs = field(default_factory=Outputs)
    #: Reconstruct every connection as a capture file below `evidence/`.
    pcap: bool = False
    #: Run the cases that go straight to the target, too, not only those through HAProxy.
    straight: bool = True
    #: Files of raw cases that are judged instead of the catalogue.
    case_files: tuple[Path, ...] = ()


def expectations_of(catalogue: Catalogue, baseline: Path | None, *, strict: bool) -> Expectations:
    """Read the baseline, if there is one, and see that it speaks of this catalogue.

    Raises:
        UsageError: it is none, or an entry names no case.
    """
    from proxyspec.baseline import Expectations, load_baseline

    if baseline is None:
        return Expectations(strict=strict)
    loaded = load_baseline(baseline)
    loaded.check([case.id for case in catalogue.cases])
    return Expectations(baseline=loaded, strict=strict)


def _catalogue(case_files: tuple[Path, ...]) -> Catalogue:
    """Return the cases of these files, or the project's own.

    Raises:
        UsageError: a file is no case file.
    """
    if case_files:
        from proxyspec.casefile import catalogue_from

        return catalogue_from(case_files)
    from proxyspec_scenarios import catalogue

    return catalogue()


def selected_cases(options: RunOptions) -> tuple[Case, ...]:
    """Return the cases that the options select, without what they rest on.

    Raises:
        UsageError: the selection or a case file is wrong.
    """
    from proxyspec.selection import select

    return select(_catalogue(options.case_files).cases, options.selection)


def judge_target(target: Target, out_dir: Path | None, options: RunOptions) -> tuple[int, Path]:
    """Run the suite against `target`, show it, write the outputs, and return the exit code and the run directory.

    Raises:
        UsageError: the selection, a case file, the baseline or an output is wrong, or HAProxy cannot stand in front of
            the target.
    """
    result, path = run_target(target, out_dir, options)
    options.outputs.write(result)
    return result.exit_code, path


def run_target(target: Target, out_dir: Path | None, options: RunOptions) -> tuple[ConformanceRun, Path]:
    """Run the suite against `target`, show it, and return the record and the run directory; writes no outputs.

    Raises:
        UsageError: as `judge_target`.
    """

    from proxyspec.conformance import conformance, direct_roads, tls_road
    from proxyspec.console import RunConsole, print_hints, print_run
    from proxyspec.haproxy.front import behind_haproxy
    from proxyspec.hints import hints
    from proxyspec.rundir import RunDirectory
    from proxyspec.scheduler import Roads
    from proxyspec.started import started
    from proxyspec.stream import Chorus, JsonLines

    catalogue = _catalogue(options.case_files)
    expectations = expectations_of(catalogue, options.baseline, strict=options.strict)
    options.outputs.check(out_dir)
    chosen, haproxy = selected_cases(options), options.haproxy
    if haproxy is None and not (options.selection.patterns or options.selection.tags):
        chosen = tuple(case for case in chosen if case.via is Via.DIRECT)
    if not options.straight:
        chosen = tuple(case for case in chosen if case.via not in (Via.DIRECT, Via.PACKETS))
    cases = catalogue.with_prerequisites(chosen)
    lines = JsonLines(sys.stdout) if options.outputs.ndjson else None
    console = terminal.console(stderr=options.outputs.takes_stdout)
    with contextlib.ExitStack() as stack:
        out = stack.enter_context(RunDirectory.create("conformance", out_dir))
        declared = target
        if (service := target.service) is not None:
            told = f"starting {shlex.join(service.start)}, as {service.profile} says"
            console.print(printable(told), style="dim", highlight=False, markup=False, soft_wrap=True)
            log, folder = out.path / "server.log", Path(service.profile).parent
            running = started(service.start, target.host, target.port, log, stop=service.stop, folder=folder)
            pid = stack.enter_context(running)
            own = target.crash_log is None and target.oracle != "log"
            target = replace(target, pid=target.pid or pid, crash_log=str(log) if own else target.crash_log)
        roads, record = Roads({}, {}), None
        if haproxy is not None:
            console.print(f"starting HAProxy ({haproxy})", style="dim", highlight=False)
            roads, record = stack.enter_context(behind_haproxy(target, haproxy, out, templates=options.templates))
            taken = f"HAProxy: {record.description}; {record.why}"
            console.print(taken, style="dim", highlight=False, markup=False, soft_wrap=True)
        roads = Roads(direct_roads(target), roads.via, roads.watcher, tls_road(target))
        with RunConsole(console, len(cases), target.header_timeout) as shown:
            result = conformance(
                catalogue,
                cases,
                target,
                roads,
                out,
                shown if lines is None else Chorus([shown, lines]),
                haproxy=record,
                parallel=target.parallel,
                expectations=expectations,
                reproduce=lambda case: _reproduce(case, declared, options),
            )
        if options.pcap:
            from proxyspec.evidence import write_captures

            write_captures(result, out)
        print_run(console, result)
        if result.status == "interrupted":
            print("proxyspec: interrupted; what was judged so far is kept", file=sys.stderr)
        where = out.path / "run.json"
        print_record(console, where, result.duration)
        print_hints(console, hints(result, out.path))
        if lines is not None:
            lines.finished(result)
    return result, out.path


def _reproduce(case: Case, target: Target, options: RunOptions) -> str:
    from proxyspec.targets import flags_of

    words = ["proxyspec", "run", flags_of(target), "--case", case.id]
    for path in options.case_files:
        words += ["--case-file", shlex.quote(str(path))]
    if case.via is not Via.DIRECT and options.haproxy is not None:
        words += ["--haproxy", shlex.quote(options.haproxy)]
    return " ".join(words)


def run(
    target: TargetArgument,
    case: CaseOption = None,
    case_file: Annotated[
        list[Path] | None,
        typer.Option(
            "--case-file",
            metavar="FILE",
            help="Judge by the raw cases of this file (docs/targets.md) instead of the catalogue; may be repeated.",
        ),
    ] = None,
    section: SectionOption = None,
    level: LevelOption = None,
    tag: TagOption = None,
    without: NotOption = None,
    out: OutOption = None,
    haproxy: HAProxiesOption = None,
    haproxy_templates: TemplatesOption = None,
    header_timeout: TimeoutOption = 30.0,
    trusted: TrustedOption = None,
    untrusted: Annotated[
        str | None,
        typer.Option(
            metavar="ADDRESS|none", help="Local address the target does not trust; 127.0.0.2 for a target on 127.0.0.1."
        ),
    ] = None,
    versions: Annotated[str, typer.Option(metavar="1|2|1,2", help="Header versions the target speaks.")] = "1,2",
    oracle: Annotated[
        str,
        typer.Option(
            help="What shows the address the target believes: ehlo (its EHLO reply), received (a message it delivers), "
            "log, reply (a pattern over its replies), none, auto."
        ),
    ] = "auto",
    oracle_file: Annotated[
        str | None, typer.Option(metavar="PATH", help="Maildir or mbox for the oracle received, file for log.")
    ] = None,
    oracle_pattern: Annotated[
        str | None,
        typer.Option(metavar="REGEX", help="Pattern with the group (?P<address>…), for the oracles log and reply."),
    ] = None,
    recipient: Annotated[
        str | None, typer.Option(metavar="MAILBOX", help="Whom the oracle received sends its messages to.")
    ] = None,
    capabilities: Annotated[
        str,
        typer.Option(metavar="NAME,…", help="What the target has, or has not with no-: starttls, crc32c, no-crc32c."),
    ] = "",
    tls_port: Annotated[
        int | None, typer.Option(metavar="PORT", help="Port of the target whose connections begin with TLS.")
    ] = None,
    pid: Annotated[
        int | None, typer.Option(metavar="PID", help="The target's main process, to see that it idles when it should.")
    ] = None,
    crash_log: Annotated[
        str | None, typer.Option(metavar="PATH", help="Log of the target that tells when one of its processes crashes.")
    ] = None,
    crash_pattern: Annotated[
        str | None, typer.Option(metavar="REGEX", help="How the lines that tell it begin; many servers' are known.")
    ] = None,
    allow_target: AllowOption = None,
    baseline: BaselineOption = None,
    strict: StrictOption = False,
    pcap: Annotated[
        bool, typer.Option("--pcap", help="Write each connection as evidence/CASE.reconstructed.pcapng.")
    ] = False,
    junit: Annotated[
        str | None, typer.Option(metavar="FILE", help="Write JUnit XML; - is standard output, here and below.")
    ] = None,
    tap: Annotated[str | None, typer.Option(metavar="FILE", help="Write TAP, version 14.")] = None,
    markdown: Annotated[
        str | None,
        typer.Option(
            metavar="FILE|auto", help="Write Markdown; auto appends it to the file in $GITHUB_STEP_SUMMARY, if any."
        ),
    ] = None,
    json_file: Annotated[
        str | None, typer.Option("--json", metavar="FILE", help="Write the run record once more.")
    ] = None,
    html: Annotated[str | None, typer.Option(metavar="FILE", help="Write the HTML report.")] = None,
    ndjson: Annotated[
        bool, typer.Option("--ndjson", help="A line of JSON a verdict on standard output, while the run goes on.")
    ] = False,
) -> int:
    """Judge how a server handles the PROXY protocol.

    The server must listen on TARGET and expect a PROXY header from this machine. TARGET may also be a target profile:
    a TOML file whose table [target] has a url and these options; what is said here as well counts more.
    Exit codes: 0 all as the text wants it, or as the baseline expects it, 1 an unexpected FAIL or UNTESTABLE (WARN too
    with --strict) or a stale baseline entry, 2 usage, 3 the target cannot be judged, 4 the harness failed, 5 nothing
    judged, 130 interrupted.

    Examples:

      proxyspec run smtp://127.0.0.1:2525

      proxyspec run smtp://127.0.0.1:2525 --haproxy docker:3.2

      proxyspec run smtp://127.0.0.1:2525 --haproxy matrix

      proxyspec run smtp://127.0.0.1:2525 --case v1/port

      proxyspec run smtp://127.0.0.1:2525 --case-file mine.toml

      proxyspec run smtp://127.0.0.1:2525 --level MUST --not waits --baseline known.toml --junit proxyspec.xml
    """
    profile = declared_target(
        target,
        header_timeout=header_timeout,
        trusted=trusted,
        untrusted=untrusted,
        versions=versions,
        oracle=oracle,
        oracle_file=oracle_file,
        oracle_pattern=oracle_pattern,
        recipient=recipient,
        capabilities=capabilities,
        tls_port=tls_port,
        pid=pid,
        crash_log=crash_log,
        crash_pattern=crash_pattern,
        allow=allow_target,
    )
    files = {
        Format.JUNIT: junit,
        Format.TAP: tap,
        Format.MARKDOWN: markdown,
        Format.JSON: json_file,
        Format.HTML: html,
    }
    behind = list(dict.fromkeys(haproxy or ()))
    options = RunOptions(
        selection=selection_of(case, section, level, tag, without),
        haproxy=behind[0] if behind else None,
        templates=haproxy_templates,
        baseline=baseline,
        strict=strict,
        outputs=Outputs({form: path for form, path in files.items() if path is not None}, ndjson),
        pcap=pcap,
        case_files=tuple(case_file or ()),
    )
    if len(behind) > 1 or behind == [_MATRIX]:
        from proxyspec.cli.fronts import judge_behind_each

        return judge_behind_each(profile, out, options, behind)[0]
    code, _ = judge_target(profile, out, options)
    return ExitCode(code)
