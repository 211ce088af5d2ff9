"""The client's session as a script, without I/O."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxyspec.traffic.dialogue import MAX_HEARD, Dialogue, Turn
from proxyspec.traffic.model import Fault, Step

#: What a server says, and what the client answers first of all.
SCRIPT = [
    (b"220-mx.example\r\n220 ESMTP\r\n", b"EHLO client.example\r\n"),
    (b"250-mx.example\r\n250 SIZE 1000\r\n", b"MAIL FROM:<m-7@client.example>\r\n"),
    (b"250 2.1.0 OK\r\n", b"RCPT TO:<sink@server.example>\r\n"),
    (b"250 2.1.5 OK\r\n", b"DATA\r\n"),
    (b"354 go ahead\r\n", b"Message-ID: <m-7@client.example>\r\n"),
    (b"250 2.0.0 OK\r\n", b"QUIT\r\n"),
]


def play(dialogue: Dialogue, exchanges: int) -> None:
    for said, begins in SCRIPT[:exchanges]:
        assert dialogue.feed(said) is Turn.OURS
        assert dialogue.command().startswith(begins)


def test_a_session_hands_over_one_message() -> None:
    dialogue = Dialogue("m-7")
    fates = []
    for said, begins in SCRIPT:
        assert dialogue.feed(said) is Turn.OURS
        command = dialogue.command()
        assert command.startswith(begins)
        fates.append((dialogue.dot_sent, dialogue.acknowledged, command.endswith(b"\r\n.\r\n")))
    assert fates == [(False, False, False)] * 4 + [(True, False, True), (True, True, False)]
    assert dialogue.feed(b"221 bye\r\n") is Turn.NOBODYS
    dialogue.broken("closed")
    assert (dialogue.done, dialogue.fault) == (True, None)


@given(st.data())
def test_replies_may_come_in_any_pieces(data: st.DataObject) -> None:
    dialogue = Dialogue("m-7")
    for said, begins in SCRIPT:
        cuts = sorted(data.draw(st.sets(st.integers(1, len(said) - 1))))
        pieces = [said[a:b] for a, b in zip([0, *cuts], [*cuts, len(said)], strict=True)]
        turns = [dialogue.feed(piece) for piece in pieces]
        assert turns == [Turn.THEIRS] * (len(pieces) - 1) + [Turn.OURS]
        assert dialogue.command().startswith(begins)
    assert dialogue.acknowledged


@pytest.mark.parametrize("exchanges", range(7))
def test_a_421_ends_the_session_at_its_step(exchanges: int) -> None:
    dialogue = Dialogue("m-7")
    play(dialogue, exchanges)
    assert dialogue.feed(b"421 4.3.2 shutting down\r\n") is Turn.NOBODYS
    assert dialogue.fault == Fault(list(Step)[exchanges + 1], "421")
    assert dialogue.acknowledged is (exchanges == 6)


@pytest.mark.parametrize("exchanges", range(7))
def test_a_connection_that_ends_is_a_fault_at_its_step(exchanges: int) -> None:
    dialogue = Dialogue("m-7")
    play(dialogue, exchanges)
    dialogue.broken("reset")
    assert dialogue.fault == Fault(list(Step)[exchanges + 1], "reset")
    assert dialogue.dot_sent is (exchanges >= 5)


def test_a_reply_nobody_asked_for_is_a_fault() -> None:
    dialogue = Dialogue("m-7")
    dialogue.feed(b"220 hello\r\n")
    assert dialogue.feed(b"250 so soon\r\n") is Turn.NOBODYS
    assert dialogue.fault == Fault(Step.EHLO, "250")


def test_the_first_fault_counts() -> None:
    dialogue = Dialogue("m-7")
    dialogue.feed(b"554 no\r\n421 no\r\n")
    dialogue.broken("closed")
    assert dialogue.fault == Fault(Step.BANNER, "554")


def test_no_smtp_reply_is_a_fault() -> None:
    dialogue = Dialogue("m-7")
    dialogue.feed(b"HTTP/1.1 400 Bad Request\r\n")
    assert dialogue.fault == Fault(Step.BANNER, "no reply")


def test_a_server_that_never_stops_is_cut_off() -> None:
    dialogue = Dialogue("m-7")
    turns = [dialogue.feed(b"220-" + b"x" * 1000 + b"\r\n") for _ in range(MAX_HEARD // 1000 + 1)]
    assert turns[-1] is Turn.NOBODYS
    assert dialogue.fault == Fault(Step.BANNER, "endless reply")


@given(st.binary(max_size=300))
def test_any_bytes_make_a_turn_or_a_fault(data: bytes) -> None:
    dialogue = Dialogue("m-7")
    turn = dialogue.feed(data)
    assert (turn is Turn.NOBODYS) is (dialogue.fault is not None)
