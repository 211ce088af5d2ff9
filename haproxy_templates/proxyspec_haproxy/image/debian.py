"""HAProxy from a suite of Debian, by an apt with a private root: nothing here changes, and nobody needs to be root.

apt resolves from an empty system and checks signatures with Debian's keyring; packages are unpacked, never configured.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path, PurePosixPath
from typing import Final

from proxyspec_haproxy.image.commands import Finished, run
from proxyspec_haproxy.image.errors import ImageBuildFailed
from proxyspec_haproxy.image.parts import DLOPENED, Parts, merged, parse_linked

__all__ = [
    "apt_configuration",
    "apt_failure",
    "mirrors_in",
    "needed_packages",
    "own_suite",
    "sources_for",
    "unpack_suite",
]

_KEYRING: Final = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
# The suites that get security updates by way of an archive of their own.
_WITH_SECURITY: Final = frozenset({"bullseye", "bookworm", "trixie", "stable", "oldstable", "oldoldstable"})
_SUITE: Final = re.compile(r"[a-z][a-z-]{1,40}")
_SHELL_PACKAGE: Final = "busybox-static"
# Of everything apt would install, HAProxy can only touch libraries; these serve scripts of other packages.
_LIBRARY_PACKAGE: Final = re.compile(r"lib.*|zlib1g")
_OTHER_LIBRARY: Final = re.compile(r".*perl.*|lib(pam|audit|semanage|selinux|sepol|debconf).*")
_NO_NETWORK: Final = re.compile(
    r"not resolve|failure resolving|not connect|Unable to connect|Cannot initiate|timed out|unreachable"
    r"|onnection (refused|failed)"
)
_NEEDS_DEBIAN: Final = "on a system without Debian's tools build from a binary instead"


def own_suite(os_release: str) -> str | None:
    """Return the suite a Debian machine runs, from its /etc/os-release; None for other systems and derivatives."""
    fields = dict(line.split("=", 1) for line in os_release.splitlines() if "=" in line)
    if fields.get("ID", "").strip('"') != "debian":
        return None
    return fields.get("VERSION_CODENAME", "").strip('"') or "sid"


def mirrors_in(uris: Iterable[str]) -> tuple[str, str | None]:
    """Pick the mirror and the security mirror, if there is one, among the URIs apt is set up with.

    Raises ImageBuildFailed where apt knows no mirror of Debian.
    """
    found = sorted(set(uris))
    mirror = next((uri for uri in found if uri.rstrip("/").endswith("/debian")), None)
    if mirror is None:
        raise ImageBuildFailed(f"apt knows no mirror of Debian here: add one to its sources; {_NEEDS_DEBIAN}")
    return mirror, next((uri for uri in found if uri.rstrip("/").endswith("/debian-security")), None)


def sources_for(suite: str, mirror: str, security: str | None, architecture: str) -> str:
    """Return a sources.list for a suite. Experimental and backports lie over another suite, which they need."""
    base = "sid" if suite == "experimental" else suite.removesuffix("-backports")
    wanted = [(mirror, base)]
    if suite != base:
        wanted.append((mirror, suite))
    if security is not None and base in _WITH_SECURITY:
        wanted.append((security, f"{base}-security"))
    return "".join(f"deb [arch={architecture} signed-by={_KEYRING}] {uri} {name} main\n" for uri, name in wanted)


def apt_configuration(root: Path, acquire: str, architecture: str, suite: str) -> str:
    """Return an apt.conf that keeps apt below `root`.

    `acquire` is this machine's own Acquire section (proxies, time-outs), the only part of its settings that is kept:
    its hooks are made for the system itself.
    """
    settings = {
        "Dir": f"{root}/",
        "Dir::Etc::parts": "/dev/null",
        "Dir::Etc::main": "/dev/null",
        "Dir::Etc::netrc": "/etc/apt/auth.conf",
        "Dir::Etc::netrcparts": "/etc/apt/auth.conf.d",
        "Dir::Etc::trusted": "/dev/null",
        "Dir::State::status": f"{root}/status",
        "APT::Architecture": architecture,
        "APT::Install-Recommends": "false",
        "APT::Sandbox::User": "root",
        "APT::Update::Error-Mode": "any",
        "Acquire::Languages": "none",
        "Acquire::Retries": "2",
        "Debug::NoLocking": "true",
    }
    if suite == "experimental" or suite.endswith("-backports"):
        settings["APT::Default-Release"] = suite  # apt takes nothing from these unless told to
    own = "".join(f'{name} "{value}";\n' for name, value in settings.items())
    return f'{acquire}\nAPT::Architectures {{ "{architecture}"; }};\n{own}'


def needed_packages(print_uris: str) -> list[str]:
    """Pick the packages worth unpacking from `apt-get --print-uris install`."""
    names = {line.split()[1].split("_", 1)[0] for line in print_uris.splitlines() if line.startswith("'")}
    libraries = {n for n in names if _LIBRARY_PACKAGE.fullmatch(n) and not _OTHER_LIBRARY.fullmatch(n)}
    return sorted(libraries | (names & {"haproxy", _SHELL_PACKAGE}))


def apt_failure(suite: str, done: Finished) -> ImageBuildFailed:
    """Say what apt's messages mean."""
    said = done.stderr + done.stdout
    if _NO_NETWORK.search(said):
        return ImageBuildFailed(
            f"Debian's mirror does not answer ({done.complaint}): check network and proxy, or build from a binary"
        )
    if re.search(r"does not have a Release file|404", said):
        return ImageBuildFailed(
            f"Debian's mirror has no suite {suite!r}: try bullseye, bookworm, trixie, forky, sid or experimental"
        )
    if "Unable to locate package" in said or "has no installation candidate" in said:
        return ImageBuildFailed(f"the suite {suite!r} has no haproxy ({done.complaint}): choose another suite")
    return ImageBuildFailed(f"apt failed for the suite {suite!r}: {done.complaint}; build from a binary instead")


