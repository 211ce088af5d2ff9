"""`proxyspec load`: drive a server with a Locust profile."""

from __future__ import annotations

import contextlib
import dataclasses
import shlex
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from proxyspec.cli.options import AllowOption, HAProxyOption, OutOption, TimeoutOption, TrustedOption
from proxyspec.cli.terminal import print_record
from proxyspec.errors import ExitCode, UsageError, joint_exit_code
from proxyspec.load.options import HeaderKind, LoadOptions, Tls, parse_duration
from proxyspec.model import Target, Via
from proxyspec.printable import printable

if TYPE_CHECKING:
    from proxyspec.load.comparison import Variant
    from proxyspec.load.distribution import Master
    from proxyspec.load.profiles import ProfileFile
    from proxyspec.load.runner import Front
    from proxyspec.rundir import RunDirectory

__all__ = ["load", "load_target", "profile_of"]


def _folder() -> Path:
    import proxyspec_scenarios.load

    return Path(proxyspec_scenarios.load.__path__[0])


def _profile(name: str) -> ProfileFile:
    from proxyspec.load.profiles import find_profile

    return find_profile(name, _folder())


def profile_of(options: LoadOptions) -> ProfileFile:
    """Find the profile that these options name.

    Raises:
        UsageError: there is none, or an expectation cannot be read.
    """
    from proxyspec.load.thresholds import parse_expectation

    for text in options.expect:
        parse_expectation(text)
    return _profile(options.profile)


def _print_profiles() -> None:
    from proxyspec.load.profiles import profiles_in

    profiles = profiles_in(_folder())
    width = max(len(profile.name) for profile in profiles)
    for profile in profiles:
        print(f"{profile.name:{width}}  {profile.summary}")


#: Rounds of a comparison where nobody says another number.
ROUNDS = 3

#: Users that HAProxy has room for where the profile alone knows how many there will be.
_PROFILES_USERS = 2000


@contextlib.contextmanager
def _front(
    target: Target, haproxy: str | None, via: Via, users: int | None, out: RunDirectory
) -> Iterator[Front | None]:
    if haproxy is None:
        yield None
        return
    from proxyspec.load.haproxy import load_front

    with load_front(target, haproxy, via, _PROFILES_USERS if users is None else users, out) as front:
        yield front


def load_target(
    target: Target,
    out_dir: Path | None,
    options: LoadOptions,
    *,
    haproxy: str | None = None,
    via: Via = Via.RELAY_V2,
) -> tuple[int, Path]:
    """Load `target`, show it, and return the exit code and the run directory.

    With `haproxy`, an engine's name, the load goes through an HAProxy by the road `via`.

    Raises:
        UsageError: the profile or an expectation is none, HAProxy does not start, or the run directory is in use.
        HarnessError: Locust fails.
    """
    from proxyspec.cli.terminal import console as make_console
    from proxyspec.load.console import LoadConsole, print_load
    from proxyspec.load.runner import run_load
    from proxyspec.rundir import RunDirectory

    profile = profile_of(options)
    console = make_console()
    with RunDirectory.create("load", out_dir) as out:
        console.print(f"profile {profile.name} against {target.url}", style="dim", highlight=False, markup=False)
        with _front(target, haproxy, via, options.users, out) as front, LoadConsole(console) as listener:
            if front is not None:
                console.print(
                    f"through HAProxy {front.record.version} ({front.record.why}), {via.value}",
                    style="dim",
                    highlight=False,
                    markup=False,
                )
            run = run_load(target, profile.path, options, out, listener, front=front)
        print_load(console, run, listener.reason)
        if run.status == "interrupted":
            print("proxyspec: interrupted; what was measured so far is kept", file=sys.stderr)
        print_record(console, out.path / "run.json", run.duration)
    return run.exit_code, out.path


def _master(bind: str, workers: int) -> Master:
    from proxyspec.load.distribution import parse_bind

    return parse_bind(bind, workers)


def _require_engines(variants: Iterable[Variant]) -> None:
    """See before the first load whether every HAProxy of a comparison can be used; raises UsageError where not."""
    from proxyspec_haproxy import HAProxyError, choose_engine

    for variant in variants:
        if variant.haproxy is None:
            continue
        try:
            choose_engine(variant.haproxy)
        except (HAProxyError, ValueError) as error:
            raise UsageError(f"--compare {variant.name!r}: {error}") from error


