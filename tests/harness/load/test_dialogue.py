from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxyspec.load import dialogue as module
from proxyspec.load.dialogue import (
    MAX_HEARD,
    Dialogue,
    Drip,
    Exchange,
    Hold,
    Leave,
    Notice,
    Say,
    Script,
    Secure,
    Stance,
    Step,
    StepFailed,
)
from proxyspec.load.options import SessionOptions
from proxyspec.load.scripts import ask, delivery, message, refusal
from proxyspec.replies import ReplyReader

OPTIONS = SessionOptions(message_size=300, sender="a@b.example", recipient="c@d.example")
REPLIES = [
    b"220 hi\r\n",
    b"250-one\r\n250 two\r\n",
    b"250 ok\r\n",
    b"251 will forward\r\n",
    b"354 go\r\n",
    b"250 queued\r\n",
    b"221 bye\r\n",
]
STEPS = [Step.HEADER_TO_BANNER, Step.EHLO, Step.MAIL, Step.RCPT, Step.DATA, Step.END_OF_DATA, Step.QUIT]
COMMANDS = [
    b"PROXY!",
    b"EHLO client.example\r\n",
    b"MAIL FROM:<a@b.example>\r\n",
    b"RCPT TO:<c@d.example>\r\n",
    b"DATA\r\n",
    message(300),
    b"QUIT\r\n",
]
READY = frozenset({220})


def _opened(script: Script | None = None, hail: bytes = b"PROXY!") -> tuple[Dialogue, bytes]:
    """A dialogue asked for at 100 and connected at 110."""
    dialogue = Dialogue(script or delivery(OPTIONS), hail, 100)
    return dialogue, dialogue.opened(110)


def _at(step: Step) -> Dialogue:
    dialogue, _ = _opened()
    for reply in REPLIES[: STEPS.index(step)]:
        dialogue.heard(reply, 120)
    assert dialogue.step is step
    return dialogue


def test_a_session_from_header_to_quit() -> None:
    dialogue, out = _opened()
    said = [out]
    for number, reply in enumerate(REPLIES):
        assert not dialogue.done
        assert dialogue.step is STEPS[number]
        said.append(dialogue.heard(reply, 120 + 10 * number))
    assert dialogue.done
    assert dialogue.stance is Stance.CLOSE
    assert said == [*COMMANDS, b""]
    assert dialogue.script.steps == (Step.CONNECT, *STEPS)
    assert dialogue.taken == [10] * 8
    assert dialogue.heard_bytes == sum(map(len, REPLIES))


def test_without_a_header_the_banner_is_timed_from_the_connection() -> None:
    dialogue, out = _opened(hail=b"")
    assert out == b""
    assert dialogue.heard(REPLIES[0], 150) == COMMANDS[1]
    assert dialogue.taken == [10, 40]


@given(st.data())
def test_replies_may_come_in_any_pieces(data: st.DataObject) -> None:
    dialogue, _ = _opened()
    for number, reply in enumerate(REPLIES):
        rest, out = reply, b""
        while rest:
            assert out == b""
            size = data.draw(st.integers(1, len(rest)))
            out = dialogue.heard(rest[:size], 120)
            rest = rest[size:]
        assert out == (COMMANDS[number + 1] if number + 1 < len(COMMANDS) else b"")
    assert dialogue.done


LINES = st.lists(
    st.tuples(
        st.sampled_from([b"220", b"250", b"354", b"421", b"1", b"hello"]),
        st.sampled_from([b" ", b"-", b""]),
        st.binary(max_size=6),
        st.sampled_from([b"\r\n", b"\n", b"\r"]),
    ).map(b"".join),
    max_size=4,
).map(b"".join)


@given(LINES)
def test_the_quick_pattern_reads_what_the_patient_reader_reads(data: bytes) -> None:
    found = module._REPLY.match(data)
    if found is not None:
        assert [reply.code for reply in ReplyReader().feed(found[0], 0.0)] == [int(found[1])]


PIECES = st.lists(
    st.sampled_from(
        [*REPLIES, b"250 ok\r\n250 ok\r\n", b"250 ok\r\n354 go\r\n", b"250-o", b"ne\r\n250 ok\r\n", b"421 x\r\n"]
    ),
    min_size=1,
    max_size=12,
)


