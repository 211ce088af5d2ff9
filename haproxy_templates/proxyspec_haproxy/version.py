"""HAProxy's release number, and which of the features used here a release has."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from proxyspec_haproxy.errors import HAProxyError

__all__ = ["FEATURES", "HAProxyVersion", "UnsupportedByHAProxy"]

# Feature -> first series that has it; anything not listed is in every series from 2.2 on.
FEATURES: Final[Mapping[str, tuple[int, int]]] = MappingProxyType(
    {
        "proxy-v2-options unique-id": (2, 2),
        "master reload with a result": (2, 7),
        "set-proxy-v2-tlv-fmt": (2, 9),
        "fc_pp_tlv": (2, 9),
    }
)

_IN_BANNER: Final = re.compile(r"HA-?Proxy version (?P<release>\S+)", re.IGNORECASE)
_RELEASE: Final = re.compile(r"(?P<major>\d{1,4})\.(?P<minor>\d{1,4})(?:\.(?P<patch>\d{1,6})|-dev\d*)?[\w.+~:-]*")


class UnsupportedByHAProxy(HAProxyError):
    """The configuration needs something this HAProxy release does not have."""


@dataclass(frozen=True, slots=True, order=True)
class HAProxyVersion:
    """One HAProxy release; versions compare by their three numbers."""

    major: int
    minor: int
    patch: int = 0
    raw: str = field(default="", compare=False)

    @classmethod
    def parse(cls, text: str) -> HAProxyVersion:
        """Read the output of `haproxy -v` or `-vv`, or a bare release such as `2.6.12-1+deb12u4`.

        Raises ValueError when there is no release number in the text.
        """
        banner = _IN_BANNER.search(text)
        release = _RELEASE.fullmatch(banner["release"] if banner else text.strip())
        if release is None:
            raise ValueError(f"no HAProxy version in {text[:80]!r}: expected the output of `haproxy -v`, or 2.6.12")
        return cls(int(release["major"]), int(release["minor"]), int(release["patch"] or 0), release[0])

    @property
    def series(self) -> str:
        """Major and minor number, as HAProxy's maintainers name a branch: "2.6"."""
        return f"{self.major}.{self.minor}"

    @property
    def release(self) -> str:
        """The three numbers, without what a packager adds: "2.6.12"."""
        return f"{self.series}.{self.patch}"

    def __str__(self) -> str:
        return self.raw or self.release

    def has(self, feature: str) -> bool:
        """Say whether this release has a feature of FEATURES; an unlisted name raises KeyError."""
        return (self.major, self.minor) >= FEATURES[feature]

    def need(self, feature: str) -> None:
        """Raise UnsupportedByHAProxy unless this release has a feature of FEATURES."""
        if not self.has(feature):
            major, minor = FEATURES[feature]
            raise UnsupportedByHAProxy(
                f"{feature} needs HAProxy {major}.{minor} or later, and this is {self}: choose a later HAProxy"
            )
