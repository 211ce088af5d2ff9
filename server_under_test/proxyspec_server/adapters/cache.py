"""Where software is kept from run to run: a folder for each server and version, whole or not at all."""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from proxyspec_server.adapters.contract import Adapter
from proxyspec_server.adapters.errors import AdapterError
from proxyspec_server.adapters.packages import require

__all__ = ["Cache", "default_cache"]

_MARK = ".version"


def default_cache() -> Path:
    """Return the folder that XDG_CACHE_HOME asks for."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "proxyspec" / "servers"


@dataclass(frozen=True, slots=True)
class Cache:
    """A folder of installed servers."""

    root: Path

    def folder(self, adapter: Adapter, version: str) -> Path:
        """Return where this version is or would be."""
        name = adapter.software or adapter.name
        return self.root / (f"{name}@{version}" if version else name)

    def installed(self, adapter: Adapter, version: str) -> str | None:
        """Return the version that is there, or None."""
        try:
            return (self.folder(adapter, version) / _MARK).read_text(encoding="utf-8").strip()
        except OSError:
            return None

    def install(self, adapter: Adapter, version: str) -> str:
        """Install unless it is there; return the version.

        Raises:
            AdapterError: it cannot be had, or the folder cannot be written.
        """
        try:
            with self._alone():
                if (found := self.installed(adapter, version)) is not None:
                    return found
                folder = self.folder(adapter, version)
                require(adapter.tools, adapter.name)
                # Programs know where they were installed, so it is not done elsewhere and moved.
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir(parents=True)
                try:
                    found = adapter.install(folder, version)
                except BaseException:
                    shutil.rmtree(folder, ignore_errors=True)
                    raise
                (folder / _MARK).write_text(found + "\n", encoding="utf-8")
                return found
        except OSError as error:
            raise AdapterError(
                f"{self.root} cannot be written: {error.strerror or error}; name another --cache"
            ) from error

    @contextlib.contextmanager
    def _alone(self) -> Iterator[None]:
        self.root.mkdir(parents=True, exist_ok=True)
        with (self.root / ".lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield
