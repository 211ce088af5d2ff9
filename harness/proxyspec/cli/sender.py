"""`proxyspec sender`: judge what a proxy sends, any proxy or every HAProxy there is."""

from __future__ import annotations

import fnmatch
import ipaddress
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from proxyspec.cli import terminal
from proxyspec.cli.engines import engines_here
from proxyspec.cli.options import AllowOption, HAProxiesOption, OutOption, StrictOption
from proxyspec.cli.terminal import print_record
from proxyspec.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from rich.console import Console

    from proxyspec.records.sender import SenderRun
    from proxyspec.sender.expectation import TlvWanted
    from proxyspec.sender.setting import Setting
    from proxyspec.sender.watch import Watch
    from proxyspec.targets import Network

__all__ = ["sender"]

#: Connections that may be asked for.
MOST = 10_000

_LISTEN = re.compile(r"(?:(?:\[(?P<six>[0-9A-Fa-f:.]+)\]|(?P<four>[0-9.]+)):)?(?P<port>[0-9]{1,5})")


def _listen(text: str) -> tuple[str, int]:
    match = _LISTEN.fullmatch(text)
    host = (match["six"] or match["four"] or "127.0.0.1") if match else ""
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        match = None
    if match is None or int(match["port"]) > 65535:
        raise UsageError(f"--listen {text!r}: write ADDRESS:PORT, for instance 127.0.0.1:2525, or [::1]:2525")
    return str(address), int(match["port"])


def _peers(address: str, allowed: Sequence[str]) -> tuple[Network, ...]:
    """Return who may connect; anybody else than this machine has to be named."""
    from proxyspec.targets import networks_of

    if not allowed and not ipaddress.ip_address(address).is_loopback:
        raise UsageError(
            f"--listen {address} is open to other machines: name the proxy that may connect, "
            "for instance --allow-peer 192.0.2.10"
        )
    return networks_of("--allow-peer", [*allowed, "127.0.0.0/8", "::1"])


def _tlv(text: str) -> TlvWanted:
    from proxyspec.layers.tlv import TLVType
    from proxyspec.sender.expectation import TlvWanted

    name, _, value = text.partition("=")
    known = {member.name.lower().replace("_", "-"): int(member) for member in TLVType}
    number = known.get(name.lower())
    if number is None and re.fullmatch(r"0[xX][0-9A-Fa-f]{1,2}", name):
        number = int(name, 16)
    if number is None:
        raise UsageError(f"--tlv {text!r}: write NAME or NAME=VALUE, NAME one of {', '.join(known)}, or a type (0xea)")
    return TlvWanted(number, value.encode() if "=" in text else None)


def _finish(console: Console, run: SenderRun, out: Path) -> ExitCode:
    if run.status == "interrupted":
        print("proxyspec: interrupted; what was judged so far is kept", file=sys.stderr)
    where = out / "run.json"
    print_record(console, where, run.duration)
    return ExitCode(run.exit_code)


def _watch(watched: Watch, address: str, port: int, out_dir: Path | None, *, strict: bool) -> ExitCode:

    from proxyspec.display import tally
    from proxyspec.records.sender import SenderRecord
    from proxyspec.rundir import RunDirectory
    from proxyspec.sender.console import print_connection
    from proxyspec.sender.listener import bind
    from proxyspec.sender.run import Findings, record_run
    from proxyspec.sender.watch import watch

    console = terminal.console()
    server = bind(address, port)
    with server, RunDirectory.create("sender", out_dir) as out:
        findings = Findings()

        def told(record: SenderRecord) -> None:
            findings.rows.append(record)
            out.event("connection-judged", record)
            print_connection(console, record)

        shown = f"[{address}]" if ":" in address else address
        port = server.getsockname()[1]
        console.print(f"listening on {shown}:{port}", highlight=False, markup=False)
        subject = f"what connected to {shown}:{port}"
        run = record_run(out, lambda found: subject, findings, watch(server, watched, told), strict=strict)
        judged = tally(row.verdict for row in run.rows)
        came = f"{len(run.rows)} connection{'s' * (len(run.rows) != 1)}"
        console.print(f"{came}: {judged}", highlight=False, markup=False)
        return _finish(console, run, out.path)


def _selected(settings: Sequence[Setting], patterns: Sequence[str]) -> list[Setting]:
    def fits(setting: Setting, pattern: str) -> bool:
        return f"{setting.id}/".startswith(f"{pattern}/") or fnmatch.fnmatchcase(setting.id, pattern)

    for pattern in patterns:
        if not any(fits(setting, pattern) for setting in settings):
            known = ", ".join(dict.fromkeys(setting.id.partition("/")[0] for setting in settings))
            raise UsageError(f"--setting {pattern!r} names no setting: they begin with {known}")
    return [setting for setting in settings if not patterns or any(fits(setting, pattern) for pattern in patterns)]


