from __future__ import annotations

import json
import os
import socket
import threading
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxyspec.errors import UsageError
from proxyspec.ownfile.journal import Arrival, read_journal
from proxyspec.ownfile.mail import CLAIMED, CLIENT, send_mail
from proxyspec.ownfile.reading import find_needed, read_sources, visible
from proxyspec_haproxy.config import NeededFile, Place

PLACE = Place(0, 1, "a.cfg")


def test_sources_are_read_in_order_whatever_their_bytes(tmp_path: Path) -> None:
    one, two = tmp_path / "one.cfg", tmp_path / "two.cfg"
    one.write_text("global\n")
    two.write_bytes(b"# f\xfcr alle\n")
    first, second = read_sources([one, two])
    assert (first.name, first.text) == (str(one), "global\n")
    assert second.text == "# f\ufffdr alle\n"


@pytest.mark.parametrize("kind", ["missing", "folder", "pipe"])
def test_what_is_no_file_is_named(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "x.cfg"
    if kind == "folder":
        path.mkdir()
    if kind == "pipe":
        os.mkfifo(path)
    with pytest.raises(UsageError, match=r"x\.cfg cannot be read: .*; name a haproxy\.cfg"):
        read_sources([path])


def test_needed_files_are_looked_for_in_order(tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "x.pem").write_bytes(b"here")
    absolute = tmp_path / "y.pem"
    absolute.write_bytes(b"there")
    needed = [NeededFile(PLACE, "x.pem", "0-x.pem"), NeededFile(PLACE, str(absolute), "1-y.pem")]
    needed.append(NeededFile(PLACE, "none.pem", "2-none.pem"))
    found, missing = find_needed(needed, [tmp_path / "a", tmp_path / "b"])
    assert found == {"0-x.pem": b"here", "1-y.pem": b"there"}
    assert missing == needed[2:]


def test_control_characters_are_visible_and_length_is_bounded() -> None:
    assert visible("a\x1b[2J\n") == "a\\x1b[2J\\n"
    assert visible("a" * 400) == "a" * 300 + "…"


def entry(event: str, connection: str, **fields: object) -> str:
    return json.dumps({"event": event, "connection": connection, **fields})


HEADER = {"version": 1, "command": "PROXY", "family": "TCP4", "source": "192.0.2.1:99", "destination": "192.0.2.2:25"}


def test_a_journal_is_counted() -> None:
    local = {"version": 2, "command": "LOCAL", "family": "UNSPEC", "source": None, "tlvs": ["0x03"]}
    lines = [
        entry("connected", "1"),
        entry("header", "1", **HEADER),
        entry("message", "1", sender="a@b.test", client="192.0.2.1:99"),
        entry("closed", "1", ending="quit"),
        entry("connected", "2"),
        entry("header", "2", **{**HEADER, "source": "192.0.2.1:77"}),
        entry("closed", "2", ending="rst-after-header"),
        entry("connected", "3"),
        entry("header", "3", **local),
        entry("closed", "3", ending="fin-mid-session"),
        entry("connected", "4"),
        entry("closed", "4", ending="rst-before-header"),
        '{"event": "closed", "connec',
    ]
    received = read_journal(lines)
    assert received.connections == 4
    assert received.headers == {"v1 PROXY TCP4 192.0.2.1 to 192.0.2.2": 2, "v2 LOCAL with 0x03": 1}
    assert (received.headerless, received.resets, received.abandoned) == (1, 2, 1)
    assert received.messages == (Arrival("a@b.test", "192.0.2.1"),)


@given(st.lists(st.text(max_size=40)))
def test_any_journal_is_counted(lines: list[str]) -> None:
    assert read_journal([*lines, "1", "[]", "null", '"x"', "{}", entry("connected", "1")]).connections == 1


Serve = Callable[[socket.socket], None]


def served(serve: Serve, port_of: Callable[[int], None]) -> threading.Thread:
    listening = socket.create_server(("127.0.0.1", 0))
    port_of(listening.getsockname()[1])

    def run() -> None:
        with listening:
            listening.settimeout(10)
            connection, _ = listening.accept()
            with connection:
                connection.settimeout(10)
                serve(connection)

    thread = threading.Thread(target=run)
    thread.start()
    return thread


def dialogue(*replies: bytes, seen: list[bytes]) -> Serve:
    """Say the first reply at once, and one more for each line (or message) read."""

    def serve(connection: socket.socket) -> None:
        connection.sendall(replies[0])
        with connection.makefile("rb") as lines:
            in_data = False
            for reply in replies[1:]:
                line = lines.readline()
                while in_data and line not in (b".\r\n", b""):
                    line = lines.readline()
                seen.append(line)
                in_data = reply.startswith(b"354")
                connection.sendall(reply)

    return serve


@pytest.mark.parametrize(
    ("replies", "accepted", "said"),
    [
        ([b"220 a\r\n", *[b"250 b\r\n"] * 3, b"354 d\r\n", b"250 e\r\n", b"221 f\r\n"], True, "221"),
        ([b"421 busy\x1b[2J\r\n"], False, "421 busy\\x1b[2J"),
        ([b"220 a\r\n", b"250 a\r\n", b"550 no\r\n", b"250 ok\r\n"], False, "550 no"),
        ([b"220 a\r\n", b"250 a\r\n", b"250 b\r\n", b"550 nobody\r\n", b"250 ok\r\n"], False, "550 nobody"),
        ([b"220 a\r\n"], False, "closed without a reply"),
        ([b""], False, "closed without a reply"),
    ],
)  # fmt: skip
def test_a_mail_ends_in_words(replies: list[bytes], accepted: bool, said: str) -> None:
    ports: list[int] = []
    thread = served(dialogue(*replies, seen=[]), ports.append)
    sent = send_mail(ports[0], "a@b.test", header=False, tls=False, timeout=5)
    thread.join()
    assert (sent.accepted, sent.client) == (accepted, CLIENT)
    assert said in sent.said


def test_a_header_comes_first_and_the_client_has_an_address_of_its_own() -> None:
    seen: list[bytes] = []
    peers: list[str] = []

    def serve(connection: socket.socket) -> None:
        peers.append(connection.getpeername()[0])
        seen.append(connection.makefile("rb").readline())

    ports: list[int] = []
    thread = served(serve, ports.append)
    sent = send_mail(ports[0], "a@b.test", header=True, tls=False, timeout=5)
    thread.join()
    assert seen == [b"PROXY TCP4 192.0.2.77 192.0.2.25 40077 25\r\n"]
    assert peers == [CLIENT]
    assert sent.client == CLAIMED


def test_silence_ends_with_the_time_allowed() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        sent = send_mail(silent.getsockname()[1], "a@b.test", header=False, tls=False, timeout=0.2)
    assert (sent.accepted, sent.said) == (False, "no greeting or reply within 0.2 s")
