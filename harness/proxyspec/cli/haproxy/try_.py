"""`proxyspec haproxy try`: a haproxy.cfg run for real, with reference servers in the place of its servers."""

from __future__ import annotations

from typing import Annotated

import typer

from proxyspec.cli import terminal
from proxyspec.cli.haproxy import ownfile
from proxyspec.cli.options import HAProxyOption, OutOption, StrictOption
from proxyspec.errors import UsageError

__all__ = ["try_"]

#: The longest trial, in seconds.
LONGEST = 600.0


def try_(
    files: ownfile.FilesArgument,
    haproxy: HAProxyOption = None,
    seconds: Annotated[
        float, typer.Option("--time", metavar="SECONDS", help="How long the checks are watched at least.")
    ] = 5.0,
    patience: Annotated[
        float, typer.Option(metavar="SECONDS", help="How long the first result of every check may take.")
    ] = 20.0,
    header_timeout: Annotated[
        float, typer.Option(metavar="SECONDS", help="How long the reference servers wait for a header.")
    ] = 30.0,
    strict: StrictOption = False,
    out: OutOption = None,
    json_file: ownfile.JsonOption = None,
    html: ownfile.HtmlOption = None,
    junit: ownfile.JunitOption = None,
    markdown: ownfile.MarkdownOption = None,
) -> int:
    """Run a haproxy.cfg on this machine, every server replaced by a reference server that wants a PROXY header.

    Every address moves to a free port of 127.0.0.1, and what reaches outside (logs, peers, resolvers, Lua, …) is left
    out; each change is told. Then HAProxy's checks are watched, and a mail is sent through every address.
    Exit codes: 0 all servers UP and all mails through, 1 a FAIL or UNTESTABLE (a WARN too with --strict), 2 usage.

    Examples:

      proxyspec haproxy try haproxy.cfg

      proxyspec haproxy try haproxy.cfg --haproxy docker:2.2 --time 20
    """
    from proxyspec.ownfile.reading import read_sources
    from proxyspec.ownfile.trying import TrialOptions, try_files
    from proxyspec.targets import header_deadline
    from proxyspec_haproxy.config import lint

    outputs = ownfile.outputs_of(out, json=json_file, html=html, junit=junit, markdown=markdown)
    console = terminal.console(stderr=outputs.takes_stdout)
    for name, value in (("--time", seconds), ("--patience", patience)):
        if not 0 <= value <= LONGEST:
            raise UsageError(f"{name} {value:g}: between 0 and {LONGEST:g} seconds")
    options = TrialOptions(seconds, patience, header_deadline(header_timeout))
    sources = read_sources(files)
    choices = ownfile.engines([haproxy] if haproxy is not None else None, console)
    if len(choices) > 1:
        raise UsageError("--haproxy: a trial takes one HAProxy; name one of the matrix")
    with ownfile.session("haproxy-try", out, console, outputs, sources, choices, strict=strict) as opened:
        environment = ownfile.variables()
        services = lint(sources, [choices[0].engine.version()], environment=environment).services
        with ownfile.showing(console) as progress:
            tried = try_files(
                sources,
                choices[0],
                options,
                opened.out,
                environment=environment,
                folders=ownfile.folders_of(files),
                progress=progress,
            )
        return opened.finish(
            ownfile.Rows(
                services=list(services),
                findings=list(tried.refused),
                changes=list(tried.changes),
                servers=list(tried.servers),
                binds=list(tried.binds),
            ),
            interrupted=tried.interrupted,
            config="evidence/haproxy.cfg",
            log="evidence/haproxy.log",
        )
