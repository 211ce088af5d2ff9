"""`proxyspec servers`: mail servers that others have written, installed privately and started on loopback."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from proxyspec.cli import terminal
from proxyspec.cli.options import HAProxiesOption, OutOption
from proxyspec.cli.servers_load import load
from proxyspec.errors import ExitCode, UsageError
from proxyspec.interruption import until_interrupted

__all__ = ["CacheOption", "app"]

app = typer.Typer(
    no_args_is_help=True, help="Mail servers that others have written: install them privately, start them on loopback."
)
app.command()(load)

CacheOption = Annotated[
    Path | None,
    typer.Option("--cache", metavar="DIR", help="Where servers are kept; by default ~/.cache/proxyspec/servers."),
]
_Server = Annotated[str, typer.Argument(metavar="NAME[@VERSION]", show_default=False)]


@app.command("list")
def list_servers(cache: CacheOption = None) -> None:
    """List the servers there are adapters for, and which of them are installed."""
    from rich.markup import escape

    from proxyspec.display import plain_table, print_table
    from proxyspec.servers.installed import offers

    table = plain_table()
    for column in ("server", "installed", "version"):
        table.add_column(column, no_wrap=True)
    table.add_column("what it is", overflow="fold")
    table.add_column("where it comes from", overflow="fold")
    for offer in until_interrupted(offers(cache)):
        version = offer.version or "the distribution's"
        words = (offer.name, offer.installed or "·", version, offer.summary, offer.origin)
        table.add_row(*(escape(word) for word in words))
    print_table(terminal.console(), table)


@app.command()
def doctor(cache: CacheOption = None) -> int:
    """Say for each server whether it can run here, and what is missing.

    Exit codes: 0 all can, 1 some cannot.
    """
    from proxyspec.servers.installed import offers

    able = True
    for offer in until_interrupted(offers(cache)):
        if offer.obstacle is not None:
            able = False
            said = f"cannot run here: {offer.obstacle}"
        elif offer.installed is not None:
            said = f"ready, {offer.installed}"
        else:
            said = f"not installed; `proxyspec servers install {offer.name}` installs it {offer.origin}"
        print(f"{offer.name:12} {said}")
    return ExitCode.OK if able else ExitCode.FAILED


@app.command()
def install(
    server: Annotated[list[str], typer.Argument(metavar="NAME[@VERSION]", show_default=False)],
    cache: CacheOption = None,
) -> int:
    """Install servers into a private folder; the system stays as it is.

    What cannot be had is said, and the rest goes on. Exit codes: 0 all there, 1 some not, 130 interrupted.

    Examples:

      proxyspec servers install haraka haraka@3.0.3 aiosmtpd

      proxyspec servers install all
    """
    from proxyspec.servers.installed import ServerFailed, offers
    from proxyspec.servers.installed import install as install_one

    names = (
        [offer.name for offer in until_interrupted(offers(cache))] if server == ["all"] else list(dict.fromkeys(server))
    )
    failed = 0
    for name in names:
        print(f"{name} …", flush=True)
        try:
            print(f"{name} {until_interrupted(install_one(name, cache))}", flush=True)
        except ServerFailed as error:
            failed += 1
            print(f"proxyspec: {error}", file=sys.stderr)
    return ExitCode.FAILED if failed else ExitCode.OK


@app.command()
def page(
    server: Annotated[str, typer.Argument(metavar="NAME[@VERSION]")] = "haraka",
    haproxy: HAProxiesOption = None,
    out: OutOption = None,
    cache: CacheOption = None,
) -> int:
    """Put Haraka's page on HAProxy to the test, promise by promise.

    Off by default, unlisted hosts refused temporarily, listed ones silent until PROXY, 421 at 30 s, addresses and CIDR
    ranges on the list, and the health checks of the page behind every HAProxy. Any server with a list of proxies will
    do, for instance reference@haraka.

    Exit codes: 0 all kept, 1 not so, 2 usage, 4 the server cannot be had, 130 interrupted.

    Examples:

      proxyspec servers page

      proxyspec servers page haraka@3.0.3 --haproxy docker:2.2 --haproxy docker:3.2
    """
    from rich.console import Console

    from proxyspec.checks.record import exit_code_of
    from proxyspec.cli.engines import engines_here
    from proxyspec.records.page import PageRun, PromiseRecord
    from proxyspec.rundir import RunDirectory
    from proxyspec.runhead import Begun
    from proxyspec.servers.page import Listener, check_page

    console = Console()

    def say(text: str) -> None:
        console.print(text, markup=False, highlight=False, soft_wrap=True)

    class Told(Listener):
        def found(self, record: PromiseRecord) -> None:
            said = "".join(c if c.isprintable() else "?" for c in record.reason)
            say(f"{record.verdict:10} {record.id}  {said}")

    choices, _ = engines_here(console, haproxy or ["matrix"], words="not here", style="")
    records: list[PromiseRecord] = []
    interrupted, label = False, server
    with RunDirectory.create("page", out) as files:
        begun = Begun(files.id)
        logs = files.path / "evidence"
        logs.mkdir()
        try:
            label = until_interrupted(check_page(server, choices, records, Told(), cache=cache, logs=logs.absolute()))
        except KeyboardInterrupt:
            interrupted = True
        records.sort(key=lambda record: record.haproxy is not None)
        code = exit_code_of([record.verdict for record in records], interrupted=interrupted)
        run = PageRun(
            **begun.head(interrupted=interrupted),
            exit_code=code,
            subject=f"Haraka's page on HAProxy, by {label}",
            server=label,
            promises=records,
        )
        say(f"{run.duration:.0f} s, run record: {files.record(run)}")
    return code


@app.command()
def start(
    server: _Server,
    cache: CacheOption = None,
    header_timeout: Annotated[
        float | None,
        typer.Option("--header-timeout", metavar="SECONDS", help="Its header deadline, if it has a choice."),
    ] = None,
    trust: Annotated[
        list[str] | None,
        typer.Option("--trust", metavar="ADDRESS|CIDR", help="Proxies on its list in place of 127.0.0.1; repeatable."),
    ] = None,
    trust_nobody: Annotated[bool, typer.Option("--trust-nobody", help="Leave its list of proxies empty.")] = False,
    profile: Annotated[
        Path | None, typer.Option("--profile", metavar="FILE", help="Write its target profile here.")
    ] = None,
    log: Annotated[Path | None, typer.Option("--log", metavar="FILE", help="Its log, kept afterwards.")] = None,
) -> int:
    """Start a server on a free port of 127.0.0.1 and keep it until Ctrl-C.

    Examples:

      proxyspec servers start haraka --profile haraka.toml

      proxyspec run haraka.toml        (in another terminal; or proxyspec load haraka.toml)
    """
    from proxyspec.cli.outputs import write_text
    from proxyspec.servers.installed import Wish, profile_text, started

    if trust and trust_nobody:
        raise UsageError("--trust and --trust-nobody: give one of them")
    wish = Wish(
        server=server,
        cache=cache,
        log=log,
        header_timeout=header_timeout,
        hosts=tuple(trust) if trust else () if trust_nobody else None,
    )

    async def keep() -> None:
        async with started(wish) as running:
            if profile is not None:
                write_text(str(profile), profile_text(running.profile), "--profile")
            print(f"{running.label} listens on {running.profile['url']}, pid {running.pid}, log {running.log}")
            print(profile_text(running.profile), end="", flush=True)
            await running.ended()

    try:
        until_interrupted(keep())
    except KeyboardInterrupt:
        print(f"proxyspec: {server} stopped", file=sys.stderr)
    return ExitCode.OK
