from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxyspec.checks.dialogue import MAX_LINE, Close, Dialogue, Write
from proxyspec.checks.model import Behind

LINE = b"PROXY TCP4 127.0.0.1 127.0.0.1 53258 2525\r\n"
LOCAL = bytes.fromhex("0d0a0d0a000d0a515549540a20000000")


def said(acts: list[object]) -> bytes:
    return b"".join(act.data for act in acts if isinstance(act, Write))


@pytest.mark.parametrize("header", [LINE, LOCAL])
def test_an_ordinary_server_waits_for_the_whole_header(header: bytes) -> None:
    talk = Dialogue(Behind.ORDINARY, wants_header=True)
    assert talk.connected() == []
    assert talk.received(header[:-1]) == []
    assert said([*talk.received(header[-1:])]) == b"220 mx.proxyspec.test ESMTP\r\n"
    assert said([*talk.received(b"HELO a\r\n")]) == b"250 mx.proxyspec.test\r\n"
    answer = said([*talk.received(b"EHLO a\r\n")])
    assert answer.startswith(b"250-mx.proxyspec.test")
    assert answer.splitlines()[-1].startswith(b"250 ")
    assert said([*talk.received(b"NOSUCH\r\n")]) == b"500 5.5.1 unknown command\r\n"
    last = talk.received(b"QUIT\r\nHELO b\r\n")
    assert said([*last]) == b"221 2.0.0 mx.proxyspec.test bye\r\n"
    assert last[-1] == Close()
    assert talk.received(b"HELO b\r\n") == []


def test_header_and_commands_in_one_segment_are_answered_in_order() -> None:
    talk = Dialogue(Behind.ORDINARY, wants_header=True)
    talk.connected()
    codes = [line[:3] for line in said([*talk.received(LINE + b"HELO a\r\nQUIT\r\n")]).splitlines()]
    assert codes == [b"220", b"250", b"221"]


def test_without_a_header_to_wait_for_the_server_speaks_first() -> None:
    assert said([*Dialogue(Behind.ORDINARY, wants_header=False).connected()]).startswith(b"220 ")


def test_line_by_line_pauses_before_each_line_but_the_first() -> None:
    talk = Dialogue(Behind.LINE_BY_LINE, wants_header=False)
    talk.connected()
    pauses = [act.after for act in talk.received(b"EHLO a\r\n") if isinstance(act, Write)]
    assert len(pauses) == 4
    assert pauses[0] == 0
    assert all(pause > 0 for pause in pauses[1:])


def test_an_unaware_server_takes_the_header_for_a_command() -> None:
    talk = Dialogue(Behind.UNAWARE, wants_header=True)
    assert talk.connected() == []
    assert [line[:3] for line in said([*talk.received(LINE)]).splitlines()] == [b"220", b"500"]
    assert said([*talk.received(b"HELO a\r\n")]).startswith(b"250 ")
    # The signature of version 2 holds a QUIT.
    acts = Dialogue(Behind.UNAWARE, wants_header=True).received(LOCAL)
    assert b"\r\n221 " in said([*acts])
    assert acts[-1] == Close()


def test_the_other_manners() -> None:
    acts = Dialogue(Behind.BUSY, wants_header=True).connected()
    assert said([*acts]).startswith(b"421 ")
    assert acts[-1] == Close()
    talk = Dialogue(Behind.MULTI_LINE, wants_header=True)
    talk.connected()
    assert [line[:4] for line in said([*talk.received(LINE)]).splitlines()] == [b"220-", b"220 "]
    talk = Dialogue(Behind.SLOW, wants_header=True)
    talk.connected()
    (*_, late) = talk.received(LINE)
    assert isinstance(late, Write)
    assert late.after > 0
    talk = Dialogue(Behind.DEADLINE, wants_header=True)
    assert said([*talk.connected()]) == b"421 PROXY timed out\r\n"


def test_a_line_without_end_is_bounded() -> None:
    talk = Dialogue(Behind.ORDINARY, wants_header=False)
    talk.connected()
    assert talk.received(b"x" * MAX_LINE) == []
    assert said([*talk.received(b"x")]).startswith(b"500 ")
    assert said([*talk.received(b"HELO a\r\n")]).startswith(b"250 ")


@given(st.sampled_from(Behind), st.booleans(), st.lists(st.binary(max_size=60), max_size=8))
def test_cutting_the_input_anywhere_changes_nothing(behind: Behind, wants: bool, chunks: list[bytes]) -> None:
    whole, cut = Dialogue(behind, wants), Dialogue(behind, wants)
    together = [*whole.connected(), *whole.received(b"".join(chunks))]
    apart = [*cut.connected(), *(act for chunk in chunks for act in cut.received(chunk))]
    assert said([*together]) == said([*apart])
