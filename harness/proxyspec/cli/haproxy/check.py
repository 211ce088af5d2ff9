"""`proxyspec haproxy check`: what in a haproxy.cfg will hurt an SMTP service."""

from __future__ import annotations

from typing import Annotated

import typer

from proxyspec.cli import terminal
from proxyspec.cli.haproxy import ownfile
from proxyspec.cli.options import HAProxiesOption, OutOption, StrictOption
from proxyspec.cli.target import versions_of

__all__ = ["check"]


def check(
    files: ownfile.FilesArgument,
    haproxy: HAProxiesOption = None,
    versions: Annotated[
        str, typer.Option("--server-versions", metavar="1|2|1,2", help="Header versions the mail servers read.")
    ] = "1,2",
    header_timeout: Annotated[
        float, typer.Option(metavar="SECONDS", help="How long the mail servers wait for a header.")
    ] = 30.0,
    container: Annotated[
        bool, typer.Option("--container", help="HAProxy runs in a container, as the official image does.")
    ] = False,
    strict: StrictOption = False,
    out: OutOption = None,
    json_file: ownfile.JsonOption = None,
    html: ownfile.HtmlOption = None,
    junit: ownfile.JunitOption = None,
    markdown: ownfile.MarkdownOption = None,
) -> int:
    """Say what in a haproxy.cfg will hurt an SMTP service behind it.

    First every HAProxy named is asked with `haproxy -c`, on a copy: nothing is started, no name looked up. Then rules
    look at checks, headers, timeouts, trust and limits. Each finding has its line, the reason and the remedy.
    Exit codes: 0 nothing that hurts, 1 a FAIL (a WARN too with --strict), 2 usage, 5 nothing in it is about SMTP.

    Examples:

      proxyspec haproxy check /etc/haproxy/haproxy.cfg

      proxyspec haproxy check haproxy.cfg --haproxy docker:2.6 --haproxy docker:3.2 --server-versions 1
    """
    from proxyspec.ownfile.checking import check_files
    from proxyspec.ownfile.reading import read_sources
    from proxyspec.targets import header_deadline
    from proxyspec_haproxy.config import Expected

    outputs = ownfile.outputs_of(out, json=json_file, html=html, junit=junit, markdown=markdown)
    console = terminal.console(stderr=outputs.takes_stdout)
    expected = Expected(versions_of(versions, "--server-versions"), header_deadline(header_timeout), container)
    sources = read_sources(files)
    choices = ownfile.engines(haproxy, console)
    with ownfile.session("haproxy-check", out, console, outputs, sources, choices, strict=strict) as opened:
        with ownfile.showing(console) as progress:
            found = check_files(
                sources,
                choices,
                expected,
                environment=ownfile.variables(),
                folders=ownfile.folders_of(files),
                progress=progress,
            )
        return opened.finish(
            ownfile.Rows(
                services=list(found.services),
                accepted=list(found.accepted),
                findings=list(found.findings),
            )
        )
