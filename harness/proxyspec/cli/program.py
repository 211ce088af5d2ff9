"""The program: its commands, its exit codes, and the one place where errors become messages."""

from __future__ import annotations

import signal
import sys
import tempfile
import traceback
from collections.abc import Sequence
from types import FrameType
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
    tcp,
)
from proxyspec.errors import ExitCode, ProxyspecError

__all__ = ["app", "main"]

app = typer.Typer(
    name="proxyspec",
    help="Conformance and load testing for mail servers behind HAProxy.",
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
app.command("list")(listing.list_cases)
app.command("explain")(listing.explain)
app.command("load")(load.load)
app.command("fuzz")(fuzz.fuzz)
app.command("tcp")(tcp.tcp)
app.command("mutants")(mutants.mutants)
app.command("report")(report.report)
app.command("judge")(judge.judge)
app.command("replay")(replay.replay)
app.command("diff")(diff.diff)
app.command("send")(send.send)
app.command("sender")(sender.sender)
app.command("decode")(decode.decode)
app.command("demo")(demo.demo)
app.command("doctor")(doctor.doctor)
app.command(
    "serve", context_settings={"allow_extra_args": True, "ignore_unknown_options": True, "help_option_names": []}
)(serve.serve)
app.command("init")(init.init)
app.command("matrix")(matrix.matrix)
app.command("schema")(listing.schema)
app.add_typer(export.app, name="export")
app.add_typer(haproxy.app, name="haproxy")
app.add_typer(servers.app, name="servers")


# Typer brings click's exceptions under a name that differs by version.
_CommandLineError: Any = next(base for base in typer.BadParameter.__mro__ if base.__name__ == "ClickException")


def _interrupt(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _defect() -> str:
    """Keep the traceback for the maintainers, out of the user's sight."""
    with tempfile.NamedTemporaryFile(
        "w", prefix="proxyspec-defect-", suffix=".txt", delete=False, encoding="utf-8"
    ) as file:
        traceback.print_exc(file=file)
    return file.name


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return its exit code (see `ExitCode`)."""
    # A plain `kill` cleans up as Ctrl-C does.
    signal.signal(signal.SIGTERM, _interrupt)
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
        print(f"proxyspec: {error}", file=sys.stderr)
        return error.code
    except Exception as error:  # noqa: BLE001 - the last resort: a user sees a message, never a traceback
        what = f"{type(error).__name__}: {error}"
        print(f"proxyspec: this is a defect in proxyspec ({what}); please report it with {_defect()}", file=sys.stderr)
        return ExitCode.HARNESS
    return int(result or 0)
