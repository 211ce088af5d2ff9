"""The project's own reference server, in any of its profiles, with any of its defects."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import ClassVar

from proxyspec_server.adapters.contract import HERE, HOST, UNLISTED, Adapter, Facts, Launch, Place
from proxyspec_server.adapters.errors import UnknownServer

__all__ = ["Reference"]


class Reference(Adapter):
    """`reference@haraka` is a profile, `reference@v1-port-wraps-16` a seeded defect."""

    name: ClassVar[str] = "reference"
    summary: ClassVar[str] = "the reference server; @PROFILE or @DEFECT chooses which"
    origin: ClassVar[str] = "from proxyspec itself"
    version: ClassVar[str] = "strict"
    has_list: ClassVar[bool] = True

    def install(self, folder: Path, version: str) -> str:
        """See that there is such a profile or defect; see `Adapter.install`."""
        from proxyspec_server.defects import DEFECTS
        from proxyspec_server.profiles import PROFILES

        if version not in PROFILES and version not in DEFECTS:
            known = ", ".join(PROFILES)
            raise UnknownServer(f"no profile or defect is called {version!r}: {known}, or see `serve --list-defects`")
        return version

    def prepare(self, place: Place) -> Launch:
        """Choose the options; see `Adapter.prepare`."""
        from proxyspec_server.profiles import PROFILES

        profile = PROFILES.get(place.version)
        deadline = place.header_timeout or 30.0
        choice = ("--defect", place.version) if profile is None else ("--profile", place.version)
        trust = tuple(word for host in place.hosts for word in ("--trust", host))
        listen = ("--listen", f"{HERE}:{place.port}", "--hostname", HOST, "--header-timeout", f"{deadline:g}")
        versions = (1, 2) if profile is None else tuple(sorted(profile.versions))
        return Launch(
            commands=((sys.executable, "-m", "proxyspec_server", *listen, *choice, *trust, "--log", "-"),),
            facts=Facts(
                header_timeout=deadline,
                versions=versions,
                trusted=HERE,
                untrusted=UNLISTED,
                capabilities=("no-unknown",) if place.version == "haraka" else ("crc32c",),
            ),
        )
