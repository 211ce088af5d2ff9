"""Planned ends against counted ones: does the server class and count how every connection ends, and leak nothing?

Half of the connections end one kind at a time, so that the server's processor time can be told by kind; the other half
all mixed. An end that shows as one of several endings by chance, because the client leaves before the reply, is planned
as such: those kinds and those endings are compared as one class.
"""

import argparse
import json
import random
import socket
import struct
import sys
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from enum import Enum
from pathlib import Path

from benchmarks.subject import Subject, bare, raise_descriptor_limit, subject

PROXY, STRANGER = "127.0.0.1", "127.0.0.2"
"""Where connections come from: an address on the trust list, and one that is not."""

HEADER = b"PROXY TCP4 192.0.2.1 192.0.2.2 1111 25\r\n"
BY_CHANCE = frozenset({"fin-mid-session", "rst-mid-session", "rst-while-writing"})
"""What leaving before the reply may show as."""

CROWD = 64
"""Connections open at a time."""
ROUNDS = 10
"""Rounds of the kinds one at a time."""
GOAL = 35.0
"""Microseconds of the server's processor time for each connection, at most (goal R1)."""
PATIENCE = 20.0
CALM = 0.5
"""Seconds in which what the last connections left behind is cleared away."""
_AT_ONCE = struct.pack("ii", 1, 0)


class Close(Enum):
    """How the client leaves."""

    FIN = "fin"
    RST = "rst"
    AFTER_SERVER = "after the server"


@dataclass(frozen=True, slots=True)
class Kind:
    """One way to end: from where, after what was said and heard, how, and the endings it may count as."""

    name: str
    source: str
    sends: bytes
    hears: bytes
    close: Close
    endings: frozenset[str]

    @property
    def silent(self) -> bool:
        """Whether the server has nothing to say before the end: even one that does nothing can play its part."""
        return not self.hears and self.endings != BY_CHANCE


def _exactly(ending: str) -> frozenset[str]:
    return frozenset({ending})


BANNER = b"220 mx.test ESMTP proxyspec\r\n"
KINDS = (
    Kind("FIN before the header", PROXY, b"", b"", Close.FIN, _exactly("fin-before-header")),
    Kind("FIN within the header", PROXY, HEADER[:20], b"", Close.FIN, _exactly("fin-within-header")),
    Kind("FIN after the header", PROXY, HEADER, BANNER, Close.FIN, _exactly("fin-after-header")),
    Kind("RST before the header", PROXY, b"", b"", Close.RST, _exactly("rst-before-header")),
    Kind("RST within the header", PROXY, HEADER[:20], b"", Close.RST, _exactly("rst-within-header")),
    Kind("RST after the header", PROXY, HEADER, BANNER, Close.RST, _exactly("rst-after-header")),
    Kind("RST after the banner", STRANGER, b"", BANNER, Close.RST, _exactly("rst-after-banner")),
    Kind("malformed header", PROXY, b"X", b"header\r\n", Close.AFTER_SERVER, _exactly("header-malformed")),
    Kind("QUIT", PROXY, HEADER + b"QUIT\r\n", b"connection\r\n", Close.AFTER_SERVER, _exactly("quit")),
    Kind("RST while the reply is written", PROXY, HEADER + b"EHLO x\r\n", b"", Close.RST, BY_CHANCE),
    Kind("FIN before the reply", PROXY, HEADER + b"EHLO x\r\n", b"", Close.FIN, BY_CHANCE),
)


def leave(kinds: Sequence[Kind], port: int) -> None:
    """Make a connection of each kind, all open together, and end each. Raises OSError or RuntimeError."""
    clients = []
    for kind in kinds:
        client = socket.create_connection(("127.0.0.1", port), PATIENCE, (kind.source, 0))
        if kind.sends:
            client.sendall(kind.sends)
        clients.append(client)
    for kind, client in zip(kinds, clients, strict=True):
        with client:
            heard = b""
            while kind.hears and not heard.endswith(kind.hears):
                data = client.recv(4096)
                if not data:
                    raise RuntimeError(f"{kind.name}: the server left after {heard!r}")
                heard += data
            if kind.close is Close.AFTER_SERVER and client.recv(1):
                raise RuntimeError(f"{kind.name}: the server goes on after {heard!r}")
            if kind.close is Close.RST:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _AT_ONCE)


