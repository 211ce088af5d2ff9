"""Building every series there are packages for: what is here stays, what fails does not stop the rest."""

from __future__ import annotations

import pytest

from proxyspec_haproxy import DockerEngine, ImageBuildFailed, PackageSource, build_missing


@pytest.mark.haproxy
@pytest.mark.docker
def test_what_is_here_is_kept_and_a_failure_does_not_stop_the_rest(docker_engine: DockerEngine) -> None:
    here = PackageSource(docker_engine.version().series, "bookworm")
    steps: list[str] = []
    first, failed, last = build_missing([here, PackageSource("0.9", "no suite"), here], progress=steps.append)
    for kept in (first, last):
        assert (kept.built, kept.failure, kept.tag) == (None, None, f"proxyspec/haproxy:{here.series}")
    assert failed.built is None
    assert failed.failure is not None
    assert failed.failure.startswith("'no suite' is no suite of Debian")
    assert failed.tag == "proxyspec/haproxy:0.9"


def test_without_docker_nothing_can_be_built(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DOCKER_HOST", "unix:///nonexistent/docker.sock")
    with pytest.raises(ImageBuildFailed, match="daemon does not answer"):
        next(build_missing())
