"""The recording servers over real sockets of 127.0.0.1."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import Callable

import pytest

from proxyspec.checks.model import Behind, Contact
from proxyspec.checks.responders import HERE, KEPT_WHOLE, Responder, _Talk, responders
from proxyspec.model import EventKind

LINE = b"PROXY TCP4 127.0.0.1 127.0.0.1 53258 2525\r\n"
PATIENCE = 10.0


def reset(client: socket.socket) -> None:
    client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.close()


class Told(Responder):
    """Tells when a connection is over."""

    def __init__(self, behind: Behind, *, wants_header: bool) -> None:
        super().__init__(behind, wants_header=wants_header)
        self.over = asyncio.Event()

    def ended(self, talk: _Talk, contact: Contact) -> None:
        super().ended(talk, contact)
        self.over.set()


def seen_by(behind: Behind, *clients: Callable[[socket.socket], None], wants_header: bool = True) -> list[Contact]:
    """Have clients talk to a responder, one after the other; returns what it saw."""

    def talk(port: int, client: Callable[[socket.socket], None]) -> None:
        with socket.create_connection((HERE, port), PATIENCE) as connection:
            client(connection)

    async def run() -> list[Contact]:
        responder = Told(behind, wants_header=wants_header)
        async with responders([responder]), asyncio.timeout(PATIENCE):
            for client in clients:
                responder.over.clear()
                await asyncio.to_thread(talk, responder.port, client)
                await responder.over.wait()
            return list(responder.contacts)

    return asyncio.run(run())


def read_until(client: socket.socket, last: bytes) -> bytes:
    data = b""
    while last not in data:
        chunk = client.recv(1000)
        if not chunk:
            break
        data += chunk
    return data


def polite(client: socket.socket) -> None:
    client.sendall(LINE)
    assert read_until(client, b"\n").startswith(b"220 ")
    client.sendall(b"EHLO a\r\n")
    assert read_until(client, b"250 ").count(b"\n") >= 3
    client.sendall(b"QUIT\r\n")
    assert read_until(client, b"\n").startswith(b"221 ")
    assert client.recv(10) == b""


def test_a_whole_session_is_recorded_both_ways() -> None:
    (contact,) = seen_by(Behind.ORDINARY, polite)
    assert (contact.ending, contact.reset) == ("quit", False)
    assert contact.opening.startswith(LINE)
    told = [(event.kind, event.data[:4]) for event in contact.events]
    assert told[:3] == [(EventKind.CONNECTED, b""), (EventKind.RECEIVED, b"PROX"), (EventKind.SENT, b"220 ")]
    assert (EventKind.SENT, b"221 ") in told
    assert [event.at for event in contact.events] == sorted(event.at for event in contact.events)


def test_a_reset_after_the_header_is_one() -> None:
    def header_then_reset(client: socket.socket) -> None:
        client.sendall(LINE)
        read_until(client, b"\n")
        reset(client)

    def reset_at_once(client: socket.socket) -> None:
        reset(client)

    greeted, silent = seen_by(Behind.ORDINARY, header_then_reset, reset_at_once)
    assert (greeted.ending, greeted.reset) == ("rst-after-greeting", True)
    assert (silent.ending, silent.opening) == ("rst-before-header", b"")
    assert greeted.events[-1].kind is EventKind.CLIENT_RST


def test_a_client_that_leaves_within_an_answer_given_line_by_line_resets_it() -> None:
    def leaves_at_the_first_line(client: socket.socket) -> None:
        client.sendall(LINE)
        read_until(client, b"\n")
        client.sendall(b"EHLO a\r\n")
        assert read_until(client, b"\n").count(b"\n") == 1

    (contact,) = seen_by(Behind.LINE_BY_LINE, leaves_at_the_first_line)
    assert contact.ending == "rst-while-writing"
    assert EventKind.CLIENT_FIN in [event.kind for event in contact.events]


def test_a_fin_after_the_greeting_is_no_reset() -> None:
    def looks_at_the_greeting(client: socket.socket) -> None:
        client.sendall(LINE)
        read_until(client, b"\n")

    (contact,) = seen_by(Behind.ORDINARY, looks_at_the_greeting)
    assert contact.ending == "fin-after-greeting"


def test_a_busy_server_says_so_even_with_the_header_unread() -> None:
    def turned_away(client: socket.socket) -> None:
        client.sendall(LINE)
        assert read_until(client, b"\n").startswith(b"421 ")
        assert client.recv(10) == b""

    (contact,) = seen_by(Behind.BUSY, turned_away)
    assert not contact.reset
    assert contact.opening == LINE


def test_answers_come_in_the_order_of_the_commands() -> None:
    def hasty(client: socket.socket) -> None:
        client.sendall(LINE + b"QUIT\r\n")
        codes = [line[:3] for line in read_until(client, b"221 ").splitlines()]
        assert codes == [b"220", b"500", b"221"]

    (contact,) = seen_by(Behind.UNAWARE_LATER, hasty)
    assert contact.ending == "quit"


@pytest.mark.parametrize("header_comes", [True, False])
def test_a_deadline_holds_until_the_header_is_there(header_comes: bool) -> None:
    def client(connection: socket.socket) -> None:
        if header_comes:
            polite(connection)
        else:
            assert read_until(connection, b"\n") == b"421 PROXY timed out\r\n"

    (contact,) = seen_by(Behind.DEADLINE, client)
    assert contact.ending == ("quit" if header_comes else "fin-before-header")


def test_bytes_of_the_first_connections_are_kept_the_others_are_counted() -> None:
    contacts = seen_by(Behind.ORDINARY, *[polite] * (KEPT_WHOLE + 2))
    assert [bool(contact.events) for contact in contacts] == [True] * KEPT_WHOLE + [False] * 2
    assert all(contact.opening.startswith(LINE) for contact in contacts)