def _compare(
    target: Target, out_dir: Path | None, options: LoadOptions, variants: tuple[Variant, ...], count: int
) -> ExitCode:
    """Load the target by every road in turn, round by round; each run gets a directory of its own below one."""
    from proxyspec.cli.terminal import console as make_console
    from proxyspec.load.comparison import rounds
    from proxyspec.load.console import print_comparison
    from proxyspec.records import LoadRun, load_run
    from proxyspec.rundir import RunDirectory

    turns = list(rounds(variants, count))
    _require_engines(variants)
    console = make_console()
    found: list[tuple[str, LoadRun]] = []
    codes = []
    with RunDirectory.create("compare", out_dir) as parent:
        for number, variant in turns:
            console.rule(f"round {number} of {count}: {variant.name}", align="left", style="dim")
            sources = options.sources if variant.source is None else (variant.source,)
            chosen = dataclasses.replace(options, header=variant.header, sources=sources)
            name = "".join(c if c.isalnum() or c in "-." else "-" for c in variant.name)
            folder = parent.path / f"{number:03}-{name}"
            code, path = load_target(target, folder, chosen, haproxy=variant.haproxy, via=variant.via)
            codes.append(ExitCode(code))
            run = load_run(path)
            if isinstance(run, LoadRun):
                found.append((variant.name, run))
            if code == ExitCode.INTERRUPTED:
                break
    print_comparison(console, "road", found)
    command = f"proxyspec report {shlex.quote(printable(str(parent.path)))}/*"
    console.print(f"all runs: {command}", highlight=False, markup=False, soft_wrap=True)
    return joint_exit_code(codes)


