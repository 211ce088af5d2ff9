"""Runs the tools an image is made with (apt-get, dpkg-deb, ldd), and turns their failures into one clear message."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

from proxyspec_haproxy.image.errors import ImageBuildFailed
from proxyspec_haproxy.logs import visible

__all__ = ["Finished", "run"]

_NOTHING: Final[Mapping[str, str]] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Finished:
    """A tool that ran to its end: exit status, and output of both kinds as text."""

    status: int
    stdout: str
    stderr: str

    @property
    def complaint(self) -> str:
        """The last lines of what it said, fit to be shown."""
        lines = (self.stderr.strip() or self.stdout.strip()).splitlines()
        return "; ".join(visible(line.strip()) for line in lines[-4:])[:600] or f"exit status {self.status}"


def run(
    command: Sequence[str | Path],
    *,
    remedy: str,
    folder: Path | None = None,
    environment: Mapping[str, str] = _NOTHING,
    timeout: float = 300.0,
) -> Finished:
    """Run a tool to its end, in the C locale; `timeout` is seconds.

    Raises ImageBuildFailed, with `remedy`, when it cannot be run or does not end; a failure of its own is the caller's
    to judge.
    """
    name = str(command[0])
    try:
        done = subprocess.run(
            [str(part) for part in command],
            cwd=folder,
            env={**os.environ, "LC_ALL": "C", **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=timeout,
            check=False,
        )
    except OSError as error:
        raise ImageBuildFailed(f"{name} cannot be run ({error.strerror}): {remedy}") from error
    except subprocess.TimeoutExpired as error:
        raise ImageBuildFailed(f"{name} did not end within {timeout:.0f} s: {remedy}") from error
    return Finished(done.returncode, done.stdout.decode("utf-8", "replace"), done.stderr.decode("utf-8", "replace"))
