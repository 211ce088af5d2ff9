"""aiosmtpd as a process that expects a PROXY header; its EHLO reply says whose session it believes to have.

    python -m tests.third_parties.aiosmtpd_server DEADLINE

It listens on a free port of 127.0.0.1, which it prints.
"""

from __future__ import annotations

import asyncio
import sys
from ipaddress import IPv4Address, IPv6Address
from ssl import SSLContext

from aiosmtpd.handlers import Sink
from aiosmtpd.proxy_protocol import V2_CMD, ProxyData
from aiosmtpd.smtp import SMTP, Envelope, Session

from proxyspec_server.certificate import self_signed

HOST = "mx.test"
_ADDRESSES = (IPv4Address, IPv6Address)


def believed(session: Session) -> str:
    """The address an application of aiosmtpd's gets: the header's, or the connection's own where that has none.

    aiosmtpd hands over what it has read; that LOCAL and families without IP addresses mean the connection itself
    (section 2.2) is for the application to know, which is this one here.
    """
    proxied = session.proxy_data
    if proxied is not None and proxied.command != V2_CMD.LOCAL and isinstance(proxied.src_addr, _ADDRESSES):
        return str(proxied.src_addr)
    assert session.peer is not None
    return str(session.peer[0])


class Handler(Sink):
    """Takes every header aiosmtpd finds valid, and every message, which it drops."""

    async def handle_PROXY(self, server: SMTP, session: Session, envelope: Envelope, proxied: ProxyData) -> bool:
        return True

    async def handle_EHLO(
        self, server: SMTP, session: Session, envelope: Envelope, hostname: str, responses: list[str]
    ) -> list[str]:
        session.host_name = hostname
        return [f"250-{HOST} [{believed(session)}]", *responses[1:]]


async def serve(deadline: float, context: SSLContext) -> None:
    loop = asyncio.get_running_loop()

    def connection() -> SMTP:
        return SMTP(Handler(), hostname=HOST, loop=loop, proxy_protocol_timeout=deadline, tls_context=context)

    server = await loop.create_server(connection, "127.0.0.1", 0, backlog=1024)
    print(server.sockets[0].getsockname()[1], flush=True)
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(float(sys.argv[1]), self_signed(HOST)))
