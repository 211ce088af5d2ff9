"""Goals L1, L2, X1 and P2: what the load client costs and reaches, beside smtp-source and Locust's usual ways.

All clients load the same server in turn, with sessions of one kind. A round of ours is a whole Locust process with its
users, measured from the first session's start to the last one's end; smtp-source is timed from its start. The clients'
own processor time is given too, and is steadier than the wall clock on a machine that others use.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from benchmarks.peers import Running, reference, running, smtp_sink
from benchmarks.postfix import Postfix, cache_folder, fetch
from benchmarks.rounds import (
    Bound,
    Finding,
    Goal,
    Measure,
    Report,
    Sample,
    Spread,
    cpu,
    interleaved,
    quotients,
    tell,
    wall,
)
from proxyspec.haproxy.front import in_front
from proxyspec.layers import authoring
from proxyspec.load.frames import headers
from proxyspec.load.histogram import bucket
from proxyspec.load.options import HeaderKind
from proxyspec.model import Target
from proxyspec.rundir import RunDirectory
from proxyspec_haproxy import Bind, CheckKind, HostPort, Listen, Listener, ProxyHeader, Server, Settings

SOURCE, ENGINE, PIPELINED, GEVENT, SMTPLIB = "smtp-source", "engine", "engine, pipelined", "gevent sockets", "smtplib"
DIRECT, THROUGH = "direct", "through HAProxy"
CONCURRENCY = 20
KIBIBYTE = 1024
FRAMES = 20_000
_PATIENCE = 300.0
_LOCUSTFILE = Path(__file__).with_name("locustfiles") / "clients.py"


Taken = dict[str, list[Sample]]
"""What others took, round by round."""


@dataclass(frozen=True, slots=True)
class Counted:
    """What a Locust process of ours tells of its round."""

    sample: Sample
    exact: bool
    """Whether our totals and Locust's are equal, step by step."""


def source(postfix: Postfix, server: Running, sessions: int) -> Measure:
    """One round of Postfix's client."""

    def measure() -> Sample:
        amount = ["-s", str(CONCURRENCY), "-m", str(sessions), "-l", str(KIBIBYTE)]
        command = [postfix.program("smtp-source"), *amount, f"127.0.0.1:{server.port}"]
        before, start = os.times(), time.perf_counter()
        _finish(command, postfix.environment)
        elapsed, after = time.perf_counter() - start, os.times()
        spent = after.children_user + after.children_system - before.children_user - before.children_system
        return Sample(spent / sessions, elapsed / sessions)

    return measure


def locust(client: str, port: int, sessions: int, verdicts: list[bool]) -> Measure:
    """One round of a Locust process whose users speak SMTP by `client`; whether its totals are equal goes to a list."""

    def measure() -> Sample:
        counted = _locust(client, port, sessions)
        verdicts.append(counted.exact)
        return counted.sample

    return measure


def beside(measure: Measure, sessions: int, others: Mapping[str, Callable[[], float]], taken: Taken) -> Measure:
    """The same round, in which the processor time a session that others take goes to `taken`, by their names."""

    def measured() -> Sample:
        before = {name: spent() for name, spent in others.items()}
        sample = measure()
        for name, spent in others.items():
            taken.setdefault(name, []).append(Sample((spent() - before[name]) / sessions, sample.wall))
        return sample

    return measured


def _locust(client: str, port: int, sessions: int) -> Counted:
    with tempfile.TemporaryDirectory(prefix="proxyspec-load-") as folder:
        told = Path(folder) / "told.json"
        command = [sys.executable, "-m", "locust", "-f", str(_LOCUSTFILE), "--headless", "--only-summary"]
        command += ["--users", str(CONCURRENCY), "--spawn-rate", "100", "--host", f"smtp://127.0.0.1:{port}"]
        command += ["--client", client, "--sessions", str(sessions), "--told", str(told)]
        _finish(command, {**os.environ}, folder)
        found = json.loads(told.read_text())
    if found["failed"]:
        raise RuntimeError(f"{client}: {found['failed']} of {found['sessions']} sessions failed: {found['why']}")
    return Counted(Sample(found["cpu"] / found["sessions"], found["wall"] / found["sessions"]), found["exact"])


