"""`proxyspec run` behind several HAProxies: a run each, the straight cases once, one exit code."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from xml.etree import ElementTree as ET

import pytest

from proxyspec.cli import main
from proxyspec.errors import ExitCode
from proxyspec.model import Via
from proxyspec.records import ConformanceRun, load_run
from proxyspec.reference import reference_server
from proxyspec_haproxy import BinaryEngine, DockerEngine


@pytest.mark.haproxy
@pytest.mark.docker
def test_each_haproxy_has_a_run_and_the_straight_cases_run_once(
    binary_engine: BinaryEngine, docker_engine: DockerEngine, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    engines = [f"docker:{docker_engine.image}", f"binary:{binary_engine.path}"]
    words = ["--case", "v1/tcp4/ok", "--case", "haproxy/relay", "--header-timeout", "3"]
    with reference_server(["--trust", "127.0.0.1", "--header-timeout", "3"], tmp_path / "server.ndjson") as (
        host,
        port,
    ):
        code = main(
            [
                *("run", f"smtp://{host}:{port}", *words),
                *(word for engine in engines for word in ("--haproxy", engine)),
                *("--out", str(tmp_path / "run"), "--junit", str(tmp_path / "junit.xml")),
            ]
        )
    assert code == ExitCode.OK, capsys.readouterr()
    runs = {path.name: load_run(path) for path in (tmp_path / "run").iterdir()}
    assert len(runs) == 2
    ids = []
    for run in runs.values():
        assert isinstance(run, ConformanceRun)
        assert run.environment.haproxy is not None
        ids.append({case.id for case in run.cases})
        through = {case.id: case.reproduce for case in run.cases if case.via is not Via.DIRECT}
        assert set(through) == {
            "haproxy/relay/v1",
            "haproxy/relay/v1-forged",
            "haproxy/relay/v2",
            "haproxy/relay/v2-forged",
        }
        assert all(command.endswith(f"--haproxy {name_of(run, engines)}") for command in through.values())
        assert (tmp_path / "run" / folder_of(runs, run) / run.environment.haproxy.config).stat().st_size > 0
    assert sorted("v1/tcp4/ok" in each for each in ids) == [False, True]
    cases = ET.parse(tmp_path / "junit.xml").getroot().iter("testcase")
    assert len(list(cases)) == sum(map(len, ids)) == 9


def name_of(run: ConformanceRun, engines: list[str]) -> str:
    assert run.environment.haproxy is not None
    return engines[0] if run.environment.haproxy.engine == "docker" else engines[1]


def folder_of(runs: Mapping[str, object], run: object) -> str:
    return next(name for name, each in runs.items() if each is run)


def test_several_haproxies_want_a_case_that_goes_through_one(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = ["run", "smtp://127.0.0.1:9", "--case", "v1/tcp4/ok", "--haproxy", "auto", "--haproxy", "binary"]
    assert main([*words, "--out", str(tmp_path / "run")]) == ExitCode.USAGE
    assert "none of these cases goes through HAProxy" in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
