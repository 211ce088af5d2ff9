"""Profiles as files: found by name in a folder, described by their docstrings, never imported here."""

from __future__ import annotations

import ast
import difflib
from dataclasses import dataclass
from pathlib import Path

from proxyspec.errors import UsageError

__all__ = ["ProfileFile", "find_profile", "profiles_in"]


@dataclass(frozen=True, slots=True)
class ProfileFile:
    """A locustfile: its name without `.py`, where it is, and the first line of its docstring."""

    name: str
    path: Path
    summary: str


def _summary(path: Path) -> str:
    try:
        text = ast.get_docstring(ast.parse(path.read_bytes()))
    except (OSError, SyntaxError, ValueError) as error:
        raise UsageError(f"the profile {path} cannot be read: {error}") from error
    return (text or "(no description)").partition("\n")[0].strip()


def profiles_in(folder: Path) -> tuple[ProfileFile, ...]:
    """Return the profiles of a folder by name: every `NAME.py` that does not begin with an underscore.

    Raises:
        UsageError: a file cannot be read.
    """
    files = sorted(path for path in folder.glob("*.py") if not path.name.startswith("_"))
    return tuple(ProfileFile(path.stem, path, _summary(path)) for path in files)


def find_profile(name: str, folder: Path) -> ProfileFile:
    """Return the profile of this name in `folder`, or the locustfile whose path is `name`.

    Raises:
        UsageError: there is none; the message names those there are.
    """
    if name.endswith(".py") or "/" in name:
        path = Path(name).absolute()
        if not path.is_file() or path.suffix != ".py":
            raise UsageError(f"--profile {name!r} is no Python file: name a locustfile or a built-in profile")
        return ProfileFile(path.stem, path, _summary(path))
    known = profiles_in(folder)
    for profile in known:
        if profile.name == name:
            return profile
    names = [profile.name for profile in known]
    close = difflib.get_close_matches(name, names, 1)
    hint = f"; did you mean {close[0]}?" if close else "."
    raise UsageError(f"--profile {name!r} is unknown{hint} There are: {', '.join(names)}")