@given(PIECES, st.booleans())
def test_what_was_heard_before_is_taken_like_the_first_time(extra: list[bytes], pipelining: bool) -> None:
    script = Script(delivery(SessionOptions(message_size=300, pipelining=pipelining)).moves)
    pieces = [b"220 hi\r\n", b"250-x\r\n250 PIPELINING\r\n", *extra]

    def play() -> tuple[object, ...]:
        dialogue, out = _opened(script)
        said = [out]
        failure = None
        try:
            for number, piece in enumerate(pieces):
                said.append(dialogue.heard(piece, 120 + 7 * number))
        except StepFailed as failed:
            failure = str(failed)
        return (
            said,
            failure,
            dialogue.taken,
            dialogue.at,
            dialogue.stance,
            dialogue.step,
            dialogue.since,
            dialogue.done,
            dialogue.heard_bytes,
        )

    first = play()
    assert script.known[0]
    assert play() == play() == first


def test_only_so_many_replies_are_remembered() -> None:
    script = Script(delivery(OPTIONS).moves)
    for number in range(500):
        dialogue, _ = _opened(script)
        dialogue.heard(b"220 hi %d\r\n" % number, 120)
        dialogue.heard(b"250 %s\r\n" % (b"x" * 900), 130)
        assert dialogue.step is Step.MAIL
    assert 0 < len(script.known[0]) < 100
    # Long ones are not worth it.
    assert not script.known[1]


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize(
    ("reply", "what"), [(b"421 busy\r\n", "421"), (b"hello\r\n", "no reply line"), (b"x" * 5000, "no reply line")]
)
def test_another_reply_fails_the_step(step: Step, reply: bytes, what: str) -> None:
    with pytest.raises(StepFailed) as caught:
        _at(step).heard(reply, 130)
    assert caught.value.step is step
    assert str(caught.value) == f"{what} at {'banner' if step is Step.HEADER_TO_BANNER else step}"


def test_a_positive_reply_out_of_place_fails_too() -> None:
    with pytest.raises(StepFailed, match=r"^250 at data$"):
        _at(Step.DATA).heard(b"250 ok\r\n", 130)


def test_a_reply_that_comes_early_answers_the_next_step() -> None:
    dialogue, _ = _opened()
    with pytest.raises(StepFailed, match=r"^421 at ehlo$"):
        dialogue.heard(b"220 hi\r\n421 gone\r\n", 120)


def test_what_comes_behind_the_last_reply_is_nobodys_business() -> None:
    dialogue = _at(Step.QUIT)
    assert dialogue.heard(b"221 bye\r\n421 idle\r\n", 130) == b""
    assert dialogue.done


@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("what", ["closed", "reset"])
def test_the_end_of_the_stream_fails_the_step(step: Step, what: str) -> None:
    with pytest.raises(StepFailed, match=rf"^{what} at "):
        _at(step).ended(what, 130)


