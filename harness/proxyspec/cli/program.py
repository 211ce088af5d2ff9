"""The program: its commands, its exit codes, and the one place where errors become messages."""

from __future__ import annotations

import errno
import os
import sys
import tempfile
import traceback
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import typer

import proxyspec
from proxyspec.cli import (
    decode,
    demo,
    diff,
    doctor,
    export,
    fuzz,
    haproxy,
    init,
    judge,
    listing,
    load,
    matrix,
    mutants,
    replay,
    report,
    run,
    send,
    sender,
    serve,
    servers,
    streams,
    tcp,
)
from proxyspec.errors import ExitCode, ProxyspecError
from proxyspec.printable import printable

__all__ = ["app", "main"]

app = typer.Typer(
    name="proxyspec",
    help="Conformance and load testing for mail servers behind HAProxy.",
    epilog="Begin with `proxyspec demo`. For a server of yours: `proxyspec init smtp://127.0.0.1:2525`, which looks at "
    "it and writes target.toml, then `proxyspec run target.toml`.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    rich_markup_mode=None,
)


def _version(value: bool) -> None:
    if value:
        print(f"proxyspec {proxyspec.__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and leave.")
    ] = False,
) -> None:
    pass


app.command("run")(run.run)
app.command("list", short_help="List cases, requirements, oracles.")(listing.list_cases)
app.command("explain", short_help="Explain one case: what is sent, what conforms, which rule.")(listing.explain)
app.command("load")(load.load)
app.command("fuzz", short_help="Search for headers that a server misreads.")(fuzz.fuzz)
app.command("tcp", short_help="Judge a server by TCP segments made one by one.")(tcp.tcp)
app.command("mutants", short_help="Run the suite against the reference server's defects.")(mutants.mutants)
app.command("report", short_help="Turn runs into one HTML page, JUnit, TAP, Markdown or JSON.")(report.report)
app.command("judge", short_help="Judge the transcripts of an old run again, offline.")(judge.judge)
app.command("replay", short_help="Send the cases of an old run again, and compare.")(replay.replay)
app.command("diff", short_help="Show what changed from one run to another.")(diff.diff)
app.command("send", short_help="Make one connection and show all that is said on it.")(send.send)
app.command("sender", short_help="Judge the headers that a proxy sends.")(sender.sender)
app.command("decode", short_help="Read bytes as a PROXY header, field by field.")(decode.decode)
app.command("demo", short_help="See it work: judge and load a server behind HAProxy.")(demo.demo)
app.command("doctor", short_help="Say what this machine lacks, and what to do about it.")(doctor.doctor)
app.command(
    "serve", context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}
)(serve.serve)
app.command("init", short_help="Look at a server and write its target profile.")(init.init)
app.command("matrix", short_help="Judge every server of a file behind every HAProxy.")(matrix.matrix)
app.command("schema")(listing.schema)
app.add_typer(export.app, name="export")
app.add_typer(haproxy.app, name="haproxy", short_help="HAProxy itself: your haproxy.cfg, health checks, images.")
app.add_typer(servers.app, name="servers", short_help="Mail servers that others have written, to be compared.")


# Typer brings click's exceptions under a name that differs by version.
_CommandLineError: Any = next(base for base in typer.BadParameter.__mro__ if base.__name__ == "ClickException")


#: Control characters that messages of several lines have; others, and bytes that are no text, are spelt out.
_LAYOUT = "\n\t"

#: What a machine may run out of or refuse -> what helps. Other errors of the operating system are defects.
_SURROUNDINGS: Mapping[int, str] = {
    **dict.fromkeys((errno.ENOSPC, errno.EDQUOT), "make room, or name another place with --out and TMPDIR"),
    **dict.fromkeys((errno.EACCES, errno.EPERM, errno.EROFS), "name another place with --out and TMPDIR, or allow it"),
    **dict.fromkeys((errno.EMFILE, errno.ENFILE), "raise the number of open files (ulimit -n), or ask for less"),
    **dict.fromkeys((errno.ENOMEM, errno.EAGAIN), "this machine has no more memory or processes (ulimit -a)"),
    **dict.fromkeys((errno.EIO, errno.ESTALE), "the disk fails: name another place with --out and TMPDIR"),
    errno.ENAMETOOLONG: "name a shorter path",
}


def _surroundings(error: OSError) -> str | None:
    """Return what is wrong around the program and the remedy, or None if it is not that."""
    if isinstance(error, FileNotFoundError) and "temporary directory" in str(error):
        return f"{error.strerror}; name one that is yours with TMPDIR"
    remedy = _SURROUNDINGS.get(error.errno or 0)
    if remedy is None:
        return None
    names = [os.fsdecode(name) for name in (error.filename, error.filename2) if isinstance(name, str | bytes)]
    return f"{printable(' -> '.join(names)) + ': ' if names else ''}{error.strerror}; {remedy}"


def _defect() -> str:
    """Keep the traceback for the maintainers, out of the user's sight; return where, or the traceback on one line."""
    try:
        with tempfile.NamedTemporaryFile(
            "w", prefix="proxyspec-defect-", suffix=".txt", delete=False, encoding="utf-8", errors="backslashreplace"
        ) as file:
            traceback.print_exc(file=file)
    except OSError:
        return printable(traceback.format_exc())
    return file.name


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code (see `ExitCode`)."""
    with streams.lasting():
        code = _run(arguments)
        lost = streams.loss()
        if lost is None or code in (ExitCode.INTERRUPTED, ExitCode.USAGE):
            return code
        print(f"proxyspec: {lost}", file=sys.stderr)
        return ExitCode.HARNESS


def _run(arguments: Sequence[str] | None) -> int:
    try:
        result = app(
            args=list(arguments) if arguments is not None else None, prog_name="proxyspec", standalone_mode=False
        )
    except _CommandLineError as error:
        error.show()
        return int(error.exit_code)
    except (typer.Abort, KeyboardInterrupt):
        print("proxyspec: interrupted", file=sys.stderr)
        return ExitCode.INTERRUPTED
    except ProxyspecError as error:
        print(f"proxyspec: {printable(str(error), keep=_LAYOUT)}", file=sys.stderr)
        return error.code
    except Exception as error:  # noqa: BLE001 - the last resort: a user sees a message, never a traceback
        around = _surroundings(error) if isinstance(error, OSError) else None
        if around is not None:
            print(f"proxyspec: {around}", file=sys.stderr)
        else:
            what = printable(f"{type(error).__name__}: {error}")
            print(
                f"proxyspec: this is a defect in proxyspec ({what}); please report it with {_defect()}", file=sys.stderr
            )
        return ExitCode.HARNESS
    return int(result or 0)
