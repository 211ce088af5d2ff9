"""Delivery into a Maildir."""

import mailbox
from pathlib import Path

import pytest

from proxyspec_server.message import DeliveryFailed, Message
from proxyspec_server.sink import Maildir, discard

MESSAGE = Message("id.1", "a@example.com", ("b@example.com",), (b"Subject: x\r\n\r\n", b"one\r\n", b"two\r\n"), 24)


def test_a_message_is_there_whole_and_readable_as_maildir(tmp_path: Path) -> None:
    deliver = Maildir(tmp_path / "deep" / "md")
    deliver(MESSAGE)
    deliver(MESSAGE)
    found = list((tmp_path / "deep" / "md" / "new").iterdir())
    assert len(found) == 2
    assert {path.read_bytes() for path in found} == {
        b"Return-Path: <a@example.com>\r\nSubject: x\r\n\r\none\r\ntwo\r\n"
    }
    assert not list((tmp_path / "deep" / "md" / "tmp").iterdir())
    opened = mailbox.Maildir(tmp_path / "deep" / "md", create=False)
    assert [message["Subject"] for message in opened] == ["x", "x"]


def test_a_failed_delivery_leaves_nothing_behind(tmp_path: Path) -> None:
    deliver = Maildir(tmp_path)
    (tmp_path / "new").rmdir()
    with pytest.raises(DeliveryFailed, match="cannot write"):
        deliver(MESSAGE)
    assert not list((tmp_path / "tmp").iterdir())
    (tmp_path / "tmp").rmdir()
    with pytest.raises(DeliveryFailed):
        deliver(MESSAGE)


def test_discard_takes_anything() -> None:
    discard(MESSAGE)
