"""aiosmtpd with its option proxy_protocol_timeout."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar, Final

from proxyspec_server.adapters.contract import HERE, HOST, Adapter, Facts, Launch, Place
from proxyspec_server.adapters.packages import pypi

__all__ = ["Aiosmtpd"]

_DEADLINE: Final = 5.0
#: aiosmtpd hands the header over; that LOCAL and families without IP addresses mean the connection itself
#: (section 2.2) is for its application to know, which is this one.
_SCRIPT: Final = """\
import asyncio
import sys
from ipaddress import IPv4Address, IPv6Address

from aiosmtpd.handlers import Sink
from aiosmtpd.proxy_protocol import V2_CMD
from aiosmtpd.smtp import SMTP

HOST, PORT, NAME, DEADLINE = sys.argv[1], int(sys.argv[2]), sys.argv[3], float(sys.argv[4])


def believed(session):
    header = session.proxy_data
    if header is not None and header.command != V2_CMD.LOCAL:
        if isinstance(header.src_addr, (IPv4Address, IPv6Address)):
            return str(header.src_addr)
    return str(session.peer[0])


class Handler(Sink):
    async def handle_PROXY(self, server, session, envelope, header):
        return True

    async def handle_EHLO(self, server, session, envelope, hostname, responses):
        session.host_name = hostname
        return [f"250-{NAME} [{believed(session)}]", *responses[1:]]


async def serve():
    loop = asyncio.get_running_loop()
    made = lambda: SMTP(Handler(), hostname=NAME, loop=loop, proxy_protocol_timeout=DEADLINE)
    server = await loop.create_server(made, HOST, PORT, backlog=1024)
    await server.serve_forever()


asyncio.run(serve())
"""


class Aiosmtpd(Adapter):
    """A server of a few lines on aiosmtpd, as its documentation has it."""

    name: ClassVar[str] = "aiosmtpd"
    summary: ClassVar[str] = "aiosmtpd with proxy_protocol_timeout"
    origin: ClassVar[str] = "from PyPI"
    version: ClassVar[str] = "1.4.6"

    def install(self, folder: Path, version: str) -> str:
        """Install it from PyPI; see `Adapter.install`."""
        return pypi(folder, "aiosmtpd", version)

    def prepare(self, place: Place) -> Launch:
        """Write the script; see `Adapter.prepare`."""
        deadline = place.header_timeout or _DEADLINE
        script = place.write("server.py", _SCRIPT)
        python = str(place.software / "bin/python")
        return Launch(
            commands=((python, str(script), HERE, str(place.port), HOST, f"{deadline:g}"),),
            # Its documentation leaves the checksum to the application.
            facts=Facts(header_timeout=deadline, capabilities=("no-crc32c",), parallel=128),
        )
