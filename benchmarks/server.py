"""Goals S1 to S3: processor time for each session, beside smtp-sink and aiosmtpd, with and without a PROXY header.

The servers run side by side, each in a process of its own, and get the same work in turn. Only the server's processor
time counts: what the wall clock says is mostly the client's doing.
"""

import argparse
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from benchmarks.driver import HeaderKind
from benchmarks.peers import Running, aiosmtpd, reference, running, smtp_sink
from benchmarks.postfix import Postfix, cache_folder, fetch
from benchmarks.rounds import Bound, Finding, Goal, Measure, Report, Sample, cpu, interleaved, quotients, tell

UVLOOP, ASYNCIO, SINK, AIOSMTPD = "uvloop", "asyncio", "smtp-sink", "aiosmtpd"
TRUSTING = ("--trust", "127.0.0.1")
HEADER_ROUNDS = 3
"""The runs with and without headers differ by a few percent only, and get that many times the rounds."""
CONCURRENCY = 20
KIBIBYTE = 1024
_PATIENCE = 300.0

Client = Callable[[Running, int], list[str]]
"""The command of a client that gives a server that many units of work."""


@dataclass(frozen=True, slots=True)
class Workload:
    """One kind of work, and how much of it makes a round."""

    name: str
    units: int
    client: Client
    environment: dict[str, str] | None = None


def smtp_source(postfix: Postfix, size: int, *options: str) -> Client:
    """Postfix's client with messages of `size` bytes."""

    def command(server: Running, units: int) -> list[str]:
        amount = ["-s", str(CONCURRENCY), "-m", str(units), "-l", str(size)]
        return [postfix.program("smtp-source"), *options, *amount, f"127.0.0.1:{server.port}"]

    return command


def driver(kind: HeaderKind) -> Client:
    """Our own client, which can send headers."""

    def command(server: Running, units: int) -> list[str]:
        amount = [str(server.port), str(units), str(CONCURRENCY)]
        return [sys.executable, "-m", "benchmarks.driver", *amount, kind.value]

    return command


def measure(workload: Workload, server: Running) -> Sample:
    """One round. Raises RuntimeError when the client failed."""
    before, start = server.cpu(), time.perf_counter()
    done = subprocess.run(
        workload.client(server, workload.units),
        env=workload.environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=_PATIENCE,
    )
    wall = time.perf_counter() - start
    if done.returncode != 0 or done.stderr.strip():
        last = " ".join(done.stderr.strip().splitlines()[-1:])
        raise RuntimeError(f"{workload.name} with {server.name}: the client ended with {done.returncode}: {last}")
    return Sample((server.cpu() - before) / workload.units, wall / workload.units)


def run(rounds: int, scale: float, postfix: Postfix) -> Report:
    """Measure all workloads; `scale` makes rounds longer or shorter."""
    source = postfix.environment
    fresh = Workload("fresh connections", int(1000 * scale), smtp_source(postfix, KIBIBYTE), source)
    kept = Workload("kept connections", int(3000 * scale), smtp_source(postfix, KIBIBYTE, "-d"), source)
    large = Workload("1 MB messages", int(60 * scale), smtp_source(postfix, KIBIBYTE * KIBIBYTE, "-d"), source)
    headers = {kind: Workload(f"header {kind}", int(1000 * scale), driver(kind)) for kind in HeaderKind}
    loops = (UVLOOP, ASYNCIO)
    with ExitStack() as stack:
        plain = {name: stack.enter_context(running(reference(name, "--loop", name))) for name in loops}
        trusting = {name: stack.enter_context(running(reference(name, "--loop", name, *TRUSTING))) for name in loops}
        others = {peer.name: stack.enter_context(running(peer)) for peer in (smtp_sink(postfix), aiosmtpd())}
        samples: dict[str, dict[str, list[Sample]]] = {}
        for workload in (fresh, kept, large):
            samples[workload.name] = _compare(
                workload.name,
                {name: (workload, server) for name, server in {**plain, **others}.items()},
                rounds,
            )
        for name in loops:
            title = f"headers on {name}"
            samples[title] = _compare(
                title,
                {kind.value: (workload, trusting[name]) for kind, workload in headers.items()},
                HEADER_ROUNDS * rounds,
            )
    return Report("SMTP server", rounds, samples, findings(samples, (fresh.name, kept.name, large.name)))


def _compare(title: str, contenders: dict[str, tuple[Workload, Running]], rounds: int) -> dict[str, list[Sample]]:
    def task(workload: Workload, server: Running) -> Measure:
        return lambda: measure(workload, server)

    tell(f"{title}: {rounds} rounds of {', '.join(contenders)}")
    return interleaved({name: task(*contender) for name, contender in contenders.items()}, rounds)


def findings(samples: dict[str, dict[str, list[Sample]]], names: tuple[str, str, str]) -> list[Finding]:
    """The goals beside the figures."""
    fresh, kept, large = ({name: cpu(found) for name, found in samples[workload].items()} for workload in names)
    most, least = Bound.AT_MOST, Bound.AT_LEAST
    found = [
        Finding(Goal("S1", "CPU a session on uvloop, × smtp-sink", most, 1.0), quotients(fresh[UVLOOP], fresh[SINK])),
        Finding(Goal("S1", "CPU a session on asyncio, × smtp-sink", most, 1.5), quotients(fresh[ASYNCIO], fresh[SINK])),
    ]
    for what, limit, taken in (
        ("sessions per CPU second", 5.0, fresh),
        ("messages on kept connections per CPU second", 6.0, kept),
        ("1 MB messages per CPU second", 10.0, large),
    ):
        found += [
            Finding(Goal("S2", f"{what} on {loop}, × aiosmtpd", least, limit), quotients(taken[AIOSMTPD], taken[loop]))
            for loop in (UVLOOP, ASYNCIO)
        ]
    for loop in (UVLOOP, ASYNCIO):
        taken = {kind: cpu(rounds) for kind, rounds in samples[f"headers on {loop}"].items()}
        found += [
            Finding(
                Goal("S3", f"CPU a session with a {kind} header on {loop}, × without", most, 1.06),
                quotients(taken[kind], taken["none"]),
            )
            for kind in ("v1", "v2")
        ]
    return found


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark; 0 when it ran, whatever came out, 2 when it could not."""
    options = argparse.ArgumentParser(prog="python -m benchmarks.server", description=__doc__.partition("\n")[0])
    options.add_argument("--rounds", type=int, default=7, help="rounds counted (default %(default)s)")
    options.add_argument("--scale", type=float, default=1.0, help="length of the rounds (default %(default)g)")
    options.add_argument("--json", type=Path, metavar="FILE", help="write the figures as JSON")
    options.add_argument("--postfix", type=Path, metavar="DIR", default=cache_folder(), help="where Postfix is kept")
    found = options.parse_args(argv)
    try:
        run(found.rounds, found.scale, fetch(found.postfix)).publish(found.json)
    except (RuntimeError, OSError) as error:
        print(f"benchmarks.server: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
