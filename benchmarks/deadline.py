"""Many connections that send no header, held to the header deadline while mail flows beside them (goal H1).

Each has to be answered with its 421, none before the deadline, and all soon after it. A connection's time runs from
just before its connect(), so that no lateness is understated and an answer that seems early is early, to the moment
the kernel received the reply, so that nothing is owed to this client's own waiting for the processor.
"""

import argparse
import json
import select
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import quantiles
from typing import Any

from benchmarks.subject import Subject, raise_descriptor_limit, subject

REPLY = b"421 4.4.2 mx.test PROXY timed out\r\n"

P99_GOAL, MAX_GOAL, MEMORY_GOAL = 0.020, 0.100, 1.6
"""Seconds late, and KiB for each connection, at most."""

_CLIENTS_OF_LOAD = 20
_SPARE = 128
_ALLOWANCE = 30.0
"""Seconds beyond the deadline after which what is not answered counts as not answered."""
_SO_TIMESTAMPNS = 35
"""Linux's option, and control message, with the time at which the kernel received the bytes; nameless in `socket`."""
_TIMESPEC = struct.Struct("@ll")


class Held:
    """One connection that says nothing."""

    __slots__ = ("connection", "since")

    def __init__(self, port: int) -> None:
        """Connect. Raises OSError."""
        self.since = time.time()
        self.connection = socket.create_connection(("127.0.0.1", port), 20.0)
        self.connection.settimeout(0)
        self.connection.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)

    def answer(self) -> tuple[bytes, float]:
        """What the server said, and when it arrived in seconds since the epoch. Raises OSError."""
        data, control, _, _ = self.connection.recvmsg(512, socket.CMSG_SPACE(_TIMESPEC.size))
        for level, kind, value in control:
            if (level, kind) == (socket.SOL_SOCKET, _SO_TIMESTAMPNS):
                seconds, nanoseconds = _TIMESPEC.unpack(value)
                return data, seconds + nanoseconds / 1e9
        return data, time.time()


@dataclass(frozen=True, slots=True)
class Result:
    """What came of it; times in seconds after each connection's deadline, memory in KiB."""

    connections: int
    answered: int
    wrong: int
    """Ended in another way than with the 421 of the deadline."""
    earliest: float
    p99: float
    latest: float
    memory: float
    """The server's, for each connection."""
    sessions: float
    """SMTP sessions a second beside it."""
    server_latest: float
    """The same as `latest`, as the server itself has it, from accept."""

    @property
    def met(self) -> bool:
        """Whether goal H1 is met."""
        punctual = self.earliest >= 0 and self.p99 <= P99_GOAL and self.latest <= MAX_GOAL
        return self.answered == self.connections and punctual and self.memory <= MEMORY_GOAL

    def table(self) -> str:
        """The result for people."""
        rows = (
            ("answered with 421", f"{self.answered} of {self.connections}", self.answered == self.connections),
            ("earliest, after the deadline", f"{self.earliest * 1e3:.1f} ms", self.earliest >= 0),
            ("99th percentile", f"{self.p99 * 1e3:.1f} ms", self.p99 <= P99_GOAL),
            ("latest", f"{self.latest * 1e3:.1f} ms", self.latest <= MAX_GOAL),
            ("memory each", f"{self.memory:.2f} KiB", self.memory <= MEMORY_GOAL),
        )
        lines = [f"{name:30} {value:>16}  {'met' if met else 'NOT MET'}" for name, value, met in rows]
        lines.append(f"{'ended otherwise':30} {self.wrong:>16}")
        lines.append(f"{'latest, by the server':30} {self.server_latest * 1e3:>13.1f} ms")
        lines.append(f"{'SMTP sessions beside':30} {self.sessions:>14.0f}/s")
        return "\n".join(lines)


@contextmanager
def load(port: int) -> Iterator[None]:
    """SMTP sessions without end, in a process of their own. Raises RuntimeError when that ends by itself."""
    command = [sys.executable, "-m", "benchmarks.driver", str(port), str(10**9), str(_CLIENTS_OF_LOAD), "v1"]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process:
        try:
            yield
            if process.poll() is not None:
                said = process.stderr.read().strip() if process.stderr is not None else ""
                raise RuntimeError(f"the load ended before the deadlines: {said or process.returncode}")
        finally:
            process.kill()


