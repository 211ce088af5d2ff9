"""Servers that differ from the sound one within what the text allows: no case may flag them."""

# ruff: noqa: D102 - each class says what its one method does otherwise.

import socket
import struct
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import TypeVar

from proxyspec_server.connection import Action, Connection, Service, Write
from proxyspec_server.ending import Ending
from proxyspec_server.journal import Journal
from proxyspec_server.proxy import (
    SIGNATURE,
    Command,
    Endpoint,
    Family,
    Header,
    HeaderFault,
    HeaderParser,
    Malformed,
    NeedMore,
    Rule,
    TlvReader,
    V2Reader,
)
from proxyspec_server.shell import Server
from proxyspec_server.smtp import SmtpSession, Standing
from proxyspec_server.wire import Wire

_BOTH = frozenset({1, 2})


@dataclass(frozen=True, slots=True, kw_only=True)
class Variation:
    """One way to differ, what allows it, and what a target profile has to declare of such a server.

    `versions` are those it speaks, `lacks` names the harness's capabilities that it has not.
    """

    name: str
    sentence: str
    grounds: str
    override: type
    versions: frozenset[int]
    lacks: tuple[str, ...]


Overriding = TypeVar("Overriding", bound=type)

_varied: dict[str, Variation] = {}


def varied(
    name: str, *, grounds: str, versions: frozenset[int] = _BOTH, lacks: tuple[str, ...] = ()
) -> Callable[[Overriding], Overriding]:
    """Make a class a variation; its docstring is the sentence.

    Raises ValueError for a name that is taken and for a class without a docstring.
    """

    def register(override: Overriding) -> Overriding:
        if not override.__doc__:
            raise ValueError(f"the variation {name} has no docstring; say in one sentence what it does")
        if name in _varied:
            raise ValueError(f"there are two variations {name}; give one another name")
        sentence = override.__doc__.strip().partition("\n")[0]
        _varied[name] = Variation(
            name=name, sentence=sentence, grounds=grounds, override=override, versions=versions, lacks=lacks
        )
        return override

    return register


# How a refusal sounds and ends.


@varied("refusal-silent", grounds="section 2.1: the connection is to be aborted; nothing is said of a reply")
class RefusalSilent(Connection):
    """A malformed header ends the connection without a word."""

    def refuse_header(self, fault: Malformed) -> list[Action]:
        return self.close(Ending.HEADER_MALFORMED, "")


@varied("deadline-silent", grounds="section 2: the connection may be aborted; nothing is said of a reply")
class DeadlineSilent(Connection):
    """The header deadline ends the connection without a word."""

    def header_deadline(self) -> list[Action]:
        return self.close(Ending.HEADER_DEADLINE, "") if self.header is None and self._session is None else []


@varied("refusal-reset", grounds="section 2.1: how the connection is aborted is not said")
class RefusalReset(Wire):
    """A malformed header is answered with an RST, in which a 421 would be lost."""

    def _do(self, actions: list[Action]) -> None:
        refused = self._core is not None and self._core.ending is Ending.HEADER_MALFORMED
        super()._do([action for action in actions if not isinstance(action, Write)] if refused else actions)

    def _finish(self) -> None:
        if self._core is not None and self._core.ending is Ending.HEADER_MALFORMED:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self._end()
        else:
            super()._finish()


@varied(
    "refusal-for-good", grounds="RFC 5321, section 3.1: a greeting may be 554; the header's text says nothing of it"
)
class RefusalForGood(Connection):
    """A malformed header is refused with 554."""

    def refuse_header(self, fault: Malformed) -> list[Action]:
        return self.close(Ending.HEADER_MALFORMED, "554 5.7.0 {name} invalid PROXY header")


# What is read, and when.


@varied("version-1-only", grounds="section 2.2: to speak both versions is recommended", versions=frozenset({1}))
class VersionOneOnly(HeaderParser):
    """A binary header is refused."""

    __slots__ = ()

    def read(self, data: bytes | bytearray) -> Header | NeedMore:
        if data[0] != ord("P"):
            raise HeaderFault(Rule.PREFIX, "binary headers are not read here")
        return super().read(data)


@varied("version-2-only", grounds="section 2.2: to speak both versions is recommended", versions=frozenset({2}))
class VersionTwoOnly(HeaderParser):
    """A text line is refused."""

    __slots__ = ()

    def read(self, data: bytes | bytearray) -> Header | NeedMore:
        if data[0] != SIGNATURE[0]:
            raise HeaderFault(Rule.PREFIX, "text lines are not read here")
        return super().read(data)


@varied("fragments-refused", grounds="section 2.2: a receiver may refuse partial headers")
class FragmentsRefused(Connection):
    """A header that does not come in one piece is refused."""

    def header_bytes(self, parser: HeaderParser, data: bytes) -> list[Action]:
        partial = Malformed(Rule.PREFIX, "the header is not whole")
        return super().header_bytes(parser, data) or self.refuse_header(partial)


