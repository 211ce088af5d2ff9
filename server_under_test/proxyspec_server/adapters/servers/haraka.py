"""Haraka, whose page on HAProxy this project began with."""

from __future__ import annotations

import re
import signal
from pathlib import Path
from typing import ClassVar, Final

from proxyspec_server.adapters.contract import HERE, HOST, UNLISTED, Adapter, Facts, Launch, Place
from proxyspec_server.adapters.errors import AdapterError
from proxyspec_server.adapters.packages import npm

__all__ = ["Haraka"]

#: Of a connection without a header; built in.
_DEADLINE: Final = 30.0
#: Asks nobody for names, and takes every message.
_PLUGIN: Final = """\
'use strict'
const { OK } = require('haraka-constants')
exports.register = function () {
    this.register_hook('lookup_rdns', 'nobody')
    this.register_hook('mail', 'yes')
    this.register_hook('rcpt', 'yes')
    this.register_hook('queue', 'yes')
}
exports.nobody = (next) => next(OK, 'unknown')
exports.yes = (next) => next(OK)
"""


class Haraka(Adapter):
    """Haraka in one process; its list of proxies holds 127.0.0.1, so that other local addresses are unlisted."""

    name: ClassVar[str] = "haraka"
    summary: ClassVar[str] = "Haraka with a list of proxies (haproxy_hosts)"
    origin: ClassVar[str] = "from npm (haraka@3.0.3: the list in a file of its own)"
    version: ClassVar[str] = "3.3.4"
    tools: ClassVar[tuple[str, ...]] = ("node", "npm")
    has_list: ClassVar[bool] = True

    def install(self, folder: Path, version: str) -> str:
        """Install it from npm; see `Adapter.install`."""
        return npm(folder, "Haraka", version, {"encoding-japanese": "2.2.0", "libqp": "2.1.1"})

    def prepare(self, place: Place) -> Launch:
        """Write its configuration folder; see `Adapter.prepare`."""
        if place.header_timeout not in (None, _DEADLINE):
            raise AdapterError(f"Haraka waits {_DEADLINE:g} s for a header, which no setting of its own changes")
        shipped = place.software / "node_modules/Haraka/config"
        place.write("config/me", f"{HOST}\n")
        place.write("config/smtp.ini", f"listen={HERE}:{place.port}\nnodes=0\npublic_ip={HERE}\n")
        place.write("config/log.ini", "[main]\nlevel=info\ntimestamps=true\n")
        place.write("config/plugins", "proxyspec\n")
        place.write("config/host_list", f"{HOST}\n")
        place.write("plugins/proxyspec.js", _PLUGIN)
        place.write("package.json", "{}\n")
        # 3.0 and before have a file of their own; later ones a section of a file whose rest is taken for granted.
        place.write("config/haproxy_hosts", "".join(f"{host}\n" for host in place.hosts))
        connection = shipped / "connection.ini"
        if connection.exists():
            text = connection.read_text(encoding="utf-8")
            entries = "\n".join(f"hosts[] = {host}" for host in place.hosts) or "hosts[] ="
            text, count = re.subn(r"^hosts\[\] =.*$", entries, text, count=1, flags=re.MULTILINE)
            if not count:
                raise AdapterError(f"{connection} has no line `hosts[] =` to put the list of proxies into")
            place.write("config/connection.ini", text)
        start = str(place.software / "node_modules/Haraka/bin/haraka")
        return Launch(
            commands=(("node", start, "-c", str(place.run)),),
            facts=Facts(
                header_timeout=_DEADLINE,
                versions=(1,),
                trusted=HERE,
                untrusted=UNLISTED,
                # Refuses UNKNOWN, which its code says in as many words.
                capabilities=("no-unknown",),
                parallel=128,
            ),
            environment={"NODE_PATH": str(place.software / "node_modules"), "NO_COLOR": "1"},
            stop=signal.SIGINT,
        )