def hold(port: int, count: int, spread: float) -> list[Held]:
    """Open that many connections, evenly over `spread` seconds. Raises OSError."""
    held = []
    start = time.monotonic()
    for number in range(count):
        ahead = start + spread * number / count - time.monotonic()
        if ahead > 0:
            time.sleep(ahead)
        held.append(Held(port))
    return held


def wait(held: Sequence[Held], deadline: float) -> tuple[list[float], int]:
    """Wait for the answers; returns how late each was, in seconds, and how many were something else."""
    poll = select.epoll()
    left = {connection.connection.fileno(): connection for connection in held}
    for descriptor in left:
        poll.register(descriptor, select.EPOLLIN)
    late, wrong = [], 0
    latest = max(connection.since for connection in held) + deadline + _ALLOWANCE
    while left and time.time() < latest:
        for descriptor, _ in poll.poll(1.0, 1024):
            connection = left.pop(descriptor)
            poll.unregister(descriptor)
            try:
                said, arrived = connection.answer()
            except OSError:
                said, arrived = b"", 0.0
            if said == REPLY:
                late.append(arrived - connection.since - deadline)
            else:
                wrong += 1
            connection.connection.close()
    for connection in left.values():
        connection.connection.close()
    return late, wrong


def run(server: Subject, count: int, deadline: float, spread: float) -> Result:
    """Hold `count` connections to the deadline. Raises OSError or RuntimeError."""
    with load(server.port):
        # The load has to have shaped the server's memory before that is looked at.
        time.sleep(2.0)
        before, sessions, start = server.memory(), _quits(server.counters()), time.monotonic()
        held = hold(server.port, count, spread)
        memory = (server.memory() - before) / 1024 / count
        late, wrong = wait(held, deadline)
        counters, elapsed = server.counters(), time.monotonic() - start
    if not late:
        raise RuntimeError(f"not one of {count} connections was answered with the 421 of the deadline")
    return Result(
        connections=count,
        answered=len(late),
        wrong=wrong,
        earliest=min(late),
        p99=quantiles(late, n=100)[98] if len(late) > 1 else late[0],
        latest=max(late),
        memory=memory,
        sessions=(_quits(counters) - sessions) / elapsed,
        server_latest=counters["header_deadlines"]["lateness_max"],
    )


def _quits(counters: dict[str, Any]) -> int:
    return int(counters["endings"]["quit"])


def main(argv: Sequence[str] | None = None) -> int:
    """Run the check. Returns 0 when goal H1 is met, 1 when not, 2 when it could not run."""
    options = argparse.ArgumentParser(
        prog="python -m benchmarks.deadline", description=(__doc__ or "").partition("\n")[0]
    )
    options.add_argument("--count", type=int, default=10_000, help="connections held (default %(default)s)")
    options.add_argument("--deadline", type=float, default=30.0, metavar="S", help="seconds (default %(default)g)")
    options.add_argument(
        "--spread", type=float, default=5.0, metavar="S", help="seconds over which they come (default %(default)g)"
    )
    options.add_argument("--loop", default="auto", help="the server's event loop (default %(default)s)")
    options.add_argument("--json", type=Path, metavar="FILE", help="write the figures as JSON")
    found = options.parse_args(argv)
    if found.spread >= found.deadline:
        options.error("--spread has to be shorter than --deadline, or they are never all held")
    try:
        raise_descriptor_limit(found.count + _SPARE)
        limits = ("--header-timeout", str(found.deadline), "--max-connections", str(found.count + _SPARE))
        with subject("--loop", found.loop, *limits) as server:
            result = run(server, found.count, found.deadline, found.spread)
        print(result.table())
        print(f"goal H1: {'met' if result.met else 'NOT MET'}")
        if found.json is not None:
            found.json.write_text(json.dumps({**asdict(result), "met": result.met}, indent=2) + "\n")
    except (RuntimeError, OSError) as error:
        print(f"benchmarks.deadline: {error}", file=sys.stderr)
        return 2
    return 0 if result.met else 1


if __name__ == "__main__":
    sys.exit(main())
