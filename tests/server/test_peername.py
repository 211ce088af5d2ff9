"""The name of a peer, before and after it has reset the connection."""

import socket
import struct

import pytest

from proxyspec_server.peername import peername


@pytest.mark.parametrize(("family", "host"), [(socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")])
@pytest.mark.parametrize("gone", [False, True])
def test_the_name_outlives_the_connection(family: socket.AddressFamily, host: str, gone: bool) -> None:
    with socket.create_server((host, 0), family=family) as server:
        with socket.create_connection(server.getsockname()[:2]) as client:
            name = client.getsockname()[:2]
            if gone:
                client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                client.close()
            accepted, _ = server.accept()
        with accepted:
            if gone:
                with pytest.raises(OSError, match="not connected"):
                    accepted.getpeername()
            assert peername(accepted) == name


def test_what_is_no_tcp_connection_has_no_name() -> None:
    one, other = socket.socketpair()
    with one, other, socket.socket() as unconnected:
        assert peername(one) is None
        assert peername(unconnected) is None
