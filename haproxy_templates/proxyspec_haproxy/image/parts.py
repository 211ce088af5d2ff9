"""The files an HAProxy image is made of, whichever way they were come by."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

__all__ = ["DLOPENED", "Linked", "Parts", "merged", "parse_linked"]

# glibc opens these itself, so no list of linked libraries names them; without the first HAProxy aborts.
DLOPENED: Final = ("libgcc_s.so.1", "libnss_files.so.2", "libnss_dns.so.2", "libresolv.so.2")

_MERGED: Final = ("bin", "sbin", "lib", "lib64")
_LINKED: Final = re.compile(r"\s*(?P<name>\S+)(?: => (?P<path>/\S+|not found))?(?: \(0x[0-9a-f]+\))?\s*")


@dataclass(frozen=True, slots=True)
class Parts:
    """What goes into an image: `files` maps a path there to a file here; `version` is the package's or binary's."""

    version: str
    flavour: str
    files: Mapping[PurePosixPath, Path]
    shell_is_busybox: bool


@dataclass(frozen=True, slots=True)
class Linked:
    """What the dynamic loader lists for an executable: libraries by name, the loader's path, and what is missing."""

    libraries: Mapping[str, Path]
    interpreter: PurePosixPath | None
    missing: tuple[str, ...]


def merged(path: str | PurePosixPath) -> PurePosixPath:
    """Return an absolute path with /bin, /sbin, /lib and /lib64 moved below /usr, where the image links them to."""
    pure = PurePosixPath(path)
    return PurePosixPath("/usr", *pure.parts[1:]) if len(pure.parts) > 1 and pure.parts[1] in _MERGED else pure


def parse_linked(text: str) -> Linked:
    """Read the output of `ldd`, or of the loader's own --list."""
    libraries: dict[str, Path] = {}
    interpreter: PurePosixPath | None = None
    missing: list[str] = []
    for line in text.splitlines():
        match = _LINKED.fullmatch(line)
        if match is None:
            continue
        name, path = match["name"], match["path"]
        if name.startswith("/"):
            interpreter = PurePosixPath(name)
        elif path == "not found":
            missing.append(name)
        elif path is not None:
            libraries[name] = Path(path)
    return Linked(libraries, interpreter, tuple(missing))