def _matrix(specs: Sequence[str], patterns: Sequence[str], out_dir: Path | None, *, strict: bool) -> ExitCode:

    from proxyspec.display import tally
    from proxyspec.records.sender import SenderRecord
    from proxyspec.rundir import RunDirectory
    from proxyspec.sender.console import print_problems, print_settings
    from proxyspec.sender.matrix import sender_table
    from proxyspec.sender.run import Findings, record_run
    from proxyspec_scenarios.senders import SENDER_SETTINGS

    settings = _selected(SENDER_SETTINGS, patterns)
    console = terminal.console()
    choices, missing = engines_here(console, specs, words="not here", style="")
    with RunDirectory.create("sender", out_dir) as out:
        findings = Findings()
        with console.status(f"{len(settings)} settings on {len(choices)} HAProxies"):

            def told(name: str, rows: Sequence[SenderRecord]) -> None:
                judged = tally(row.verdict for row in rows)
                console.print(f"{name}: {judged}", highlight=False, markup=False, soft_wrap=True)

            run = record_run(
                out,
                lambda found: _subject([one.version for one in found.haproxies]),
                findings,
                sender_table(settings, choices, out, findings, told),
                skipped=missing,
                strict=strict,
            )
        print_settings(console, run)
        print_problems(console, run.rows)
        return _finish(console, run, out.path)


def _subject(versions: Sequence[str]) -> str:
    names = list(dict.fromkeys(versions))
    return f"HAProxy {', '.join(names)} as a sender" if names else "HAProxy as a sender"


def sender(
    listen: Annotated[
        str | None,
        typer.Option(metavar="[ADDRESS:]PORT", help="Where to wait for the proxy; port 0 takes a free one."),
    ] = None,
    expect: Annotated[str, typer.Option(metavar="v1|v2|any", help="The version the proxy is set to send.")] = "any",
    tlv: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME[=VALUE]", help="A TLV its options promise (crc32c, unique-id, 0xea=x); repeatable."),
    ] = None,
    client: Annotated[
        list[str] | None,
        typer.Option(metavar="ADDRESS", help="Address or range the proxy's clients come from; may be repeated."),
    ] = None,
    through: Annotated[
        str | None,
        typer.Option(metavar="HOST:PORT", help="Where the proxy listens: sessions of our own are held through it."),
    ] = None,
    count: Annotated[
        int | None,
        typer.Option(min=1, max=MOST, metavar="N", help="End after this many connections, or sessions of our own."),
    ] = None,
    time: Annotated[
        str | None, typer.Option(metavar="DURATION", help="End after this time (30s, 2m); by default with Ctrl-C.")
    ] = None,
    allow_peer: Annotated[
        list[str] | None,
        typer.Option(metavar="CIDR", help="Who may connect from another machine; may be repeated."),
    ] = None,
    allow_target: AllowOption = None,
    haproxy: HAProxiesOption = None,
    setting: Annotated[
        list[str] | None,
        typer.Option(metavar="ID|PREFIX|GLOB", help="With --haproxy: only these settings (v2/crc32c, check, v1/*)."),
    ] = None,
    out: OutOption = None,
    strict: StrictOption = False,
) -> int:
    """Judge what a proxy sends: one header, whole, well formed, with the right addresses and TLVs.

    With --listen any proxy is pointed here. Each connection is judged by the bytes it begins with, then served as by
    a mail server, so that clients and health checks succeed. With --haproxy every setting of send-proxy, its options
    and its health checks is tried on each HAProxy, by clients of our own.

    Exit codes: 0 all as it should be, 1 a header is not or one never came, 2 usage, 4 the harness failed, 5 nothing
    was judged, 130 interrupted.

    Examples:

      proxyspec sender --listen 127.0.0.1:2525 --expect v2 --tlv crc32c --through 127.0.0.1:25 --count 3

      proxyspec sender --listen 192.0.2.5:25 --allow-peer 192.0.2.10 --client 198.51.100.0/24 --time 10m

      proxyspec sender --haproxy matrix
    """
    if (listen is None) == (not haproxy):
        raise UsageError("name what to judge: --listen ADDRESS:PORT for a proxy of your own, or --haproxy ENGINE")
    if haproxy:
        stray = [
            name
            for name, value in (
                ("--tlv", tlv),
                ("--client", client),
                ("--through", through),
                ("--count", count),
                ("--time", time),
                ("--allow-peer", allow_peer),
                ("--allow-target", allow_target),
                ("--expect", None if expect == "any" else expect),
            )
            if value is not None
        ]
        if stray:
            raise UsageError(f"{stray[0]} goes with --listen: the settings tried on --haproxy say what to expect")
        return _matrix(haproxy, setting or (), out, strict=strict)
    if setting:
        raise UsageError("--setting goes with --haproxy: a proxy of your own has the setting you gave it")
    assert listen is not None, "one of the two is there"

    from proxyspec.load.options import parse_duration
    from proxyspec.sender.client import Front
    from proxyspec.sender.expectation import Expectation
    from proxyspec.sender.watch import Watch
    from proxyspec.targets import networks_of, parse_url, resolve

    if expect not in ("v1", "v2", "any"):
        raise UsageError(f"--expect {expect!r}: one of v1, v2, any")
    seconds = None if time is None else parse_duration(time)
    if seconds is not None and seconds <= 0:
        raise UsageError(f"--time {time!r} is out of range: more than 0 seconds")
    address, port = _listen(listen)
    front = None
    if through is not None:
        host, front_port = parse_url(through)
        front = Front(resolve(host, front_port, allow_target or ()), front_port)
    watched = Watch(
        expects=Expectation(
            version={"v1": 1, "v2": 2, "any": None}[expect], tlvs=tuple(_tlv(text) for text in tlv or ()), exact=False
        ),
        peers=_peers(address, allow_peer or ()),
        clients=networks_of("--client", client or ()),
        through=front,
        count=count if count is not None else 1 if front is not None else MOST,
        seconds=seconds,
    )
    return _watch(watched, address, port, out, strict=strict)