def leave_all(kinds: Sequence[Kind], port: int) -> None:
    """The same with a bounded crowd at a time."""
    for start in range(0, len(kinds), CROWD):
        leave(kinds[start : start + CROWD], port)


@dataclass(frozen=True, slots=True)
class Row:
    """One class: what was planned, and what the server has counted."""

    name: str
    planned: int
    counted: int
    micros: float
    """The server's processor time for each connection, while its kind was alone."""
    floor: float | None
    """The same of a server that does nothing; None for kinds that need an answer."""


@dataclass(frozen=True, slots=True)
class Result:
    """What came of it."""

    rows: tuple[Row, ...]
    unplanned: dict[str, int]
    """Endings counted that nothing planned."""
    descriptors_before: int
    descriptors_after: int
    micros: float
    """The server's processor time for each connection of the mixed half."""
    faults: int

    @property
    def exact(self) -> bool:
        """Whether everything was counted as planned and nothing leaked."""
        equal = all(row.planned == row.counted for row in self.rows)
        leaked = self.descriptors_after != self.descriptors_before
        return equal and not self.unplanned and not leaked and not self.faults

    def table(self) -> str:
        """The result for people."""
        width = max(len(row.name) for row in self.rows)
        lines = [f"{'class':{width}}  planned  counted  µs CPU each  of a bare server"]
        for row in self.rows:
            floor = f"{row.floor:16.1f}" if row.floor is not None else " " * 16
            wrong = "" if row.planned == row.counted else "  NOT EQUAL"
            figures = f"{row.planned:7}  {row.counted:7}  {row.micros:11.1f}  {floor}{wrong}"
            lines.append(f"{row.name:{width}}  {figures}".rstrip())
        total, counted = (sum(getattr(row, which) for row in self.rows) for which in ("planned", "counted"))
        lines.append(f"{'all, mixed':{width}}  {total:7}  {counted:7}  {self.micros:11.1f}")
        lines += [f"counted and not planned: {count} × {ending}" for ending, count in self.unplanned.items()]
        leak = "" if self.descriptors_after == self.descriptors_before else "  LEAKED"
        lines.append(
            f"descriptors of the server: {self.descriptors_before} before, {self.descriptors_after} after{leak}"
        )
        if self.faults:
            lines.append(f"FAULTS of the server: {self.faults}")
        goal = "met" if self.exact and self.micros <= GOAL else "NOT MET"
        lines.append(f"goal R1 (exact, nothing leaked, ≤ {GOAL:g} µs each): {goal}")
        return "\n".join(lines)

    def as_json(self) -> dict[str, object]:
        """The result for machines; times in microseconds."""
        return {
            "classes": [
                {"class": row.name, "planned": row.planned, "counted": row.counted}
                | {"cpu_us": row.micros, "bare_cpu_us": row.floor}
                for row in self.rows
            ],
            "unplanned": self.unplanned,
            "descriptors": {"before": self.descriptors_before, "after": self.descriptors_after},
            "cpu_us_mixed": self.micros,
            "faults": self.faults,
            "exact": self.exact,
        }


