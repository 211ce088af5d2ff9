"""OpenSMTPD, with its option proxy-v2."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Final

from proxyspec_server.adapters.contract import HERE, HOST, Adapter, Facts, Launch, Place
from proxyspec_server.adapters.errors import AdapterError
from proxyspec_server.adapters.packages import debian, library_path
from proxyspec_server.adapters.surroundings import accounts

__all__ = ["OpenSMTPD"]

#: Of any session, built in.
_DEADLINE: Final = 300.0
_CONFIG: Final = """\
listen on {host} port {port} hostname {name} proxy-v2
table everybody {{ "@" = "nobody" }}
action "lost" mda "/bin/true" virtual <everybody>
match from any for any action "lost"
"""


class OpenSMTPD(Adapter):
    """smtpd in the foreground; its folders in the system's places are ours, for its processes alone."""

    name: ClassVar[str] = "opensmtpd"
    summary: ClassVar[str] = "OpenSMTPD with proxy-v2"
    origin: ClassVar[str] = "from the distribution"
    tools: ClassVar[tuple[str, ...]] = ("apt-get", "dpkg")
    needs_root: ClassVar[bool] = True

    def install(self, folder: Path, version: str) -> str:
        """Unpack the package; see `Adapter.install`."""
        return debian(folder, "opensmtpd")

    def prepare(self, place: Place) -> Launch:
        """Write smtpd.conf and make the folders; see `Adapter.prepare`."""
        if place.header_timeout not in (None, _DEADLINE):
            raise AdapterError(f"OpenSMTPD waits {_DEADLINE:g} s for a header, which is built in")
        config = place.write("smtpd.conf", _CONFIG.format(host=HERE, port=place.port, name=HOST))
        spool, state, run = place.folder("spool"), place.folder("lib"), place.folder("system-run")
        place.folder("spool/smtpd", mode=0o711)
        place.folder("lib/opensmtpd/empty")
        place.folder("system-run/smtpd")
        return Launch(
            commands=((str(place.software / "usr/sbin/smtpd"), "-d", "-f", str(config)),),
            facts=Facts(header_timeout=_DEADLINE, versions=(2,), capabilities=("no-crc32c",), parallel=64),
            environment={"LD_LIBRARY_PATH": library_path(place.software)},
            bindings={**accounts(place.run), "/var/spool": spool, "/var/lib": state, "/run": run},
            needs_bindings=True,
        )
