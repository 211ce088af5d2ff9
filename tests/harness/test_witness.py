"""Witnesses: the address found in mailboxes, logs and replies, beside the session it belongs to."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxyspec.errors import UsageError
from proxyspec.model import Target, View
from proxyspec.oracles.log import LogWitness
from proxyspec.oracles.received import MailWitness
from proxyspec.oracles.reply import ReplyWitness
from proxyspec.witness import Witness, witness_of

TARGET = Target(host="127.0.0.1", port=25)
ONE, TWO = "a1.probe.test", "b2.probe.test"


def witness(target: Target) -> Witness:
    found = witness_of(target)
    assert found is not None
    return found


def received(helo: str, literal: str) -> str:
    return f"Received: from {helo} (client [{literal}])\r\n\tby mx.test with ESMTP;\r\n\tSun, 22 Nov 2026\r\n"


def view(found: Witness, token: str, replies: bytes = b"") -> View | None:
    seen = found.look(token, replies)
    return seen.view if seen is not None else None


def test_a_maildir_shows_each_session_its_own(tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    (tmp_path / "cur").mkdir()
    found = witness(replace(TARGET, oracle="received", oracle_file=str(tmp_path), recipient="a@b.test"))
    assert isinstance(found, MailWitness)
    assert found.recipient == "a@b.test"
    assert found.look(ONE, b"") is None
    (tmp_path / "new" / "1").write_text(
        received(ONE, "192.0.2.1") + "Subject: x\r\n\r\nReceived: from b2.probe.test\r\n"
    )
    (tmp_path / "cur" / "2:2,S").write_text(received(TWO, "IPv6:2001:DB8::1") + "\r\n")
    assert view(found, ONE) == View("192.0.2.1")
    assert view(found, TWO) == View("2001:db8::1")
    assert found.look("c3.probe.test", b"") is None


def test_the_field_that_names_the_session_counts_not_the_one_of_a_later_hop(tmp_path: Path) -> None:
    (tmp_path / "new").mkdir()
    found = witness(replace(TARGET, oracle="received", oracle_file=str(tmp_path), recipient="a@b.test"))
    hops = received("mx.test", "127.0.0.1") + received(ONE, "192.0.2.7") + received(ONE, "198.51.100.1")
    (tmp_path / "new" / "1").write_text(hops + "\r\n")
    assert view(found, ONE) == View("192.0.2.7")


def test_an_mbox_is_read_from_where_it_ended(tmp_path: Path) -> None:
    mbox = tmp_path / "mbox"
    mbox.write_text("From old\n" + received(ONE, "198.51.100.1").replace("\r", "") + "\nbody\n")
    found = witness(replace(TARGET, oracle="received", oracle_file=str(mbox), recipient="a@b.test"))
    assert found.look(ONE, b"") is None
    with mbox.open("a") as file:
        file.write("From new\n" + received(ONE, "192.0.2.1"))
        file.flush()
        assert found.look(ONE, b"") is None, "its fields have not ended"
        file.write("Subject: x\n\nReceived: from b2.probe.test ([203.0.113.1]) by x\n")
        file.flush()
        assert view(found, ONE) == View("192.0.2.1")
        assert found.look(TWO, b"") is None, "a body is no header"


def test_a_log_shows_the_lines_that_name_the_session(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text(f"old helo={ONE} client=198.51.100.1\n")
    pattern = r"client=(?P<address>\S+)"
    found = witness(replace(TARGET, oracle="log", oracle_file=str(log), oracle_pattern=pattern))
    assert isinstance(found, LogWitness)
    with log.open("a") as file:
        file.write(f"client=203.0.113.1\nhelo={ONE} client=192.0.2.1\nhelo={TWO} client=not-an-address\nhelo={TWO} cli")
        file.flush()
        assert view(found, ONE) == View("192.0.2.1")
        assert found.look(TWO, b"") is None, "half a line is none"
        file.write("ent=2001:db8::1\n")
        file.flush()
        assert view(found, TWO) == View("2001:db8::1")
    log.write_text(f"helo={ONE} client=192.0.2.9\n")
    assert view(found, ONE) == View("192.0.2.9"), "a log that begins anew is read anew"


#: Lines that say either which session a connection has, or whose address.
JOINED = r"(?:client=(?P<address>\S+) )?port=(?P<connection>\d+)"


@pytest.fixture
def joined(tmp_path: Path) -> tuple[LogWitness, Callable[[str], None]]:
    log = tmp_path / "log"
    log.touch()
    found = witness(replace(TARGET, oracle="log", oracle_file=str(log), oracle_pattern=JOINED))
    assert isinstance(found, LogWitness)

    def write(lines: str) -> None:
        with log.open("a") as file:
            file.write(lines)

    return found, write


@pytest.mark.parametrize("first", ["connect", "disconnect"])
def test_a_log_may_name_the_address_in_another_line_of_the_same_connection(
    joined: tuple[LogWitness, Callable[[str], None]], first: str
) -> None:
    found, write = joined
    found.begin(ONE)
    found.begin(TWO)
    named, told = f"helo={ONE} port=4000\nhelo={TWO} port=4001\n", "client=192.0.2.1 port=4000\nclient=::1 port=4001\n"
    write(named if first == "disconnect" else told)
    assert found.look(ONE, b"") is None
    write(told if first == "disconnect" else named)
    assert view(found, ONE) == View("192.0.2.1")
    assert view(found, TWO) == View("::1")
    seen = found.look(ONE, b"")
    assert seen is not None
    assert seen.text == b"client=192.0.2.1 port=4000"


def test_a_connection_whose_name_comes_again_is_another(joined: tuple[LogWitness, Callable[[str], None]]) -> None:
    found, write = joined
    write("client=203.0.113.1 port=4000\n")
    found.begin(ONE)
    write(f"helo={ONE} port=4000\n")
    assert found.look(ONE, b"") is None, "that was said of the connection before"
    write("client=192.0.2.1 port=4000\n")
    found.begin(TWO)
    write(f"helo={TWO} port=4000\n")
    assert found.look(TWO, b"") is None
    write("client=192.0.2.2 port=4000\nclient=192.0.2.3 port=4000\n")
    assert view(found, ONE) == View("192.0.2.1")
    assert view(found, TWO) == View("192.0.2.2")


def test_names_of_sessions_that_were_never_begun_are_passed_over(
    joined: tuple[LogWitness, Callable[[str], None]],
) -> None:
    found, write = joined
    found.begin(ONE)
    write(f"helo={ONE} port=4000\nhelo=other.probe.test port=4000\nhelo={TWO} port=4000\nclient=192.0.2.1 port=4000\n")
    assert view(found, ONE) == View("192.0.2.1")
    assert found.look(TWO, b"") is None


def test_replies_are_searched_from_the_last(tmp_path: Path) -> None:
    found = witness(replace(TARGET, oracle="reply", oracle_pattern=r"you are (?P<address>\S+)"))
    assert isinstance(found, ReplyWitness)
    told = b"220 you are 127.0.0.1\r\n250 you are 192.0.2.1\r\n221 bye\r\n"
    assert view(found, ONE, told) == View("192.0.2.1")
    assert found.look(ONE, b"220 you are nobody\r\n") is None
    assert (found.patience, found.recipient) == (0.0, None)


@given(st.binary(max_size=300))
def test_no_bytes_confuse_a_witness(data: bytes) -> None:
    found = ReplyWitness(re.compile(r"(?P<address>[0-9a-f.:]+)"))
    seen = found.look(ONE, data)
    assert seen is None or seen.view.address


@pytest.mark.parametrize("oracle", ["auto", "ehlo", "none"])
def test_other_oracles_need_none(oracle: str) -> None:
    assert witness_of(replace(TARGET, oracle=oracle)) is None


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"oracle": "log"}, "needs oracle_file"),
        ({"oracle": "log", "oracle_file": "."}, "needs oracle_pattern"),
        ({"oracle": "received", "oracle_file": "."}, "needs recipient"),
        ({"oracle": "reply"}, "needs oracle_pattern"),
        ({"oracle": "reply", "oracle_pattern": "("}, "no regular expression"),
        ({"oracle": "reply", "oracle_pattern": "x"}, "no group 'address'"),
        ({"oracle": "received", "oracle_file": "/none/at/all", "recipient": "a@b"}, "does not exist"),
        ({"oracle": "received", "oracle_file": ".", "recipient": "a>\r\nRSET"}, "no mailbox"),
    ],
)
def test_what_is_missing_is_said(changes: dict[str, str], words: str) -> None:
    with pytest.raises(UsageError, match=words.replace("(", r"\(")):
        witness_of(replace(TARGET, **changes))  # type: ignore[arg-type]
