"""`proxyspec init`: write a target profile, from flags or by asking, after a look at the server."""

from __future__ import annotations

import contextlib
import shlex
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from proxyspec.cli.options import AllowOption
from proxyspec.errors import ExitCode, UsageError
from proxyspec.interruption import until_interrupted
from proxyspec.model import Capability

if TYPE_CHECKING:
    from proxyspec.servers.acquaintance import Acquaintance

__all__ = ["init"]


def _ask(question: str, default: str) -> str:
    answer: str = typer.prompt(question, default=default, show_default=bool(default))
    return answer.strip()


def _command(option: str, text: str | None) -> list[str]:
    """Split a command into its words; [] if there is none.

    Raises:
        UsageError: a quotation mark is missing, or there is no word in it.
    """
    try:
        words = shlex.split(text or "")
    except ValueError as error:
        raise UsageError(f"{option} {text!r} cannot be read: {error}") from error
    if text is not None and (not words or not all(words)):
        raise UsageError(f"{option} {text!r} names no command, or has an empty word")
    return words


def _words(found: Acquaintance) -> str:
    """Say what the look at the server has shown."""
    if found.unjudgeable is not None:
        return f"not judged yet: {found.unjudgeable}"
    versions = " and ".join(str(version) for version in found.versions)
    said = [f"it takes headers of version {versions}"]
    shown = "its EHLO reply shows the address"
    said.append(shown if found.oracle == "ehlo" else "no reply shows the address, so name an oracle")
    if Capability.CRC32C in found.capabilities:
        said.append("it checks the CRC32C")
    if found.takes_wrong_crc32c:
        said.append("it takes a header with a wrong CRC32C")
    if found.deadline is not None:
        said.append(f"it waits {found.deadline:.1f} s for a header")
    return "; ".join(said)