class _PrivateApt:
    """apt-get with everything it reads and writes in one folder."""

    def __init__(self, root: Path, suite: str, acquire: str, architecture: str, sources: str) -> None:
        self._root = root
        self._suite = suite
        for folder in ("etc/apt/preferences.d", "etc/apt/sources.list.d", "etc/apt/trusted.gpg.d"):
            (root / folder).mkdir(parents=True)
        for folder in ("var/lib/apt/lists/partial", "var/cache/apt/archives/partial", "var/log/apt", "debs"):
            (root / folder).mkdir(parents=True)
        (root / "status").touch()
        (root / "etc/apt/sources.list").write_text(sources, encoding="utf-8")
        (root / "apt.conf").write_text(apt_configuration(root, acquire, architecture, suite), encoding="utf-8")

    def __call__(self, *arguments: str) -> str:
        done = run(
            ["apt-get", "-q=2", *arguments],
            folder=self._root / "debs",
            environment={"APT_CONFIG": str(self._root / "apt.conf"), "DEBIAN_FRONTEND": "noninteractive"},
            remedy=_NEEDS_DEBIAN,
        )
        if done.status != 0:
            raise apt_failure(self._suite, done)
        return done.stdout

    def fetch(self, progress: Callable[[str], None]) -> list[Path]:
        """Download HAProxy and what it needs; returns the package files."""
        progress(f"reading the package lists of {self._suite}")
        self("update")
        partial = self._suite == "experimental" or self._suite.endswith("-backports")
        haproxy = f"haproxy/{self._suite}" if partial else "haproxy"
        packages = needed_packages(self("--print-uris", "-y", "install", haproxy, _SHELL_PACKAGE))
        if "haproxy" not in packages:
            raise ImageBuildFailed(f"the suite {self._suite!r} has no haproxy: choose another suite")
        progress(f"downloading {len(packages)} packages")
        self("download", *(haproxy if name == "haproxy" else name for name in packages))
        return sorted((self._root / "debs").glob("*.deb"))


def _asked(command: Sequence[str]) -> str:
    done = run(command, remedy=_NEEDS_DEBIAN)
    if done.status != 0:
        raise ImageBuildFailed(f"{command[0]} failed ({done.complaint}): {_NEEDS_DEBIAN}")
    return done.stdout.strip()


