"""Software into a private folder: npm, PyPI, or Debian packages unpacked; nothing is installed on the system."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Final

from proxyspec_server.adapters.errors import AdapterError
from proxyspec_server.visible import visible

__all__ = ["debian", "library_path", "npm", "pypi", "require"]

#: Seconds one download may take.
PATIENCE: Final = 900.0
_SIMULATED = re.compile(r"^Inst (\S+)", re.MULTILINE)
_SHOWN: Final = 6


def require(tools: Iterable[str], purpose: str) -> None:
    """See that programs are on PATH.

    Raises:
        AdapterError: one is not.
    """
    missing = [tool for tool in tools if shutil.which(tool) is None]
    if missing:
        raise AdapterError(f"{purpose} takes {' and '.join(missing)}, not on PATH: install what provides it")


def _run(command: Sequence[str], folder: Path, environment: Mapping[str, str] | None = None) -> str:
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=PATIENCE,
            check=False,
            env={**os.environ, **(environment or {})},
        )
    except subprocess.TimeoutExpired as error:
        raise AdapterError(f"{command[0]} had not ended after {PATIENCE:.0f} s; is the registry reachable?") from error
    except OSError as error:
        raise AdapterError(f"{command[0]} cannot be run: {error.strerror or error}") from error
    if done.returncode != 0:
        said = (done.stderr.strip() or done.stdout.strip()).splitlines()[-_SHOWN:]
        raise AdapterError("\n".join([f"`{' '.join(command)}` failed:", *(visible(line, 400) for line in said)]))
    return done.stdout


def npm(folder: Path, package: str, version: str, overrides: Mapping[str, str] | None = None) -> str:
    """Install a package of npm without running anybody's scripts; return its version.

    `overrides` are versions of what it depends on, taken where the newest ones are gone from the registry.

    Raises:
        AdapterError: npm's own words.
    """
    require(("node", "npm"), f"{package} of npm")

    def attempt(pinned: Mapping[str, str]) -> None:
        wanted = {"private": True, "dependencies": {package: version}, "overrides": dict(pinned)}
        (folder / "package.json").write_text(json.dumps(wanted), encoding="utf-8")
        quiet = ["--omit=optional", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]
        _run(["npm", "install", *quiet], folder)

    try:
        attempt({})
    except AdapterError:
        if not overrides:
            raise
        shutil.rmtree(folder / "node_modules", ignore_errors=True)
        attempt(overrides)
    described = json.loads((folder / "node_modules" / package / "package.json").read_text(encoding="utf-8"))
    return str(described["version"])


def pypi(folder: Path, package: str, version: str) -> str:
    """Install a package of PyPI into a virtual environment; return its version.

    Raises:
        AdapterError: pip's own words.
    """
    _run([sys.executable, "-m", "venv", "."], folder)
    python = str(folder / "bin/python")
    wanted = package if version == "latest" else f"{package}=={version}"
    _run([python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", wanted], folder)
    ask = f"import importlib.metadata; print(importlib.metadata.version({package!r}))"
    return _run([python, "-c", ask], folder).strip()


def debian(folder: Path, *packages: str) -> str:
    """Unpack Debian packages, with what they need and this machine has not, into `folder`; return the first's version.

    No script of a package is run. apt decides what is needed and downloads it; nothing is installed.

    Raises:
        AdapterError: apt's own words.
    """
    require(("apt-get", "dpkg", "dpkg-deb"), f"{packages[0]} of the distribution")
    try:
        plan = _run(["apt-get", "--simulate", "--quiet", "install", "--no-install-recommends", *packages], folder)
        wanted = list(dict.fromkeys([*packages, *_SIMULATED.findall(plan)]))
        _run(["apt-get", "--quiet", "-o", "APT::Sandbox::User=root", "download", *wanted], folder)
    except AdapterError as error:
        raise AdapterError(f"{error}\n(is the list of packages there? `apt-get update` fetches it)") from error
    version = ""
    for package in sorted(folder.glob("*.deb")):
        name, found = _run(["dpkg-deb", "--show", "--showformat=${Package} ${Version}", str(package)], folder).split()
        if name == packages[0]:
            version = found
        _run(["dpkg", "-x", str(package), str(folder)], folder)
        package.unlink()
    # Alone of the parents of what is unpacked, these come with modes that let no other user through.
    for path in (folder, *(each for each in folder.rglob("*") if each.is_dir() and not each.is_symlink())):
        path.chmod(path.stat().st_mode | 0o755)
    return version


def library_path(root: Path, *more: str) -> str:
    """Return LD_LIBRARY_PATH for programs unpacked below `root`; `more` are folders beside the usual ones."""
    usual = [
        path.parent for pattern in ("usr/lib/*.so*", "usr/lib/*/*.so*", "lib/*/*.so*") for path in root.glob(pattern)
    ]
    folders = [str(root / each) for each in more] + sorted({str(path) for path in usual})
    return ":".join(dict.fromkeys(folders))