def init(
    url: Annotated[str | None, typer.Argument(metavar="TARGET", help="smtp://HOST:PORT", show_default=False)] = None,
    output: Annotated[
        Path, typer.Option("-o", "--output", metavar="FILE", help="The profile; - is standard output.")
    ] = Path("target.toml"),
    name: Annotated[str | None, typer.Option(help="What reports call the server.")] = None,
    trusted: Annotated[
        str | None, typer.Option(metavar="ADDRESS", help="Local address the server trusts to send PROXY.")
    ] = None,
    untrusted: Annotated[
        str | None, typer.Option(metavar="ADDRESS|none", help="Local address the server does not trust.")
    ] = None,
    header_timeout: Annotated[
        float | None, typer.Option(metavar="SECONDS", help="Its header deadline; left out: measured, up to 65 s.")
    ] = None,
    oracle: Annotated[str | None, typer.Option(help="What shows the address it believes (docs/targets.md).")] = None,
    oracle_file: Annotated[str | None, typer.Option(metavar="PATH", help="Maildir, mbox or log.")] = None,
    oracle_pattern: Annotated[str | None, typer.Option(metavar="REGEX", help="With the group address.")] = None,
    recipient: Annotated[str | None, typer.Option(metavar="MAILBOX", help="Whom messages may be sent to.")] = None,
    capabilities: Annotated[str, typer.Option(metavar="NAME,…", help="What it has, or with no-, has not.")] = "",
    start: Annotated[
        str | None, typer.Option(metavar="COMMAND", help="Starts the server, for each run; words, not a shell's line.")
    ] = None,
    stop: Annotated[str | None, typer.Option(metavar="COMMAND", help="Ends it; left out: SIGTERM, SIGKILL.")] = None,
    allow_target: AllowOption = None,
    probe: Annotated[bool, typer.Option("--probe/--no-probe", help="Look at the server first.")] = True,
) -> int:
    """Write a target profile for any server that is running, or that a command starts.

    What is not said is asked on a terminal. The server is looked at first: which header versions it takes, whether its
    EHLO reply shows the address, whether it checks the CRC32C, how long it waits for a header.

    Exit codes: 0 written, 2 usage, 3 written, but the server cannot be judged so far.

    Examples:

      proxyspec init

      proxyspec init smtp://127.0.0.1:2525 --header-timeout 30 -o mx.toml

      proxyspec init smtp://127.0.0.1:2525 --start './my-server --port 2525' -o mx.toml

      proxyspec init smtp://192.0.2.7:25 --allow-target 192.0.2.7 --trusted 192.0.2.1 --untrusted none
    """
    from proxyspec.cli.outputs import STDOUT, write_text
    from proxyspec.oracle import ORACLES
    from proxyspec.oracles import REGISTRY
    from proxyspec.servers.acquaintance import get_acquainted
    from proxyspec.servers.installed import profile_text
    from proxyspec.started import started
    from proxyspec.targets import load_target, make_target

    asking = sys.stdin.isatty() and url is None
    if url is None:
        if not asking:
            raise UsageError("no target: write smtp://HOST:PORT, for instance smtp://127.0.0.1:2525")
        url = _ask("The server (smtp://HOST:PORT)", "smtp://127.0.0.1:2525")
        name = name or _ask("What reports are to call it", "") or None
        trusted = trusted or _ask("Local address it trusts to send PROXY (empty: the system chooses)", "") or None
    if oracle is not None and oracle not in ("auto", *ORACLES):
        raise UsageError(f"the oracle {oracle!r} is unknown: one of auto, {', '.join(ORACLES)}")
    if str(output) != STDOUT and output.exists():
        raise UsageError(f"{output} exists: name another file with -o")
    if str(output) != STDOUT and output.suffix != ".toml":
        raise UsageError(f"-o {output}: the name of a target profile ends in .toml")
    declared = [word for word in capabilities.split(",") if word]
    target = make_target(
        url,
        allowed=allow_target or (),
        header_timeout=header_timeout or 30.0,
        trusted_source=trusted,
        untrusted_source=untrusted,
        capabilities=declared,
    )
    keys: dict[str, object] = {"url": url, "name": name, "trusted": trusted, "untrusted": untrusted}
    keys |= {"header_timeout": header_timeout, "oracle": oracle, "recipient": recipient}
    keys |= {"oracle_file": oracle_file and str(Path(oracle_file).absolute()), "oracle_pattern": oracle_pattern}
    keys |= {"capabilities": declared or None, "allow": list(allow_target) if allow_target else None}
    commands = {"start": _command("--start", start), "stop": _command("--stop", stop)}
    if commands["stop"] and not commands["start"]:
        raise UsageError("--stop ends what --start has started: say --start, too, or leave both out")
    keys |= {key: words or None for key, words in commands.items()}
    code = ExitCode.OK
    if probe:
        print(f"proxyspec: looking at {target.url} …", file=sys.stderr)
        with contextlib.ExitStack() as stack:
            if commands["start"]:
                log = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="proxyspec-"))) / "server.log"
                folder = Path() if str(output) == STDOUT else output.parent
                running = started(
                    commands["start"], target.host, target.port, log, stop=commands["stop"], folder=folder
                )
                stack.enter_context(running)
            found = until_interrupted(get_acquainted(target, deadline=header_timeout is None))
        print(f"proxyspec: {_words(found)}", file=sys.stderr)
        if found.unjudgeable is not None:
            code = ExitCode.UNJUDGEABLE
        else:
            keys["versions"] = list(found.versions)
            if oracle is None and found.oracle == "ehlo":
                keys["oracle"] = "ehlo"
            if Capability.CRC32C in found.capabilities:
                keys["capabilities"] = [*declared, Capability.CRC32C.value]
        if header_timeout is None and found.deadline is not None:
            keys["header_timeout"] = round(found.deadline, 1)
    if asking and keys["oracle"] is None and not oracle_file:
        kind = _ask(f"What shows the address it believes ({', '.join(ORACLES)})", "none")
        if kind not in ORACLES:
            raise UsageError(f"the oracle {kind!r} is unknown: one of {', '.join(ORACLES)}")
        keys["oracle"] = kind
        for need in REGISTRY[kind].needs:
            keys[need] = _ask(f"The profile's {need} for it", "")
    text = profile_text(keys)
    write_text(str(output), text, "-o")
    if str(output) != STDOUT:
        load_target(str(output))
        print(f"{output}: `proxyspec run {output}` judges it")
    return code
