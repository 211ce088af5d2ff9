from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from proxyspec.errors import UsageError
from proxyspec.load.sampling import HAProxyProbe, ProbeLost, ProcessProbe, Sampler, Source, probes
from tests.scenarios.load.measured import measured


class _Scripted:
    source: Source = "process"

    def __init__(self, *values: float) -> None:
        self._values = list(values)

    def read(self) -> dict[str, float]:
        if not self._values:
            raise ProbeLost("the process 1 is gone")
        return {"descriptors": self._values.pop(0)}


def test_a_lost_source_is_told_once() -> None:
    sampler = Sampler([_Scripted(1.0), _Scripted(2.0, 3.0)])
    assert [sample.values for sample in sampler.read(0)] == [{"descriptors": 1.0}, {"descriptors": 2.0}]
    assert [(sample.at, sample.values) for sample in sampler.read(1.25)] == [(1.25, {"descriptors": 3.0})]
    assert sampler.notes == ["the process 1 is gone, from 1.2 s on"]
    assert sampler.read(2) == []
    assert len(sampler.notes) == 2


def test_a_process_is_watched_with_its_children_until_it_ends() -> None:
    command = [sys.executable, "-c", "import subprocess, sys; print(flush=True); sys.stdin.read()"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        probe = ProcessProbe(process.pid)
        found = probe.read()
        assert found["memory MiB"] > 1
        assert found["descriptors"] >= 3
        assert found["processes"] == 1
        process.kill()
        process.wait()
        with pytest.raises(ProbeLost, match=str(process.pid)):
            probe.read()
    assert ProcessProbe(os.getpid()).read()["processes"] >= 1


@pytest.mark.parametrize("pid", [2**31 - 1, 2**22 + 1])
def test_no_such_process_is_refused(pid: int) -> None:
    with pytest.raises(UsageError, match=f"--pid {pid} is no process"):
        ProcessProbe(pid)


def test_counters_are_read_and_then_lost() -> None:
    with measured() as server:
        (probe,) = probes(None, server.metrics, None)
        found = probe.read()
        assert found["connections current"] == 0
        assert "ended quit" in found
    with pytest.raises(ProbeLost, match="cannot be read any more"):
        probe.read()


def test_no_haproxy_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"--haproxy-stats .*stats socket"):
        HAProxyProbe(str(tmp_path / "none.sock"))
