"""The server behind the header: replies enough for clients and health checks, and bounded memory."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxyspec.sender.smtp import LONGEST_LINE, SmtpTalk


def test_a_session_with_a_message() -> None:
    talk = SmtpTalk()
    assert talk.receive(b"EHLO x\r\n").splitlines()[-1] == b"250 PIPELINING"
    assert talk.receive(b"MAIL FROM:<a@b>\r\nRCPT TO:<c@d>\r\nDATA\r\n").count(b"\r\n") == 3
    assert talk.receive(b"QUIT\r\nhello\r\n.") == b""
    assert talk.receive(b"\r\n") == b"250 2.0.0 taken and thrown away\r\n"
    assert not talk.done
    assert talk.receive(b"quit\r\nNOOP\r\n") == b"221 2.0.0 closing\r\n"
    assert talk.done


@pytest.mark.parametrize("line", [b"PROXY TCP4 1.2.3.4 5.6.7.8 1 2", b"", b"\0\xff", b"220"])
def test_what_is_no_command(line: bytes) -> None:
    assert SmtpTalk().receive(line + b"\r\n") == b"500 5.5.1 no such command\r\n"


def test_a_line_without_an_end_is_not_kept() -> None:
    talk = SmtpTalk()
    for _ in range(100):
        assert talk.receive(b"x" * LONGEST_LINE) == b""
    assert talk.receive(b"\r\n") == b"500 5.5.2 line too long\r\n"
    assert talk.receive(b"NOOP\r\n") == b"250 2.0.0 done\r\n"


def test_a_dot_behind_a_long_line_does_not_end_the_message() -> None:
    talk = SmtpTalk()
    talk.receive(b"DATA\r\n")
    talk.receive(b"x" * (LONGEST_LINE + 1))
    assert talk.receive(b".\r\n") == b""
    assert talk.receive(b".\r\n").startswith(b"250")


@given(st.lists(st.sampled_from([b"EHLO x", b"DATA", b".", b"NOOP", b"zz", b"QUIT"]), max_size=12), st.data())
def test_how_the_bytes_are_cut_makes_no_difference(lines: list[bytes], data: st.DataObject) -> None:
    stream = b"".join(line + b"\r\n" for line in lines)
    cut = data.draw(st.integers(0, len(stream)))
    whole, parts = SmtpTalk(), SmtpTalk()
    expected = whole.receive(stream)
    assert parts.receive(stream[:cut]) + parts.receive(stream[cut:]) == expected
