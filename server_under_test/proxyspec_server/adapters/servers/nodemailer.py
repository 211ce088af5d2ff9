"""nodemailer's smtp-server, with its option useProxy."""

from __future__ import annotations

import json
from pathlib import Path
from typing import ClassVar, Final

from proxyspec_server.adapters.contract import HERE, HOST, UNLISTED, Adapter, Facts, Launch, Place
from proxyspec_server.adapters.errors import AdapterError
from proxyspec_server.adapters.packages import npm

__all__ = ["SmtpServer"]

_SCRIPT: Final = """\
'use strict'
const { SMTPServer } = require('smtp-server')
const server = new SMTPServer({
    name: %(name)s,
    useProxy: %(hosts)s,
    authOptional: true,
    disableReverseLookup: true,
    logger: false,
    onData(stream, session, done) {
        stream.resume()
        stream.on('end', () => done())
    },
})
server.on('error', (error) => console.error('error: ' + error.message))
server.listen(%(port)d, %(host)s, () => console.log('listening'))
process.on('SIGTERM', () => process.exit(0))
"""


class SmtpServer(Adapter):
    """A server of a few lines on smtp-server, as its documentation has it."""

    name: ClassVar[str] = "nodemailer"
    summary: ClassVar[str] = "nodemailer's smtp-server with useProxy"
    origin: ClassVar[str] = "from npm"
    version: ClassVar[str] = "3.21.6"
    tools: ClassVar[tuple[str, ...]] = ("node", "npm")
    has_list: ClassVar[bool] = True

    def install(self, folder: Path, version: str) -> str:
        """Install it from npm; see `Adapter.install`."""
        return npm(folder, "smtp-server", version)

    def prepare(self, place: Place) -> Launch:
        """Write the script; see `Adapter.prepare`."""
        if any("/" in host for host in place.hosts):
            raise AdapterError("smtp-server takes single addresses: give --host without a mask")
        values = {
            "name": json.dumps(HOST),
            "host": json.dumps(HERE),
            "hosts": json.dumps(list(place.hosts)),
            "port": place.port,
        }
        script = place.write("server.js", _SCRIPT % values)
        return Launch(
            commands=(("node", str(script)),),
            facts=Facts(
                # It has no deadline for the header; its socketTimeout is 60 s, started anew by every byte.
                header_timeout=place.header_timeout or 60.0,
                versions=(1,),
                trusted=HERE,
                untrusted=UNLISTED,
            ),
            environment={"NODE_PATH": str(place.software / "node_modules")},
        )
