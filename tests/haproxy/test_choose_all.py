"""Several engines at once: each once, what is missing told with its remedy."""

from __future__ import annotations

from pathlib import Path

import pytest

from proxyspec_haproxy import MATRIX, BinaryEngine, DockerEngine, EngineUnavailable, choose_all
from proxyspec_haproxy.sources import PACKAGE_SOURCES, source_of


def told(reason: str) -> None:
    pytest.fail(f"nothing should be missing: {reason}")


@pytest.mark.haproxy
def test_each_engine_is_taken_once_in_the_order_given(binary_engine: BinaryEngine, wheel_engine: BinaryEngine) -> None:
    here, wheel = f"binary:{binary_engine.path}", f"binary:{wheel_engine.path}"
    chosen = choose_all([wheel, here, "binary", wheel], missing=told)
    assert [choice.engine.describe() for choice in chosen] == [wheel_engine.describe(), binary_engine.describe()]


@pytest.mark.haproxy
def test_what_is_missing_is_told_and_the_rest_goes_on(binary_engine: BinaryEngine, tmp_path: Path) -> None:
    absent = tmp_path / "haproxy"
    reasons: list[str] = []
    chosen = choose_all([f"binary:{absent}", f"binary:{binary_engine.path}"], missing=reasons.append)
    assert [choice.engine.describe() for choice in chosen] == [binary_engine.describe()]
    assert reasons == [f"binary:{absent}: {absent}: no such file; give the path of a haproxy executable"]


def test_nothing_left_is_an_error_that_names_everything(tmp_path: Path) -> None:
    reasons: list[str] = []
    with pytest.raises(EngineUnavailable) as error:
        choose_all([f"binary:{tmp_path / 'a'}", f"binary:{tmp_path / 'b'}"], missing=reasons.append)
    assert len(reasons) == 2
    assert str(error.value) == "; ".join(reasons)
    with pytest.raises(EngineUnavailable, match="no HAProxy was named: expected matrix, auto, docker"):
        choose_all([], missing=told)


def test_a_spec_that_is_none_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match=r"HAProxy engine 'podman': expected auto, .*, or matrix"):
        choose_all(["podman"], missing=told)


@pytest.mark.haproxy
@pytest.mark.docker
def test_an_image_that_is_not_here_is_told_with_the_command_that_builds_it(docker_engine: DockerEngine) -> None:
    reasons: list[str] = []
    chosen = choose_all(["docker:0.9", f"docker:{docker_engine.image}"], missing=reasons.append)
    assert [choice.engine.describe() for choice in chosen] == [docker_engine.describe()]
    (reason,) = reasons
    assert reason.startswith("docker:0.9: image haproxy:0.9")
    assert reason.endswith("without a registry `proxyspec haproxy image --all` builds 2.2, 2.6, 2.8, 3.0, 3.2, 3.4")


@pytest.mark.haproxy
@pytest.mark.docker
def test_the_matrix_has_every_release_of_this_machine_once(
    docker_engine: DockerEngine, binary_engine: BinaryEngine, wheel_engine: BinaryEngine
) -> None:
    reasons: list[str] = []
    chosen = choose_all([MATRIX], missing=reasons.append)
    releases = [choice.engine.version().release for choice in chosen]
    assert len(set(releases)) == len(releases)
    here = {engine.version().release for engine in (docker_engine, binary_engine, wheel_engine)}
    assert here <= set(releases)
    series = {choice.engine.version().series for choice in chosen}
    absent = [source for source in PACKAGE_SOURCES if source.series not in series]
    assert reasons == [
        f"HAProxy {source.series} is not on this machine: `{source.remedy}` builds an image of it" for source in absent
    ]


def test_sources_are_known_by_series() -> None:
    bullseye = source_of("2.2")
    assert bullseye is not None
    assert bullseye.remedy == "proxyspec haproxy image --suite bullseye"
    wheel = source_of("2.8")
    assert wheel is not None
    assert (wheel.suite, wheel.remedy) == (None, "proxyspec haproxy image --all")
    assert source_of("1.8") is None
