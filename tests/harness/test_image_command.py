"""`proxyspec haproxy image`: what it refuses, and what it says of every series at once."""

from __future__ import annotations

import pytest

from proxyspec.cli import main
from proxyspec_haproxy import DockerEngine
from proxyspec_haproxy.sources import PackageSource


@pytest.mark.parametrize("other", [["--suite", "sid"], ["--binary", "/usr/sbin/haproxy"], ["--tag", "a:b"]])
def test_all_goes_with_no_other_source(other: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["haproxy", "image", "--all", *other]) == 2
    assert "--all takes every source and names each image: leave out" in capsys.readouterr().err


def test_a_tag_that_names_no_image_is_the_users_mistake(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["haproxy", "image", "--tag", "mine"]) == 2
    assert capsys.readouterr().err == "proxyspec: tag 'mine': expected NAME:TAG, such as proxyspec/haproxy:3.2\n"


def test_without_docker_the_remedy_is_told(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent/docker.sock")
    assert main(["haproxy", "image", "--all"]) == 2
    assert "daemon does not answer; start it" in capsys.readouterr().err


@pytest.mark.haproxy
@pytest.mark.docker
def test_each_series_is_told_and_one_that_fails_makes_the_exit_code(
    docker_engine: DockerEngine, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    here = PackageSource(docker_engine.version().series, "bookworm")
    monkeypatch.setattr("proxyspec_haproxy.build_missing", _only(here, PackageSource("0.9", "no suite")))
    assert main(["haproxy", "image", "--all"]) == 1
    first, second = capsys.readouterr().out.splitlines()
    assert first == f"proxyspec/haproxy:{here.series}: is here already"
    assert second.startswith("proxyspec/haproxy:0.9: not built: 'no suite' is no suite of Debian")


def _only(*sources: PackageSource) -> object:
    from proxyspec_haproxy import build_missing

    return lambda progress: build_missing(sources, progress=progress)
