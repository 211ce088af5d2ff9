"""HAProxy itself as the receiver: a bind with accept-proxy, before the reference server."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from typing import ClassVar, Final

from proxyspec_server.adapters.contract import HERE, HOST, Adapter, Facts, Launch, Place, free_port
from proxyspec_server.adapters.packages import debian, library_path

__all__ = ["HAProxy"]

_DEADLINE: Final = 10.0
_CONFIG: Final = """\
defaults
    mode tcp
    timeout connect 5s
    # The client's timeout is the header's deadline; a session has the tunnel's.
    timeout client {deadline}ms
    timeout server 300s
    timeout tunnel 300s

listen mx
    bind {host}:{port} accept-proxy
    server behind {host}:{behind} send-proxy-v2
"""


class HAProxy(Adapter):
    """HAProxy hands the address it believes on to the reference server, whose EHLO reply shows it."""

    name: ClassVar[str] = "haproxy"
    summary: ClassVar[str] = "HAProxy's accept-proxy, before the reference server"
    origin: ClassVar[str] = "from PATH, else from the distribution"

    def install(self, folder: Path, version: str) -> str:
        """Take the one on PATH, or unpack the package; see `Adapter.install`."""
        if (found := shutil.which("haproxy")) is not None:
            (folder / "haproxy").symlink_to(found)
            return "of this machine"
        version = debian(folder, "haproxy")
        (folder / "haproxy").symlink_to("usr/sbin/haproxy")
        return version

    def prepare(self, place: Place) -> Launch:
        """Write haproxy.cfg; see `Adapter.prepare`."""
        deadline, behind = place.header_timeout or _DEADLINE, free_port()
        text = _CONFIG.format(deadline=round(deadline * 1000), host=HERE, port=place.port, behind=behind)
        config = place.write("haproxy.cfg", text)
        listen = ("--listen", f"{HERE}:{behind}", "--hostname", HOST, "--trust", HERE)
        return Launch(
            commands=(
                (sys.executable, "-m", "proxyspec_server", *listen, "--log", str(place.run / "behind.ndjson")),
                (str(place.software / "haproxy"), "-db", "-f", str(config)),
            ),
            facts=Facts(header_timeout=deadline, capabilities=("crc32c",)),
            environment={"LD_LIBRARY_PATH": library_path(place.software)} if (place.software / "usr").exists() else {},
        )