def _unpack(package: Path, tree: Path) -> None:
    """Unpack a package over a tree whose /bin, /lib and so on are links, which tar must follow."""
    with subprocess.Popen(
        ["dpkg-deb", "--fsys-tarfile", package], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL
    ) as deb:
        done = subprocess.run(
            ["tar", "-x", "-C", tree, "--keep-directory-symlink", "--no-same-owner"],
            stdin=deb.stdout,
            capture_output=True,
            check=False,
        )
    if deb.returncode or done.returncode:
        said = done.stderr.decode("utf-8", "replace").strip()[:300]
        raise ImageBuildFailed(f"{package.name} cannot be unpacked ({said}): is there room in the temporary folder?")


def _collect(tree: Path, suite: str) -> dict[PurePosixPath, Path]:
    """Pick from an unpacked tree HAProxy, its libraries and a shell; a library from outside the tree is an error."""
    haproxy = tree / "usr/sbin/haproxy"
    library_dir = next(iter(sorted((tree / "usr/lib").glob("*-linux-gnu*"))), None)
    loader = next(iter(sorted(library_dir.glob("ld-linux*.so.*"))), None) if library_dir else None
    if library_dir is None or loader is None or not haproxy.is_file():
        raise ImageBuildFailed(f"the packages of {suite} are not laid out as expected: choose another suite")
    listed = run([loader, "--library-path", library_dir, "--list", haproxy], remedy=f"{suite} needs a newer kernel")
    linked = parse_linked(listed.stdout)
    if listed.status != 0 or linked.interpreter is None or linked.missing:
        lacking = ", ".join(linked.missing) or listed.complaint
        raise ImageBuildFailed(f"the packages of {suite} do not make a whole HAProxy ({lacking}): choose another suite")

    def inside(path: Path) -> Path:
        real = path.resolve()
        # The loader falls back on this machine's libraries without a word.
        if not real.is_relative_to(tree.resolve()):
            raise ImageBuildFailed(f"the packages of {suite} lack {path.name}: choose another suite")
        return real

    place = PurePosixPath("/", library_dir.relative_to(tree).as_posix())
    files = {place / name: inside(path) for name, path in linked.libraries.items()}
    files |= {place / name: inside(library_dir / name) for name in DLOPENED if (library_dir / name).exists()}
    files[merged(linked.interpreter)] = inside(loader)
    files[PurePosixPath("/usr/sbin/haproxy")] = inside(haproxy)
    files[PurePosixPath("/usr/bin/busybox")] = inside(tree / "usr/bin/busybox")
    for page in (tree / "etc/haproxy/errors").glob("*.http"):
        files[PurePosixPath("/usr/local/etc/haproxy/errors", page.name)] = inside(page)
    return files


def unpack_suite(suite: str, work: Path, progress: Callable[[str], None]) -> Parts:
    """Fetch and unpack HAProxy of a suite below the folder `work`, which has to outlive the result.

    Raises ImageBuildFailed for an unknown suite, without network, and without Debian's tools or keyring.
    """
    if not _SUITE.fullmatch(suite):
        raise ImageBuildFailed(
            f"{suite!r} is no suite of Debian: try bullseye, bookworm, trixie, forky, sid, experimental"
        )
    for tool in ("apt-get", "dpkg", "dpkg-deb", "tar"):
        if shutil.which(tool) is None:
            raise ImageBuildFailed(f"there is no {tool} here: {_NEEDS_DEBIAN}")
    if not _KEYRING.exists():
        raise ImageBuildFailed(f"{_KEYRING} is missing: install debian-archive-keyring, or build from a binary instead")
    architecture = _asked(["dpkg", "--print-architecture"])
    uris = _asked(["apt-get", "indextargets", "--format", "$(REPO_URI)", "Identifier: Packages"]).split()
    sources = sources_for(suite, *mirrors_in(uris), architecture)
    apt = _PrivateApt(work / "apt", suite, _asked(["apt-config", "dump", "Acquire"]), architecture, sources)
    packages = apt.fetch(progress)

    progress(f"unpacking {len(packages)} packages")
    tree = work / "tree"
    for folder in ("bin", "sbin", "lib", "lib64"):
        (tree / "usr" / folder).mkdir(parents=True)
        (tree / folder).symlink_to(f"usr/{folder}")
    for package in packages:
        _unpack(package, tree)
    haproxy = next(package for package in packages if package.name.startswith("haproxy_"))
    version = _asked(["dpkg-deb", "-f", str(haproxy), "Version"])
    return Parts(version, suite, _collect(tree, suite), shell_is_busybox=True)
