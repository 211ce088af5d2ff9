"""Postfix's own load pair, smtp-source and smtp-sink, out of Debian's package without installing it."""

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Postfix:
    """A package unpacked at `root`."""

    root: Path

    def program(self, name: str) -> str:
        """The path of one of its programs."""
        return str(self.root / "usr/sbin" / name)

    @property
    def environment(self) -> dict[str, str]:
        """The environment in which its programs find their libraries."""
        return {**os.environ, "LD_LIBRARY_PATH": str(self.root / "usr/lib/postfix")}


def cache_folder() -> Path:
    """Where the package is kept from run to run."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "proxyspec" / "postfix"


def fetch(folder: Path) -> Postfix:
    """Download and unpack the package, unless that has been done. Raises RuntimeError with the remedy."""
    postfix = Postfix(folder / "root")
    if Path(postfix.program("smtp-source")).exists():
        return postfix
    for tool in ("apt-get", "dpkg"):
        if shutil.which(tool) is None:
            raise RuntimeError(f"{tool} is missing; smtp-source and smtp-sink are taken from Debian's package postfix")
    folder.mkdir(parents=True, exist_ok=True)
    _run(["apt-get", "download", "postfix"], folder)
    packages = sorted(folder.glob("postfix_*.deb"), key=lambda path: path.stat().st_mtime)
    if not packages:
        raise RuntimeError(f"apt-get download left no package in {folder}; remove that folder and try again")
    _run(["dpkg", "-x", str(packages[-1]), str(postfix.root)], folder)
    return postfix


def _run(command: list[str], folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        last = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1:]
        raise RuntimeError(f"`{' '.join(command)}` failed: {' '.join(last)}; try `apt-get update` first")
