"""Loads through a real HAProxy, whose figures stand beside those of the server."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

import proxyspec_scenarios.load
from proxyspec.errors import ExitCode, UsageError
from proxyspec.load import HeaderKind, LoadOptions
from proxyspec.load.haproxy import LEAST, load_front, room
from proxyspec.load.runner import LoadListener, run_load
from proxyspec.load.sampling import HAProxyProbe
from proxyspec.model import Target, Via
from proxyspec.rundir import RunDirectory
from tests.scenarios.load.measured import measured

FOLDER = Path(proxyspec_scenarios.load.__path__[0])
LENIENT = ("p95(session) < 30s", "p99(header_to_banner) < 30s")

needs_haproxy = pytest.mark.skipif(shutil.which("haproxy", path="/usr/sbin:/usr/bin") is None, reason="needs haproxy")


def test_haproxy_gets_room_for_all_users() -> None:
    assert room(1) == LEAST
    assert room(5000) >= 5000
    with pytest.raises(UsageError, match="--users"):
        room(10**9)


@needs_haproxy
@pytest.mark.parametrize(("via", "header"), [(Via.RELAY_V2, None), (Via.CHAIN_V1, HeaderKind.V2)])
def test_a_load_through_haproxy(tmp_path: Path, via: Via, header: HeaderKind | None) -> None:
    with measured() as server, RunDirectory.create("load", tmp_path / "out") as directory:
        target = Target(host="127.0.0.1", port=server.port)
        with load_front(target, "binary:/usr/sbin/haproxy", via, 5, directory) as front:
            assert front.stats is not None
            options = LoadOptions(users=5, seconds=2, header=header, expect=LENIENT, server_metrics=server.metrics)
            run = run_load(target, FOLDER / "steady.py", options, directory, LoadListener(), front=front)
            found = HAProxyProbe(front.stats)
            assert found.maxconn == LEAST
    assert (run.exit_code, run.failures) == (ExitCode.OK, 0)
    assert run.environment.haproxy is not None
    figures = [sample.values for sample in run.samples if sample.source == "haproxy"]
    assert len(figures) >= 2
    assert {values["maxconn"] for values in figures} == {LEAST}
    assert max(values["connections"] for values in figures) >= 1
    counted = [sample.values for sample in run.samples if sample.source == "server"][-1]
    assert counted["ended quit"] == run.sessions > 5


@needs_haproxy
def test_more_users_than_haproxy_takes_are_refused(tmp_path: Path) -> None:
    with measured() as server, RunDirectory.create("load", tmp_path / "out") as directory:
        target = Target(host="127.0.0.1", port=server.port)
        with load_front(target, "binary:/usr/sbin/haproxy", Via.RELAY_V2, 5, directory) as front:
            options = LoadOptions(users=LEAST + 1, seconds=2)
            with pytest.raises(UsageError, match=f"maxconn {LEAST}"):
                run_load(target, FOLDER / "steady.py", options, directory, LoadListener(), front=front)
