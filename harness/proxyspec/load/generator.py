"""Watches the load generator itself: where it reaches a limit of its own, the server is not to blame."""

from __future__ import annotations

import contextlib
import resource
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from proxyspec.records.load import GeneratorRecord, LoadError

__all__ = ["Watch", "Watched", "descriptor_limit", "local_ports"]

#: Percent of a processor from which on one process of the generator counts as saturated.
SATURATED = 90.0
#: Share of the descriptors or ports from which on they count as used up.
USED_UP = 0.95
#: Reports of one process that are kept; a longer load keeps the latest.
MOST_REPORTS = 100_000

_PORTS = Path("/proc/sys/net/ipv4/ip_local_port_range")
_DESCRIPTORS = Path("/proc/self/fd")


def local_ports() -> int:
    """Return how many local ports the system gives to connections to one address and port; 0: it does not say."""
    try:
        low, high = map(int, _PORTS.read_text().split())
    except (OSError, ValueError):
        return 0
    return high - low + 1


def descriptor_limit() -> int:
    """Return how many descriptors this process may have open; 0: no limit."""
    soft, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return 0 if soft == resource.RLIM_INFINITY else soft


class Watch:
    """Reads what this process needs; one reading tells of the time since the one before."""

    def __init__(self) -> None:
        self._cpu, self._clock = time.process_time(), time.perf_counter()

    def read(self) -> dict[str, float]:
        """Return percent of one processor since the last call, and descriptors open now."""
        cpu, clock = time.process_time(), time.perf_counter()
        passed = clock - self._clock
        share = 100 * (cpu - self._cpu) / passed if passed > 0 else 0.0
        self._cpu, self._clock = cpu, clock
        found = {"cpu percent": round(share, 1)}
        with contextlib.suppress(OSError):
            found["descriptors"] = float(sum(1 for _ in _DESCRIPTORS.iterdir()))
        return found


@dataclass(slots=True)
class Watched:
    """What the processes of a generator said of themselves."""

    cpu: dict[str, list[float]] = field(default_factory=dict)
    descriptors: int = 0
    #: Of this moment, by process.
    latest: dict[str, Mapping[str, float]] = field(default_factory=dict)

    def add(self, process: str, values: Mapping[str, float]) -> None:
        """Take one reading of one process."""
        self.latest[process] = values
        readings = self.cpu.setdefault(process, [])
        readings.append(values.get("cpu percent", 0.0))
        del readings[:-MOST_REPORTS]
        self.descriptors = max(self.descriptors, int(values.get("descriptors", 0)))

    def now(self) -> dict[str, float]:
        """Return the latest figures: of the busiest process its share, of all their descriptors."""
        if not self.latest:
            return {}
        return {
            "busiest process, cpu percent": max(values.get("cpu percent", 0.0) for values in self.latest.values()),
            "descriptors": sum(values.get("descriptors", 0.0) for values in self.latest.values()),
        }

    def record(self, errors: Iterable[LoadError]) -> GeneratorRecord:
        """Judge: which limits were reached. What sessions failed for says it of ports and descriptors for certain."""
        medians = {process: median(readings) for process, readings in self.cpu.items() if readings}
        busiest = max(medians.values(), default=0.0)
        limit, ports = descriptor_limit(), local_ports()
        missing: Counter[str] = Counter()
        for error in errors:
            for what in ("no free port", "no free descriptor"):
                if error.error.startswith(what):
                    missing[what] += error.count
        limits = []
        if busiest >= SATURATED:
            limits.append(
                f"the generator was busy: its busiest process used {busiest:.0f} % of its one processor, so the server "
                "may bear more than was asked of it; add --processes or machines"
            )
        if missing["no free port"]:
            limits.append(
                f"{missing['no free port']} connections found no free local port (the system has {ports} for one "
                "address): add addresses with --source, or widen net.ipv4.ip_local_port_range"
            )
        if missing["no free descriptor"] or (limit and self.descriptors >= USED_UP * limit):
            limits.append(
                f"{self.descriptors} descriptors were open in one process, which may have {limit}: raise the limit "
                "(ulimit -n) or add --processes"
            )
        return GeneratorRecord(
            processes=len(self.cpu),
            cpu_percent=round(busiest, 1),
            cpu_percent_max=round(max((max(each) for each in self.cpu.values() if each), default=0.0), 1),
            descriptors=self.descriptors,
            descriptor_limit=limit,
            ports=ports,
            limits=limits,
        )
