"""The parts of a server for one profile, one of them replaced if that is asked for."""

from dataclasses import dataclass, replace

from proxyspec_server.connection import Connection
from proxyspec_server.profile import Profile
from proxyspec_server.proxy import HeaderParser, TlvReader, V1Reader, V2Reader
from proxyspec_server.shell import Server
from proxyspec_server.smtp import SmtpSession
from proxyspec_server.wire import Wire


@dataclass(frozen=True, slots=True)
class Assembly:
    """What a server is made of."""

    profile: Profile
    connection_type: type[Connection] = Connection
    server_type: type[Server] = Server


def assemble(profile: Profile, override: type | None = None) -> Assembly:
    """The parts of a server, `override` in the place of the class it is derived from.

    Raises TypeError for a class that is derived from none of them.
    """
    if override is None:
        return Assembly(profile)
    # Each server gets a class of its own, so that what a class keeps in itself is not shared between servers.
    own = type(override.__name__, (override,), {})
    readers = profile.readers
    if issubclass(own, HeaderParser):
        return Assembly(replace(profile, readers=replace(readers, parser=own)))
    if issubclass(own, V1Reader):
        return Assembly(replace(profile, readers=replace(readers, v1=own)))
    if issubclass(own, V2Reader):
        return Assembly(replace(profile, readers=replace(readers, v2=own)))
    if issubclass(own, TlvReader):
        return Assembly(replace(profile, readers=replace(readers, tlv=own)))
    if issubclass(own, SmtpSession):
        return Assembly(profile, connection_type=type("Connection", (Connection,), {"session_type": own}))
    if issubclass(own, Connection):
        return Assembly(profile, connection_type=own)
    if issubclass(own, Wire):
        return Assembly(profile, server_type=type("Server", (Server,), {"wire_type": own}))
    if issubclass(own, Server):
        return Assembly(profile, server_type=own)
    raise TypeError(f"{override.__name__} is derived from nothing that a server is made of")
