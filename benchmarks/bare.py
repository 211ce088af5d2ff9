"""The least a server in asyncio can do: accept, read, notice the end. What more the reference server takes is its own.

Run as a process, `python -m benchmarks.bare asyncio|uvloop|auto`; the port is told on standard output.
"""

import asyncio
import gc
import socket
import sys

from proxyspec_server.loops import Loop, loop_factory


class Nothing(asyncio.Protocol):
    """Closes when the peer does."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Accepted."""
        self.transport = transport

    def eof_received(self) -> bool:
        """A FIN came."""
        self.transport.close()
        return True


async def serve() -> None:
    """Serve until killed."""
    bound = socket.create_server(("127.0.0.1", 0), backlog=4096)
    server = await asyncio.get_running_loop().create_server(Nothing, sock=bound, backlog=128)
    print(bound.getsockname()[1], flush=True)
    gc.collect()
    gc.freeze()
    await server.serve_forever()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=loop_factory(Loop(sys.argv[1]))) as runner:
        runner.run(serve())