@varied("large-headers-refused", grounds="section 2: a header fits 536 bytes; more is beyond what a receiver must take")
class LargeHeadersRefused(V2Reader):
    """A header of more than 536 bytes is refused."""

    def read(self, data: bytes | bytearray, max_size: int) -> Header | NeedMore:
        return super().read(data, min(max_size, 536))


@varied("tlvs-skipped", grounds="section 2.2: a receiver may skip whatever follows the addresses", lacks=("crc32c",))
class TlvsSkipped(TlvReader):
    """Nothing behind the addresses is looked at."""

    def check(self, header: bytes, start: int) -> None:
        return


@varied("no-tcp-refused", grounds="section 2.2: a family the receiver does not support may be refused")
class NoTcpRefused(V2Reader):
    """PROXY without TCP addresses is refused, and so is LOCAL with an undefined family."""

    def not_tcp(self, family: Family, header: bytes) -> Header:
        raise HeaderFault(Rule.V2_FAMILY, "only TCP is proxied here")

    def undefined_family(self, command: Command, family_byte: int) -> Family:
        raise HeaderFault(Rule.V2_FAMILY, "the family is not defined")


@varied("no-tcp-skipped", grounds="section 2.2: the length tells how much to skip of a family that is not implemented")
class NoTcpSkipped(V2Reader):
    """PROXY with the family of UDP or UNIX is skipped by its length, whatever that is, and the peer is served."""

    def too_short(self, family: Family, length: int, needed: int) -> None:
        if family in (Family.TCP4, Family.TCP6):
            super().too_short(family, length, needed)

    def not_tcp(self, family: Family, header: bytes) -> Header:
        return Header(2, Command.PROXY, family, None, None, b"", len(header))


@varied("mapped-unmapped", grounds="section 2.1 and 2.2: an IPv4-mapped address and the IPv4 address are one client")
class MappedUnmapped(Connection):
    """An IPv4-mapped address counts as the IPv4 address inside it."""

    def believed_client(self, header: Header) -> Endpoint:
        client = super().believed_client(header)
        return client._replace(host=client.host.removeprefix("::ffff:")) if "." in client.host else client


# The session behind the header.


@varied("early-talk-refused", grounds="RFC 5321, section 3.1: a client waits for the greeting")
class EarlyTalkRefused(Connection):
    """A client that says something before the greeting is refused for it."""

    def begin_session(self, standing: Standing, rest: bytes) -> list[Action]:
        if rest:
            return self.close(Ending.REFUSED, "421 4.7.0 {name} speaks first")
        return super().begin_session(standing, rest)


@varied("idle-as-short", grounds="RFC 5321, section 4.5.3.2.7: five minutes are a SHOULD, and of no header")
class IdleAsShort(Server):
    """A session may be idle for no longer than a header may take to come."""

    def __init__(self, service: Service, journal: Journal, connection_type: type[Connection] = Connection) -> None:
        limits = replace(service.profile.limits, idle_timeout=service.profile.limits.header_timeout)
        super().__init__(replace(service, profile=replace(service.profile, limits=limits)), journal, connection_type)


# Those who may not send a header.


@varied("unlisted-waits", grounds="sections 2 and 5: a header is expected by configuration, from whomever it comes")
class UnlistedWaits(Connection):
    """A header is expected from everyone, and believed from none but the trusted."""

    def trusted(self) -> bool:
        return True

    def accept_header(self, header: Header, rest: bytes) -> list[Action]:
        if super().trusted():
            return super().accept_header(header, rest)
        return self.close(Ending.REFUSED, self._profile.replies.proxy_refused)


@varied("unlisted-signature-unnoticed", grounds="section 6: to a server that expects none, a header is only bytes")
class UnlistedSignatureUnnoticed(Connection):
    """A version 2 header from a peer that may not send one is answered line by line."""

    def opens_with_signature(self, data: bytes) -> bool:
        return False


@varied("unlisted-line-unknown", grounds="section 6: to a server that expects none, a header is only bytes")
class UnlistedLineUnknown(SmtpSession):
    """PROXY from a peer that may not send it is an unknown command, and the session goes on."""

    def refuse_proxy(self) -> None:
        self.bad_command(self._profile.replies.unknown_command)


@varied(
    "unlisted-turned-away", grounds="section 2: only trusted proxies are to get in; how others are kept out is free"
)
class UnlistedTurnedAway(Connection):
    """A peer that is not trusted is turned away before it says anything."""

    def admit(self, standing: Standing, rest: bytes) -> list[Action]:
        if standing is Standing.UNLISTED:
            return self.close(Ending.REFUSED, "421 4.7.0 {name} is not open to {address}")
        return super().admit(standing, rest)


VARIATIONS: Mapping[str, Variation] = MappingProxyType(_varied)
"""All variations by name."""