def load(
    target: Annotated[
        str | None,
        typer.Argument(
            metavar="TARGET",
            help="The server, smtp://HOST:PORT, or a target profile (a TOML file).",
            show_default=False,
        ),
    ] = None,
    profile: Annotated[
        str, typer.Option(metavar="NAME|FILE", help="A profile (see --list) or the path of a locustfile.")
    ] = "throughput",
    users: Annotated[int | None, typer.Option(metavar="N", help="Users at once; by default the profile's own.")] = None,
    spawn_rate: Annotated[float | None, typer.Option(metavar="R", help="Users started per second.")] = None,
    time: Annotated[str | None, typer.Option(metavar="DURATION", help="Duration: 15, 15s, 2m, 1h.")] = None,
    header: Annotated[
        HeaderKind | None, typer.Option(help="What each connection begins with; by default the profile's own, v2.")
    ] = None,
    message_size: Annotated[int | None, typer.Option(metavar="BYTES", help="Size of each message.")] = None,
    message_file: Annotated[
        Path | None, typer.Option(metavar="FILE", help="A file that holds the message, in place of a made one.")
    ] = None,
    messages: Annotated[int | None, typer.Option(metavar="N", help="Messages on each connection.")] = None,
    tls: Annotated[Tls | None, typer.Option(help="Encrypt sessions: after EHLO, or from the first byte.")] = None,
    auth: Annotated[
        str | None, typer.Option(metavar="MECHANISM:USER:PASSWORD", help="Authenticate: plain:… or login:….")
    ] = None,
    source: Annotated[
        list[str] | None,
        typer.Option(metavar="ADDRESS|CIDR", help="Local addresses to connect from by turns; may be repeated."),
    ] = None,
    sender: Annotated[str | None, typer.Option(metavar="MAILBOX", help="Mailbox in MAIL FROM.")] = None,
    recipient: Annotated[str | None, typer.Option(metavar="MAILBOX", help="Mailbox in RCPT TO.")] = None,
    expect: Annotated[
        list[str] | None,
        typer.Option(
            metavar="EXPR",
            help="A threshold, for instance 'p99(header_to_banner) < 50ms'; replaces the profile's own of the same "
            "measure; may be repeated.",
        ),
    ] = None,
    processes: Annotated[
        int | None, typer.Option(metavar="N", help="Processes that share the load; by default one.")
    ] = None,
    master: Annotated[
        bool, typer.Option("--master", help="Share the load among workers, which `load --worker` starts elsewhere.")
    ] = False,
    expect_workers: Annotated[int, typer.Option(metavar="N", help="With --master: workers to wait for.")] = 1,
    master_bind: Annotated[
        str, typer.Option(metavar="HOST[:PORT]", help="With --master: where it listens; whoever reaches it may join.")
    ] = "127.0.0.1",
    worker: Annotated[
        bool, typer.Option("--worker", help="Work for a master; the profile has to be the same, the rest is its.")
    ] = False,
    master_host: Annotated[
        str, typer.Option(metavar="HOST[:PORT]", help="With --worker: where its master listens.")
    ] = "127.0.0.1",
    compare: Annotated[
        str | None,
        typer.Option(
            metavar="LIST",
            help="Compare headers and HAProxies in interleaved rounds: none@127.0.0.9,v1,v2,docker:3.2,binary; "
            "behind @ the local address to connect from, where the server may expect no header.",
        ),
    ] = None,
    compare_rounds: Annotated[
        int | None, typer.Option("--rounds", metavar="N", help="With --compare: how many; by default 3.")
    ] = None,
    haproxy: HAProxyOption = None,
    via: Annotated[
        Via | None,
        typer.Option(
            metavar="ROAD",
            help="With --haproxy: relay-v1 and relay-v2 take plain SMTP, chain-v1 and chain-v2 a header; v1 or v2 to "
            "the target; by default relay-v2.",
        ),
    ] = None,
    server_metrics: Annotated[
        str | None,
        typer.Option(
            metavar="URL", help="/metrics.json of the reference server: what it counted is held against what was sent."
        ),
    ] = None,
    pid: Annotated[
        int | None, typer.Option(metavar="PID", help="The server's process here: its CPU, memory and descriptors.")
    ] = None,
    haproxy_stats: Annotated[
        str | None,
        typer.Option(
            metavar="SOCKET", help="`stats socket` of an HAProxy of yours in front of the target: a path or HOST:PORT."
        ),
    ] = None,
    out: OutOption = None,
    header_timeout: TimeoutOption = 30.0,
    trusted: TrustedOption = None,
    allow_target: AllowOption = None,
    *,
    pipelining: Annotated[bool | None, typer.Option("--pipelining", help="Send commands in groups (RFC 2920).")] = None,
    list_profiles: Annotated[bool, typer.Option("--list", help="List the profiles and leave.")] = False,
) -> int:
    """Drive a server with SMTP sessions and judge how it bears them.

    Exit codes: 0 every threshold met, 1 one missed, 2 usage, 3 nothing could be measured, 4 the harness failed,
    130 interrupted.

    Examples:

      proxyspec load smtp://127.0.0.1:2525 --users 50 --time 30s

      proxyspec load smtp://127.0.0.1:2525 --header v1 --expect 'p99(header_to_banner) < 50ms'
    """
    if list_profiles:
        _print_profiles()
        return ExitCode.OK
    if worker:
        from proxyspec.load.distribution import parse_bind, run_worker

        if master or target is not None or compare is not None:
            raise UsageError("--worker gets target and all options but --profile and --processes from its master")
        return run_worker(_profile(profile).path, parse_bind(master_host, 1), processes)
    if target is None:
        raise UsageError("no target: write for instance proxyspec load smtp://127.0.0.1:2525")
    from proxyspec.cli.target import declared_target

    if compare is None and compare_rounds is not None:
        raise UsageError("--rounds goes with --compare: a single load has none")
    if haproxy is None and via is not None:
        raise UsageError("--via goes with --haproxy, and is its road; in --compare write docker:3.2/relay-v1")
    if haproxy is not None and haproxy_stats is not None:
        raise UsageError("--haproxy starts an HAProxy and asks that one: leave out --haproxy-stats")
    made = declared_target(
        target,
        header_timeout=header_timeout,
        trusted=trusted,
        # Nobody asks here what the server believes.
        oracle="auto" if target.endswith(".toml") else "none",
        pid=pid,
        allow=allow_target,
    )
    if header is None and compare is None and 2 not in made.versions:
        header = HeaderKind.V1
    options = LoadOptions(
        profile=profile,
        users=users,
        spawn_rate=spawn_rate,
        seconds=None if time is None else parse_duration(time),
        header=header,
        message_size=message_size,
        sender=sender,
        recipient=recipient,
        tls=tls,
        pipelining=pipelining,
        messages=messages,
        message_file=message_file,
        auth=auth,
        sources=tuple(source or ()),
        processes=processes,
        server_metrics=server_metrics,
        server_pid=made.pid,
        haproxy_stats=haproxy_stats,
        master=_master(master_bind, expect_workers) if master else None,
        expect=tuple(expect or ()),
        allowed=tuple(allow_target or ()),
    )
    if compare is not None:
        from proxyspec.load.comparison import parse_variants

        if haproxy is not None or header is not None or master:
            raise UsageError("--compare chooses headers and HAProxies itself: leave out --header, --haproxy, --master")
        count = ROUNDS if compare_rounds is None else compare_rounds
        return _compare(made, out, options, parse_variants(compare), count)
    code, _ = load_target(made, out, options, haproxy=haproxy, via=Via.RELAY_V2 if via is None else via)
    return ExitCode(code)