def test_an_endless_reply_is_cut_off() -> None:
    dialogue, _ = _opened()
    line = b"220-" + b"x" * 994 + b"\r\n"
    for _ in range(MAX_HEARD // len(line)):
        dialogue.heard(line, 120)
    with pytest.raises(StepFailed, match=r"^endless reply at banner$"):
        dialogue.heard(line, 120)
    assert not dialogue.done


def test_pipelined_steps_are_timed_from_the_sending_of_their_group() -> None:
    options = SessionOptions(message_size=300, sender="a@b.example", recipient="c@d.example", pipelining=True)
    dialogue, _ = _opened(delivery(options))
    dialogue.heard(b"220 hi\r\n", 120)
    assert dialogue.heard(b"250-x\r\n250 PIPELINING\r\n", 130) == b"".join(COMMANDS[2:5])
    assert dialogue.heard(b"250 ok\r\n", 135) == b""
    assert dialogue.heard(b"250 ok\r\n354 go\r\n", 150) == b"".join(COMMANDS[5:])
    assert dialogue.heard(b"250 queued\r\n221 bye\r\n", 157) == b""
    assert dialogue.done
    assert dialogue.taken == [10, 10, 10, 5, 20, 20, 7, 7]


@pytest.mark.parametrize("reply", [b"250 ok\r\n", b"250 NOPIPELINING\r\n", b"250-SIZE\r\n250 XPIPELINING\r\n"])
def test_an_extension_that_is_not_offered_fails_ehlo(reply: bytes) -> None:
    dialogue, _ = _opened(delivery(SessionOptions(pipelining=True)))
    dialogue.heard(b"220 hi\r\n", 120)
    with pytest.raises(StepFailed, match=r"^no PIPELINING at ehlo$"):
        dialogue.heard(reply, 130)


@pytest.mark.parametrize("cut", range(1, 24))
def test_an_extension_is_seen_in_pieces_too(cut: int) -> None:
    dialogue, _ = _opened(delivery(SessionOptions(pipelining=True)))
    dialogue.heard(b"220 hi\r\n", 120)
    reply = b"250-x\r\n250 pipelining\r\n"
    dialogue.heard(reply[:cut], 130)
    dialogue.heard(reply[cut:], 131)
    assert dialogue.step is Step.MAIL


def test_starttls_is_timed_to_the_end_of_the_handshake() -> None:
    dialogue, _ = _opened(Script((Exchange(Step.EHLO, b"EHLO x\r\n", READY), Secure(Step.STARTTLS, b"STARTTLS\r\n"))))
    assert dialogue.heard(b"220 x\r\n", 120) == b"STARTTLS\r\n"
    assert dialogue.heard(b"220 go\r\n", 125) == b""
    assert dialogue.stance is Stance.SECURE
    assert dialogue.secured(150) == b""
    assert dialogue.taken == [10, 10, 30]
    assert dialogue.script.steps[-1] is Step.STARTTLS


def test_a_server_that_goes_on_in_clear_before_the_handshake_fails_it() -> None:
    dialogue, _ = _opened(Script((Secure(Step.STARTTLS, b"STARTTLS\r\n"),)))
    with pytest.raises(StepFailed, match=r"^250 at starttls$"):
        dialogue.heard(b"220 go\r\n250 injected\r\n", 120)


def test_tls_from_the_first_byte_begins_behind_the_header() -> None:
    dialogue, out = _opened(Script((Secure(Step.TLS), Exchange(Step.HEADER_TO_BANNER, b"", READY))))
    assert (out, dialogue.stance) == (b"PROXY!", Stance.SECURE)
    assert dialogue.secured(140) == b""
    dialogue.heard(b"220 hi\r\n", 160)
    assert dialogue.done
    # The banner is timed from the header, the handshake within.
    assert dialogue.taken == [10, 30, 50]


def test_a_held_connection_is_timed_from_the_call_of_connect_to_the_last_word() -> None:
    dialogue, out = _opened(Script((Say(), Hold())), b"PRO")
    assert (out, dialogue.stance, dialogue.step) == (b"PRO", Stance.LISTEN, Step.HELD)
    dialogue.heard(b"421 too late\r\n", 30_100)
    assert (dialogue.word, dialogue.done) == (421, False)
    dialogue.ended("closed", 30_200)
    assert dialogue.done
    assert dialogue.taken == [10, 30_000]


@pytest.mark.parametrize(
    ("codes", "reply", "failure"),
    [
        (frozenset({421}), b"", "closed at held"),
        (frozenset({421}), b"220 hi\r\n", "220 at held"),
        (frozenset({421}), b"hm\r\n", "no reply line at held"),
        (frozenset(), b"hm\r\n", "no reply line at held"),
    ],
)
def test_a_held_connection_wants_its_code(codes: frozenset[int], reply: bytes, failure: str) -> None:
    dialogue, _ = _opened(Script((Hold(codes),)), b"")
    with pytest.raises(StepFailed, match=f"^{failure}$"):  # noqa: PT012 - either may raise
        if reply:
            dialogue.heard(reply, 200)
        dialogue.ended("closed", 210)


def test_silence_may_end_in_silence_where_no_code_is_wanted() -> None:
    dialogue, _ = _opened(Script((Hold(frozenset()),)), b"")
    dialogue.ended("reset", 250)
    assert dialogue.done
    assert dialogue.taken == [10, 150]


@pytest.mark.parametrize(("abrupt", "stance"), [(True, Stance.RESET), (False, Stance.CLOSE)])
def test_leaving_says_how(abrupt: bool, stance: Stance) -> None:
    dialogue, out = _opened(Script((Say(b" and more"), Leave(abrupt=abrupt))))
    assert (out, dialogue.stance, dialogue.done) == (b"PROXY! and more", stance, True)
    assert dialogue.script.steps == (Step.CONNECT,)


def test_input_noticed_stays_unread() -> None:
    dialogue, out = _opened(Script((Notice(Step.EHLO), Leave(abrupt=False))))
    assert (out, dialogue.stance) == (b"PROXY!", Stance.NOTICE)
    assert dialogue.noticed(150) == b""
    assert (dialogue.stance, dialogue.taken) == (Stance.CLOSE, [10, 40])


@given(st.binary(min_size=1, max_size=40), st.integers(1, 9))
def test_a_drip_sends_everything_piece_by_piece(data: bytes, size: int) -> None:
    dialogue, out = _opened(Script((Drip(b"!", size, 0.5),)), data)
    pieces = [out]
    while not dialogue.done:
        assert (dialogue.stance, dialogue.gap) == (Stance.DRIP, 0.5)
        pieces.append(dialogue.due(200))
    assert b"".join(pieces) == data + b"!"
    assert all(len(piece) == size for piece in pieces[:-1])
    assert len(pieces[-1]) <= size


def test_a_word_while_it_drips_fails_the_drip() -> None:
    dialogue, _ = _opened(Script((Drip(b"", 1, 1.0),)))
    with pytest.raises(StepFailed, match=r"^421 at drip$"):
        dialogue.heard(b"421 too slow\r\n", 120)


def _dripping(following: Exchange | Hold) -> Dialogue:
    dialogue = Dialogue(Script((Drip(b"", 2, 0.5), following)), b"PROXY!", 100)
    assert dialogue.opened(110) == b"PR"
    assert dialogue.due(120) == b"OX"
    return dialogue


def test_a_drip_may_be_ended_with_the_word_that_is_waited_for() -> None:
    dialogue = _dripping(Hold())
    assert dialogue.heard(b"421 too slow\r\n", 150) == b""
    assert dialogue.stance is Stance.LISTEN
    assert dialogue.word == 421
    dialogue.ended("closed", 160)
    assert dialogue.done
    # Connect, the drip up to its end, and from the call of connect to the word.
    assert dialogue.taken == [10, 40, 50]


@pytest.mark.parametrize("reply", [b"220 welcome\r\n", b"554 no\r\n", b"garbage\r\n"])
def test_a_drip_is_not_ended_with_any_word(reply: bytes) -> None:
    with pytest.raises(StepFailed, match="at held"):
        _dripping(Hold()).heard(reply, 150)


def test_a_drip_that_has_to_be_served_may_not_be_ended() -> None:
    with pytest.raises(StepFailed, match="421 at drip"):
        _dripping(Exchange(Step.HEADER_TO_BANNER, b"", READY)).heard(b"421 too slow\r\n", 150)
    with pytest.raises(StepFailed, match="closed at drip"):
        _dripping(Exchange(Step.HEADER_TO_BANNER, b"", READY)).ended("closed", 150)


def test_a_drip_may_be_closed_where_silence_will_do() -> None:
    dialogue = _dripping(Hold(frozenset()))
    dialogue.ended("closed", 150)
    assert dialogue.done
    with pytest.raises(StepFailed, match="closed at held"):
        _dripping(Hold()).ended("closed", 150)


def test_the_greeting_is_timed_from_the_last_piece() -> None:
    dialogue = _dripping(Exchange(Step.HEADER_TO_BANNER, b"", READY))
    assert dialogue.due(300) == b"Y!"
    dialogue.heard(b"220 hi\r\n", 307)
    assert dialogue.taken == [10, 190, 7]


def test_what_is_refused_may_be_closed_or_told_so_but_not_served() -> None:
    def wrong() -> Dialogue:
        dialogue = Dialogue(refusal(), b"PROXX", 100)
        assert dialogue.opened(110) == b"PROXX"
        return dialogue

    silent, told = wrong(), wrong()
    silent.ended("reset", 150)
    told.heard(b"550 no\r\n", 140)
    told.ended("closed", 150)
    assert (silent.done, told.done) == (True, True)
    assert (silent.taken, told.taken) == ([10, 50], [10, 40])
    with pytest.raises(StepFailed, match="220 at refusal"):
        wrong().heard(b"220 welcome\r\n", 150)


@pytest.mark.parametrize(
    ("reply", "told"),
    [
        (b"250-mx greets [203.0.113.1]\r\n250 SIZE\r\n", True),
        (b"250 mx greets 203.0.113.1\r\n", True),
        (b"250-mx greets [203.0.113.11]\r\n250 SIZE\r\n", False),
        (b"250-mx greets [2203.0.113.1]\r\n250 SIZE\r\n", False),
        (b"250-mx\r\n250 203.0.113.1\r\n", False),
        (b"250 mx\r\n", False),
    ],
)
def test_the_address_is_looked_for_whole_and_in_the_first_line(reply: bytes, *, told: bool) -> None:
    for pieces in ([reply], [reply[:7], reply[7:]]):
        dialogue = Dialogue(ask("203.0.113.1"), b"PROXY!", 100)
        dialogue.opened(110)
        assert dialogue.heard(b"220 mx\r\n", 120) == b"EHLO client.example\r\n"
        if told:
            assert b"".join(dialogue.heard(piece, 130) for piece in pieces) == b"QUIT\r\n"
        else:
            *before, last = pieces
            for piece in before:
                assert dialogue.heard(piece, 130) == b""
            with pytest.raises(StepFailed, match="another address at ehlo"):
                dialogue.heard(last, 130)
