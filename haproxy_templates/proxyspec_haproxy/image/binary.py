"""An HAProxy executable of this machine and the libraries it is linked to: no network, no apt, no root."""

from __future__ import annotations

import sys
from pathlib import Path, PurePosixPath
from typing import Final

from proxyspec_haproxy.engines import BinaryEngine, EngineUnavailable
from proxyspec_haproxy.image.commands import run
from proxyspec_haproxy.image.errors import ImageBuildFailed
from proxyspec_haproxy.image.parts import DLOPENED, Linked, Parts, merged, parse_linked

__all__ = ["collect_binary"]

_HAPROXY: Final = PurePosixPath("/usr/sbin/haproxy")
_BUSYBOX: Final = PurePosixPath("/usr/bin/busybox")
_SHELL: Final = PurePosixPath("/usr/bin/sh")
_SYSTEM_LIBRARIES: Final = ("/lib", "/lib64", "/usr/lib", "/usr/lib64")
_DEFAULT_LIBRARIES: Final = PurePosixPath("/usr/lib")


def _linked(executable: Path) -> Linked:
    """List what an executable is linked to; a static one is linked to nothing."""
    listed = run(["ldd", executable], remedy="install ldd, which comes with the C library")
    linked = parse_linked(listed.stdout)
    if linked.missing:
        raise ImageBuildFailed(f"{executable} needs {', '.join(linked.missing)}, which is not here: install it")
    return linked


def _files_for(executable: Path, place: PurePosixPath) -> dict[PurePosixPath, Path]:
    linked = _linked(executable)
    libc = next((path for name, path in linked.libraries.items() if name.startswith("libc.")), None)
    default = merged(str(libc.parent)) if libc is not None else _DEFAULT_LIBRARIES
    files = {place: executable.resolve()}
    for name, path in linked.libraries.items():
        # One from anywhere else was found by a path written into the executable, which does not hold in the image.
        folder = merged(str(path.parent)) if str(path).startswith(_SYSTEM_LIBRARIES) else default
        files[folder / name] = path.resolve()
    if linked.interpreter is not None:
        files[merged(linked.interpreter)] = Path(linked.interpreter).resolve()
    if libc is not None:
        for name in DLOPENED:
            if (libc.parent / name).exists():
                files[default / name] = (libc.parent / name).resolve()
    return files


def _static_busybox() -> Path | None:
    for path in (Path("/bin/busybox"), Path("/usr/bin/busybox")):
        if path.is_file() and not _linked(path).libraries:
            return path
    return None


def collect_binary(executable: Path) -> Parts:
    """Collect what an image of this executable needs; raises ImageBuildFailed when it is no working HAProxy."""
    if sys.platform != "linux":
        raise ImageBuildFailed("an image can be built from a binary on Linux only: pull one instead")
    try:
        version = BinaryEngine(executable).version()
    except EngineUnavailable as error:
        raise ImageBuildFailed(str(error)) from error
    files = _files_for(executable, _HAPROXY)
    busybox = _static_busybox()
    if busybox is not None:
        files[_BUSYBOX] = busybox
    else:
        files |= _files_for(Path("/bin/sh"), _SHELL)
    return Parts(str(version), "binary", files, shell_is_busybox=busybox is not None)
