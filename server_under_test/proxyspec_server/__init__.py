"""A reference SMTP server that speaks the PROXY protocol.

Read it from the inside out: `proxy` turns bytes into a header, `smtp` turns bytes into a mail session, `connection`
puts the one before the other and decides who may send what: all on bytes in memory, TLS included (`tls`). Sockets and
clocks come in with `shell`: it gives a `wire` to each connection that a `listener` accepts, and all are watched with
one `polling` set.
"""

from proxyspec_server.connection import Connection, Entrance, Service, SslTlvUse
from proxyspec_server.ending import Ending
from proxyspec_server.profile import STRICT, Limits, Profile, Replies
from proxyspec_server.shell import Server
from proxyspec_server.trust import TrustList, TrustListError

__all__ = [
    "STRICT",
    "Connection",
    "Ending",
    "Entrance",
    "Limits",
    "Profile",
    "Replies",
    "Server",
    "Service",
    "SslTlvUse",
    "TrustList",
    "TrustListError",
]
