"""The address of a peer that has reset the connection before anybody asked: getpeername() has forgotten it by then."""

import socket
from struct import Struct

_SO_PEERNAME = 28
"""Linux's socket option that names the peer as accept() does; the socket module has no name for it."""

# The port and the address, in a socket address of each family.
_INET = Struct("!2xH4s8x")
_INET6 = Struct("!2xH4x16s4x")


def peername(connection: socket.socket) -> tuple[str, int] | None:
    """Host and port of the peer of an accepted TCP connection; None where the system does not tell."""
    layout = {socket.AF_INET: _INET, socket.AF_INET6: _INET6}.get(connection.family)
    if layout is None:
        return None
    try:
        # More than the name has is refused.
        name = connection.getsockopt(socket.SOL_SOCKET, _SO_PEERNAME, layout.size)
    except OSError:
        return None
    port, address = layout.unpack(name)
    return socket.inet_ntop(connection.family, address), port
