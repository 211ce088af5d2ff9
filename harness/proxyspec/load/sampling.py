"""What the other side of a load says of itself, once a second: the target's process, its counters, HAProxy."""

from __future__ import annotations

import contextlib
import json
import urllib.error
import urllib.request
from collections.abc import Sequence
from typing import Final, Literal, Protocol

import psutil  # type: ignore[import-untyped]

from proxyspec.errors import UsageError
from proxyspec.load.counters import MAX_BYTES, PATIENCE, read_endings
from proxyspec.records.load import LoadSample

__all__ = ["CounterProbe", "HAProxyProbe", "Probe", "ProbeLost", "ProcessProbe", "Sampler", "probes"]

Source = Literal["process", "server", "haproxy"]

#: Bytes in a MiB.
_MIB: Final = 1024 * 1024
#: Seconds HAProxy may take to answer.
HAPROXY_PATIENCE: Final = 2.0


class ProbeLost(Exception):
    """A source tells nothing any more; the message says why."""


class Probe(Protocol):
    """One source of samples."""

    source: Source

    def read(self) -> dict[str, float]:
        """Return its figures of now.

        Raises:
            ProbeLost: it tells nothing any more.
        """
        ...


class ProcessProbe:
    """CPU, memory and descriptors of a process and its children, by what the operating system says."""

    source: Source = "process"

    def __init__(self, pid: int) -> None:
        """Look whether it is there.

        Raises:
            UsageError: it is not, or is another user's.
        """
        self._pid = pid
        try:
            self._process = psutil.Process(pid)
            self._known = {pid: self._process}
            self.read()
        except (psutil.Error, ValueError, ProbeLost) as error:
            raise UsageError(
                f"--pid {pid} is no process that can be watched ({error}): name the server's process id, on this "
                "machine and of the same user"
            ) from error

    def read(self) -> dict[str, float]:
        """Return percent of one processor since the last call, MiB of resident memory, open descriptors, processes."""
        try:
            children = self._process.children(recursive=True)
            cpu, memory, descriptors = self._read_one(self._process)
        except psutil.Error as error:
            raise ProbeLost(f"the process {self._pid} cannot be watched any more: {error}") from error
        count = 1
        for child in children:
            with contextlib.suppress(psutil.Error):
                # Its share counts from the reading before, which the same object has to have made.
                mine = self._read_one(self._known.setdefault(child.pid, child))
                cpu, memory, descriptors = cpu + mine[0], memory + mine[1], descriptors + mine[2]
                count += 1
        return {
            "cpu percent": round(cpu, 1),
            "memory MiB": round(memory / _MIB, 3),
            "descriptors": float(descriptors),
            "processes": float(count),
        }

    @staticmethod
    def _read_one(process: psutil.Process) -> tuple[float, int, int]:
        with process.oneshot():
            return process.cpu_percent(None), process.memory_info().rss, process.num_fds()


class CounterProbe:
    """The reference server's counters, from its `/metrics.json`."""

    source: Source = "server"

    def __init__(self, url: str) -> None:
        """Look whether they are there.

        Raises:
            UsageError: they are not.
        """
        read_endings(url)
        self._url = url

    def read(self) -> dict[str, float]:
        """Return connections open, waiting and accepted, and the endings by name."""
        try:
            with urllib.request.urlopen(self._url, timeout=PATIENCE) as answer:  # noqa: S310 - looked at before
                counters = json.loads(answer.read(MAX_BYTES))
        except (OSError, ValueError) as error:
            raise ProbeLost(f"{self._url} cannot be read any more: {error}") from error
        match counters:
            case {"connections": dict(connections), "endings": dict(endings)}:
                found = {f"connections {name}": value for name, value in connections.items()}
                found |= {f"ended {name}": value for name, value in endings.items()}
                return {str(name): float(value) for name, value in found.items() if isinstance(value, int | float)}
            case _:
                raise ProbeLost(f"{self._url} holds no counters any more")


class HAProxyProbe:
    """HAProxy's `show info` and `show stat`, over its runtime API."""

    source: Source = "haproxy"

    def __init__(self, address: str) -> None:
        """Look whether it answers.

        Raises:
            UsageError: it does not.
        """
        from proxyspec_haproxy.runtime import RuntimeClient

        self._address = address
        self._client = RuntimeClient(address, timeout=HAPROXY_PATIENCE)
        try:
            self.read()
        except (ProbeLost, ValueError) as error:
            raise UsageError(
                f"--haproxy-stats {address!r}: {error}; write the path of a `stats socket`, or HOST:PORT of one"
            ) from error

    @property
    def maxconn(self) -> int:
        """How many connections it takes at a time.

        Raises:
            ProbeLost: it does not answer.
        """
        return int(self.read()["maxconn"])

    def read(self) -> dict[str, float]:
        """Return its connections, their limit, new sessions a second, what waits in queues, and idle percent."""
        from proxyspec_haproxy import HAProxyError

        try:
            info, rows = self._client.info(), self._client.stat()
        except (HAProxyError, OSError) as error:
            raise ProbeLost(f"HAProxy does not answer: {error}") from error
        found = {
            "connections": float(info.connections),
            "maxconn": float(info.max_connections),
            "queued": float(sum(row.queue for row in rows if row.name == "BACKEND")),
            "connect errors": float(sum(row.errors_connect for row in rows if row.name == "BACKEND")),
        }
        for name, field in (("sessions rate", "SessRate"), ("idle percent", "Idle_pct")):
            with contextlib.suppress(KeyError, ValueError):
                found[name] = float(info.raw[field])
        return found


def probes(pid: int | None, metrics: str | None, haproxy: str | None) -> list[Probe]:
    """Return what there is to read.

    Raises:
        UsageError: a source is not there.
    """
    found: list[Probe] = []
    if pid is not None:
        found.append(ProcessProbe(pid))
    if metrics is not None:
        found.append(CounterProbe(metrics))
    if haproxy is not None:
        found.append(HAProxyProbe(haproxy))
    return found


class Sampler:
    """Reads all sources; one that is lost is told once and left alone from then on."""

    def __init__(self, sources: Sequence[Probe]) -> None:
        self._sources = list(sources)
        #: What became of sources that are lost.
        self.notes: list[str] = []

    def read(self, at: float) -> list[LoadSample]:
        """Return one sample of every source, taken `at` seconds after the load began."""
        found = []
        for source in list(self._sources):
            try:
                found.append(LoadSample(at=round(at, 3), source=source.source, values=source.read()))
            except ProbeLost as error:
                self._sources.remove(source)
                self.notes.append(f"{error}, from {at:.1f} s on")
        return found
