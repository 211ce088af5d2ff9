"""Runs mutants: each one's server and the cases against it, in processes forked from one that has everything loaded.

A mutant that hangs, floods or dies takes nothing else with it, and no process pays twice for imports and frames. What
is forked must have no threads.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import multiprocessing
import os
import re
import resource
import select
import signal
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkProcess
from pathlib import Path

from proxyspec.conformance import direct_roads, preflight, tls_road
from proxyspec.driver import Aids
from proxyspec.errors import HarnessError
from proxyspec.model import Capability, Case, Catalogue, Target
from proxyspec.mutants.matrix import Finding, Mutant, MutantOutcome
from proxyspec.oracle import ORACLES
from proxyspec.processor import ProcessorMeter
from proxyspec.scheduler import Judged, Plan, Roads, run_cases
from proxyspec.witness import witness_of

__all__ = ["Bench", "Serve", "judge_mutants"]

#: The reference server's command line: arguments in, exit code out, when a signal has stopped it.
Serve = Callable[[Sequence[str]], int]

#: How long a server may take to listen, and to stop, in seconds.
PATIENCE = 20.0
#: How long one mutant may take beyond the header deadline, in seconds.
RUN_PATIENCE = 120.0

_PORTS = {
    "clear": re.compile(rb"listening on [0-9.]+:([0-9]+)"),
    "tls": re.compile(rb"listening with TLS on [0-9.]+:([0-9]+)"),
}
_STOPPING = {signal.SIGINT, signal.SIGTERM}
#: Whom messages go to that show the address the server believes.
_RECIPIENT = "postmaster@probe.test"


@dataclass(frozen=True, slots=True, kw_only=True)
class Bench:
    """What all mutants are judged with: the server, the cases, and a folder for what the servers need."""

    serve: Serve
    catalogue: Catalogue
    cases: tuple[Case, ...]
    #: For the Maildir of each server.
    folder: Path
    #: The header deadline of every server, in seconds.
    header_timeout: float = 3.0


@dataclass(frozen=True, slots=True)
class _Server:
    pid: int
    ports: Mapping[str, int]
    #: Where it goes on to say what it has to say.
    said: int


def _arguments(bench: Bench, mutant: Mutant, maildir: Path) -> list[str]:
    return [
        *("--listen", "127.0.0.1:0", "--listen-tls", "127.0.0.1:0", "--trust", "127.0.0.1"),
        *("--tls-self-signed", "--maildir", str(maildir)),
        *("--header-timeout", f"{bench.header_timeout:g}", *mutant.arguments),
    ]


def _serve(serve: Serve, arguments: Sequence[str], errors: int) -> None:
    """Be the server, its standard error in `errors`."""
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOPPING)
    os.setsid()
    os.dup2(errors, 2)
    with Path(os.devnull).open("rb+", buffering=0) as nothing:
        os.dup2(nothing.fileno(), 0)
        os.dup2(nothing.fileno(), 1)
    sys.stderr = os.fdopen(2, "w", buffering=1, closefd=False)
    sys.exit(serve(arguments))


def _ports(said: int) -> Mapping[str, int]:
    """Read where the server listens.

    Raises:
        HarnessError: it does not.
    """
    text, until = b"", time.monotonic() + PATIENCE
    while True:
        found = {name: match for name, pattern in _PORTS.items() if (match := pattern.search(text)) is not None}
        if len(found) == len(_PORTS):
            return {name: int(match[1]) for name, match in found.items()}
        ready, _, _ = select.select([said], [], [], max(0.0, until - time.monotonic()))
        piece = os.read(said, 65536) if ready else b""
        if not piece:
            words = text.decode(errors="replace").strip()
            raise HarnessError(f"the server does not start: {words or f'no word from it within {PATIENCE:g} s'}")
        text += piece


@contextlib.contextmanager
def _server(bench: Bench, mutant: Mutant, maildir: Path) -> Iterator[_Server]:
    said, errors = os.pipe()
    process = multiprocessing.get_context("fork").Process(
        target=_serve, args=(bench.serve, _arguments(bench, mutant, maildir), errors), name=mutant.name
    )
    # An interruption has to find the server there is.
    signal.pthread_sigmask(signal.SIG_BLOCK, _STOPPING)
    process.start()
    try:
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOPPING)
        os.close(errors)
        ports = _ports(said)
        assert process.pid is not None
        yield _Server(process.pid, ports, said)
    finally:
        process.terminate()
        process.join(PATIENCE)
        if process.exitcode is None:
            process.kill()
            process.join()
        os.close(said)


def _target(bench: Bench, server: _Server, mutant: Mutant) -> Target:
    return Target(
        host="127.0.0.1",
        port=server.ports["clear"],
        tls_port=server.ports["tls"],
        header_timeout=bench.header_timeout,
        trusted_source="127.0.0.1",
        untrusted_source="127.0.0.2",
        lookalike_source="127.0.0.103",
        versions=mutant.versions,
        capabilities=frozenset(
            {Capability.CRC32C, Capability.STARTTLS, Capability.IMPLICIT_TLS, Capability.RECEIVED} - mutant.lacks
        ),
        lacks=mutant.lacks,
        pid=server.pid,
        patience=5.0,
    )


def _drain(said: int) -> None:
    """Take what the server says, so that it does not wait for a reader."""
    if not os.read(said, 65536):
        asyncio.get_running_loop().remove_reader(said)


async def _judge(
    bench: Bench, mutant: Mutant, server: _Server, maildir: Path, report: Callable[[Judged], None]
) -> str | None:
    """Judge every case; return why that was not possible."""
    asyncio.get_running_loop().add_reader(server.said, _drain, server.said)
    target = _target(bench, server, mutant)
    before = await preflight(target)
    if before.unjudgeable is not None:
        return before.unjudgeable
    roads = Roads(direct_roads(target), {}, None, tls_road(target))
    # Deliveries are slow: only what needs them makes them.
    delivered = tuple(case for case in bench.cases if Capability.RECEIVED in case.needs)
    others = tuple(case for case in bench.cases if Capability.RECEIVED not in case.needs)
    mailbox = replace(target, oracle="received", oracle_file=str(maildir), recipient=_RECIPIENT)
    plans = (
        Plan(
            bench.catalogue,
            others,
            target,
            roads,
            ORACLES[before.oracle],
            aids=Aids(processor=ProcessorMeter(server.pid).read),
        ),
        Plan(bench.catalogue, delivered, mailbox, roads, ORACLES["received"], aids=Aids(witness=witness_of(mailbox))),
    )
    async with asyncio.TaskGroup() as group:
        for plan in plans:
            group.create_task(run_cases(plan, report))
    after = await preflight(target)
    return None if after.unjudgeable is None else "the server did not survive the run"


def _run(bench: Bench, mutant: Mutant) -> MutantOutcome:
    """Judge one mutant, in a process of its own.

    Raises:
        HarnessError: its server does not start.
    """
    maildir = bench.folder / mutant.name
    findings: list[Finding] = []

    def report(judged: Judged) -> None:
        findings.append(Finding(judged.case.id, judged.judgement.verdict, judged.judgement.reason))

    with _server(bench, mutant, maildir) as server:
        unjudgeable = asyncio.run(_judge(bench, mutant, server, maildir, report))
    return MutantOutcome(mutant, tuple(findings), unjudgeable, died=unjudgeable is not None and bool(findings))


def _child(bench: Bench, mutant: Mutant, result: Connection) -> None:
    """Judge one mutant and say so; an interruption reaches the parent alone, which then ends this process."""
    os.setsid()
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.signal(signal.SIGTERM, _leave)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOPPING)
    try:
        outcome = _run(bench, mutant)
        used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
        result.send(replace(outcome, seconds=sum(each.ru_utime + each.ru_stime for each in used)))
    except BrokenPipeError:
        # The parent is gone, and with it everybody who wanted to know.
        pass
    except (HarnessError, OSError) as error:
        result.send(str(error))


def _leave(number: int, frame: object) -> None:
    """Leave by way of every `finally`, which end the server."""
    raise SystemExit(128 + number)


@dataclass(slots=True)
class _Brood:
    """The mutants under way, by the connection their result comes from."""

    bench: Bench
    running: dict[Connection, tuple[Mutant, ForkProcess, float]]

    def start(self, mutant: Mutant) -> None:
        context = multiprocessing.get_context("fork")
        receiver, sender = context.Pipe(duplex=False)
        process = context.Process(target=_child, args=(self.bench, mutant, sender), name=mutant.name)
        until = time.monotonic() + self.bench.header_timeout + RUN_PATIENCE
        # An interruption has to find every process there is.
        signal.pthread_sigmask(signal.SIG_BLOCK, _STOPPING)
        try:
            process.start()
            self.running[receiver] = (mutant, process, until)
        finally:
            signal.pthread_sigmask(signal.SIG_UNBLOCK, _STOPPING)
        sender.close()

    def results(self) -> Iterator[MutantOutcome]:
        """Wait for one mutant at least to be done, and yield those that are."""
        soonest = min(until for _, _, until in self.running.values())
        done = [one for one in wait(list(self.running), max(0.0, soonest - time.monotonic())) if one in self.running]
        late = [one for one, (_, _, until) in self.running.items() if until <= time.monotonic()]
        for receiver in {*done, *late}:
            assert isinstance(receiver, Connection)
            mutant, process, _ = self.running.pop(receiver)
            try:
                said = receiver.recv() if receiver in done else f"the run did not end within {RUN_PATIENCE:g} s"
            except EOFError:
                said = f"the process that judged it has died ({process.exitcode})"
            self._end(receiver, process)
            yield said if isinstance(said, MutantOutcome) else MutantOutcome(mutant, broken=str(said))

    def _end(self, receiver: Connection, process: ForkProcess) -> None:
        receiver.close()
        process.terminate()
        process.join(PATIENCE)
        if process.exitcode is None:
            process.kill()
            process.join()

    def end(self) -> None:
        """End all that are under way; their servers with them."""
        for _, process, _ in self.running.values():
            process.terminate()
        for receiver, (_, process, _) in self.running.items():
            self._end(receiver, process)
        self.running.clear()


def judge_mutants(bench: Bench, mutants: Sequence[Mutant], *, parallel: int) -> Iterator[MutantOutcome]:
    """Yield what is found on each mutant as its run ends, `parallel` at a time.

    What is still under way when the iterator is closed ends with it.
    """
    # What exists now stays: collections in the children would copy it page by page.
    gc.collect()
    gc.freeze()
    brood = _Brood(bench, {})
    waiting = iter(mutants)
    try:
        while True:
            while len(brood.running) < parallel and (mutant := next(waiting, None)) is not None:
                brood.start(mutant)
            if not brood.running:
                return
            yield from brood.results()
    finally:
        brood.end()
        gc.unfreeze()