def run(server: Subject, floor: Subject, count: int, seed: int) -> Result:
    """End `count` connections, or a few more so that all kinds have as many. Raises OSError or RuntimeError."""
    each = -(-count // (2 * len(KINDS) * ROUNDS))
    # The first connections of a process open what it keeps open, and warm it up.
    leave_all(KINDS * 4, server.port)
    leave_all([kind for kind in KINDS if kind.silent] * 4, floor.port)
    before_any = server.counters()
    before = _quiet(server)
    planned: Counter[str] = Counter()
    spent: Counter[str] = Counter()
    spent_bare: Counter[str] = Counter()
    before_bare = _quiet(floor)
    for _ in range(ROUNDS):
        for kind in KINDS:
            spent[kind.name] += _alone(kind, server, each, before)
            planned[kind.name] += each
            if kind.silent:
                spent_bare[kind.name] += _alone(kind, floor, each, before_bare)
    mixed = [kind for kind in KINDS for _ in range(each * ROUNDS)]
    random.Random(seed).shuffle(mixed)  # noqa: S311  (an order that can be repeated)
    start = server.cpu()
    leave_all(mixed, server.port)
    server.settle(before)
    micros = (server.cpu() - start) * 1e6 / len(mixed)
    after = server.counters()
    after_descriptors = _quiet(server)
    counted = Counter({ending: after["endings"][ending] - before_any["endings"][ending] for ending in after["endings"]})
    rows = []
    for endings in dict.fromkeys(kind.endings for kind in KINDS):
        kinds = [kind for kind in KINDS if kind.endings == endings]
        alone = sum(planned[kind.name] for kind in kinds)
        rows.append(
            Row(
                " or ".join(kind.name for kind in kinds),
                alone + sum(kind.endings == endings for kind in mixed),
                sum(counted.pop(ending) for ending in endings),
                sum(spent[kind.name] for kind in kinds) / 1000 / alone,
                sum(spent_bare[kind.name] for kind in kinds) / 1000 / alone if spent_bare[kinds[0].name] else None,
            )
        )
    unplanned = {ending: count for ending, count in counted.items() if count}
    return Result(tuple(rows), unplanned, before, after_descriptors, micros, after["faults"])


def answered(server: Subject, crowd: int) -> int:
    """How many of so many clients hear their whole 421, each having sent far more than the server wants (goal R2).

    They read only when all have sent, so that a reset in the meantime would have destroyed the reply.
    """
    junk = b"X" + b"NOOP\r\n" * 20_000
    heard = 0
    with ExitStack() as stack:
        clients = [
            stack.enter_context(socket.create_connection(("127.0.0.1", server.port), PATIENCE)) for _ in range(crowd)
        ]
        for client in clients:
            client.settimeout(0)
            client.send(junk)
        for client in clients:
            client.settimeout(PATIENCE)
            said = b""
            try:
                while data := client.recv(4096):
                    said += data
            except ConnectionResetError:
                continue
            heard += said == b"421 4.3.2 mx.test invalid PROXY header\r\n"
    return heard


def _alone(kind: Kind, server: Subject, count: int, descriptors: int) -> int:
    """Nanoseconds of processor time that so many connections of one kind take, to the last one's end."""
    start = server.cpu()
    leave_all([kind] * count, server.port)
    if not server.settle(descriptors):
        raise RuntimeError(f"{kind.name}: the server keeps connections open")
    return round((server.cpu() - start) * 1e9)


def _quiet(server: Subject) -> int:
    """The descriptors the server has open when nothing happens."""
    deadline = time.monotonic() + CALM
    lowest = server.descriptors()
    while time.monotonic() < deadline:
        time.sleep(0.01)
        lowest = min(lowest, server.descriptors())
    return lowest


def main(argv: Sequence[str] | None = None) -> int:
    """Run the check. Returns 0 if planned and counted are equal and nothing leaked, 1 if not, 2 if it could not run."""
    options = argparse.ArgumentParser(
        prog="python -m benchmarks.resets", description=(__doc__ or "").partition("\n")[0]
    )
    options.add_argument("--count", type=int, default=10_000, help="connections in all (default %(default)s)")
    options.add_argument("--crowd", type=int, default=1000, help="clients with unread input (default %(default)s)")
    options.add_argument("--loop", default="auto", help="the server's event loop (default %(default)s)")
    options.add_argument("--seed", type=int, default=1, help="seed of the mixed order (default %(default)s)")
    options.add_argument("--json", type=Path, metavar="FILE", help="write the figures as JSON")
    found = options.parse_args(argv)
    try:
        raise_descriptor_limit(4 * CROWD + found.crowd)
        with subject("--loop", found.loop) as server, bare(found.loop) as floor:
            result = run(server, floor, found.count, found.seed)
            heard = answered(server, found.crowd)
        print(result.table())
        verdict = "met" if heard == found.crowd else "NOT MET"
        print(f"goal R2 (unread input destroys no 421): {heard} of {found.crowd} heard theirs: {verdict}")
        if found.json is not None:
            answers = {"clients": found.crowd, "heard": heard}
            found.json.write_text(json.dumps({**result.as_json(), "last_replies": answers}, indent=2) + "\n")
    except (RuntimeError, OSError) as error:
        print(f"benchmarks.resets: {error}", file=sys.stderr)
        return 2
    return 0 if result.exact and heard == found.crowd else 1


if __name__ == "__main__":
    sys.exit(main())
