"""What holds of the reference server whatever bytes come: its parser alone, and a whole connection.

An input's first two bytes say where its rest is cut in two; the rest is what the peer sends. Each target raises
`Violation` where something does not hold; whatever else escapes is a fault as well.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Mapping, Sequence

from proxyspec.fuzz.rules import Class, Expectation, classify
from proxyspec.layers import Command, ProxyV1, ProxyV2, dissect
from proxyspec_server.connection import Action, Connection, Finish, Service, State, Write
from proxyspec_server.proxy import Endpoint, Header, HeaderParser, Malformed, NeedMore
from proxyspec_server.trust import TrustList

__all__ = ["TARGETS", "Violation", "feeding", "parser", "pieces", "session"]

BOTH = frozenset({1, 2})
PROXY, HERE = Endpoint("198.51.100.1", 40000), Endpoint("198.51.100.9", 25)
SERVICE = Service(name="mx.test", trust=TrustList.parse(PROXY.host, "fuzzing"), clock=lambda: 0.0, noting=False)
#: Single bytes are tried up to here: beyond, the time goes into nothing new.
SINGLY = 256
#: A reply line is no longer than this, its CRLF included, in bytes (RFC 5321, section 4.5.3.1.5).
REPLY_LINE = 512
#: The largest binary header taken, in bytes, and the largest line.
LARGEST = 16 + 4096

Read = tuple[Header | Malformed | None, bytes]


class Violation(AssertionError):
    """Something that must hold did not."""


def _hold(condition: bool, what: str, *evidence: object) -> None:
    if not condition:
        raise Violation(f"{what}: {', '.join(map(repr, evidence))}")


def pieces(data: bytes) -> tuple[bytes, bytes]:
    """Take an input apart: what comes first, and what comes behind it."""
    rest = data[2:]
    at = int.from_bytes(data[:2], "big") % (len(rest) + 1)
    return rest[:at], rest[at:]


def _read(parts: Sequence[bytes], make: Callable[[], HeaderParser]) -> Read:
    """Feed a parser until it has its verdict; return that, and what is left for the session."""
    reader = make()
    for number, part in enumerate(parts):
        verdict = reader.feed(part)
        _hold(reader.received <= LARGEST, "an unfinished header takes more memory than the limit", reader.received)
        if not isinstance(verdict, NeedMore):
            rest = reader.rest + b"".join(parts[number + 1 :]) if isinstance(verdict, Header) else b""
            return verdict, rest
    return None, b""


def _agrees(header: Header, expectation: Expectation) -> bool:
    if header.source is None:
        return expectation.real
    return str(ipaddress.ip_address(header.source.host)) in expectation.addresses


def _written_again(header: Header, data: bytes) -> bytes:
    """Take an accepted header apart with the harness's layers and build it anew, field by field."""
    packet = dissect(data[: header.size])
    _hold(isinstance(packet, ProxyV1 | ProxyV2), "the layers read no header", data)
    if isinstance(packet, ProxyV2) and header.command.value == Command.LOCAL:
        # Its block means nothing; of what the layers make of it nothing is promised.
        return data[: header.size]
    packet.clear_cache()
    return bytes(packet)


def feeding(make: Callable[[], HeaderParser]) -> Callable[[bytes], None]:
    """Return the target that tries the parsers `make` makes."""

    def target(data: bytes) -> None:
        first, second = pieces(data)
        whole = first + second
        read = _read([whole], make)
        verdict, rest = read
        _hold(_read([first, second], make) == read, "a header cut in two is read otherwise", first, second)
        if len(whole) <= SINGLY:
            singly = _read([whole[at : at + 1] for at in range(len(whole))], make)
            _hold(singly == read, "a header of single bytes is read otherwise", whole)
        expectation = classify(whole, BOTH)
        if not isinstance(verdict, Header):
            # Sizes above the limit are open to the receiver, as is all that is not whole yet.
            _hold(expectation.refused, "a header is refused that must be served", verdict, expectation)
            return
        _hold(whole[verdict.size :] == rest, "a byte of the header is left for the session, or one too many is taken")
        _hold(
            _agrees(verdict, expectation), "a header is served as no reading of the text allows", verdict, expectation
        )
        again = _written_again(verdict, whole)
        _hold(_read([again], make) == (verdict, b""), "an accepted header does not come back", whole, again)

    return target


def _output(actions: Sequence[Action]) -> tuple[bytes, bool]:
    """Return what is to be written, and whether a FIN follows."""
    finished = [isinstance(action, Finish) for action in actions]
    _hold(True not in finished[:-1], "something is done behind the end")
    return b"".join(action.data for action in actions if isinstance(action, Write)), any(finished)


def _talk(parts: Sequence[bytes], kind: type[Connection]) -> tuple[bytes, Connection]:
    """Have a connection read its parts and a FIN; return all that it says."""
    core = kind(SERVICE, "fuzzing", PROXY, HERE)
    said, over = _output(core.connected())
    _hold(said == b"", "the server speaks first", said)
    for part in parts:
        new, ended = _output(core.received(part))
        _hold(not (over and (new or ended)), "the server answers behind its end", new)
        over = over or ended
        said += new
    new, ended = _output(core.eof())
    _hold(not (over and new), "the server answers a FIN behind its end", new)
    core.gone()
    _hold(core.state is State.CLOSED, "a FIN leaves the connection open", core.state)
    return said + new, core


def _replies(said: bytes) -> list[bytes]:
    _hold(not said or said.endswith(b"\r\n"), "a reply has no end", said)
    lines = said.split(b"\r\n")[:-1]
    for line in lines:
        _hold(len(line) + 2 <= REPLY_LINE, "a reply is longer than a client need take", line)
        _hold(line[:3].isdigit() and line[3:4] in (b" ", b"-"), "a line is no reply", line)
        _hold(all(0x20 <= byte < 0x7F for byte in line), "a reply holds what is no printable ASCII", line)
    return lines


def conversing(kind: type[Connection]) -> Callable[[bytes], None]:
    """Return the target that has conversations with connections of this kind."""

    def target(data: bytes) -> None:
        first, second = pieces(data)
        whole = first + second
        said, core = _talk([whole], kind)
        again, other = _talk([first, second], kind)
        _hold(again == said, "what is sent in two parts is answered otherwise", first, second, said, again)
        _hold(other.client == core.client, "what is sent in two parts is another's", core.client, other.client)
        greeted = any(line.startswith(b"220 ") for line in _replies(said)[:1])
        expectation = classify(whole, BOTH)
        if expectation.verdict is Class.REJECT:
            _hold(not greeted, "a header is served that must be refused", said, expectation)
        if not greeted:
            _hold(expectation.refused or not whole, "a header is refused that must be served", said, expectation)
            _hold(core.client == PROXY, "a refused header is believed", core.client)
            _hold(len(_replies(said)) <= 1, "a refusal is more than one line", said)
            return
        _hold(core.header is not None and _agrees(core.header, expectation), "another is served", core.client)
        _hold(
            core.client.host == PROXY.host or str(ipaddress.ip_address(core.client.host)) in expectation.addresses,
            "the session is nobody's that the header names",
            core.client,
            expectation,
        )

    return target


parser = feeding(HeaderParser)
session = conversing(Connection)

#: Name on the command line -> target.
TARGETS: Mapping[str, Callable[[bytes], None]] = {"parser": parser, "session": session}
