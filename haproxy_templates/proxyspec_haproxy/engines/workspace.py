"""The temporary folder of one HAProxy: configuration, certificates, sockets; gone when HAProxy is."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from proxyspec_haproxy.engines.owner import Owner

__all__ = ["CONFIG_NAME", "MASTER_SOCKET", "STATS_SOCKET", "Workspace", "sweep_workspaces"]

CONFIG_NAME: Final = "haproxy.cfg"
STATS_SOCKET: Final = "haproxy.sock"
MASTER_SOCKET: Final = "master.sock"

_PREFIX: Final = "proxyspec-"
# HAProxy takes socket paths of at most 97 characters, and ours needs about 70 below the folder for temporary files.
_LONGEST_PARENT: Final = 24


def _parent() -> Path:
    preferred = Path(tempfile.gettempdir())
    return preferred if len(str(preferred)) <= _LONGEST_PARENT else Path("/tmp")  # noqa: S108 - mkdtemp makes it private


class Workspace:
    """A private folder with two parts: HAProxy reads `config_dir` and makes its sockets in `run_dir`."""

    def __init__(self) -> None:
        # mkdtemp leaves the folder to its owner alone, so the parts below may be open: a container gets them mounted
        # one by one, and its HAProxy runs as another user.
        self.path = Path(tempfile.mkdtemp(prefix=f"{_PREFIX}{Owner.current()}-", dir=_parent()))
        self.config_dir = self.path / "cfg"
        self.run_dir = self.path / "run"
        self.config_dir.mkdir()
        self.config_dir.chmod(0o755)
        self.run_dir.mkdir(mode=0o700)

    @property
    def config_file(self) -> Path:
        """The configuration file."""
        return self.config_dir / CONFIG_NAME

    def write(self, text: str, files: Mapping[str, bytes]) -> None:
        """Write the configuration and the files it names; raises ValueError for one that is no plain file name."""
        for name, content in files.items():
            if name in ("", ".", "..", CONFIG_NAME) or "/" in name or "\0" in name:
                raise ValueError(f"file {name!r}: expected a plain file name other than {CONFIG_NAME}")
            self._replace(self.config_dir / name, content)
        self._replace(self.config_file, text.encode())

    def _replace(self, path: Path, content: bytes) -> None:
        # Rename, so that a reload never reads half a file.
        new = path.with_name(f".{path.name}.new")
        new.write_bytes(content)
        new.chmod(0o644)
        new.rename(path)

    def give_run_dir_to(self, uid: int, gid: int) -> None:
        """Let another user make sockets in `run_dir`; needs root."""
        os.chown(self.run_dir, uid, gid)

    def remove(self) -> None:
        """Remove the folder; done already is fine."""
        shutil.rmtree(self.path, ignore_errors=True)


def sweep_workspaces() -> list[Path]:
    """Remove the folders of this user's processes that have ended without doing so; returns what was removed."""
    removed = []
    for path in _parent().glob(f"{_PREFIX}*"):
        owner = Owner.parse(path.name.removeprefix(_PREFIX).rpartition("-")[0])
        try:
            ours = path.lstat().st_uid == os.getuid()
        except FileNotFoundError:
            continue
        if owner is not None and owner.gone and ours:
            shutil.rmtree(path, ignore_errors=True)
            removed.append(path)
    return removed