def _finish(command: Sequence[str], environment: dict[str, str], folder: str | None = None) -> None:
    done = subprocess.run(
        command, env=environment, cwd=folder, capture_output=True, text=True, timeout=_PATIENCE, check=False
    )
    if done.returncode != 0:
        last = (done.stderr.strip() or done.stdout.strip() or "without a word").splitlines()[-1]
        raise RuntimeError(f"{Path(command[0]).name} ended with {done.returncode}: {last}")


def run(rounds: int, scale: float, postfix: Postfix) -> Report:
    """Measure everything; `scale` makes rounds longer or shorter."""
    samples: dict[str, dict[str, list[Sample]]] = {}
    exact: list[bool] = []
    count = int(4000 * scale)
    with ExitStack() as stack:
        sink = stack.enter_context(running(smtp_sink(postfix)))
        server = stack.enter_context(running(reference("reference", "--loop", "auto")))
        contenders = {SOURCE: source(postfix, sink, count)}
        contenders |= {name: locust(name, sink.port, count, exact) for name in (ENGINE, GEVENT, SMTPLIB)}
        samples["on smtp-sink"] = _compare("on smtp-sink", contenders, rounds)
        # smtp-sink offers PIPELINING only where asked; the reference server always does.
        contenders = {SOURCE: source(postfix, server, count)}
        contenders |= {name: locust(name, server.port, count, exact) for name in (ENGINE, PIPELINED)}
        samples["on the reference server"] = _compare("on the reference server", contenders, rounds)
        samples |= _through_haproxy(rounds, count, exact)
    samples["headers"] = interleaved(_authors(), rounds)
    return Report("load client", rounds, samples, findings(samples, exact))


def _through_haproxy(rounds: int, count: int, exact: list[bool]) -> dict[str, dict[str, list[Sample]]]:
    """The same sessions with HAProxy between: of one thread, and without a log, which somebody would have to read."""
    taken: Taken = {}
    with ExitStack() as stack:
        server = stack.enter_context(running(reference("trusting", "--trust", "127.0.0.1")))
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="proxyspec-front-"))
        out = RunDirectory.create("load", Path(folder) / "front")
        target = Target(host="127.0.0.1", port=server.port)
        haproxy, (port,), _ = stack.enter_context(in_front(target, "binary", 1, partial(_relay, target), out))
        worker = Running("HAProxy", haproxy.runtime.info().pid, port)
        contenders = {
            DIRECT: beside(
                locust(f"{ENGINE}, v2", server.port, count, exact), count, {f"server, {DIRECT}": server.cpu}, taken
            ),
            THROUGH: beside(
                locust(ENGINE, port, count, exact),
                count,
                {f"server, {THROUGH}": server.cpu, worker.name: worker.cpu},
                taken,
            ),
        }
        relayed = _compare("with a v2 header", contenders, rounds)
    # The first of each was the warm-up.
    return {"with a v2 header": relayed, "the others meanwhile": {name: found[1:] for name, found in taken.items()}}


def _relay(target: Target, ports: Sequence[int]) -> Listen:
    settings = Settings(nbthread=1, log_level="notice")
    server = Server("target", HostPort(target.host, target.port), proxy=ProxyHeader.V2)
    bind = Bind(HostPort("127.0.0.1", ports[0]))
    return Listen((Listener("relay", (bind,), (server,), CheckKind.NONE),), settings)


def _compare(title: str, contenders: dict[str, Measure], rounds: int) -> dict[str, list[Sample]]:
    tell(f"{title}: {rounds} rounds of {', '.join(contenders)}")
    return interleaved(contenders, rounds)


def _authors() -> dict[str, Measure]:
    def timed(make: Callable[[], object], count: int) -> Measure:
        def measure() -> Sample:
            spent, start = time.process_time(), time.perf_counter()
            for _ in range(count):
                make()
            return Sample((time.process_time() - spent) / count, (time.perf_counter() - start) / count)

        return measure

    v1, v2, tlv = (headers(kind) for kind in (HeaderKind.V1, HeaderKind.V2, HeaderKind.V2_TLV))

    def scapy_tlv() -> bytes:
        tlvs = [authoring.tlv(2, "mx.server.example"), authoring.tlv(5, "0" * 16), authoring.crc32c()]
        return authoring.v2("198.51.100.9", sport=4000, tlvs=tlvs)

    return {
        "v1, Scapy": timed(lambda: authoring.v1("198.51.100.9", sport=4000), FRAMES // 50),
        "v1, patched": timed(lambda: next(v1), FRAMES),
        "v2, Scapy": timed(lambda: authoring.v2("198.51.100.9", sport=4000), FRAMES // 50),
        "v2, patched": timed(lambda: next(v2), FRAMES),
        "v2-tlv, Scapy": timed(scapy_tlv, FRAMES // 50),
        "v2-tlv, patched": timed(lambda: next(tlv), FRAMES),
    }


def findings(samples: dict[str, dict[str, list[Sample]]], exact: Sequence[bool]) -> list[Finding]:
    """The goals beside the figures; rates are reciprocals of times."""
    sink, server = samples["on smtp-sink"], samples["on the reference server"]
    most, least = Bound.AT_MOST, Bound.AT_LEAST
    found = []
    for where, taken in (("smtp-sink", sink), ("the reference server", server)):
        rates = quotients(wall(taken[SOURCE]), wall(taken[ENGINE]))
        found.append(Finding(Goal("L1", f"sessions per second on {where}, × smtp-source", least, 1.0), rates))
        spent = quotients(cpu(taken[ENGINE]), cpu(taken[SOURCE]))
        found.append(Finding(Goal("L1", f"CPU a session on {where}, × smtp-source", most, 1.0), spent))
    rates = quotients(wall(server[SOURCE]), wall(server[PIPELINED]))
    found.append(Finding(Goal("L1", "the same rate, pipelined, × smtp-source", least, 1.3), rates))
    for other in (GEVENT, SMTPLIB):
        rates = quotients(wall(sink[other]), wall(sink[ENGINE]))
        found.append(Finding(Goal("L1", f"sessions per second, × Locust with {other}", least, 1.0), rates))
    errors = [abs(bucket(time) - time) for time in range(29_000_000_000, 31_000_000_000, 104_729)]
    relative = [abs(bucket(time) - time) / time for time in (round(1.003**power) for power in range(1, 11_000))]
    found.append(Finding(Goal("L2", "largest bucket error, %", most, 1.0), Spread.of([100 * max(relative)])))
    found.append(Finding(Goal("L2", "largest error around 30 s, ms", most, 1.0), Spread.of([max(errors) / 1e6])))
    equal = Spread.of([float(each) for each in exact])
    found.append(Finding(Goal("L2", "rounds whose totals equal Locust's (1: equal)", least, 1.0), equal))
    relayed = samples["with a v2 header"]
    rates = quotients(wall(relayed[DIRECT]), wall(relayed[THROUGH]))
    found.append(Finding(Goal("X1", "sessions per second through HAProxy, × direct", least, 0.8), rates))
    authors = samples["headers"]
    for kind in ("v1", "v2", "v2-tlv"):
        rates = quotients(cpu(authors[f"{kind}, Scapy"]), cpu(authors[f"{kind}, patched"]))
        found.append(Finding(Goal("P2", f"{kind} headers per second, × Scapy's build", least, 100.0), rates))
    return found


def main(argv: Sequence[str] | None = None) -> int:
    """Run the benchmark; 0 when it ran, whatever came out, 2 when it could not."""
    options = argparse.ArgumentParser(prog="python -m benchmarks.load", description=(__doc__ or "").partition("\n")[0])
    options.add_argument("--rounds", type=int, default=7, help="rounds counted (default %(default)s)")
    options.add_argument("--scale", type=float, default=1.0, help="length of the rounds (default %(default)g)")
    options.add_argument("--json", type=Path, metavar="FILE", help="write the figures as JSON")
    options.add_argument("--postfix", type=Path, metavar="DIR", default=cache_folder(), help="where Postfix is kept")
    found = options.parse_args(argv)
    try:
        run(found.rounds, found.scale, fetch(found.postfix)).publish(found.json)
    except (RuntimeError, OSError) as error:
        print(f"benchmarks.load: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main())
